"""How good predictions are: accuracy, macro-F1, confusion, a table of classes. Class ids in, fractions (0..1) out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Ids = Sequence[int] | np.ndarray


@dataclass(frozen=True)
class ClassScores:
    """One row of the table of classes; `support` is the number of gold rows, the others are fractions."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Logits [..., classes] -> probabilities of the same shape, float64; a temperature above 1 flattens them.

    Raises:
        ValueError: the temperature is not positive, or a logit is not a finite number.
    """
    if not temperature > 0:
        raise ValueError(f"the temperature must be above 0, not {temperature}")
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    if not np.isfinite(scaled).all():
        raise ValueError("the logits hold values that are not finite numbers")
    exp = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(exp / exp.sum(axis=-1, keepdims=True))


def accuracy(predicted: Ids, gold: Ids) -> float:
    """The fraction of predicted ids [n] that equal the gold ids [n]."""
    predicted, gold = pair(predicted, gold)
    return float((predicted == gold).mean())


def confusion(predicted: Ids, gold: Ids, classes: int) -> np.ndarray:
    """Counts [classes, classes], int64: entry (g, p) is how many rows of gold class g were called p."""
    predicted, gold = pair(predicted, gold)
    if min(predicted.min(), gold.min()) < 0 or max(predicted.max(), gold.max()) >= classes:
        raise ValueError(f"class ids must lie in 0..{classes - 1}")
    return np.bincount(gold * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def macro_f1(predicted: Ids, gold: Ids) -> float:
    """The mean F1 over the classes that occur in gold or in the predictions, as scikit-learn counts it."""
    predicted, gold = pair(predicted, gold)
    classes, renamed = np.unique(np.concatenate([predicted, gold]), return_inverse=True)
    counts = confusion(renamed[: len(gold)], renamed[len(gold) :], len(classes))
    return float(_scores(counts)[2].mean())


def per_class(predicted: Ids, gold: Ids, labels: Sequence[str]) -> list[ClassScores]:
    """Precision, recall, F1 and support of each label, in the order of `labels`; 0 where a quotient is 0/0."""
    counts = confusion(predicted, gold, len(labels))
    precision, recall, f1 = _scores(counts)
    support = counts.sum(axis=1)
    return [
        ClassScores(label, float(precision[i]), float(recall[i]), float(f1[i]), int(support[i]))
        for i, label in enumerate(labels)
    ]


def pair(predicted: Ids, gold: Ids) -> tuple[np.ndarray, np.ndarray]:
    """Two lists of class ids as int64 arrays [n].

    Raises:
        ValueError: they differ in length, are not flat, hold something other than whole numbers, or are empty.
    """
    a, b = np.asarray(predicted), np.asarray(gold)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"expected two flat lists of the same length, not shapes {a.shape} and {b.shape}")
    if not a.size:
        raise ValueError("there are no rows to score")
    if a.dtype.kind not in "iu" or b.dtype.kind not in "iu":
        raise ValueError("class ids must be whole numbers")
    return a.astype(np.int64), b.astype(np.int64)


def _scores(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    hits = np.diag(counts).astype(np.float64)
    called, there = counts.sum(axis=0), counts.sum(axis=1)
    return _divide(hits, called), _divide(hits, there), _divide(2 * hits, called + there)


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)
