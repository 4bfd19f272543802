"""Our numbers against scipy's and scikit-learn's."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score, matthews_corrcoef, mean_squared_error

from edgebert.evaluation.scores import binary_f1, mcc, pearson, rmse, spearman

# Few distinct values: many ties. Many: the general case.
few = st.integers(0, 4).map(float)
many = st.floats(-1e3, 1e3).map(lambda value: round(value, 3))
columns = st.one_of(*[st.lists(st.tuples(kind, kind), min_size=2, max_size=40) for kind in (few, many)])
ids = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)


def scipy_value(function: Callable[..., tuple[float, float]], first: list[float], second: list[float]) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of constant input, whose nan is our 0
        return float(np.nan_to_num(function(first, second)[0]))


@given(columns)
def test_equal_to_scipy_and_sklearn(rows: list[tuple[float, float]]) -> None:
    first, second = (list(column) for column in zip(*rows, strict=True))
    assert pearson(first, second) == pytest.approx(scipy_value(stats.pearsonr, first, second), abs=1e-9)
    assert spearman(first, second) == pytest.approx(scipy_value(stats.spearmanr, first, second), abs=1e-9)
    assert rmse(first, second) == pytest.approx(mean_squared_error(second, first) ** 0.5, abs=1e-9)


@given(ids)
def test_classes_equal_to_sklearn(rows: list[tuple[int, int]]) -> None:
    predicted, gold = (list(column) for column in zip(*rows, strict=True))
    assert mcc(predicted, gold) == pytest.approx(matthews_corrcoef(gold, predicted), abs=1e-12)
    for positive in range(4):
        ours = [int(value == positive) for value in predicted]
        theirs = [int(value == positive) for value in gold]
        assert binary_f1(predicted, gold, positive) == pytest.approx(f1_score(theirs, ours, zero_division=0))


@pytest.mark.parametrize("same", [0.1, 1 / 3, 0.0, -7.7e300])
def test_a_constant_answer_correlates_with_nothing(same: float) -> None:
    gold = [0.1 * n for n in range(30)]
    assert pearson([same] * 30, gold) == pearson(gold, [same] * 30) == 0
    assert spearman([same] * 30, gold) == spearman(gold, [same] * 30) == 0
    assert pearson([1.0], [2.0]) == spearman([1.0], [2.0]) == 0


def test_one_class_only() -> None:
    assert mcc([1, 1, 1], [0, 1, 1]) == mcc([0, 1, 1], [1, 1, 1]) == mcc([1], [1]) == 0
    assert binary_f1([0, 0], [0, 0]) == 0


@pytest.mark.parametrize("size", [1e-200, 1.0, 1e200])
def test_the_size_of_the_numbers_does_not_matter(size: float) -> None:
    gold = np.array([1.0, 2.0, 4.0, 3.0])
    assert pearson(gold * size, gold) == pytest.approx(1)
    assert pearson(-gold * size, gold) == pytest.approx(-1)


@pytest.mark.parametrize(
    ("predicted", "gold", "message"),
    [([], [], "no rows"), ([1.0], [1.0, 2.0], "same length"), ([1.0, np.nan], [1.0, 2.0], "not finite")],
)
def test_wrong_input_is_refused(predicted: list[float], gold: list[float], message: str) -> None:
    for function in (pearson, spearman, rmse):
        with pytest.raises(ValueError, match=message):
            function(predicted, gold)
