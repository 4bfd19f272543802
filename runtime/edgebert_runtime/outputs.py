"""What a graph answers: named outputs, each with one row a text or one row for each token of a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from edgebert_runtime.features import InputSpec

# Output name to one array a text: float32 [n, width] where an output has one row a text, else a list of n arrays
# [tokens, width], each cut to its own text's tokens (which may be 0).
Outputs: TypeAlias = "dict[str, np.ndarray | list[np.ndarray]]"


class OutputSpec(NamedTuple):
    """One output of a graph. `labels` names its columns; () where they have no names."""

    name: str
    width: int
    per_token: bool = False
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class GraphSpec:
    """What goes into a graph, what comes out (in the alphabetical order of the names), and which shapes it takes.

    Attributes:
        shapes: as in the manifest: "batch", "lengths", "min_length", "max_length".
    """

    inputs: tuple[InputSpec, ...]
    outputs: tuple[OutputSpec, ...]
    shapes: Mapping[str, Any]


def count(outputs: Outputs) -> int:
    """How many texts these outputs are of."""
    return len(next(iter(outputs.values()), ()))


def outputs_of(outputs: Outputs, index: int) -> dict[str, np.ndarray]:
    """The outputs of one text: [width] or [tokens, width]."""
    return {name: rows[index] for name, rows in outputs.items()}


def join(parts: Sequence[Outputs]) -> Outputs:
    """Outputs of several calls as one, the texts in order. `parts` is not empty."""
    joined: Outputs = {}
    for name, first in parts[0].items():
        if isinstance(first, np.ndarray):
            joined[name] = np.concatenate([part[name] for part in parts])
        else:
            joined[name] = [row for part in parts for row in part[name]]
    return joined


def take(outputs: Outputs, indices: Sequence[int]) -> Outputs:
    """The outputs of some of the texts, in the order of `indices`."""
    return {
        name: rows[list(indices)] if isinstance(rows, np.ndarray) else [rows[index] for index in indices]
        for name, rows in outputs.items()
    }


def flat(outputs: Outputs) -> np.ndarray:
    """All numbers of all texts in one row, to compare two engines; the order depends on names and shapes alone."""
    rows = [np.ravel(row) for name in sorted(outputs) for row in outputs[name]]
    return np.concatenate(rows) if rows else np.zeros(0, np.float32)
