"""Logits to predictions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import softmax

from edgebert_runtime import _core
from edgebert_runtime.decode import DECODERS, classification

LOGITS = arrays.arrays(np.float32, (3, 4), elements=st.floats(-1e6, 1e6, width=32))


@given(LOGITS)
def test_probabilities_are_the_softmax(logits: np.ndarray) -> None:
    found = classification(logits, ("a", "b", "c", "d"))
    probabilities = np.array([list(prediction.probabilities.values()) for prediction in found])
    np.testing.assert_allclose(probabilities, softmax(logits.astype(np.float64), axis=-1), rtol=1e-9, atol=1e-300)
    assert [prediction.label for prediction in found] == ["abcd"[index] for index in probabilities.argmax(axis=-1)]
    assert all(prediction.probability == max(prediction.probabilities.values()) for prediction in found)


@pytest.mark.parametrize("row", [[np.nan, 1, 2], [1, np.nan, 2], [1, 2, np.nan], [np.inf, 1, np.inf], [-np.inf] * 3])
def test_numbers_that_are_none_do_not_fail(row: list[float]) -> None:
    """A broken graph's answer is useless, but no traceback."""
    (found,) = classification(np.array([row], dtype=np.float32), ("a", "b", "c"))
    assert found.label in "abc"


def test_known_values() -> None:
    (found,) = classification(np.log([[0.2, 0.5, 0.3]]), ("a", "b", "c"))
    assert found.label == "b" and found.probability == pytest.approx(0.5)
    assert found.probabilities == pytest.approx({"a": 0.2, "b": 0.5, "c": 0.3})
    assert type(found.probability) is float and all(type(value) is float for value in found.probabilities.values())


def test_huge_logits_do_not_overflow() -> None:
    (found,) = classification(np.array([[1e30, -1e30]], dtype=np.float32), ("a", "b"))
    assert found.probabilities == {"a": 1.0, "b": 0.0}


def test_of_equal_labels_the_first() -> None:
    assert [p.label for p in classification(np.zeros((2, 2)), ("a", "b"))] == ["a", "a"]


def test_every_task_takes_no_rows() -> None:
    for decode in DECODERS.values():
        assert decode(np.zeros((0, 2), dtype=np.float32), ("a", "b")) == []


@pytest.mark.parametrize(("size", "classes"), [(16, 0), (16, -1), (16, 3), (7, 1), (16, 2**62)])
def test_logits_that_are_no_rows_are_refused(size: int, classes: int) -> None:
    with pytest.raises(ValueError, match="makes no sense"):
        _core.softmax(bytes(size), classes)
