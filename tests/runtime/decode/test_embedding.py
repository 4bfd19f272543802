"""Outputs to vectors of length 1."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgebert_runtime.decode import Asked, check_task, check_threshold, get_decoder
from edgebert_runtime.decode.embedding import Embedding
from edgebert_runtime.errors import BundleError, UsageError
from edgebert_runtime.outputs import OutputSpec

DECODER = get_decoder("embedding")


def decode(rows: np.ndarray) -> list[Embedding]:
    asked = Asked(["x"] * len(rows), None, None, {}, {})  # type: ignore[arg-type]
    assert DECODER.margins({"vector": rows}, asked) == [None] * len(rows)
    return DECODER.decode({"vector": rows}, asked)


@given(hnp.arrays(np.float32, (3, 5), elements=st.floats(-(2.0**100), 2.0**100, width=32)))
def test_vectors_have_length_1_and_the_same_direction(rows: np.ndarray) -> None:
    for answer, row in zip(decode(rows), rows.astype(np.float64), strict=True):
        vector = answer.vector
        assert vector.dtype == np.float32 and vector.shape == (5,)
        largest = np.abs(row).max()
        if largest:
            assert np.linalg.norm(vector.astype(np.float64)) == pytest.approx(1, abs=1e-5)
            np.testing.assert_allclose(vector, row / largest / np.linalg.norm(row / largest), atol=1e-6)
        else:
            assert not vector.any()


def test_an_answer_is_json_and_a_line() -> None:
    (answer,) = decode(np.array([[1.0, 2.0, -2.0]], np.float32))
    assert json.loads(json.dumps(answer.to_json())) == {"vector": [0.333333, 0.666667, -0.666667]}
    assert answer.summary() == "0.3333 0.6667 -0.6667  (3 numbers)"
    assert decode(np.ones((1, 384)))[0].summary() == "0.0510 0.0510 0.0510 0.0510 ...  (384 numbers)"


def test_no_rows() -> None:
    assert decode(np.zeros((0, 4))) == []


def test_what_a_manifest_must_say() -> None:
    check_task("embedding", [OutputSpec("vector", 384)], {"width": 384})
    with pytest.raises(BundleError, match="needs an output 'vector' with one row a text"):
        check_task("embedding", [OutputSpec("vector", 384, per_token=True)], {})


def test_a_vector_has_no_probability() -> None:
    with pytest.raises(UsageError, match="embedding have no probability; leave out the threshold"):
        check_threshold("embedding", 0.5)
