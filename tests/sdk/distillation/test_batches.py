"""Batches: each text once, the same each time, another order each epoch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert.distillation.batches import TrainingSet, collate, collate_soft, collate_targets, lengths_of, plan
from edgebert.tasks.heads import Head
from edgebert_runtime.features import InputSpec

LENGTHS = st.lists(st.integers(0, 100), min_size=1, max_size=300)


@settings(max_examples=80)
@given(lengths=LENGTHS, size=st.integers(1, 20), seed=st.integers(0, 5), epoch=st.integers(0, 5))
def test_each_text_is_in_exactly_one_batch(lengths: list[int], size: int, seed: int, epoch: int) -> None:
    values = np.array(lengths)
    batches = plan(values, size, seed, epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert all(1 <= len(batch) <= size for batch in batches)
    assert len(batches) == -(-len(lengths) // size)
    again = plan(values, size, seed, epoch)
    assert all(np.array_equal(one, other) for one, other in zip(batches, again, strict=True))


def test_epochs_and_seeds_differ() -> None:
    lengths = np.random.default_rng(0).integers(1, 50, 500)
    first = [batch.tolist() for batch in plan(lengths, 8, 0, 0)]
    assert first != [batch.tolist() for batch in plan(lengths, 8, 0, 1)]
    assert first != [batch.tolist() for batch in plan(lengths, 8, 1, 0)]


def test_a_batch_holds_texts_of_similar_length() -> None:
    lengths = np.random.default_rng(0).integers(1, 200, 2000)
    planned = plan(lengths, 16, 0, 0)
    waste = sum(int(lengths[batch].max()) * len(batch) - int(lengths[batch].sum()) for batch in planned)
    shuffled = np.random.default_rng(1).permutation(2000).reshape(-1, 16)
    random = sum(int(lengths[batch].max()) * 16 - int(lengths[batch].sum()) for batch in shuffled)
    assert waste < 0.1 * random


def test_collate_pads_each_input_to_its_own_longest() -> None:
    inputs = (InputSpec("a", 1, 10), InputSpec("b", 3, 10))
    features = [
        {"a": np.array([1, 2], np.int32), "b": np.array([], np.int32)},
        {"a": np.array([3], np.int32), "b": np.array([4, 5, 6, 7], np.int32)},
    ]
    a, b = collate(features, inputs)
    assert a.tolist() == [[1, 2], [3, 0]] and b.tolist() == [[0, 0, 0, 0], [4, 5, 6, 7]]
    assert a.dtype == torch.int64
    (wide, _) = collate(features, inputs, min_length=4)
    assert wide.shape == (2, 4)
    assert lengths_of(features).tolist() == [2, 5]
    assert collate([], inputs)[0].shape == (0, 1)


@pytest.mark.parametrize("words", [[0, 0], [0, 2]])
def test_an_input_with_ids_for_every_token_has_them_for_the_padding_too(words: list[int]) -> None:
    """As the letters of each word of a text; not as the n-grams of a whole text, of which there may be any number."""
    inputs = (InputSpec("words", 1, 10), InputSpec("letters", 3, 10), InputSpec("grams", 3, 10))
    features = [
        {"words": np.ones(n, np.int32), "letters": np.ones(3 * n, np.int32), "grams": np.ones(n // 2, np.int32)}
        for n in words
    ]
    found = collate(features, inputs, min_length=2)
    assert [tensor.shape for tensor in found[:2]] == [(2, 2), (2, 6)]
    if any(words):
        assert found[2].shape == (2, 2)


NAN = math.nan
TAGS = Head("tags", 4, "classes", per_token=True)
HEADS = (
    Head("intent", 3, "classes"),
    TAGS,
    Head("flags", 2, "flags"),
    Head("score", 1, "number"),
    Head("place", 2, "positions", per_token=True),
    Head("vector", 5, "vector"),
)


def same(found: torch.Tensor, expected: list[object]) -> bool:
    return np.array_equal(found.numpy(), np.array(expected), equal_nan=True)


def test_gold_is_padded_and_what_is_missing_is_marked() -> None:
    targets = [
        {
            "intent": np.asarray(2),
            "tags": np.array([-1, 3]),
            "flags": np.array([1.0, 0.0]),
            "score": np.asarray(0.5),
            "place": np.array([1, -1]),
        },
        {},
    ]
    gold = collate_targets(targets, HEADS, 3)
    assert set(gold) == {"intent", "tags", "flags", "score", "place"}  # a vector has no gold
    assert same(gold["intent"], [2, -1]) and same(gold["tags"], [[-1, 3, -1], [-1, -1, -1]])
    assert same(gold["flags"], [[1, 0], [NAN, NAN]]) and same(gold["score"], [[0.5], [NAN]])
    assert same(gold["place"], [[1, -1], [-1, -1]])
    assert {name: str(rows.dtype) for name, rows in gold.items()} == {
        "intent": "torch.int64",
        "tags": "torch.int64",
        "place": "torch.int64",
        "flags": "torch.float32",
        "score": "torch.float32",
    }
    (alone,) = collate_targets([{"intent": np.array([1])}], HEADS[:1], 3).values()
    assert same(alone, [1])


def test_soft_targets_are_padded_with_nan() -> None:
    soft = [{"intent": np.array([1.0, 2.0, 3.0]), "tags": np.array([[1.0, 2, 3, 4], [5, 6, 7, 8]])}, {}]
    found = collate_soft(soft, HEADS[:2], 3)
    assert same(found["intent"], [[1, 2, 3], [NAN] * 3])
    assert same(found["tags"], [[[1, 2, 3, 4], [5, 6, 7, 8], [NAN] * 4], [[NAN] * 4] * 3])
    assert all(rows.dtype == torch.float32 for rows in found.values())


def test_a_batch_is_drawn_by_index() -> None:
    features = [{"a": np.array([n])} for n in range(4)]
    data = TrainingSet(features, [{"intent": np.asarray(n)} for n in range(4)])
    drawn, targets = data.draw(np.array([3, 1]), step=0, seed=0)
    assert [item["a"].item() for item in drawn] == [3, 1] and [t["intent"].item() for t in targets] == [3, 1]


def test_a_set_whose_parts_do_not_fit_is_refused() -> None:
    features = [{"a": np.array([n])} for n in range(4)]
    with pytest.raises(ValueError, match="targets holds 3 texts, and features 4"):
        TrainingSet(features, [{}] * 3)
    with pytest.raises(ValueError, match="soft holds 5 texts, and features 4"):
        TrainingSet(features, [{}] * 4, [{}] * 5)
