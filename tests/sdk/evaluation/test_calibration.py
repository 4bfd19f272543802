"""The temperature against a search over a grid, the calibration error against a loop of plain Python."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgebert.evaluation.calibration import COOLEST, HOTTEST, ece, fit_flag_temperature, fit_temperature, flag_ece
from edgebert.evaluation.metrics import softmax

GRID = np.exp(np.linspace(np.log(COOLEST), np.log(HOTTEST), 600))


def nll(logits: np.ndarray, gold: np.ndarray, temperature: float) -> float:
    return float(-np.log(softmax(logits, temperature)[np.arange(len(gold)), gold] + 1e-300).mean())


def flag_nll(logits: np.ndarray, gold: np.ndarray, temperature: float) -> float:
    return float(np.logaddexp(0, np.where(gold, -logits, logits) / temperature).mean())


def drawn(seed: int, rows: int, columns: int, scale: float) -> tuple[np.ndarray, np.random.Generator]:
    numbers = np.random.default_rng(seed)
    return numbers.normal(size=(rows, columns)) * scale, numbers


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([0.3, 1.0, 4.0]), st.sampled_from([0.3, 1.0, 3.0]))
def test_no_temperature_of_a_grid_is_better(seed: int, scale: float, truth: float) -> None:
    """Gold is drawn from softmax(logits / truth), so `truth` is about what must be found."""
    logits, numbers = drawn(seed, 200, 3, scale)
    gold = np.array([numbers.choice(3, p=row) for row in softmax(logits, truth)])
    is_best(fit_temperature(logits.astype(np.float32), gold), lambda t: nll(logits, gold, t))

    flags = numbers.random(logits.shape) < 1 / (1 + np.exp(-logits / truth))
    is_best(fit_flag_temperature(logits, flags), lambda t: flag_nll(logits, flags, t))


def is_best(found: float, loss: Callable[[float], float]) -> None:
    """Nothing on the grid is better; where the best lies outside, 1 is kept, and so it may be at the very end."""
    best = min(GRID, key=loss)
    outside = loss(HOTTEST * 1.05) < loss(HOTTEST) or loss(COOLEST / 1.05) < loss(COOLEST)
    kept = found == 1 and best in (GRID[0], GRID[-1])
    assert kept or (not outside and loss(found) <= loss(best) + 1e-7)


def test_a_known_temperature_is_found() -> None:
    logits, numbers = drawn(0, 20_000, 4, 2.0)
    gold = np.array([numbers.choice(4, p=row) for row in softmax(logits)])
    assert fit_temperature(logits * 2.5, gold) == pytest.approx(2.5, rel=0.05)
    assert fit_temperature(logits / 4, gold) == pytest.approx(0.25, rel=0.05)
    flags = numbers.random(logits.shape) < 1 / (1 + np.exp(-logits))
    assert fit_flag_temperature(logits * 2.5, flags) == pytest.approx(2.5, rel=0.05)


def test_rows_without_gold_are_left_out() -> None:
    logits, numbers = drawn(1, 300, 3, 3.0)
    gold = numbers.integers(0, 3, 300)
    gold[:100] = logits[:100].argmax(axis=1)
    gold[200:] = -1
    assert fit_temperature(logits, gold) == fit_temperature(logits[:200], gold[:200]) != 1


@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0])
def test_dev_that_says_nothing_keeps_one(scale: float) -> None:
    """All right: ever cooler. All wrong: ever hotter. All equal: no matter."""
    logits = np.tile([1.0, -1.0], (10, 1)) * scale
    assert fit_temperature(logits, np.zeros(10, np.int64)) == 1
    assert fit_temperature(logits, np.ones(10, np.int64)) == 1
    assert fit_temperature(logits * 0, np.zeros(10, np.int64)) == 1
    assert fit_temperature(logits, np.full(10, -1)) == fit_temperature(logits[:0], []) == 1
    assert fit_flag_temperature(logits, logits > 0) == fit_flag_temperature(logits, logits < 0) == 1
    assert fit_flag_temperature(logits[:0], logits[:0]) == 1


def slow_ece(confidence: list[float], right: list[bool], bins: int) -> float:
    total = 0.0
    for k in range(bins):
        inside = [
            (sure, hit)
            for sure, hit in zip(confidence, right, strict=True)
            if k / bins < sure <= (k + 1) / bins or (k == 0 and sure == 0)
        ]
        if inside:
            mean_sure = sum(sure for sure, _ in inside) / len(inside)
            share_right = sum(hit for _, hit in inside) / len(inside)
            total += len(inside) / len(confidence) * abs(share_right - mean_sure)
    return total


shapes = st.shared(st.tuples(st.integers(1, 40), st.integers(2, 4)), key="shape")
# Sixteenths and powers of two as bins: no rounding moves a probability over a border.
tables = hnp.arrays(np.float64, shapes, elements=st.integers(0, 16).map(lambda value: value / 16))


@given(tables, st.data(), st.sampled_from([1, 8, 16]))
def test_ece_equals_a_loop(table: np.ndarray, data: st.DataObject, bins: int) -> None:
    gold = np.array(data.draw(st.lists(st.integers(-1, 3), min_size=len(table), max_size=len(table))))
    right = (table.argmax(axis=1) == gold).tolist()
    assert ece(table, gold, bins) == pytest.approx(slow_ece(table.max(axis=1).tolist(), right, bins))
    flags = data.draw(hnp.arrays(np.bool_, table.shape))
    slow = [slow_ece(table[:, k].tolist(), flags[:, k].tolist(), bins) for k in range(table.shape[1])]
    assert flag_ece(table, flags, bins) == pytest.approx(np.mean(slow))


def test_known_errors() -> None:
    sure = np.array([[0.9, 0.1]] * 10)
    assert ece(sure, [0] * 9 + [1]) == pytest.approx(0)
    assert ece(sure, [0] * 5 + [1] * 5) == pytest.approx(0.4)
    assert ece(np.array([[1.0, 0.0], [0.6, 0.4]]), [1, 0]) == pytest.approx((1 + 0.4) / 2)
    assert flag_ece(np.array([[0.0, 1.0]]), np.array([[True, True]])) == pytest.approx(0.5)


def test_fitting_the_temperature_mends_the_error() -> None:
    logits, numbers = drawn(2, 5000, 3, 1.5)
    gold = np.array([numbers.choice(3, p=row) for row in softmax(logits)])
    before, after = ece(softmax(logits * 4), gold), ece(softmax(logits * 4, fit_temperature(logits * 4, gold)), gold)
    assert before > 0.15 and after < 0.03


def test_wrong_input_is_refused() -> None:
    table = np.full((2, 3), 1 / 3)
    for call in (
        lambda: fit_temperature(table, [0]),
        lambda: fit_flag_temperature(table, table[:1]),
        lambda: ece(table, [0]),
        lambda: ece(table[:0], []),
    ):
        with pytest.raises(ValueError, match="do not fit"):
            call()
    with pytest.raises(ValueError, match="same shape"):
        flag_ece(table, table[:1])
    for fit in (fit_temperature, fit_flag_temperature):
        with pytest.raises(ValueError, match="not finite"):
            fit(table * np.nan, np.zeros(table.shape if fit is fit_flag_temperature else 2, np.int64))
    for wrong in (-0.1, 1.2, np.nan):
        with pytest.raises(ValueError, match=r"0\.\.1"):
            ece(table * 0 + wrong, [0, 0])
