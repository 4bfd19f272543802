"""Correlation and error of numbers, and Matthews correlation and F1 of two classes. Always finite: undefined is 0."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgebert.evaluation.metrics import Ids, confusion, pair

Numbers = Sequence[float] | np.ndarray


def pearson(predicted: Numbers, gold: Numbers) -> float:
    """The linear correlation (-1..1) of two lists of numbers [n]; 0 where one of them is constant.

    Raises:
        ValueError: the lists differ in length, are empty, or hold a number that is not finite.
    """
    a, b = _numbers(predicted, gold)
    if a.min() == a.max() or b.min() == b.max():
        return 0.0  # before the mean is taken: rounding would leave a noise that correlates with anything
    a, b = _centred(a), _centred(b)
    return float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1, 1))


def spearman(predicted: Numbers, gold: Numbers) -> float:
    """The correlation (-1..1) of the ranks; equal numbers share their mean rank, and a constant list gives 0."""
    a, b = _numbers(predicted, gold)
    return pearson(_ranks(a), _ranks(b))


def rmse(predicted: Numbers, gold: Numbers) -> float:
    """The root of the mean squared difference; the lower the better."""
    a, b = _numbers(predicted, gold)
    return float(np.sqrt(np.mean((a - b) ** 2)))


def mcc(predicted: Ids, gold: Ids) -> float:
    """Matthews correlation (-1..1) of class ids [n], for any number of classes; 0 where either has one class only."""
    predicted, gold = pair(predicted, gold)
    classes, renamed = np.unique(np.concatenate([predicted, gold]), return_inverse=True)
    counts = confusion(renamed[: len(gold)], renamed[len(gold) :], len(classes)).astype(np.float64)
    there, called, n = counts.sum(axis=1), counts.sum(axis=0), len(gold)
    spread = np.sqrt((n * n - there @ there) * (n * n - called @ called))
    return float((np.trace(counts) * n - there @ called) / spread) if spread else 0.0


def binary_f1(predicted: Ids, gold: Ids, positive: int = 1) -> float:
    """The F1 of the class `positive` alone, all others counting as one; 0 where nothing is, or is called, that."""
    predicted, gold = pair(predicted, gold)
    called, there = predicted == positive, gold == positive
    total = int(called.sum() + there.sum())
    return 2 * int((called & there).sum()) / total if total else 0.0


def _numbers(predicted: Numbers, gold: Numbers) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(predicted, np.float64), np.asarray(gold, np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"expected two flat lists of the same length, not shapes {a.shape} and {b.shape}")
    if not a.size:
        raise ValueError("there are no rows to score")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("the numbers hold values that are not finite")
    return a, b


def _centred(numbers: np.ndarray) -> np.ndarray:
    """The numbers about their mean, scaled so that no square overflows or vanishes."""
    numbers = numbers / np.abs(numbers).max()
    numbers = numbers - numbers.mean()
    return np.asarray(numbers / np.abs(numbers).max())


def _ranks(numbers: np.ndarray) -> np.ndarray:
    """The rank of each number, from 1; equal ones share the mean of their ranks."""
    _, inverse, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse])
