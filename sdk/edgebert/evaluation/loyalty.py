"""How faithfully a student copies its teacher, on the same rows (Xu et al., 2021, "Beyond Preserved Accuracy")."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def label_loyalty(teacher: Sequence[object], student: Sequence[object]) -> float:
    """The fraction (0..1) of rows on which the student answers what the teacher answers.

    Raises:
        ValueError: the lists differ in length or are empty.
    """
    if not len(teacher) or len(teacher) != len(student):
        raise ValueError(f"expected two lists of the same length, not {len(teacher)} and {len(student)}")
    return sum(bool(ours == theirs) for ours, theirs in zip(student, teacher, strict=True)) / len(teacher)


def probability_loyalty(teacher: np.ndarray, student: np.ndarray) -> float:
    """The mean of 1 - sqrt(JSD(teacher, student)) over rows of probabilities [n, classes]; 1 is a perfect copy.

    JSD is the Jensen-Shannon divergence with base-2 logarithms, so that the value spans 0..1.

    Raises:
        ValueError: the shapes differ, there are no rows, or a row is not a distribution.
    """
    p, q = np.asarray(teacher, dtype=np.float64), np.asarray(student, dtype=np.float64)
    if p.shape != q.shape or p.ndim != 2 or not p.size:
        raise ValueError(f"expected two tables of probabilities of the same shape, not {p.shape} and {q.shape}")
    for table in (p, q):
        if not (table >= 0).all() or not np.allclose(table.sum(axis=1), 1, atol=1e-3):
            raise ValueError("each row must hold probabilities that sum to 1: apply softmax to logits first")
    p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
    middle = (p + q) / 2
    divergence = (_kl(p, middle) + _kl(q, middle)) / 2
    # Rounding can leave a divergence of equal rows a hair below 0, or of disjoint rows a hair above 1.
    return float((1 - np.sqrt(divergence.clip(0, 1))).mean())


def _kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Kullback-Leibler divergence of each row, in bits; 0 log 0 is 0. `q` is positive wherever `p` is."""
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    return np.asarray((p * np.log2(ratio)).sum(axis=1))
