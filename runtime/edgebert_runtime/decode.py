"""Logits to answers: one function per task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


class Prediction(NamedTuple):
    """The answer to one text. `probabilities` holds every label, in the model's order, and sums to 1.

    A named tuple, because a frozen dataclass takes longer to make than the n-gram student takes to answer.
    """

    label: str
    probability: float
    probabilities: dict[str, float]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities, float64 [n, classes], of logits [n, classes]."""
    shifted = np.asarray(logits, dtype=np.float64)
    powers = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def classification(logits: np.ndarray, labels: Sequence[str]) -> list[Prediction]:
    """The most probable label of each row of logits [n, classes]; of equal ones the first."""
    probabilities = softmax(logits)
    best = probabilities.argmax(axis=-1)
    return [
        Prediction(labels[index], row[index], dict(zip(labels, row, strict=True)))
        for index, row in zip(best.tolist(), probabilities.tolist(), strict=True)
    ]


DECODERS: dict[str, Callable[[np.ndarray, Sequence[str]], list[Prediction]]] = {
    "classification": classification,
}
