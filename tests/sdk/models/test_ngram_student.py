"""The n-gram student's vocabulary, against a naive count, and rows that start from the teacher."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert.models import Context, get_family, ngram_student
from edgebert.models.ngram import NgramNet
from edgebert.models.ngram_student import count_vocabulary, find_words, load, single_words, spellings, start_rows
from edgebert.models.outputs import masked_mean
from edgebert.models.teacher import Teacher, featurizer_for, load_encoder, load_tokenizer
from edgebert.recipe import parse
from edgebert.tasks.heads import Head
from edgebert_runtime.errors import UsageError
from edgebert_runtime.ngrams import CHARACTERS_PER_WORD, Channel, NgramFeaturizer, build_table, ngram_hashes, words_of

HEADS = (Head("logits", 2, "classes"),)
CHANNELS = [
    Channel("word_ids", "word", (1, 1), 50, 8),
    Channel("gram_ids", "word", (2, 3), 7, 4),
    Channel("char_ids", "char", (3, 4), 20, 4),
]
TEXTS = st.lists(st.text(alphabet="abc no't!éÉA ", max_size=30), max_size=12)


def featurizer_of(channels: list[Channel], texts: list[str], max_length: int = 10) -> NgramFeaturizer:
    """One that knows every n-gram of these texts, as far as the channels have rows."""
    kept = count_vocabulary(channels, texts, max_length, 1)
    return NgramFeaturizer(channels, build_table(channels, kept, max_length), max_length)


@settings(max_examples=60)
@given(texts=TEXTS, min_count=st.integers(1, 3), chunk=st.integers(1, 5))
def test_the_vocabulary_is_the_naive_count(texts: list[str], min_count: int, chunk: int) -> None:
    """Whatever the size of the pieces that are counted at once."""
    before = ngram_student.CHUNK
    ngram_student.CHUNK = chunk
    try:
        kept = count_vocabulary(CHANNELS, texts, 6, min_count)
    finally:
        ngram_student.CHUNK = before
    for channel, keys in zip(CHANNELS, kept, strict=True):
        counter = Counter(new for text in texts for new in ngram_hashes(channel, [text], 6)[0].tolist())
        often = [(-count, key % 2**32, key) for key, count in counter.items() if count >= min_count]
        assert keys.tolist() == [key for *_, key in sorted(often)[: channel.rows]]
        assert keys.dtype == np.uint64


def test_equally_frequent_ngrams_fill_the_table_evenly() -> None:
    """Half of these are left out; lines go by the high bits, so leaving out larger hashes would crowd some lines."""
    channel = Channel("word_ids", "word", (1, 1), 10_000, 8)
    kept = count_vocabulary([channel], [f"word{number}" for number in range(20_000)], 10, 1)
    assert len(kept[0]) == 10_000
    assert NgramFeaturizer([channel], build_table([channel], kept, 10), 10).rows[0] > 9_990


def test_both_texts_of_a_pair_are_counted() -> None:
    channel = CHANNELS[0]
    (pairs,) = count_vocabulary([channel], [("red fox", "old dog")], 10, 1)
    (single,) = count_vocabulary([channel], ["red fox", "old dog"], 10, 1)
    assert pairs.tolist() == single.tolist() and len(pairs) == 4


@settings(max_examples=60)
@given(texts=TEXTS)
def test_a_row_has_the_spelling_that_its_word_has(texts: list[str]) -> None:
    featurizer = featurizer_of(CHANNELS, texts)
    words = find_words(featurizer, 0, texts)
    assert sorted(words) == list(range(1, featurizer.rows[0]))
    for row, word in words.items():
        assert featurizer([word])[0]["word_ids"].tolist() == [row]


def test_of_several_spellings_the_most_frequent_counts() -> None:
    texts = ["Don't stop !", "the STOP", "İstanbul ß Stop stop", "stop"]
    featurizer = featurizer_of(CHANNELS[:1], texts)
    words = find_words(featurizer, 0, texts)
    assert sorted(words.values()) == sorted(["Don't", "stop", "!", "the", "İstanbul", "ß"])
    assert find_words(featurizer, 0, [("unknown", "here")]) == {}


@settings(max_examples=60)
@given(texts=TEXTS)
def test_spellings_are_the_character_ngrams_of_each_known_word(texts: list[str]) -> None:
    """Whatever stands around a word, and however it is written."""
    featurizer = featurizer_of(CHANNELS, texts)
    words = find_words(featurizer, 0, texts)
    found = spellings(featurizer, words, 2, featurizer.rows[0])
    assert found.shape == (featurizer.rows[0], CHARACTERS_PER_WORD) and found.dtype == torch.int32
    assert not found[0].any()
    for text in texts:
        read = words_of(text)[:10]
        rows = [ids[0] for word in read if len(ids := featurizer([word])[0]["word_ids"])]
        if len(rows) == len(read):  # all of them known: their spellings, one after the other, are the text's
            spelled = found[rows].flatten()
            assert spelled[spelled > 0].tolist() == featurizer([text])[0]["char_ids"].tolist()


def test_a_long_word_is_spelled_by_twelve_ngrams() -> None:
    channels = [CHANNELS[0], Channel("char_ids", "char", (2, 3), 500, 4)]
    word = "abcdefghijklmnopqrstuvwxyz"
    featurizer = featurizer_of(channels, [word])
    found = spellings(featurizer, {1: word}, 1, 2)
    assert (found[1] > 0).all() and found[1].tolist() == featurizer([word])[0]["char_ids"].tolist()


@pytest.mark.parametrize(
    ("kinds", "single"),
    [
        ([("word", (1, 1)), ("char", (3, 5))], 0),
        ([("char", (1, 1)), ("word", (1, 2)), ("word", (1, 1)), ("word", (1, 1))], 2),
        ([("word", (1, 2)), ("char", (1, 1))], None),
    ],
)
def test_the_channel_of_single_words(kinds: list[tuple[str, tuple[int, int]]], single: int | None) -> None:
    assert single_words([Channel(str(n), kind, orders, 9, 4) for n, (kind, orders) in enumerate(kinds)]) == single


@pytest.fixture(scope="module")
def context(tiny_encoder: Path) -> Context:
    torch.manual_seed(1)
    teacher = Teacher(load_encoder(tiny_encoder), HEADS)
    reader = featurizer_for(load_tokenizer(tiny_encoder), 16, False)
    texts = ["a cat is here", "the dog is not here !", "no bird near the river", "a cat again"]
    return Context(teacher, reader, HEADS, False, 16, lambda: iter(texts))


@torch.no_grad()
def test_start_rows_hold_the_teachers_vectors_up_to_a_turn(context: Context) -> None:
    """PCA to enough dimensions keeps each distance between two words, up to one scale."""
    featurizer = featurizer_of([CHANNELS[0]], list(context.texts()), 16)  # type: ignore[arg-type]
    words = find_words(featurizer, 0, context.texts())
    table = torch.nn.Embedding(featurizer.rows[0], 32)
    torch.nn.init.zeros_(table.weight)
    start_rows(table, words, context)
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
    table = torch.nn.Embedding(2, 8)
    start_rows(table, {1: "cat"}, context)
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


def test_spellings_are_stored_beside_the_weights(context: Context) -> None:
    """So that an export can add up the character n-grams of a word, from a run folder alone."""
    family = get_family("ngram")
    student = family.build(parse(family.options, {"min_count": 1}, "student"), context)
    network, featurizer = student.module, student.featurizer
    assert isinstance(network, NgramNet) and isinstance(featurizer, NgramFeaturizer)
    assert network.config.single == 0 and network.config.spelled == (2,)
    words = find_words(featurizer, 0, context.texts())
    expected = spellings(featurizer, words, 2, featurizer.rows[0])
    assert torch.equal(network.spelling(2), expected) and expected.any()
    again = load(json.loads(json.dumps(student.config)), featurizer, HEADS)
    again.load_state_dict(network.state_dict())
    assert again.config == network.config and torch.equal(again.spelling(2), expected)
    assert not any(name.startswith("spelling") for name, _ in network.named_parameters())


def test_without_single_words_nothing_is_spelled(context: Context) -> None:
    family = get_family("ngram")
    channels = [
        {"name": "gram_ids", "kind": "word", "orders": [1, 2], "width": 8},
        {"name": "char_ids", "kind": "char", "orders": [3, 5], "width": 8},
    ]
    student = family.build(parse(family.options, {"channels": channels, "min_count": 1}, "student"), context)
    assert isinstance(student.module, NgramNet)
    assert student.module.config.single is None and student.module.config.spelled == ()
    assert list(student.module.named_buffers()) == []


def test_two_channels_of_one_name_are_refused(context: Context) -> None:
    family = get_family("ngram")
    options = parse(family.options, {"channels": [{"name": "ids"}, {"name": "ids"}]}, "student")
    with pytest.raises(UsageError, match="same name"):
        family.build(options, context)
