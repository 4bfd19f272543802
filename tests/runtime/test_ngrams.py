"""The n-gram featurizer over the core: its vocabulary file, inputs and spec. (What it reads: core/test_ngrams.py.)"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
import reference_model as model
import reference_ngrams as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert_runtime.errors import BundleError
from edgebert_runtime.features import InputSpec, length_of, load_featurizer, pad
from edgebert_runtime.ngrams import (
    CHARACTERS_PER_WORD,
    KINDS,
    PRINT_BITS,
    Channel,
    NgramFeaturizer,
    build_table,
    kept_by_table,
    known_hashes,
    line_bits,
    ngram_hashes,
    shortened,
    table_of,
    words_of,
)

CHANNELS = (
    Channel("word_ids", "word", (1, 1), 1000, 4),
    Channel("gram_ids", "word", (2, 3), 1000, 4),
    Channel("char_ids", "char", (3, 5), 1000, 4),
)
TEXTS = st.text(
    alphabet=st.one_of(
        st.sampled_from("abAB n't'’!.,ß İ日本😀\u0301\n\t0_-"), st.characters(exclude_categories=["Cs"])
    ),
    max_size=60,
)
WIDE = 2**64
HASHES = st.lists(st.integers(0, WIDE - 1), max_size=60)
REFUSAL = "the ngram featurizer cannot be read"


def hashes_of(channel: Channel, *texts: str, max_length: int = 1000) -> np.ndarray:
    """Of all n-grams, from the reference, each once."""
    kind = KINDS.index(channel.kind)
    found = {new for text in texts for new in reference.hashes(kind, *channel.orders, max_length, text.encode())}
    return np.array(sorted(found), np.uint64)


def featurizer(
    *corpus: str, channels: tuple[Channel, ...] = CHANNELS, max_length: int = 8, pair: bool = False
) -> NgramFeaturizer:
    """One that knows the n-grams of these texts."""
    table = build_table(channels, [hashes_of(channel, *corpus) for channel in channels], max_length)
    return NgramFeaturizer(channels, table, max_length, pair)


# ---- what is read of a text


@settings(max_examples=100)
@given(texts=st.lists(TEXTS, max_size=4), max_length=st.integers(1, 12))
def test_hashes_are_the_references(texts: list[str], max_length: int) -> None:
    for channel in CHANNELS:
        found, offsets = ngram_hashes(channel, texts, max_length)
        assert found.dtype == np.uint64 and offsets.dtype == np.int64 and len(offsets) == len(texts) + 1
        for text, start, end in zip(texts, offsets[:-1], offsets[1:], strict=True):
            expected = reference.hashes(KINDS.index(channel.kind), *channel.orders, max_length, text.encode())
            assert found[start:end].tolist() == expected


@settings(max_examples=100)
@given(corpus=st.lists(TEXTS, max_size=4), text=TEXTS, keep=st.integers(1, 3))
def test_ids_are_the_places_in_the_sorted_table(corpus: list[str], text: str, keep: int) -> None:
    """`keep` leaves out some n-grams, so that unknown ones lie between known ones."""
    kept = [hashes_of(channel, *corpus)[::keep] for channel in CHANNELS]
    made = NgramFeaturizer(CHANNELS, build_table(CHANNELS, kept, 10), 10)
    (features,) = made([text])
    for channel, known in zip(CHANNELS, kept, strict=True):
        # A table knows the high bits alone, so now and then a foreign n-gram is taken for a known one.
        shift = 64 - line_bits(len(known)) - PRINT_BITS
        rows = {int(key): row for row, key in enumerate(shortened(known)[kept_by_table(known)], start=1)}
        by_word = reference.by_word(KINDS.index(channel.kind), *channel.orders, 10, text.encode())
        found = [
            [rows[new >> shift] for new in group if new >> shift in rows][: channel.per_length] for group in by_word
        ]
        assert features[channel.name].tolist() == [row for group in found for row in group]
        assert features[channel.name].dtype == np.int32
    assert pad([features], made.inputs, length_of(features, made.inputs))["word_ids"].shape[0] == 1


@settings(max_examples=50)
@given(texts=st.lists(TEXTS, max_size=5))
def test_a_text_has_the_same_ids_in_any_company(texts: list[str]) -> None:
    made = featurizer(*texts)
    alone = [made([text])[0] for text in texts]
    for found, expected in zip(made(texts), alone, strict=True):
        assert {name: ids.tolist() for name, ids in found.items()} == {k: v.tolist() for k, v in expected.items()}


def test_words_keep_negation_and_punctuation() -> None:
    assert words_of("Don't STOP!! it's n't, isn’t") == ["Don't", "STOP", "!", "!", "it's", "n't", ",", "isn’t"]
    assert words_of("") == [] and words_of(" \n\t ") == []
    assert words_of("😀👍 日本x") == ["😀", "👍", "日", "本", "x"]


def test_case_does_not_count() -> None:
    made = featurizer("Don't STOP the École")
    ids = [features["word_ids"].tolist() for features in made(["don't stop THE école", "DON'T Stop the ÉCOLE"])]
    assert ids[0] == ids[1] and len(ids[0]) == 4


def test_a_text_of_100_000_characters_is_cut() -> None:
    made = featurizer("no way ! " * 20, max_length=30)
    (features,) = made(["no way ! " * 11_112])
    assert [len(features[c.name]) for c in CHANNELS] == [30, 29 + 28, len(features["char_ids"])]
    assert 0 < len(features["char_ids"]) <= CHARACTERS_PER_WORD * 30
    (empty,) = made(["a" * 100_000])
    assert all(len(ids) == 0 for ids in empty.values())


def test_a_text_that_is_not_valid_unicode_is_named() -> None:
    with pytest.raises(ValueError, match="text 2 is not valid Unicode"):
        featurizer("a")(["a", "\ud800"])


# ---- inputs


def test_pairs_have_each_input_twice() -> None:
    made = featurizer("red fox jumps", pair=True)
    names = [spec.name for spec in made.inputs]
    assert names == ["word_ids", "gram_ids", "char_ids", "word_ids_b", "gram_ids_b", "char_ids_b"]
    (features,) = made([("red fox", "fox")])
    assert len(features["word_ids"]) == 2 and len(features["word_ids_b"]) == 1
    assert features["word_ids"][1] == features["word_ids_b"][0]
    assert made([("", "")])[0].keys() == set(names) and made([]) == []
    with pytest.raises(ValueError, match="takes pairs"):
        made(["single"])
    with pytest.raises(ValueError, match="one text, not a pair"):
        featurizer("red fox jumps")([("a", "b")])


def test_inputs_say_how_many_ids_and_rows_there_are() -> None:
    kept = [np.arange(n, dtype=np.uint64) << np.uint64(50) for n in (3, 0, 5)]
    made = NgramFeaturizer(CHANNELS, build_table(CHANNELS, kept, 8), 8)
    assert made.rows == (4, 1, 6)
    assert made.inputs == (InputSpec("word_ids", 1, 4), InputSpec("gram_ids", 2, 1), InputSpec("char_ids", 12, 6))
    assert made(["an empty table"])[0]["gram_ids"].tolist() == []


@settings(max_examples=50)
@given(text=TEXTS, low=st.integers(1, 8), wide=st.integers(0, 7), kind=st.sampled_from(KINDS))
def test_no_text_has_more_ids_than_its_words_may_bring(text: str, low: int, wide: int, kind: str) -> None:
    """`per_length` is what graphs of a fixed length are made for."""
    channel = Channel("ids", kind, (low, min(8, low + wide)), 10_000, 1)
    made = featurizer(text, channels=(channel,), max_length=50)
    words = min(50, len(words_of(text)))
    assert len(made([text])[0]["ids"]) <= channel.per_length * words


# ---- the table


@settings(max_examples=200)
@given(tables=st.lists(HASHES, min_size=1, max_size=4))
def test_a_table_is_the_references(tables: list[list[int]]) -> None:
    """How many lines follows from the number of n-grams; equal n-grams are kept once."""
    channels = [Channel(f"c{index}", KINDS[index % 2], (1, 1 + index), 100, 1) for index in range(len(tables))]
    found = build_table(channels, [np.array(kept, np.uint64) for kept in tables], 77)
    expected = []
    for channel, kept in zip(channels, tables, strict=True):
        bits = 0
        while len(kept) > 16 << bits:
            bits += 1
        expected.append((KINDS.index(channel.kind), *channel.orders, bits, kept))
    assert found == reference.write_vocabulary(77, expected)


@pytest.mark.parametrize("count", [1, 16, 17, 32, 33, 100, 1000, 5000])
def test_a_line_holds_eight_to_sixteen_ngrams(count: int) -> None:
    kept = np.random.default_rng(count).integers(0, WIDE, count, np.uint64, endpoint=False)
    table = build_table(CHANNELS[:1], [kept], 8)
    (channel,) = reference.read_vocabulary(table).channels
    assert count <= 16 << channel.bits and (count > 8 << channel.bits or channel.bits == 0)
    assert len(table) == 128 + (64 << channel.bits) <= 128 + max(64, 8 * count)


def test_few_ngrams_find_no_room() -> None:
    """At the fullest, 16 a line on average, one in 3,000 is left out."""
    kept = np.random.default_rng(4).integers(0, WIDE, 2**20, np.uint64, endpoint=False)
    (found,) = known_hashes(build_table(CHANNELS[:1], [kept], 8), 1)
    assert 0 < len(kept) - len(found) < len(kept) / 3000
    assert np.isin(found >> np.uint64(32), kept >> np.uint64(32)).all()


def test_a_foreign_ngram_is_seldom_taken_for_a_known_one() -> None:
    random = np.random.default_rng(5)
    kept = random.integers(0, WIDE, 2**14, np.uint64, endpoint=False)
    (channel,) = reference.read_vocabulary(build_table(CHANNELS[:1], [kept], 8)).channels
    foreign = random.integers(0, WIDE, 200_000, np.uint64, endpoint=False)
    taken = sum(map(bool, map(channel.row, foreign.tolist())))
    assert 0 < taken <= 1.5 * len(foreign) * 16 / 65536


def test_more_rows_than_the_channel_has_is_an_error() -> None:
    channel = Channel("a", "word", (1, 1), 2, 4)
    with pytest.raises(ValueError, match="table of channel 'a' has too many rows"):
        NgramFeaturizer([channel], build_table([channel], [np.arange(3, dtype=np.uint64) << np.uint64(50)], 8), 8)


def test_a_table_of_something_else_is_an_error() -> None:
    table = featurizer("a red fox").table
    with pytest.raises(ValueError, match="not a version 3 table of 2 channels"):
        NgramFeaturizer(CHANNELS[:2], table, 8)
    with pytest.raises(ValueError, match="too short"):
        NgramFeaturizer([], table, 8)
    with pytest.raises(ValueError, match="for texts of 8 words, not 9"):
        NgramFeaturizer(CHANNELS, table, 9)
    for other in (Channel("gram_ids", "word", (2, 4), 9, 4), Channel("gram_ids", "char", (2, 3), 9, 4)):
        with pytest.raises(ValueError, match="other n-grams for channel 'gram_ids'"):
            NgramFeaturizer([CHANNELS[0], other, CHANNELS[2]], table, 8)
    with pytest.raises(ValueError, match="max_length 0"):
        NgramFeaturizer(CHANNELS, table, 0)


# ---- its description


def spec_and_files() -> tuple[dict[str, Any], dict[str, bytes]]:
    made = featurizer("a red fox ran")
    return made.spec(), made.files()


def test_a_featurizer_comes_back_from_its_spec_and_files() -> None:
    spec, files = spec_and_files()
    again = load_featurizer(spec, files.__getitem__)
    assert again.spec() == spec and again.files() == files
    assert again(["a fox"])[0]["word_ids"].tolist() != []


def native_model(table: bytes) -> bytes:
    sizes = model.Sizes(2, 0, (32, 32, 32))
    return model.write(sizes, model.random_sections(sizes, table))


def test_the_table_may_lie_inside_a_native_model() -> None:
    spec, files = spec_and_files()
    table = files["tokenizer/ngrams.bin"]
    content = native_model(table)
    assert table_of(content) == table_of(table) == table
    again = load_featurizer({**spec, "table": "model.ebnn"}, {"model.ebnn": content}.__getitem__)
    assert again.files() == files
    behind = content.index(table) + len(table)
    for damaged in [*(content[:end] for end in range(0, behind, 7)), content[:24] + bytes(4) + content[28:]]:
        with pytest.raises(BundleError, match=REFUSAL):
            load_featurizer(spec, lambda _, damaged=damaged: damaged)  # type: ignore[misc]


def test_no_damaged_native_model_is_more_than_an_error() -> None:
    spec, files = spec_and_files()
    content = native_model(files["tokenizer/ngrams.bin"])
    random = np.random.default_rng(1)
    for place in [*range(4, 128 + 32, 4)] * 4:
        damaged = bytearray(content)
        struct.pack_into("<I", damaged, place, int(random.choice([0, 1, 2, 2**31, 2**32 - 1, len(content)])))
        try:
            assert load_featurizer(spec, lambda _, damaged=damaged: bytes(damaged)).files() == files  # type: ignore[misc]
        except BundleError as error:
            assert REFUSAL in str(error)


def test_every_cut_and_every_growth_of_the_table_is_an_error() -> None:
    spec, files = spec_and_files()
    content = files["tokenizer/ngrams.bin"]
    for damaged in [*(content[:end] for end in range(len(content))), content + b"\0", b"\0" + content]:
        with pytest.raises(BundleError, match=REFUSAL):
            load_featurizer(spec, lambda _, damaged=damaged: damaged)  # type: ignore[misc]


def test_each_flipped_bit_of_the_head_is_an_error() -> None:
    """But for the bytes of it that say nothing."""
    spec, files = spec_and_files()
    content = files["tokenizer/ngrams.bin"]
    for place in [*range(16), *(64 + 32 * channel + at for channel in range(3) for at in range(20))]:
        for bit in range(8):
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            with pytest.raises(BundleError):
                load_featurizer(spec, lambda _, damaged=damaged: bytes(damaged))  # type: ignore[misc]


@pytest.mark.parametrize("place", [76, 80])
@pytest.mark.parametrize("number", [2**31 - 1, 2**31, 2**32 - 1, 32])
def test_huge_numbers_cost_nothing(place: int, number: int) -> None:
    """Bits of a line and n-grams of a channel: what they ask for is not in the file, and is never reserved."""
    spec, files = spec_and_files()
    damaged = bytearray(files["tokenizer/ngrams.bin"])
    struct.pack_into("<I", damaged, place, number)
    with pytest.raises(BundleError, match="not an EdgeBERT model"):
        load_featurizer(spec, lambda _: bytes(damaged))


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
