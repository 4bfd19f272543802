"""Grouping, padding and the id check, without a graph: the engine here records what it is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from edgebert_runtime.errors import BundleError
from edgebert_runtime.features import InputSpec
from edgebert_runtime.inference import infer

INPUTS = (InputSpec("a", 1, 100), InputSpec("b", 3, 50))


class Sums:
    """An engine in three lines: the sum of the ids of each input, and the lengths it was run at."""

    package = "none"

    def __init__(self) -> None:
        self.runs: list[tuple[int, int]] = []

    def run(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        assert batch["a"].dtype == np.int32 and batch["b"].shape[1] == 3 * batch["a"].shape[1]
        self.runs.append(batch["a"].shape)  # type: ignore[arg-type]
        return np.stack([batch["a"].sum(axis=1), batch["b"].sum(axis=1)], axis=1).astype(np.float32)

    def close(self) -> None:
        pass


def features(length_a: int, length_b: int = 0) -> dict[str, np.ndarray]:
    return {"a": np.full(length_a, 2, dtype=np.int32), "b": np.full(length_b, 3, dtype=np.int32)}


def shapes(batch: int | None = None, lengths: list[int] | None = None, least: int = 1) -> dict[str, Any]:
    return {"batch": batch, "lengths": lengths, "min_length": least, "max_length": 16}


LENGTHS = [5, 1, 16, 0, 9, 4, 8, 2, 16]


@pytest.mark.parametrize(
    ("form", "batch_size", "expected"),
    [
        (shapes(), 4, [(4, 4), (4, 16), (1, 16)]),
        (shapes(), 1, [(1, n) for n in (1, 1, 2, 4, 5, 8, 9, 16, 16)]),
        (shapes(least=3), 4, [(4, 4), (4, 16), (1, 16)]),
        (shapes(least=3), 2, [(2, 3), (2, 4), (2, 8), (2, 16), (1, 16)]),
        (shapes(batch=1), 32, [(1, n) for n in (1, 1, 2, 4, 5, 8, 9, 16, 16)]),
        (shapes(lengths=[4, 8, 16]), 32, [(4, 4), (2, 8), (3, 16)]),
        (shapes(lengths=[4, 8, 16]), 2, [(2, 4), (2, 4), (2, 8), (2, 16), (1, 16)]),
        (shapes(batch=1, lengths=[8, 16]), 2, [(1, 8)] * 6 + [(1, 16)] * 3),
    ],
)
def test_grouping(form: dict[str, Any], batch_size: int, expected: list[tuple[int, int]]) -> None:
    engine = Sums()
    logits = infer(engine, [features(length) for length in LENGTHS], INPUTS, form, batch_size)
    assert engine.runs == expected
    assert logits.tolist() == [[2.0 * length, 0.0] for length in LENGTHS]  # in the order that was asked


def test_the_longest_input_decides() -> None:
    engine = Sums()
    assert infer(engine, [features(2, 13)], INPUTS, shapes()).tolist() == [[4.0, 39.0]]
    assert engine.runs == [(1, 5)]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"a": np.array([100])}, "the id 100 of 'a' is outside its table of 100 rows"),
        ({"a": np.array([-1])}, "the id -1 of 'a'"),
        ({"a": np.array([3, -7, 1000])}, "the id -7 of 'a'"),
        ({"a": np.array([2**40])}, "outside its table"),
        ({"a": np.zeros(17, dtype=np.int32)}, "17 ids for 'a' are more than the 16"),
        ({"b": np.zeros(49, dtype=np.int32)}, "49 ids for 'b' are more than the 48"),
        ({"b": np.zeros((1, 2), dtype=np.int32)}, "no list of ids for the input 'b'"),
        ({"b": np.zeros(3)}, "no list of ids for the input 'b'"),
    ],
)
def test_bad_ids_never_reach_an_engine(item: dict[str, np.ndarray], reason: str) -> None:
    engine = Sums()
    with pytest.raises(BundleError, match=reason):
        infer(engine, [features(1), features(1) | item], INPUTS, shapes())
    with pytest.raises(BundleError, match="no list of ids for the input 'b'"):
        infer(engine, [{"a": np.array([1])}], INPUTS, shapes())
    assert engine.runs == []
