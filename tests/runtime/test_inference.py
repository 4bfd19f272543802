"""Grouping, padding and the id check, without a graph: the engine here records what it is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from edgebert_runtime.errors import BundleError
from edgebert_runtime.features import InputSpec
from edgebert_runtime.inference import infer
from edgebert_runtime.outputs import GraphSpec, Outputs, OutputSpec

INPUTS = (InputSpec("a", 1, 100), InputSpec("b", 3, 50))
SUMS, EACH = OutputSpec("sums", 2), OutputSpec("each", 3, True)


class Sums:
    """An engine in a few lines: the sums of the ids of each input, the ids of each token, and what it was run at."""

    package = "none"

    def __init__(self) -> None:
        self.runs: list[tuple[int, int]] = []

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert batch["a"].dtype == np.int32 and batch["b"].shape[1] == 3 * batch["a"].shape[1]
        self.runs.append(batch["a"].shape)  # type: ignore[arg-type]
        rows, length = batch["a"].shape
        sums = np.stack([batch["a"].sum(axis=1), batch["b"].sum(axis=1)], axis=1).astype(np.float32)
        return {"each": batch["b"].reshape(rows, length, 3).astype(np.float32), "sums": sums}

    def close(self) -> None:
        pass


def features(length_a: int, length_b: int = 0) -> dict[str, np.ndarray]:
    return {"a": np.full(length_a, 2, dtype=np.int32), "b": np.full(length_b, 3, dtype=np.int32)}


def sums(engine: Sums, items: list[dict[str, np.ndarray]], form: dict[str, Any], batch_size: int = 1) -> list[Any]:
    found = infer(engine, items, GraphSpec(INPUTS, (SUMS,), form), batch_size)["sums"]
    assert isinstance(found, np.ndarray) and found.dtype == np.float32
    return list(found.tolist())


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
    found = sums(engine, [features(length) for length in LENGTHS], form, batch_size)
    assert engine.runs == expected
    assert found == [[2.0 * length, 0.0] for length in LENGTHS]  # in the order that was asked


def test_the_longest_input_decides() -> None:
    engine = Sums()
    assert sums(engine, [features(2, 13)], shapes()) == [[4.0, 39.0]]
    assert engine.runs == [(1, 5)]


@pytest.mark.parametrize("form", [shapes(), shapes(lengths=[4, 8, 16]), shapes(batch=1), shapes(least=3)])
@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_rows_of_tokens_are_cut_to_their_text(form: dict[str, Any], batch_size: int) -> None:
    """Each has as many as it has tokens (of the first input), none of an empty text, and those of its own ids."""
    items = [{"a": np.full(n, 1, np.int32), "b": np.arange(3 * n, dtype=np.int32)} for n in LENGTHS]
    found = infer(Sums(), items, GraphSpec(INPUTS, (EACH, SUMS), form), batch_size)
    assert list(found) == ["each", "sums"] and isinstance(found["each"], list)
    for rows, length, total in zip(found["each"], LENGTHS, found["sums"], strict=True):
        assert rows.dtype == np.float32 and rows.base is None  # no batch is kept alive for it
        assert rows.tolist() == np.arange(3 * length).reshape(length, 3).tolist()
        assert total.tolist() == [length, 3 * length * (3 * length - 1) / 2]


def test_tokens_are_positions_of_the_first_input() -> None:
    """An input of three ids a token, one of which is missing at the end: the token is not counted."""
    inputs = (InputSpec("b", 3, 50), InputSpec("a", 1, 100))
    found = infer(Sums(), [features(2, 6), features(4, 5)], GraphSpec(inputs, (EACH, SUMS), shapes()), 2)
    assert [rows.shape for rows in found["each"]] == [(2, 3), (1, 3)]


def test_no_texts_at_all() -> None:
    found: Outputs = infer(Sums(), [], GraphSpec(INPUTS, (EACH, SUMS), shapes()))
    assert found["each"] == [] and isinstance(found["sums"], np.ndarray) and found["sums"].shape == (0, 2)


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
        sums(engine, [features(1), features(1) | item], shapes())
    with pytest.raises(BundleError, match="no list of ids for the input 'b'"):
        sums(engine, [{"a": np.array([1])}], shapes())
    assert engine.runs == []
