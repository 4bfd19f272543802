"""What every transformer student is made of, embeddings, blocks and heads, and how it starts from another network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgebert.models.heads import Heads, initialise
from edgebert.models.outputs import Outputs
from edgebert.tasks.heads import Head
from edgebert_runtime.errors import UsageError
from edgebert_runtime.features import WordPiece

# Sizes in which a run to start from may differ: nothing is learned in them, or the words are compared themselves.
FREE = ("vocabulary", "dropout", "attention_dropout")


class SelfAttention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, section 3.2), up to but without the layer behind it.

    Args:
        width: of query, key and value together; `value_width`: of what the value reads, where it is another.
    """

    def __init__(self, width: int, heads: int, dropout: float, value_width: int | None = None) -> None:
        super().__init__()
        self.heads, self.head_width = heads, width // heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(value_width or width, width)
        self.dropout = nn.Dropout(dropout)

    def _split(self, states: torch.Tensor) -> torch.Tensor:
        batch, length, _ = states.shape
        return states.view(batch, length, self.heads, self.head_width).transpose(1, 2)

    def mix(
        self, query_key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mixed values [batch, seq, width] and attention probabilities [batch, heads, seq, seq]."""
        query, key = self._split(self.query(query_key)), self._split(self.key(query_key))
        scores = query @ key.transpose(2, 3) / math.sqrt(self.head_width) + bias
        probabilities = scores.softmax(dim=-1)
        mixed = self.dropout(probabilities) @ self._split(self.value(value))
        batch, _, length, _ = mixed.shape
        return mixed.transpose(1, 2).reshape(batch, length, self.heads * self.head_width), probabilities


class Encoder(nn.Module):
    """A stack of blocks between an embedding and the heads.

    Args:
        config: its sizes, a dataclass.
        embeddings: a module from (ids [batch, seq], token types [batch, seq] or None) to states [batch, seq, hidden];
            its word table is `embeddings.words`.
        blocks: each from (states, bias [batch, 1, 1, seq]) to (states, attention probabilities).
    """

    config: Any
    embeddings: Any

    def __init__(
        self, config: Any, embeddings: nn.Module, blocks: Sequence[nn.Module], heads: Sequence[Head], hidden: int
    ) -> None:
        super().__init__()
        self.config, self.embeddings = config, embeddings
        self.blocks = nn.ModuleList(blocks)
        self.heads = Heads(heads, hidden, self.words)
        self.apply(initialise)
        self.heads.start(self.words)

    @property
    def words(self) -> nn.Embedding:
        """The table with a row for each word piece."""
        table = self.embeddings.words
        assert isinstance(table, nn.Embedding)
        return table

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


def narrowed(table: torch.Tensor, width: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A table [rows, wide] as `rows @ basis.T + mean`: the best of `width` columns (a truncated SVD).

    Returns:
        rows [rows, min(width, wide)], basis [wide, min(width, wide)] and mean [wide].
    """
    mean = table.mean(0)
    centred = table - mean
    # Eigenvectors of the small Gram matrix are the right singular vectors of the table.
    _, basis = torch.linalg.eigh(centred.T @ centred)
    basis = basis[:, -min(width, basis.shape[1]) :]
    return centred @ basis, basis, mean


@torch.no_grad()
def start_heads(network: Encoder, heads: Heads) -> None:
    """Start the tied heads from the word table as it is now, and copy from `heads` those of equal sizes."""
    network.heads.start(network.words)
    for name, layer in network.heads.items():
        given = heads[name].state_dict() if name in heads else {}
        if _shapes(given) == _shapes(layer.state_dict()):
            layer.load_state_dict(given)


def _shapes(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in state.items()}


def start_from(network: Encoder, featurizer: WordPiece, folder: str | Path, family: str) -> None:
    """Take over every weight but the heads' from the run in `folder`, such as one that learned masked-lm.

    Args:
        family: how messages call a student of this kind.
    Raises:
        UsageError: it is a student of another kind, or its sizes or its vocabulary are others.
        EdgeBertError: there is no such run, or it is damaged.
    """
    from edgebert.run import load_run

    run = load_run(folder)
    before, reader = run.module, run.featurizer
    if type(before) is not type(network) or not isinstance(before, Encoder) or not isinstance(reader, WordPiece):
        raise UsageError(f"the run {folder} is no {family} student, and student.start_from wants one.")
    for field in fields(network.config):
        theirs, ours = getattr(before.config, field.name), getattr(network.config, field.name)
        if theirs != ours and field.name not in FREE:
            raise UsageError(
                f"the run {folder} was made with {field.name} {theirs} and this student has {ours}; "
                "give the same sizes."
            )
    if _words(reader) != _words(featurizer):
        raise UsageError(
            f"the run {folder} has another vocabulary than the teacher; take a teacher that reads the same words."
        )
    weights = {name: value for name, value in before.state_dict().items() if not name.startswith("heads.")}
    network.load_state_dict(weights, strict=False)
    network.heads.start(network.words)


def _words(reader: WordPiece) -> tuple[object, ...]:
    accents = reader.lowercase if reader.strip_accents is None else reader.strip_accents
    return reader.vocabulary, reader.lowercase, accents
