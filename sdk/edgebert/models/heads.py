"""What stands on top of an encoder: a linear layer for each head that the task asks for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from edgebert.models.outputs import masked_mean
from edgebert.tasks.heads import Head


class TiedHead(nn.Module):
    """Down to the width of the word table, then a row for each word, started from that table and learned apart."""

    def __init__(self, hidden: int, words: int, embedding: nn.Embedding) -> None:
        super().__init__()
        self.narrow = nn.Linear(hidden, embedding.embedding_dim)
        self.words = nn.Linear(embedding.embedding_dim, words)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[..., hidden] to [..., words]."""
        answer: torch.Tensor = self.words(self.narrow(states))
        return answer


class Heads(nn.ModuleDict):
    """The layer of each head, by name: per-token heads read the states, the others their masked mean.

    Args:
        hidden: width of the states.
        embedding: the word table, where a head is tied to it.
        dropout: in front of each layer, while training.
        own_vectors: a `vector` head has no layer: the masked mean itself is the vector.
    Raises:
        ValueError: a tied head without a table, or a vector without a layer that is not as wide as the states.
    """

    def __init__(
        self,
        heads: Sequence[Head],
        hidden: int,
        embedding: nn.Embedding | None = None,
        dropout: float = 0.0,
        own_vectors: bool = False,
    ) -> None:
        # In alphabetical order, as outputs are everywhere: some formats know them by their place alone.
        specs = tuple(sorted(heads, key=lambda head: head.name))
        super().__init__({head.name: _layer(head, hidden, embedding, own_vectors) for head in specs})
        self.specs, self.rate = specs, dropout
        if embedding is not None:
            self.start(embedding)

    @torch.no_grad()
    def start(self, embedding: nn.Embedding) -> None:
        """Start the tied heads from the word table as it is now."""
        for layer in self.values():
            if isinstance(layer, TiedHead):
                rows = min(layer.words.out_features, embedding.num_embeddings)  # some tables are padded
                layer.words.weight[:rows] = embedding.weight[:rows]

    def forward(self, states: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """States [batch, seq, hidden] and mask [batch, seq] to each head's [batch, width] or [batch, seq, width]."""
        read = {}
        if any(not spec.per_token for spec in self.specs):
            read[False] = functional.dropout(masked_mean(states, mask), self.rate, self.training)
        if any(spec.per_token for spec in self.specs):
            read[True] = functional.dropout(states, self.rate, self.training)
        return {spec.name: self[spec.name](read[spec.per_token]) for spec in self.specs}


def _layer(head: Head, hidden: int, embedding: nn.Embedding | None, own_vectors: bool) -> nn.Module:
    if head.kind == "vector" and own_vectors:
        if head.width != hidden:
            raise ValueError(f"the encoder's own vectors have {hidden} numbers, not {head.width}")
        return nn.Identity()
    if not head.tied:
        return nn.Linear(hidden, head.width)
    if embedding is None:
        raise ValueError(f"the head {head.name!r} is tied to the word table, and there is none")
    return TiedHead(hidden, head.width, embedding)


def initialise(module: nn.Module) -> None:
    """BERT's way to start a layer: normal weights, zero biases and a zero row for padding."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        nn.init.zeros_(module.weight[module.padding_idx])
