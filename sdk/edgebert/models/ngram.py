"""The n-gram student: embeddings of word and character n-grams, pooled, and a small network on top.

After Ye et al. 2022 (arXiv 2110.08536): a deep averaging network whose parameters are nearly all embedding rows, of
which a text touches only its own n-grams. Here each channel (words, word n-grams, character n-grams) has its own table
and width, and is pooled apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from edgebert.models.outputs import Outputs
from edgebert.tasks.heads import Head
from edgebert_runtime.ngrams import CHARACTERS_PER_WORD


@dataclass(frozen=True)
class NgramConfig:
    """Sizes of an n-gram network.

    Attributes:
        rows, widths: of each channel's table, row 0 (padding) included.
        hidden: width of the hidden layer; 0 for a linear layer alone.
        pair: two texts, joined as [a, b, a * b, |a - b|].
        pooling: `sqrt` (sum / sqrt(n)) or `mean`, as in the paper.
        single: the channel of single words, if there is one.
        spelled: channels of character n-grams, whose n-grams in each known word are stored beside the weights: an
            export may then add them up beforehand.
        ngram_dropout: share of the n-grams of a text that are dropped while training.
    """

    rows: tuple[int, ...]
    widths: tuple[int, ...]
    hidden: int = 128
    pair: bool = False
    pooling: str = "sqrt"
    ngram_dropout: float = 0.1
    dropout: float = 0.1
    single: int | None = None
    spelled: tuple[int, ...] = ()


class NgramNet(nn.Module):
    """Tables, pooling, a linear layer and (optionally) a hidden layer beside it: one head, with a row for each text.

    Raises:
        ValueError: other heads than one a text.
    """

    def __init__(self, config: NgramConfig, heads: Sequence[Head]) -> None:
        super().__init__()
        if len(heads) != 1 or heads[0].per_token:
            raise ValueError("an n-gram network has one head, and it answers for whole texts")
        (self.head,) = heads
        self.config = config
        self.tables = nn.ModuleList(
            nn.Embedding(rows, width, padding_idx=0, sparse=True, _weight=torch.zeros(rows, width))
            for rows, width in zip(config.rows, config.widths, strict=True)
        )
        width = sum(config.widths) * (4 if config.pair else 1)
        self.linear = nn.Linear(width, self.head.width)
        self.hidden = nn.Linear(width, config.hidden) if config.hidden else None
        self.output = nn.Linear(config.hidden, self.head.width, bias=False) if config.hidden else None
        self.dropout = nn.Dropout(config.dropout)
        words = config.rows[config.single] if config.single is not None else 0
        for index in config.spelled:
            self.register_buffer(f"spelling_{index}", torch.zeros(words, CHARACTERS_PER_WORD, dtype=torch.int32))

    def spelling(self, channel: int) -> torch.Tensor:
        """Rows of the character n-grams in each known word, int32 [words, n], zero-padded."""
        return self.get_buffer(f"spelling_{channel}")

    def _pool(self, table: nn.Module, ids: torch.Tensor) -> torch.Tensor:
        """Ids [batch, n] (0 is padding) to [batch, width]; an empty text gives zeros."""
        weight = table.weight
        if self.training:
            if self.config.ngram_dropout:
                ids = ids * (torch.rand(ids.shape, device=ids.device) >= self.config.ngram_dropout)
            # Same sum as below, but with a sparse gradient and without the [batch, n, width] intermediate.
            assert isinstance(weight, torch.Tensor)
            pooled = functional.embedding_bag(ids, weight, mode="sum", sparse=True, padding_idx=0)
        else:
            pooled = table(ids).sum(dim=1)  # row 0 is zero
        count = (ids > 0).sum(dim=1, keepdim=True).clamp(min=1).to(pooled.dtype)
        return pooled / (count.sqrt() if self.config.pooling == "sqrt" else count)

    def vector(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """One id tensor [batch, n] per channel to [batch, sum of widths]."""
        return torch.cat([self._pool(table, ids) for table, ids in zip(self.tables, inputs, strict=True)], dim=1)

    def run(self, *inputs: torch.Tensor, attentions: bool = False) -> Outputs:
        """Forward pass; there are no positions, so `Outputs` holds the head's answer alone."""
        channels = len(self.tables)
        vector = self.vector(inputs[:channels])
        if self.config.pair:
            other = self.vector(inputs[channels:])
            vector = torch.cat([vector, other, vector * other, (vector - other).abs()], dim=1)
        vector = self.dropout(vector)
        answer = self.linear(vector)
        if self.hidden is not None and self.output is not None:
            answer = answer + self.output(self.dropout(torch.relu(self.hidden(vector))))
        return Outputs({self.head.name: answer})

    def forward(self, *inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """The graph that is exported: ids of each channel to the answer of its head, [batch, width]."""
        return dict(self.run(*inputs).heads)
