"""Our numbers against scikit-learn's and scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax as scipy_softmax
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

from edgebert.evaluation import (
    accuracy,
    confusion,
    flips,
    label_loyalty,
    macro_f1,
    mcnemar_p,
    per_class,
    probability_loyalty,
    retention,
    softmax,
)

LABELS = ["a", "b", "c", "d", "e"]
answers = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)


@given(answers)
def test_equal_to_sklearn(rows: list[tuple[int, int, int]]) -> None:
    predicted, gold, _ = (list(column) for column in zip(*rows, strict=True))
    assert accuracy(predicted, gold) == pytest.approx(accuracy_score(gold, predicted))
    assert macro_f1(predicted, gold) == pytest.approx(f1_score(gold, predicted, average="macro", zero_division=0))
    assert (confusion(predicted, gold, 5) == confusion_matrix(gold, predicted, labels=range(5))).all()
    theirs = precision_recall_fscore_support(gold, predicted, labels=range(5), zero_division=0)
    ours = per_class(predicted, gold, LABELS)
    assert [row.label for row in ours] == LABELS
    for got, expected in zip(
        zip(*[(r.precision, r.recall, r.f1, r.support) for r in ours], strict=True), theirs, strict=True
    ):
        np.testing.assert_allclose(got, expected, atol=1e-12)


@given(answers)
def test_flips_count_every_row_once(rows: list[tuple[int, int, int]]) -> None:
    teacher, student, gold = (np.array(column) for column in zip(*rows, strict=True))
    result = flips(teacher == gold, student == gold, student != teacher)
    assert result.both_right + result.lost + result.gained + result.both_wrong == result.n == len(rows)
    assert result.changed == sum(t != s for t, s, _ in rows)
    assert result.lost == sum(t == g != s for t, s, g in rows)
    assert result.gained == sum(s == g != t for t, s, g in rows)
    assert (result.gained - result.lost) / result.n == pytest.approx(accuracy(student, gold) - accuracy(teacher, gold))
    assert label_loyalty(teacher, student) == pytest.approx(1 - result.changed / result.n)
    assert result.to_json()["lost"] == result.lost


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_is_the_exact_binomial_test(lost: int, gained: int) -> None:
    expected = binomtest(lost, lost + gained, 0.5).pvalue if lost + gained else 1.0
    assert mcnemar_p(lost, gained) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_at_a_size_where_floats_would_overflow() -> None:
    assert mcnemar_p(2400, 2600) == pytest.approx(binomtest(2400, 5000, 0.5).pvalue, rel=1e-9)


logits = hnp.arrays(np.float64, st.tuples(st.integers(1, 8), st.integers(2, 6)), elements=st.floats(-60, 60))


@given(logits, st.floats(0.1, 20))
def test_softmax_equals_scipy(table: np.ndarray, temperature: float) -> None:
    np.testing.assert_allclose(softmax(table, temperature), scipy_softmax(table / temperature, axis=-1), atol=1e-12)


@given(logits, st.data())
def test_probability_loyalty_equals_scipy_in_base_2(table: np.ndarray, data: st.DataObject) -> None:
    other = data.draw(hnp.arrays(np.float64, table.shape, elements=st.floats(-60, 60)))
    p, q = softmax(table), softmax(other)
    # scipy's value is the root already, and its small negative roundings come out as nan
    expected = 1 - np.mean(np.nan_to_num([jensenshannon(a, b, base=2) for a, b in zip(p, q, strict=True)]))
    assert probability_loyalty(p, q) == pytest.approx(expected, abs=1e-6)
    assert probability_loyalty(p, q) == pytest.approx(probability_loyalty(q, p), abs=1e-12)


def test_probability_loyalty_spans_0_to_1() -> None:
    p, q = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    assert probability_loyalty(p, q) == 0
    assert probability_loyalty(p, p) == 1
    # the worked example of Xu et al.'s metric in base 2
    assert probability_loyalty(np.array([[0.9, 0.1]]), np.array([[0.8, 0.2]])) == pytest.approx(0.880, abs=5e-4)


def test_softmax_of_large_float32_logits_is_finite() -> None:
    assert softmax(np.array([1e4, 0.0], dtype=np.float32)).tolist() == [1.0, 0.0]


def test_retention() -> None:
    assert retention(0.9, 0.95) == pytest.approx(0.947368, abs=1e-6)
    assert retention(0.5, 0.0) is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: accuracy([], []), "no rows"),
        (lambda: accuracy([1], [1, 0]), "same length"),
        (lambda: accuracy([0.5], [1.0]), "whole numbers"),  # type: ignore[list-item]
        (lambda: confusion([5], [0], 5), "0..4"),
        (lambda: confusion([-1], [0], 5), "0..4"),
        (lambda: softmax(np.array([1.0, np.nan])), "finite"),
        (lambda: softmax(np.array([1.0, 2.0]), 0), "temperature"),
        (lambda: probability_loyalty(np.array([[2.0, 3.0]]), np.array([[0.5, 0.5]])), "softmax"),
        (lambda: probability_loyalty(np.array([[0.5, 0.5]]), np.array([[1.0]])), "same shape"),
    ],
)
def test_wrong_input_is_refused(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        call()
