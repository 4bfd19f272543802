"""Two models on the same rows: what the second keeps of the first, and which answers change."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class Flips:
    """How answers change from a first model (the teacher) to a second (the student or its exported bundle).

    Attributes:
        n: rows compared; both_right + lost + gained + both_wrong.
        lost: rows that the first has right and the second wrong.
        gained: rows that the first has wrong and the second right.
        changed: rows with another answer: lost + gained + those where both are wrong in different ways.
        p_value: exact McNemar test of `lost` against `gained`; small means the models differ by more than chance.
    """

    n: int
    both_right: int
    lost: int
    gained: int
    both_wrong: int
    changed: int
    p_value: float

    def to_json(self) -> dict[str, int | float]:
        """The fields as a plain dictionary."""
        return asdict(self)


def flips(was: np.ndarray, now: np.ndarray, changed: np.ndarray) -> Flips:
    """Compare two models on the same rows; bool [n] each.

    Args:
        was, now: whether the first and the second model answer each row rightly.
        changed: whether their answers differ.
    Raises:
        ValueError: the lists differ in length or are empty.
    """
    if not len(was) or not len(was) == len(now) == len(changed):
        raise ValueError(f"expected three lists of the same length, not {len(was)}, {len(now)} and {len(changed)}")
    lost, gained = int((was & ~now).sum()), int((~was & now).sum())
    return Flips(
        n=len(was),
        both_right=int((was & now).sum()),
        lost=lost,
        gained=gained,
        both_wrong=int((~was & ~now).sum()),
        changed=int(changed.sum()),
        p_value=mcnemar_p(lost, gained),
    )


def mcnemar_p(lost: int, gained: int) -> float:
    """Two-sided exact p-value: how likely a split at least as uneven is if each change were a fair coin's toss."""
    total = lost + gained
    term = tail = 1  # binomial coefficients of `total`, as whole numbers: exact at any size
    for k in range(min(lost, gained)):
        term = term * (total - k) // (k + 1)
        tail += term
    return min(1.0, 2 * tail / 2**total)


def retention(student: float, teacher: float) -> float | None:
    """The share of the teacher's score that the student keeps; None where the teacher scores 0."""
    return student / teacher if teacher else None
