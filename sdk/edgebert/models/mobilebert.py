"""MobileBERT: a thin bottleneck transformer (Sun et al. 2020, arXiv 2004.02984, section 3 and table 1).

A block narrows its input from `hidden` to `bottleneck`, attends and runs several small feed-forward networks there, and
widens the result back. Normalisation is NoNorm, an element-wise scale and shift; the activation is ReLU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from edgebert.models.encoder import Encoder, SelfAttention
from edgebert.tasks.heads import Head


@dataclass(frozen=True)
class MobileBertConfig:
    """Sizes of a MobileBERT.

    Attributes:
        hidden: width between blocks; `bottleneck`: width inside a block; `embedding`: width of the word table.
        feedforward: inner width of each of the `feedforwards` stacked networks of a block.
        shared_query_key: query and key read a bottleneck of their own and the value reads the full width (MobileBERT);
            otherwise all three read the block's bottleneck (MobileBERT-TINY).
    """

    vocabulary: int = 30522
    hidden: int = 512
    bottleneck: int = 128
    embedding: int = 128
    feedforward: int = 512
    feedforwards: int = 4
    heads: int = 4
    layers: int = 24
    shared_query_key: bool = True
    positions: int = 512
    token_types: int = 2
    attention_dropout: float = 0.1


# The paper's two sizes, and one as wide as a MiniLM teacher (384), so that feature maps need no projection.
PRESETS: dict[str, MobileBertConfig] = {
    "mobilebert": MobileBertConfig(),
    "mobilebert-tiny": MobileBertConfig(feedforwards=2, shared_query_key=False),
    "mobilebert-mini": MobileBertConfig(hidden=384, feedforwards=2, layers=6, shared_query_key=False),
}


class NoNorm(nn.Module):
    """Element-wise `weight * x + bias`, in place of layer normalisation (equation 1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Same shape in and out, [..., width]."""
        return states * self.weight + self.bias


class Bottleneck(nn.Module):
    """Linear then NoNorm: [..., width_in] to [..., width_out]."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width_in, width_out)
        self.norm = NoNorm(width_out)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[..., width_in] to [..., width_out]."""
        return self.norm(self.dense(states))


class ResidualLinear(nn.Module):
    """`NoNorm(Linear(x) + residual)`."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width_in, width_out)
        self.norm = NoNorm(width_out)

    def forward(self, states: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        """[..., width_in] and [..., width_out] to [..., width_out]."""
        return self.norm(self.dense(states) + residual)


class Embeddings(nn.Module):
    """Trigram embedding: each position sees the narrow vectors of its right neighbour, itself and its left one."""

    def __init__(self, config: MobileBertConfig) -> None:
        super().__init__()
        self.words = nn.Embedding(config.vocabulary, config.embedding, padding_idx=0)
        self.trigram = nn.Linear(3 * config.embedding, config.hidden)
        self.positions = nn.Embedding(config.positions, config.hidden)
        self.token_types = nn.Embedding(config.token_types, config.hidden)
        self.norm = NoNorm(config.hidden)

    def forward(self, input_ids: torch.Tensor, token_type_ids: torch.Tensor | None) -> torch.Tensor:
        """Ids [batch, seq] to [batch, seq, hidden]."""
        words = self.words(input_ids)
        edge = torch.zeros_like(words[:, :1])
        following = torch.cat([words[:, 1:], edge], dim=1)
        preceding = torch.cat([edge, words[:, :-1]], dim=1)
        # The order next, current, previous is that of the published checkpoints.
        states = self.trigram(torch.cat([following, words, preceding], dim=2))
        states = states + self.positions.weight[: input_ids.shape[1]]
        if token_type_ids is None:
            states = states + self.token_types.weight[0]
        else:
            states = states + self.token_types(token_type_ids)
        return self.norm(states)


class Attention(SelfAttention):
    """Multi-head self-attention at bottleneck width; the value may read the full width."""

    def __init__(self, config: MobileBertConfig) -> None:
        value_width = config.hidden if config.shared_query_key else config.bottleneck
        super().__init__(config.bottleneck, config.heads, config.attention_dropout, value_width)
        self.output = ResidualLinear(config.bottleneck, config.bottleneck)

    def forward(
        self, query_key: torch.Tensor, value: torch.Tensor, residual: torch.Tensor, bias: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """New states [batch, seq, bottleneck] and attention probabilities [batch, heads, seq, seq]."""
        mixed, probabilities = self.mix(query_key, value, bias)
        return self.output(mixed, residual), probabilities


class FeedForward(nn.Module):
    """Linear, ReLU, Linear, residual, NoNorm at bottleneck width."""

    def __init__(self, config: MobileBertConfig) -> None:
        super().__init__()
        self.inner = nn.Linear(config.bottleneck, config.feedforward)
        self.output = ResidualLinear(config.feedforward, config.bottleneck)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[batch, seq, bottleneck] to the same."""
        return self.output(torch.relu(self.inner(states)), states)


class Block(nn.Module):
    """One MobileBERT layer, `hidden` wide outside and `bottleneck` wide inside."""

    def __init__(self, config: MobileBertConfig) -> None:
        super().__init__()
        self.narrow = Bottleneck(config.hidden, config.bottleneck)
        self.query_key = Bottleneck(config.hidden, config.bottleneck) if config.shared_query_key else None
        self.attention = Attention(config)
        self.feedforwards = nn.ModuleList(FeedForward(config) for _ in range(config.feedforwards))
        self.widen = ResidualLinear(config.bottleneck, config.hidden)

    def forward(self, states: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[batch, seq, hidden] to the same, and the attention probabilities."""
        narrow = self.narrow(states)
        if self.query_key is None:
            inner, probabilities = self.attention(narrow, narrow, narrow, bias)
        else:
            inner, probabilities = self.attention(self.query_key(states), states, narrow, bias)
        for feedforward in self.feedforwards:
            inner = feedforward(inner)
        return self.widen(inner, states), probabilities


class MobileBert(Encoder):
    """MobileBERT encoder and its heads."""

    config: MobileBertConfig
    embeddings: Embeddings

    def __init__(self, config: MobileBertConfig, heads: Sequence[Head]) -> None:
        super().__init__(
            config, Embeddings(config), [Block(config) for _ in range(config.layers)], heads, config.hidden
        )
