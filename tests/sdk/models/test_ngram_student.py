"""The n-gram student's vocabulary, against a naive count, and rows that start from the teacher."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert.models import Context, get_family, ngram_student
from edgebert.models.ngram import NgramNet
from edgebert.models.ngram_student import count_vocabulary, find_words, start_rows
from edgebert.models.outputs import masked_mean
from edgebert.models.teacher import Teacher, featurizer_for, load_encoder, load_tokenizer
from edgebert.recipe import parse
from edgebert_runtime.errors import UsageError
from edgebert_runtime.ngrams import Channel, NgramFeaturizer, NgramHasher

CHANNELS = [
    Channel("word_ids", "word", (1, 1), 50, 8),
    Channel("gram_ids", "word", (2, 3), 7, 4),
    Channel("char_ids", "char", (3, 4), 20, 4),
]
TEXTS = st.lists(st.text(alphabet="abc no't!é ", max_size=30), max_size=12)


@settings(max_examples=60, deadline=None)
@given(texts=TEXTS, min_count=st.integers(1, 3), chunk=st.integers(1, 5))
def test_the_vocabulary_is_the_naive_count(texts: list[str], min_count: int, chunk: int) -> None:
    """Whatever the size of the pieces that are counted at once."""
    before = ngram_student.CHUNK
    ngram_student.CHUNK = chunk
    try:
        kept = count_vocabulary(CHANNELS, texts, 6, min_count)
    finally:
        ngram_student.CHUNK = before
    hasher = NgramHasher(CHANNELS, 6)
    counts: list[Counter[int]] = [Counter() for _ in CHANNELS]
    for text in texts:
        for counter, hashes in zip(counts, hasher(text), strict=True):
            counter.update(hashes.tolist())
    for channel, counter, keys in zip(CHANNELS, counts, kept, strict=True):
        often = [(-count, key) for key, count in counter.items() if count >= min_count]
        expected = sorted(key for _, key in sorted(often)[: channel.rows])
        assert keys.tolist() == expected
        assert keys.dtype == np.uint64


def test_both_texts_of_a_pair_are_counted() -> None:
    channel = CHANNELS[0]
    (pairs,) = count_vocabulary([channel], [("red fox", "old dog")], 10, 1)
    (single,) = count_vocabulary([channel], ["red fox", "old dog"], 10, 1)
    assert pairs.tolist() == single.tolist() and len(pairs) == 4


def test_a_row_has_the_spelling_that_its_word_has() -> None:
    texts = ["Don't stop !", "the stop", "İstanbul ß"]
    channel = CHANNELS[0]
    (kept,) = count_vocabulary([channel], texts, 10, 1)
    words = find_words(kept, texts)
    assert {"don't", "stop", "!", "the", "ß"} <= set(words.values())
    featurizer = NgramFeaturizer([channel], [kept], 10)
    for row, word in words.items():
        assert row in featurizer([word])[0]["word_ids"]


@pytest.fixture(scope="module")
def context(tiny_encoder: Path) -> Context:
    torch.manual_seed(1)
    teacher = Teacher(load_encoder(tiny_encoder), 2)
    reader = featurizer_for(load_tokenizer(tiny_encoder), 16, False)
    texts = ["a cat is here", "the dog is not here !", "no bird near the river", "a cat again"]
    return Context(teacher, reader, 2, False, 16, lambda: iter(texts))


@torch.no_grad()
def test_start_rows_hold_the_teachers_vectors_up_to_a_turn(context: Context) -> None:
    """PCA to enough dimensions keeps each distance between two words, up to one scale."""
    (kept,) = count_vocabulary([CHANNELS[0]], context.texts(), 16, 1)
    words = find_words(kept, context.texts())
    table = torch.nn.Embedding(len(kept) + 1, 32)
    torch.nn.init.zeros_(table.weight)
    start_rows(table, kept, words, context)
    rows = sorted(words)
    vectors = []
    for row in rows:
        (item,) = context.reader([words[row]])
        ids = torch.from_numpy(item["input_ids"]).long().unsqueeze(0)
        vectors.append(masked_mean(context.teacher.run(ids, torch.ones_like(ids)).hidden[-1], torch.ones_like(ids)))
    expected = torch.cdist(torch.cat(vectors), torch.cat(vectors))
    found = torch.cdist(table.weight[rows], table.weight[rows])
    ratio = found[expected > 0] / expected[expected > 0]
    assert ratio.std() / ratio.mean() < 1e-3
    assert not table.weight[0].any()
    assert table.weight[rows].pow(2).mean().sqrt().item() == pytest.approx(ngram_student.START_SCALE, rel=1e-3)


@torch.no_grad()
def test_a_vocabulary_of_one_word_starts_without_nan(context: Context) -> None:
    (kept,) = count_vocabulary([CHANNELS[0]], ["cat cat"], 16, 1)
    table = torch.nn.Embedding(2, 8)
    start_rows(table, kept, {1: "cat"}, context)
    assert torch.isfinite(table.weight).all()


def test_the_same_seed_builds_the_same_student(context: Context) -> None:
    family = get_family("ngram")
    options = parse(family.options, {"min_count": 1}, "student")
    states = []
    for _ in range(2):
        torch.manual_seed(5)
        student = family.build(options, context)
        states.append({**student.module.state_dict(), "files": student.featurizer.files()})
    assert states[0].keys() == states[1].keys()
    assert states[0].pop("files") == states[1].pop("files")
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert isinstance(student.module, NgramNet)
    # Words start from the teacher; n-grams start at zero.
    assert student.module.tables[0].weight[1:].any() and not student.module.tables[1].weight.any()


def test_two_channels_of_one_name_are_refused(context: Context) -> None:
    family = get_family("ngram")
    options = parse(family.options, {"channels": [{"name": "ids"}, {"name": "ids"}]}, "student")
    with pytest.raises(UsageError, match="same name"):
        family.build(options, context)
