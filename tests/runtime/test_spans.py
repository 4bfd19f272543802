"""Where tokens stand in their text, against Hugging Face's offsets; and the tokens at which words begin."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import span_texts
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert_runtime.features import Text, WordPiece
from edgebert_runtime.ngrams import Channel, NgramFeaturizer, build_table
from edgebert_runtime.units import unit_ranges, units

SETTINGS = settings(max_examples=150)


@functools.cache
def ours(max_length: int, pair: bool, lowercase: bool) -> WordPiece:
    lines = span_texts.vocabulary().read_text(encoding="utf-8").splitlines()
    return WordPiece(lines, lowercase, max_length, pair)


@functools.cache
def theirs(lowercase: bool) -> Any:
    transformers = pytest.importorskip("transformers")
    return transformers.BertTokenizerFast(vocab=str(span_texts.vocabulary()), do_lower_case=lowercase)


def check(text: Text, max_length: int, lowercase: bool = True) -> None:
    halves = text if isinstance(text, tuple) else (text,)
    featurizer = ours(max_length, isinstance(text, tuple), lowercase)
    got = featurizer.spans(text)
    encoded = theirs(lowercase)(
        *([half] for half in halves), truncation="longest_first", max_length=max_length, return_offsets_mapping=True
    )
    expected = [-1 if half is None else half for half in encoded.sequence_ids(0)]
    assert got[:, 0].tolist() == expected, text
    assert [tuple(row) for row in got[:, 2:].tolist()] == encoded["offset_mapping"][0], text
    words = list(zip(encoded.sequence_ids(0), encoded.word_ids(0), strict=True))
    begins = [
        row for row in range(len(words)) if words[row][0] is not None and (row == 0 or words[row] != words[row - 1])
    ]
    assert units(got).tolist() == begins, text
    assert got.dtype == np.int32 and len(got) == len(featurizer([text])[0]["input_ids"])
    whole = featurizer.spans(text, cut=False)
    for half in range(len(halves)):
        kept = got[got[:, 0] == half]
        assert whole[whole[:, 0] == half][: len(kept)].tolist() == kept.tolist()


@pytest.mark.parametrize("text", span_texts.AWKWARD)
@pytest.mark.parametrize("lowercase", [True, False])
def test_spans_of_awkward_texts_are_hugging_faces(text: str, lowercase: bool) -> None:
    check(text, 128, lowercase)
    check(text, 5, lowercase)
    check((text, "a second text"), 128, lowercase)
    check(("first", text), 9, lowercase)


@SETTINGS
@given(text=span_texts.TEXT, max_length=st.sampled_from([4, 7, 128]), lowercase=st.booleans())
def test_spans_are_hugging_faces(text: str, max_length: int, lowercase: bool) -> None:
    check(text, max_length, lowercase)


@SETTINGS
@given(a=span_texts.TEXT, b=span_texts.TEXT, max_length=st.sampled_from([4, 5, 12, 13, 128]))
def test_spans_of_pairs_are_hugging_faces(a: str, b: str, max_length: int) -> None:
    check((a, b), max_length)


@SETTINGS
@given(text=span_texts.TEXT, lowercase=st.booleans())
def test_words_begin_at_characters_and_in_order(text: str, lowercase: bool) -> None:
    spans = ours(128, False, lowercase).spans(text)
    ranges = unit_ranges(spans, units(spans))
    assert all(not text[start].isspace() and start < end <= len(text) for start, end in ranges.tolist())
    assert (np.diff(ranges, axis=0) >= 0).all()


def test_a_word_ends_where_its_last_token_ends() -> None:
    spans = ours(16, False, True).spans("Un-affordably \U0001f600 x")
    begins = units(spans)
    assert unit_ranges(spans, begins).tolist() == [[0, 2], [2, 3], [3, 13], [14, 15], [16, 17]]
    assert len(spans) > len(begins) + 2
    assert unit_ranges(np.zeros((0, 4), np.int32), units(np.zeros((0, 4), np.int32))).shape == (0, 2)


def test_words_of_equal_number_in_both_halves_are_two() -> None:
    assert units(ours(16, True, True).spans(("one", "two"))).tolist() == [1, 3]


def test_a_text_of_the_wrong_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="not a pair"):
        ours(16, False, True).spans(("a", "b"))
    with pytest.raises(ValueError, match="pairs of texts"):
        ours(16, True, True).spans("a")


def test_a_bag_of_ngrams_has_no_tokens() -> None:
    channel = Channel("word_ids", "word", (1, 1), 4, 2)
    table = build_table([channel], [np.asarray([1, 2**40], np.uint64)], 8)
    spans = NgramFeaturizer([channel], table, 8).spans("two words")
    assert spans.shape == (0, 4) and len(units(spans)) == 0
