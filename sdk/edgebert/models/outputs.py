"""What a network hands to the distillation objectives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Outputs:
    """One forward pass.

    Attributes:
        heads: what each head answers, by name: [batch, width], or [batch, seq, width] with a row for each token.
        hidden: the embedding output and each layer's, [batch, seq, hidden]; empty where a network has none.
        attentions: each layer's probabilities, [batch, heads, seq, seq]; empty unless asked for.
        mask: 1 for real positions, [batch, seq]; None where there are no positions.
    """

    heads: Mapping[str, torch.Tensor]
    hidden: tuple[torch.Tensor, ...] = ()
    attentions: tuple[torch.Tensor, ...] = ()
    mask: torch.Tensor | None = None


def masked_mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of [batch, seq, hidden] over the positions where `mask` [batch, seq] is 1; [batch, hidden]."""
    weights = mask.to(states.dtype).unsqueeze(-1)
    return (states * weights).sum(1) / weights.sum(1).clamp(min=1.0)
