"""Probabilities that mean what they say: one temperature for each output, and the error that is left (ECE)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgebert.evaluation.metrics import Ids

COOLEST, HOTTEST = 0.05, 20.0
_GOLDEN = (5**0.5 - 1) / 2
_PRECISION = 1e-4  # of log T


def fit_temperature(logits: np.ndarray, gold: Ids) -> float:
    """The T at which softmax(logits / T) gives gold the largest likelihood; 1 where no T does.

    Rows that are all right want ever surer answers, and rows that tell nothing ever flatter ones: such a T says
    nothing of other rows, so 1 is kept.

    Args:
        logits: [n, classes].
        gold: class ids [n]; a row with -1 is left out.

    Raises:
        ValueError: the shapes do not fit, or a logit is not a finite number.
    """
    logits, gold = _checked(logits), np.asarray(gold)
    if logits.ndim != 2 or gold.shape != logits.shape[:1]:
        raise ValueError(f"logits of shape {logits.shape} do not fit gold of shape {gold.shape}")
    logits, gold = logits[gold >= 0], gold[gold >= 0]
    if not gold.size:
        return 1.0
    best = logits.max(axis=1)
    lower, missed = logits - best[:, None], best - logits[np.arange(len(gold)), gold]
    return _minimum(lambda t: float((missed / t + np.log(np.exp(lower / t).sum(axis=1))).mean()))


def fit_flag_temperature(logits: np.ndarray, gold: np.ndarray) -> float:
    """The T at which sigmoid(logits / T) gives gold the largest likelihood; 1 where no T does.

    Args:
        logits: [n, labels].
        gold: truth values [n, labels].

    Raises:
        ValueError: the shapes do not fit, or a logit is not a finite number.
    """
    logits, gold = _checked(logits), np.asarray(gold).astype(bool)
    if gold.shape != logits.shape:
        raise ValueError(f"logits of shape {logits.shape} do not fit gold of shape {gold.shape}")
    if not gold.size:
        return 1.0
    behind = np.where(gold, -logits, logits)
    return _minimum(lambda t: float(np.logaddexp(0, behind / t).mean()))


def fit_confidence(scores: Sequence[np.ndarray], right: np.ndarray) -> float:
    """The T at which softmax(scores / T) says best how often the given answer is right; 1 where no T does.

    Unlike `fit_temperature` it needs no right one among the answers that were thought of.

    Args:
        scores: of each question the given answer's, then those of the others; [n] with n of its own. One alone says
            nothing of T.
        right: truth values [questions], of the given answers.

    Raises:
        ValueError: the lengths differ, or a score is not a finite number.
    """
    if len(scores) != len(right):
        raise ValueError(f"{len(scores)} rows of scores do not fit {len(right)} answers")
    rows = [(_checked(row), truth) for row, truth in zip(scores, right, strict=True) if len(row) > 1]
    if not rows:
        return 1.0
    others = np.full((len(rows), max(len(row) for row, _ in rows) - 1), -np.inf)  # above the given answer
    for line, (row, _) in zip(others, rows, strict=True):
        line[: len(row) - 1] = row[1:] - row[0]
    wrong = np.asarray([not truth for _, truth in rows])

    def loss(t: float) -> float:
        odds = np.logaddexp.reduce(others / t, axis=1)  # log of (1 - p) / p
        return float(np.logaddexp(0, np.where(wrong, -odds, odds)).mean())

    return _minimum(loss)


def ece(probabilities: np.ndarray, gold: Ids, bins: int = 15) -> float:
    """The expected calibration error: |how often right - how confident| in bins of equal width, weighed by rows.

    Args:
        probabilities: [n, classes].
        gold: class ids [n]; a row whose id is none of the classes (-1) counts as wrong.

    Raises:
        ValueError: the shapes do not fit, there are no rows, or a probability is not in 0..1.
    """
    table, truth = np.asarray(probabilities, np.float64), np.asarray(gold)
    if table.ndim != 2 or truth.shape != table.shape[:1] or not table.size:
        raise ValueError(f"probabilities of shape {table.shape} do not fit gold of shape {truth.shape}")
    return _error(table.max(axis=1), table.argmax(axis=1) == truth, bins)


def flag_ece(probabilities: np.ndarray, gold: np.ndarray, bins: int = 15) -> float:
    """The same for labels that are each given or not: the mean over the labels; both [n, labels], gold truth values.

    Raises:
        ValueError: the shapes differ, there are no rows, or a probability is not in 0..1.
    """
    table, truth = np.asarray(probabilities, np.float64), np.asarray(gold).astype(bool)
    if table.shape != truth.shape or table.ndim != 2 or not table.size:
        raise ValueError(f"expected two tables of the same shape, not {table.shape} and {truth.shape}")
    return float(np.mean([_error(*columns, bins) for columns in zip(table.T, truth.T, strict=True)]))


def _error(confidence: np.ndarray, right: np.ndarray, bins: int) -> float:
    """Bin k holds k/bins < confidence <= (k + 1)/bins; 0 itself is in the first one."""
    if not ((confidence >= 0) & (confidence <= 1 + 1e-9)).all():
        raise ValueError("a probability must lie in 0..1")
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    return float(np.abs(np.bincount(place, weights=right - confidence)).sum() / len(confidence))


def _checked(logits: np.ndarray) -> np.ndarray:
    logits = np.asarray(logits, np.float64)
    if not np.isfinite(logits).all():
        raise ValueError("the logits hold values that are not finite numbers")
    return logits


def _minimum(loss: Callable[[float], float]) -> float:
    """Where the loss is least, by golden section over log T: it falls, then rises. 1 where it only does either."""
    low, high = np.log(COOLEST), np.log(HOTTEST)
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = loss(np.exp(left)), loss(np.exp(right))
    while high - low > _PRECISION:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = loss(np.exp(left))
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = loss(np.exp(right))
    found = (low + high) / 2
    edges = abs(found - np.log(COOLEST)), abs(found - np.log(HOTTEST))
    return 1.0 if min(edges) < 2 * _PRECISION else float(np.exp(found))
