"""What a task asks of a network: its outputs, and what their numbers mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from edgebert_runtime.outputs import OutputSpec

WIDE = 8  # texts whose answers are in memory together where one is a number for each word at each token

Kind = Literal["classes", "flags", "number", "positions", "vector"]


@dataclass(frozen=True)
class Head:
    """One output of a network: a linear layer, and what its numbers mean. The kind decides every loss.

    classes     softmax over the columns                          gold: a column, -1 for none
    flags       each column yes or no                             gold: 0, 1, or nan for none
    number      a score in each column                            gold: a number, nan for none
    positions   softmax over the text's tokens, a column each     gold: a token for each column, -1 for none
    vector      a direction                                       gold: there is none

    Attributes:
        per_token: a row for each token of the text in place of one for the text.
        tied: by way of the width of the word table, and started from that table (masked words).
    """

    name: str
    width: int
    kind: Kind
    per_token: bool = False
    tied: bool = False


def at_once(heads: Sequence[Head], rows: int) -> int:
    """How many of so many rows to answer before what is not needed is dropped (see `Task.keep`)."""
    return min(rows, WIDE) if any(head.tied for head in heads) else rows


def output_specs(heads: Sequence[Head], labels: Mapping[str, tuple[str, ...]]) -> tuple[OutputSpec, ...]:
    """The outputs of a graph with these heads, in the alphabetical order of their names."""
    ordered = sorted(heads, key=lambda head: head.name)
    return tuple(OutputSpec(head.name, head.width, head.per_token, labels.get(head.name, ())) for head in ordered)
