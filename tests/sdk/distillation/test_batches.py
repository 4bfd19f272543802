"""Batches: each text once, the same each time, another order each epoch."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert.distillation.batches import collate, lengths_of, plan
from edgebert_runtime.features import InputSpec

LENGTHS = st.lists(st.integers(0, 100), min_size=1, max_size=300)


@settings(max_examples=80, deadline=None)
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
