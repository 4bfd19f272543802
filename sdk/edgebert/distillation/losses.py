"""What an answer costs, by the kind of its head: beside the gold (`hard_loss`) and beside a teacher (`soft_loss`).

A head with one answer a text divides by the size of the batch, so that a text weighs the same whoever shares its batch.
Of a per-token head the tokens at which there is something to learn are taken as if each were a text. Where the gold is
-1 or nan, or a teacher's answer is nan, there is nothing to learn.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from edgebert.tasks.heads import Head, Kind

# Finite, as in the networks: minus infinity times the probability 0 is nan.
PADDING = -1e4

Hard = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]
Soft = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None, float], torch.Tensor]


def hard_loss(head: Head, ours: torch.Tensor, gold: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """The loss of a head beside the gold, a scalar.

    Args:
        ours: [batch, width] or [batch, seq, width].
        gold: as `batches.collate_targets` gives it.
        mask: 1 for real positions, [batch, seq]; None where no head is per token.
    """
    known = gold >= 0 if head.kind == "classes" else ~gold.isnan().any(-1)
    ours, gold = _rows(head, ours, gold, known, mask)
    return HARD[head.kind](ours.float(), gold, mask)


def soft_loss(
    head: Head, ours: torch.Tensor, theirs: torch.Tensor, mask: torch.Tensor | None, temperature: float
) -> torch.Tensor:
    """The loss of a head beside a teacher's answer, a scalar; both [batch, width] or [batch, seq, width]."""
    ours, theirs = _rows(head, ours, theirs, ~theirs.isnan().any(-1), mask)
    return SOFT[head.kind](ours.float(), theirs.float(), mask, temperature)


def _rows(
    head: Head, ours: torch.Tensor, wanted: torch.Tensor, known: torch.Tensor, mask: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """What is compared, row by row: texts, or the real tokens [n, width] of which something is known."""
    if not head.per_token or head.kind == "positions":
        return ours, wanted
    assert mask is not None
    chosen = known & mask.bool()
    return ours[chosen], wanted[chosen]


def _both(ours: torch.Tensor, theirs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Both with 0 where `theirs` is nan: no loss there, and no gradient."""
    known = ~theirs.isnan()
    return torch.where(known, ours, 0.0), torch.where(known, theirs, 0.0)


def _cross_entropy(ours: torch.Tensor, gold: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    return functional.cross_entropy(ours, gold, ignore_index=-1, reduction="sum") / max(1, len(gold))


def _divergence(
    ours: torch.Tensor, theirs: torch.Tensor, mask: torch.Tensor | None, temperature: float
) -> torch.Tensor:
    ours, theirs = (functional.log_softmax(logits / temperature, dim=-1) for logits in _both(ours, theirs))
    total = functional.kl_div(ours, theirs, reduction="sum", log_target=True)
    return total / max(1, len(ours)) * temperature**2


def _yes_or_no(ours: torch.Tensor, gold: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    known = ~gold.isnan()
    each = functional.binary_cross_entropy_with_logits(ours, torch.where(known, gold, 0.0), reduction="none")
    return torch.where(known, each, 0.0).sum() / max(1, gold.numel())


def _soft_yes_or_no(
    ours: torch.Tensor, theirs: torch.Tensor, mask: torch.Tensor | None, temperature: float
) -> torch.Tensor:
    return _yes_or_no(ours / temperature, torch.sigmoid(theirs / temperature), mask) * temperature**2


def _difference(ours: torch.Tensor, wanted: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    ours, wanted = _both(ours, wanted)
    return (ours - wanted).pow(2).sum() / max(1, len(ours))


def _among_tokens(answers: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Log-probabilities [batch, width, seq] of the real tokens, for each column apart."""
    assert mask is not None
    return functional.log_softmax((answers + PADDING * (1 - mask.float()).unsqueeze(-1)).transpose(1, 2), dim=-1)


def _position(ours: torch.Tensor, gold: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    logs = _among_tokens(ours, mask).transpose(1, 2)
    return functional.nll_loss(logs, gold, ignore_index=-1, reduction="sum") / max(1, gold.numel())


def _soft_position(
    ours: torch.Tensor, theirs: torch.Tensor, mask: torch.Tensor | None, temperature: float
) -> torch.Tensor:
    assert mask is not None
    # A teacher either answers for each real token of a text or says nothing of it.
    known = ~(theirs.isnan() & mask.bool().unsqueeze(-1)).any(dim=1)
    logs = _among_tokens(ours / temperature, mask)
    wanted = _among_tokens(theirs.nan_to_num(0.0) / temperature, mask)
    each = functional.kl_div(logs, wanted, reduction="none", log_target=True).sum(-1)
    return torch.where(known, each, 0.0).sum() / max(1, known.numel()) * temperature**2


def _angle(ours: torch.Tensor, theirs: torch.Tensor, mask: torch.Tensor | None, temperature: float) -> torch.Tensor:
    known = ~theirs.isnan().any(-1)
    each = 1.0 - functional.cosine_similarity(*_both(ours, theirs), dim=-1)
    return torch.where(known, each, 0.0).sum() / max(1, len(ours))


# A vector has no gold.
HARD: dict[Kind, Hard] = {
    "classes": _cross_entropy,
    "flags": _yes_or_no,
    "number": _difference,
    "positions": _position,
}
SOFT: dict[Kind, Soft] = {
    "classes": _divergence,
    "flags": _soft_yes_or_no,
    "number": lambda ours, theirs, mask, temperature: _difference(ours, theirs, mask),
    "positions": _soft_position,
    "vector": _angle,
}
