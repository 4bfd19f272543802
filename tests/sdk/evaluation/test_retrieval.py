"""Ranks against a loop over every pair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cosine

from edgebert.evaluation.retrieval import cosines, mrr, ranks, recall_at

shapes = st.shared(st.tuples(st.integers(1, 12), st.integers(1, 4)), key="shape")
vectors = hnp.arrays(np.float32, shapes, elements=st.integers(-3, 3).map(float))


def slow_cosine(a: np.ndarray, b: np.ndarray) -> float:
    return 1 - float(cosine(a.astype(float), b.astype(float))) if a.any() and b.any() else 0.0


@given(vectors, vectors)
def test_equal_to_brute_force(queries: np.ndarray, documents: np.ndarray) -> None:
    table = np.array([[slow_cosine(query, document) for document in documents] for query in queries])
    np.testing.assert_allclose(cosines(queries, documents), np.diag(table), atol=1e-9)
    expected = [sum(other >= row[index] - 1e-9 for other in row) for index, row in enumerate(table)]
    found = ranks(queries, documents)
    assert found.tolist() == expected
    assert mrr(found) == pytest.approx(sum(1 / rank for rank in expected) / len(expected))
    for k in (1, 3, 10):
        assert recall_at(found, k) == pytest.approx(sum(rank <= k for rank in expected) / len(expected))


def test_ranks_do_not_depend_on_the_blocks() -> None:
    drawn = np.random.default_rng(0)
    queries, documents = drawn.normal(size=(2, 1500, 8)).astype(np.float32)
    found = ranks(queries, documents)
    for index in (0, 1023, 1024, 1499):
        table = [slow_cosine(queries[index], document) for document in documents]
        assert found[index] == sum(value >= table[index] for value in table)


def test_a_model_that_always_answers_the_same_finds_nothing() -> None:
    same = np.full((50, 3), 0.3, dtype=np.float32)
    assert ranks(same, same).tolist() == [50] * 50
    assert ranks(same * 0, same).tolist() == [50] * 50


def test_the_length_of_a_vector_does_not_matter() -> None:
    vectors = np.eye(3)
    assert ranks(vectors * 1e-200, vectors * 1e200).tolist() == [1, 1, 1]
    assert cosines(vectors * 1e-200, vectors * 1e200) == pytest.approx(1)
    assert cosines(np.zeros((1, 3)), vectors[:1]) == pytest.approx(0)


def test_wrong_input_is_refused() -> None:
    vectors = np.ones((2, 3))
    for function in (cosines, ranks):
        with pytest.raises(ValueError, match="same shape"):
            function(vectors, vectors[:1])
        with pytest.raises(ValueError, match="not finite"):
            function(vectors, vectors * np.inf)
    for found in ([], [0], [[1]]):
        with pytest.raises(ValueError, match="ranks"):
            mrr(np.array(found))
