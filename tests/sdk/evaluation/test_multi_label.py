"""Our numbers against scikit-learn's; thresholds against every other one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import accuracy_score, average_precision_score, f1_score

from edgebert.evaluation.multi_label import (
    FEW,
    best_thresholds,
    exact_match,
    macro_f1,
    mean_average_precision,
    micro_f1,
)

shapes = st.shared(st.tuples(st.integers(1, 30), st.integers(2, 4)), key="shape")
flags = hnp.arrays(np.bool_, shapes)
scores = hnp.arrays(np.float64, shapes, elements=st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1)))


@given(flags, flags)
def test_equal_to_sklearn(predicted: np.ndarray, gold: np.ndarray) -> None:
    assert micro_f1(predicted, gold) == pytest.approx(f1_score(gold, predicted, average="micro", zero_division=0))
    assert exact_match(predicted, gold) == pytest.approx(accuracy_score(gold, predicted))
    theirs = f1_score(gold, predicted, average="macro", zero_division=np.nan)  # such labels are left out
    assert macro_f1(predicted, gold) == pytest.approx(np.nan_to_num(theirs))


@given(scores, flags)
def test_average_precision_equal_to_sklearn(table: np.ndarray, gold: np.ndarray) -> None:
    seen = gold.any(axis=0)
    theirs = [average_precision_score(gold[:, k], table[:, k]) for k in np.flatnonzero(seen)]
    assert mean_average_precision(table, gold) == pytest.approx(np.mean(theirs) if theirs else 0.0)


many_rows = st.shared(st.tuples(st.integers(FEW, 40), st.integers(1, 3)), key="many")


@given(
    hnp.arrays(np.float64, many_rows, elements=st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1))),
    hnp.arrays(np.bool_, many_rows, fill=st.booleans()),
)
def test_no_other_threshold_is_better(table: np.ndarray, gold: np.ndarray) -> None:
    found = best_thresholds(table, gold)
    assert found.shape == table.shape[1:] and ((found >= 0) & (found <= 1)).all()

    def best(part: np.ndarray, truth: np.ndarray) -> float:
        return max(micro_f1(part >= threshold, truth) for threshold in np.unique(part))

    for k in range(table.shape[1]):
        column, truth = table[:, k : k + 1], gold[:, k : k + 1]
        if truth.sum() >= FEW:
            assert micro_f1(column >= found[k], truth) == pytest.approx(best(column, truth))
        else:  # the one for all
            assert micro_f1(table >= found[k], gold) == pytest.approx(best(table, gold))


def test_a_threshold_lies_half_way_between_two_rows() -> None:
    gold = np.array([[True]] * FEW + [[False]] * FEW)
    table = np.array([[0.9]] * FEW + [[0.2]] * FEW)
    assert best_thresholds(table, gold) == pytest.approx([0.55])
    assert best_thresholds(table, ~gold) == pytest.approx([0.1])  # all rows are the best guess


def test_a_label_that_no_row_has() -> None:
    none = np.zeros((3, 2), dtype=bool)
    assert best_thresholds(np.full((3, 2), 0.3), none).tolist() == [0.5, 0.5]
    assert micro_f1(none, none) == macro_f1(none, none) == mean_average_precision(np.ones((3, 2)), none) == 0
    assert exact_match(none, none) == 1


def test_wrong_input_is_refused() -> None:
    table = np.ones((2, 3))
    for function in (micro_f1, macro_f1, exact_match, mean_average_precision, best_thresholds):
        with pytest.raises(ValueError, match="same shape"):
            function(table, table[:1])
        with pytest.raises(ValueError, match="no rows"):
            function(table[:0], table[:0])
    for function in (mean_average_precision, best_thresholds):
        with pytest.raises(ValueError, match="not finite"):
            function(table * np.nan, table)
