"""Logits to predictions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgebert_runtime.decode import DECODERS, classification, softmax

LOGITS = arrays.arrays(np.float32, (3, 4), elements=st.floats(-1e6, 1e6, width=32))


@given(LOGITS)
def test_probabilities(logits: np.ndarray) -> None:
    found = softmax(logits)
    assert np.isfinite(found).all() and (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=-1), 1.0)
    np.testing.assert_allclose(softmax(logits.astype(np.float64) + 5.0), found, atol=1e-8)


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
