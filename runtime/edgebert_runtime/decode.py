"""Logits to answers: one function per task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp
from typing import NamedTuple

import numpy as np


class Prediction(NamedTuple):
    """The answer to one text. `probabilities` holds every label, in the model's order, and sums to 1.

    A named tuple, because a frozen dataclass takes longer to make than the n-gram student takes to answer.
    """

    label: str
    probability: float
    probabilities: dict[str, float]


def classification(logits: np.ndarray, labels: Sequence[str]) -> list[Prediction]:
    """The most probable label of each row of logits [n, classes]; of equal ones the first.

    Plain Python: for one text numpy's calls would take longer than the n-gram student.
    """
    return [_most_probable(row, labels) for row in logits.tolist()]


def _most_probable(logits: list[float], labels: Sequence[str]) -> Prediction:
    """Softmax of one text's logits, and its largest."""
    largest = max(logits)
    powers = [exp(logit - largest) for logit in logits]
    total = sum(powers)
    probabilities = [power / total for power in powers]
    index = logits.index(largest)
    return Prediction(labels[index], probabilities[index], dict(zip(labels, probabilities, strict=True)))


DECODERS: dict[str, Callable[[np.ndarray, Sequence[str]], list[Prediction]]] = {
    "classification": classification,
}
