"""Logits to answers: one function per task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from edgebert_runtime import _core


class Prediction(NamedTuple):
    """The answer to one text. `probabilities` holds every label, in the model's order, and sums to 1.

    A named tuple, because a frozen dataclass takes longer to make than the n-gram student takes to answer.
    """

    label: str
    probability: float
    probabilities: dict[str, float]


def classification(logits: np.ndarray, labels: Sequence[str]) -> list[Prediction]:
    """The most probable label of each row of logits [n, classes]; of equal ones the first.

    Not numpy's softmax: for one text its calls would take longer than the n-gram student.
    """
    rows = _core.softmax(np.ascontiguousarray(logits, np.float64).data, len(labels))
    return [_most_probable(row, labels) for row in rows]


def _most_probable(probabilities: list[float], labels: Sequence[str]) -> Prediction:
    largest = max(probabilities)
    return Prediction(labels[probabilities.index(largest)], largest, dict(zip(labels, probabilities, strict=True)))


DECODERS: dict[str, Callable[[np.ndarray, Sequence[str]], list[Prediction]]] = {
    "classification": classification,
}
