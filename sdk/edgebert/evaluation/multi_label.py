"""Any number of labels a text: F1, exact match, average precision, and the thresholds that are best for F1."""

from __future__ import annotations

import numpy as np

FEW = 10  # a label with fewer rows says too little about a threshold of its own


def micro_f1(predicted: np.ndarray, gold: np.ndarray) -> float:
    """The F1 over all labels of all rows together; tables of truth values [n, labels]."""
    predicted, gold = _flags(predicted, gold)
    hits, total = int((predicted & gold).sum()), int(predicted.sum() + gold.sum())
    return 2 * hits / total if total else 0.0


def macro_f1(predicted: np.ndarray, gold: np.ndarray) -> float:
    """The mean F1 over the labels that occur in gold or in the predictions; 0 where none does."""
    predicted, gold = _flags(predicted, gold)
    hits, total = (predicted & gold).sum(axis=0), predicted.sum(axis=0) + gold.sum(axis=0)
    seen = total > 0
    return float((2 * hits[seen] / total[seen]).mean()) if seen.any() else 0.0


def exact_match(predicted: np.ndarray, gold: np.ndarray) -> float:
    """The fraction of rows of which every label is right."""
    predicted, gold = _flags(predicted, gold)
    return float((predicted == gold).all(axis=1).mean())


def mean_average_precision(scores: np.ndarray, gold: np.ndarray) -> float:
    """The mean, over the labels that occur in gold, of the average precision of the rows ranked by score [n, labels].

    Rows of equal score are taken in together, so their order does not matter.
    """
    scores, gold = _scores(scores, gold)
    found = [_average_precision(*columns) for columns in zip(scores.T, gold.T, strict=True) if columns[1].any()]
    return float(np.mean(found)) if found else 0.0


def best_thresholds(probabilities: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """For each label the probability from which on it is given, float64 [labels]: the best F1 on these rows.

    A label with fewer than `FEW` rows takes the one threshold that is best for all labels together.
    """
    probabilities, gold = _scores(probabilities, gold)
    common = _best_threshold(probabilities.ravel(), gold.ravel())
    return np.array(
        [
            _best_threshold(column, truth) if truth.sum() >= FEW else common
            for column, truth in zip(probabilities.T, gold.T, strict=True)
        ]
    )


def _average_precision(scores: np.ndarray, gold: np.ndarray) -> float:
    _, hits, taken = _ranking(scores, gold)
    return float((np.diff(hits, prepend=0) * hits / taken).sum() / hits[-1])


def _best_threshold(probabilities: np.ndarray, gold: np.ndarray) -> float:
    """Half way between the last probability that is taken in and the next one; 0.5 where no row has the label."""
    if not gold.any():
        return 0.5
    values, hits, taken = _ranking(probabilities, gold)
    best = int((2 * hits / (taken + gold.sum())).argmax())
    above, below = values[best], values[best + 1] if best + 1 < len(values) else 0.0
    middle = (above + below) / 2
    return float(middle if middle > below else above)


def _ranking(scores: np.ndarray, gold: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The distinct scores from the largest down; how many gold rows, and how many rows, have that much or more."""
    values, group = np.unique(-scores, return_inverse=True)
    taken = np.cumsum(np.bincount(group))
    return -values, np.cumsum(np.bincount(group, weights=gold)), taken


def _flags(predicted: np.ndarray, gold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(predicted), np.asarray(gold)
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"expected two tables of the same shape, not {a.shape} and {b.shape}")
    if not a.size:
        raise ValueError("there are no rows to score")
    return a.astype(bool), b.astype(bool)


def _scores(scores: np.ndarray, gold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    numbers = np.asarray(scores, np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError("the scores hold values that are not finite numbers")
    return numbers, _flags(numbers, gold)[1]
