"""Does each vector find its partner? Ranks by cosine, mean reciprocal rank, recall."""

from __future__ import annotations

import numpy as np

_BLOCK = 1024  # rows compared at a time: 10,000 pairs need 80 MB and not 800
_EQUAL = 1e-9  # cosines of equal vectors differ by this much at most, however the product is computed


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The cosine of each pair of rows of two tables [n, width], float64 [n]; 0 where a vector is all zeros."""
    a, b = _directions(first, second)
    return np.asarray((a * b).sum(axis=1))


def ranks(queries: np.ndarray, documents: np.ndarray) -> np.ndarray:
    """At which place, from 1, each query [n, width] finds its own document [n, width] among all; int64 [n].

    Of documents that are equally near, its own comes last: a model that answers one vector finds nothing.
    """
    a, b = _directions(queries, documents)
    own = (a * b).sum(axis=1, keepdims=True)
    nearer = [
        (a[start : start + _BLOCK] @ b.T >= own[start : start + _BLOCK] - _EQUAL).sum(axis=1)
        for start in range(0, len(a), _BLOCK)
    ]
    return np.concatenate(nearer)


def mrr(found: np.ndarray) -> float:
    """The mean of 1/rank."""
    return float((1 / _checked(found)).mean())


def recall_at(found: np.ndarray, k: int) -> float:
    """The fraction of ranks that are at most `k`."""
    return float((_checked(found) <= k).mean())


def _checked(found: np.ndarray) -> np.ndarray:
    found = np.asarray(found)
    if found.ndim != 1 or not found.size or found.min() < 1:
        raise ValueError("expected a flat list of ranks, each at least 1")
    return found


def _directions(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape or a.ndim != 2 or not a.size:
        raise ValueError(f"expected two tables of vectors of the same shape, not {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("the vectors hold values that are not finite numbers")
    return _normalised(a), _normalised(b)


def _normalised(rows: np.ndarray) -> np.ndarray:
    largest = np.abs(rows).max(axis=1, keepdims=True)
    rows = rows / np.where(largest > 0, largest, 1)  # so that no square overflows or vanishes
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1))
