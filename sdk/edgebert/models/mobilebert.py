"""MobileBERT: a thin bottleneck transformer (Sun et al. 2020, arXiv 2004.02984, section 3 and table 1).

A block narrows its input from `hidden` to `bottleneck`, attends and runs several small feed-forward networks there, and
widens the result back. Normalisation is NoNorm, an element-wise scale and shift; the activation is ReLU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from edgebert.models.heads import Heads, initialise
from edgebert.models.outputs import Outputs
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


class Attention(nn.Module):
    """Multi-head self-attention at bottleneck width; the value may read the full width."""

    def __init__(self, config: MobileBertConfig) -> None:
        super().__init__()
        width = config.bottleneck
        self.heads, self.head_width = config.heads, width // config.heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(config.hidden if config.shared_query_key else width, width)
        self.output = ResidualLinear(width, width)
        self.dropout = nn.Dropout(config.attention_dropout)

    def _split(self, states: torch.Tensor) -> torch.Tensor:
        batch, length, _ = states.shape
        return states.view(batch, length, self.heads, self.head_width).transpose(1, 2)

    def forward(
        self, query_key: torch.Tensor, value: torch.Tensor, residual: torch.Tensor, bias: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """New states [batch, seq, bottleneck] and attention probabilities [batch, heads, seq, seq]."""
        query, key = self._split(self.query(query_key)), self._split(self.key(query_key))
        scores = query @ key.transpose(2, 3) / math.sqrt(self.head_width) + bias
        probabilities = scores.softmax(dim=-1)
        mixed = self.dropout(probabilities) @ self._split(self.value(value))
        batch, _, length, _ = mixed.shape
        mixed = mixed.transpose(1, 2).reshape(batch, length, self.heads * self.head_width)
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


class MobileBert(nn.Module):
    """MobileBERT encoder and its heads."""

    def __init__(self, config: MobileBertConfig, heads: Sequence[Head]) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.heads = Heads(heads, config.hidden, self.embeddings.words)
        self.apply(initialise)
        self.heads.start(self.embeddings.words)

    def run(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
        attentions: bool = False,
    ) -> Outputs:
        """Forward pass with everything the objectives may ask for; ids and mask are [batch, seq]."""
        states = self.embeddings(input_ids, token_type_ids)
        # A finite bias: -inf or float's minimum breaks static int8 calibration.
        bias = ((1.0 - attention_mask.to(states.dtype)) * -1e4)[:, None, None, :]
        hidden, maps = [states], []
        for block in self.blocks:
            states, probabilities = block(states, bias)
            hidden.append(states)
            if attentions:
                maps.append(probabilities)
        return Outputs(self.heads(states, attention_mask), tuple(hidden), tuple(maps), attention_mask)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """The graph that is exported: ids [batch, seq] to the answer of each head (see `Outputs.heads`)."""
        return dict(self.run(input_ids, attention_mask, token_type_ids).heads)
