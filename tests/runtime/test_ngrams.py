"""The n-gram featurizer against a naive one, and its table file against every damage."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert_runtime.errors import BundleError
from edgebert_runtime.features import InputSpec, length_of, load_featurizer, pad
from edgebert_runtime.ngrams import Channel, NgramFeaturizer, NgramHasher, read_tables, words_of, write_tables

CHANNELS = (
    Channel("word_ids", "word", (1, 1), 1000, 4),
    Channel("gram_ids", "word", (2, 3), 1000, 4),
    Channel("char_ids", "char", (3, 5), 1000, 4),
)
TEXTS = st.text(
    alphabet=st.one_of(st.sampled_from("abAB n't'’!.,ß İ日本😀\u0301\n\t0_-"), st.characters()), max_size=60
)
WIDE = 2**64


def mix(value: int) -> int:
    value = ((value ^ (value >> 32)) * 0x9E3779B97F4A7C15) % WIDE
    return value ^ (value >> 29)


def fnv(word: str) -> int:
    value = 0xCBF29CE484222325
    for byte in word.encode("utf-8", "surrogatepass"):
        value = ((value ^ byte) * 0x100000001B3) % WIDE
    return value


def naive_ngrams(values: list[int], low: int, high: int) -> list[int]:
    found = []
    for order in range(low, high + 1):
        for start in range(len(values) - order + 1):
            state = 0
            for place, value in enumerate(values[start : start + order], 1):
                state = (state * 0x9E3779B97F4A7C15 + value + place) % WIDE
            found.append(mix(state))
    return found


def naive_hashes(text: str, max_length: int) -> list[list[int]]:
    words = words_of(text)[:max_length]
    result = []
    for channel in CHANNELS:
        low, high = channel.orders
        if channel.kind == "word":
            result.append(naive_ngrams([fnv(word) for word in words], low, high))
        else:
            result.append([h for w in words for h in naive_ngrams([ord(c) for c in f"<{w[:64]}>"], low, high)])
    return result


@settings(max_examples=200, deadline=None)
@given(text=TEXTS, max_length=st.integers(1, 12))
def test_hashes_are_the_naive_ones(text: str, max_length: int) -> None:
    got = [hashes.tolist() for hashes in NgramHasher(CHANNELS, max_length)(text)]
    assert got == naive_hashes(text, max_length)


@settings(max_examples=100, deadline=None)
@given(corpus=st.lists(TEXTS, max_size=4), text=TEXTS, keep=st.integers(1, 3))
def test_ids_are_the_places_in_the_sorted_table(corpus: list[str], text: str, keep: int) -> None:
    """`keep` leaves out some n-grams, so that unknown ones lie between known ones."""
    tables = []
    for index in range(len(CHANNELS)):
        hashes = sorted({h for item in corpus for h in naive_hashes(item, 10)[index]})
        tables.append(np.array(hashes[::keep], dtype=np.uint64))
    featurizer = NgramFeaturizer(CHANNELS, tables, 10)
    (features,) = featurizer([text])
    for channel, table, hashes in zip(CHANNELS, tables, naive_hashes(text, 10), strict=True):
        rows = {int(key): row + 1 for row, key in enumerate(table)}
        expected = [rows[h] for h in hashes if h in rows][: channel.per_length * 10]
        assert features[channel.name].tolist() == expected
        assert features[channel.name].dtype == np.int32
    assert pad([features], featurizer.inputs, length_of(features, featurizer.inputs))["word_ids"].shape[0] == 1


def test_words_keep_negation_and_punctuation() -> None:
    assert words_of("Don't STOP!! it's n't, isn’t") == ["don't", "stop", "!", "!", "it's", "n't", ",", "isn’t"]
    assert words_of("") == [] and words_of(" \n\t ") == []
    assert words_of("😀👍 日本") == ["😀", "👍", "日本"]


def test_a_text_of_100_000_characters_is_cut() -> None:
    long_text, long_word = "no way ! " * 11_112, "a" * 100_000
    tables = [np.array(sorted(set(hashes)), np.uint64) for hashes in naive_hashes("no way ! " * 20, 30)]
    featurizer = NgramFeaturizer(CHANNELS, tables, 30)
    (features,) = featurizer([long_text])
    assert [len(features[c.name]) for c in CHANNELS] == [30, 29 + 28, len(features["char_ids"])]
    assert 0 < len(features["char_ids"]) <= 12 * 30
    (empty,) = featurizer([long_word])
    assert all(len(ids) == 0 for ids in empty.values())
    assert long_word not in featurizer._hasher._words  # such words are not kept


def test_pairs_have_each_input_twice() -> None:
    tables = [np.array(sorted(set(hashes)), np.uint64) for hashes in naive_hashes("red fox jumps", 8)]
    featurizer = NgramFeaturizer(CHANNELS, tables, 8, pair=True)
    names = [spec.name for spec in featurizer.inputs]
    assert names == ["word_ids", "gram_ids", "char_ids", "word_ids_b", "gram_ids_b", "char_ids_b"]
    (features,) = featurizer([("red fox", "fox")])
    assert len(features["word_ids"]) == 2 and len(features["word_ids_b"]) == 1
    assert features["word_ids"][1] == features["word_ids_b"][0]
    with pytest.raises(ValueError, match="takes pairs"):
        featurizer(["single"])
    with pytest.raises(ValueError, match="one text, not a pair"):
        NgramFeaturizer(CHANNELS, tables, 8)([("a", "b")])


def test_inputs_say_how_many_ids_and_rows_there_are() -> None:
    tables = [np.arange(n, dtype=np.uint64) for n in (3, 0, 5)]
    featurizer = NgramFeaturizer(CHANNELS, tables, 8)
    assert featurizer.inputs == (InputSpec("word_ids", 1, 4), InputSpec("gram_ids", 2, 1), InputSpec("char_ids", 12, 6))
    assert featurizer(["an empty table"])[0]["gram_ids"].tolist() == []


@given(st.lists(st.lists(st.integers(0, WIDE - 1), unique=True, max_size=9).map(sorted), min_size=1, max_size=4))
def test_tables_come_back(tables: list[list[int]]) -> None:
    keys = [np.array(table, dtype=np.uint64) for table in tables]
    again = read_tables(write_tables(keys), len(keys))
    assert [table.tolist() for table in again] == tables


def spec_and_files() -> tuple[dict[str, Any], dict[str, bytes]]:
    tables = [np.array(sorted(set(hashes)), np.uint64) for hashes in naive_hashes("a red fox ran", 8)]
    featurizer = NgramFeaturizer(CHANNELS, tables, 8)
    return featurizer.spec(), featurizer.files()


def test_a_featurizer_comes_back_from_its_spec_and_files() -> None:
    spec, files = spec_and_files()
    featurizer = load_featurizer(spec, files.__getitem__)
    assert featurizer.spec() == spec and featurizer.files() == files
    assert featurizer(["a fox"])[0]["word_ids"].tolist() != []


def test_every_cut_and_every_growth_of_the_table_is_an_error() -> None:
    spec, files = spec_and_files()
    content = files["tokenizer/ngrams.bin"]
    for damaged in [*(content[:end] for end in range(len(content))), content + b"\0", b"\0" + content]:
        with pytest.raises(BundleError, match="ngram featurizer cannot be read"):
            load_featurizer(spec, lambda _, damaged=damaged: damaged)  # type: ignore[misc]


def test_each_flipped_bit_of_the_head_is_an_error() -> None:
    spec, files = spec_and_files()
    content = files["tokenizer/ngrams.bin"]
    for place in range(12 + 8 * 3):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            with pytest.raises(BundleError):
                load_featurizer(spec, lambda _, damaged=damaged: bytes(damaged))  # type: ignore[misc]


@pytest.mark.parametrize("counts", [(WIDE - 1, 1, 0), (2**61, 0, 0), (2**63, 2**63, 0)])
def test_huge_row_counts_cost_nothing(counts: tuple[int, int, int]) -> None:
    content = struct.pack("<4sII3Q", b"EBNG", 1, 3, *counts) + bytes(16)
    with pytest.raises(ValueError, match="do not match its size"):
        read_tables(content, 3)


@pytest.mark.parametrize("keys", [[2, 1], [1, 1], [0, 5, 5]])
def test_an_unsorted_or_repeated_table_is_an_error(keys: list[int]) -> None:
    with pytest.raises(ValueError, match="not sorted"):
        NgramFeaturizer(CHANNELS[:1], [np.array(keys, np.uint64)], 8)


def test_more_rows_than_the_channel_has_is_an_error() -> None:
    with pytest.raises(ValueError, match="too many rows"):
        NgramFeaturizer([Channel("a", "word", (1, 1), 2, 4)], [np.arange(3, dtype=np.uint64)], 8)


@pytest.mark.parametrize(
    "change",
    [
        {"channels": []},
        {"channels": None},
        {"channels": [{"name": "a"}]},
        {"channels": "word_ids"},
        {"max_length": 0},
        {"max_length": -3},
        {"max_length": 10**30},
        {"max_length": "many"},
        {"table": None},
        {"type": "ngrams"},
        {"type": ["ngram"]},
        {"type": None},
    ],
)
def test_a_wrong_spec_is_a_bundle_error(change: dict[str, Any]) -> None:
    spec, files = spec_and_files()
    with pytest.raises(BundleError):
        load_featurizer({**spec, **change}, lambda name: files.get(name, b""))


@pytest.mark.parametrize("field", ["channels", "max_length", "pair", "table"])
def test_a_missing_field_is_named(field: str) -> None:
    spec, files = spec_and_files()
    del spec[field]
    with pytest.raises(BundleError, match=f"'{field}' is missing"):
        load_featurizer(spec, files.__getitem__)


@pytest.mark.parametrize(
    "values",
    [
        ("a", "line", (1, 1), 1, 1),
        ("a", "word", (2, 1), 1, 1),
        ("a", "word", (1, 9), 1, 1),
        ("a", "char", (1, 2), 0, 1),
    ],
)
def test_an_impossible_channel_is_refused(values: Any) -> None:
    with pytest.raises(ValueError, match="n-gram channel 'a'"):
        Channel(*values)
