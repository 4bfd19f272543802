"""BERT: a transformer encoder (Devlin et al. 2019, arXiv 1810.04805), its word table perhaps narrower than the rest.

A narrow table with a linear layer behind it is ALBERT's factorised embedding (Lan et al. 2020, arXiv 1909.11942,
section 3.1): most weights of a small encoder are in its word table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from edgebert.models.encoder import Encoder, SelfAttention
from edgebert.tasks.heads import Head


@dataclass(frozen=True)
class BertConfig:
    """Sizes of a BERT.

    Attributes:
        embedding: width of the word table.
        feedforward: inner width of a block's feed-forward network.
        epsilon: of the layer norms.
    """

    vocabulary: int
    hidden: int
    embedding: int
    feedforward: int
    heads: int
    layers: int
    positions: int = 512
    token_types: int = 2
    epsilon: float = 1e-12
    dropout: float = 0.1


class Embeddings(nn.Module):
    """Words (widened), positions and token types, added and normalised."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.words = nn.Embedding(config.vocabulary, config.embedding, padding_idx=0)
        self.widen = nn.Linear(config.embedding, config.hidden)
        self.positions = nn.Embedding(config.positions, config.hidden)
        self.token_types = nn.Embedding(config.token_types, config.hidden)
        self.norm = nn.LayerNorm(config.hidden, config.epsilon)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, input_ids: torch.Tensor, token_type_ids: torch.Tensor | None) -> torch.Tensor:
        """Ids [batch, seq] to [batch, seq, hidden]."""
        states = self.widen(self.words(input_ids)) + self.positions.weight[: input_ids.shape[1]]
        if token_type_ids is None:
            states = states + self.token_types.weight[0]
        else:
            states = states + self.token_types(token_type_ids)
        normed: torch.Tensor = self.dropout(self.norm(states))
        return normed


class Block(nn.Module):
    """Attention and a feed-forward network, each with a residual and a layer norm behind it."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        # On a CPU dropout inside the attention is slow, and the states have theirs.
        self.attention = SelfAttention(config.hidden, config.heads, dropout=0.0)
        self.attended = nn.Linear(config.hidden, config.hidden)
        self.attended_norm = nn.LayerNorm(config.hidden, config.epsilon)
        self.inner = nn.Linear(config.hidden, config.feedforward)
        self.outer = nn.Linear(config.feedforward, config.hidden)
        self.outer_norm = nn.LayerNorm(config.hidden, config.epsilon)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, states: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[batch, seq, hidden] to the same, and the attention probabilities."""
        mixed, probabilities = self.attention.mix(states, states, bias)
        states = self.attended_norm(states + self.dropout(self.attended(mixed)))
        inner = functional.gelu(self.inner(states))
        return self.outer_norm(states + self.dropout(self.outer(inner))), probabilities


class Bert(Encoder):
    """BERT encoder and its heads."""

    config: BertConfig
    embeddings: Embeddings

    def __init__(self, config: BertConfig, heads: Sequence[Head]) -> None:
        super().__init__(
            config, Embeddings(config), [Block(config) for _ in range(config.layers)], heads, config.hidden
        )
