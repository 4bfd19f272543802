"""The words featurizer: rows, characters and shapes of each word, its spans, and its description."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference_ngrams as reference
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgebert_runtime.errors import BundleError
from edgebert_runtime.features import InputSpec, length_of, load_featurizer, pad
from edgebert_runtime.ngrams import KINDS, Channel, build_table, ngram_hashes
from edgebert_runtime.words import SHAPES, WordsFeaturizer

CHANNELS = (Channel("word_ids", "word", (1, 1), 1000, 4), Channel("char_ids", "char", (3, 5), 1000, 4))
TEXTS = st.text(
    alphabet=st.one_of(
        st.sampled_from("abAB nN1't'’!.,ß İ日本😀\u0301\n\t0_-"), st.characters(exclude_categories=["Cs"])
    ),
    max_size=60,
)


def featurizer(*corpus: str, max_length: int = 8, keep: int = 1) -> WordsFeaturizer:
    """One that knows every n-gram of these texts, or every `keep`-th."""
    hashes = [np.unique(ngram_hashes(channel, corpus, 1000)[0])[::keep] for channel in CHANNELS]
    return WordsFeaturizer(CHANNELS, build_table(CHANNELS, hashes, max_length), max_length)


@settings(max_examples=100)
@given(corpus=st.lists(TEXTS, max_size=3), text=TEXTS, keep=st.integers(1, 3))
@example(["Tampa Bay"], "tampa BAY, 2 Éa", 1)
def test_each_word_has_its_rows(corpus: list[str], text: str, keep: int) -> None:
    made = featurizer(*corpus, max_length=10, keep=keep)
    vocabulary = reference.read_vocabulary(made.table)
    expected = vocabulary.words(0, 1, text.encode())[:10]
    (features,) = made([text])
    assert features["word_ids"].tolist() == [row[2] or made.unknown for row in expected]
    assert features["char_ids"].tolist() == [number for row in expected for number in row[3:15]]
    assert features["shape_ids"].tolist() == [row[15] for row in expected]
    for spec in made.inputs:
        ids = features[spec.name]
        assert ids.dtype == np.int32 and len(ids) == spec.per_length * len(expected)
        assert ((ids >= 0) & (ids < spec.rows)).all()


def test_an_unknown_word_has_the_last_row_and_padding_the_first() -> None:
    made = featurizer("red fox", max_length=5)
    assert made.inputs == (
        InputSpec("word_ids", 1, 4),
        InputSpec("char_ids", 12, made.inputs[1].rows),
        InputSpec("shape_ids", 1, 8),
    )
    (features,) = made(["Red wolf fox"])
    assert made.unknown == 3 and features["word_ids"].tolist()[1] == 3
    assert sorted(features["word_ids"].tolist()) == [1, 2, 3]
    batch = pad([features], made.inputs, 5)
    assert batch["word_ids"][0, 3:].tolist() == [0, 0] and batch["char_ids"].shape == (1, 60)
    assert not batch["char_ids"][0, 36:].any() and batch["shape_ids"].tolist() == [[2, 1, 1, 0, 0]]


def test_a_text_is_the_same_in_any_company() -> None:
    texts = ["Red fox", "", "a日本 don't", " "]
    made = featurizer(*texts)
    for found, text in zip(made(texts), texts, strict=True):
        assert {name: ids.tolist() for name, ids in found.items()} == {
            name: ids.tolist() for name, ids in made([text])[0].items()
        }
    assert made([]) == []


def test_a_text_without_words() -> None:
    made = featurizer("red fox")
    (features,) = made([" \n"])
    assert all(len(ids) == 0 for ids in features.values()) and length_of(features, made.inputs) == 1
    assert made.spans("").shape == (0, 4) and made.spans("").dtype == np.int32


@settings(max_examples=100)
@given(text=TEXTS, max_length=st.integers(1, 12))
def test_spans_are_the_words_in_code_points(text: str, max_length: int) -> None:
    made = featurizer(text, max_length=max_length)
    words = reference.words(text.encode())
    spans = made.spans(text, cut=False)
    assert [text[start:end].encode() for start, end in spans[:, 2:]] == [
        text.encode()[word.start : word.end] for word in words
    ]
    assert spans[:, 0].tolist() == [0] * len(words) and spans[:, 1].tolist() == list(range(len(words)))
    cut = made.spans(text)
    assert cut.tolist() == spans[:max_length].tolist() and cut.dtype == np.int32
    assert len(cut) == len(made([text])[0]["word_ids"])


def test_pairs_are_refused() -> None:
    made = featurizer("red fox")
    for call in (lambda: made([("a", "b")]), lambda: made.spans(("a", "b"))):
        with pytest.raises(ValueError, match="one text, not a pair"):
            call()


def test_it_comes_back_from_its_spec_and_files() -> None:
    made = featurizer("a red fox ran")
    again = load_featurizer(made.spec(), made.files().__getitem__)
    assert isinstance(again, WordsFeaturizer) and again.spec() == made.spec() and again.files() == made.files()
    assert again(["a fox"])[0]["word_ids"].tolist() == made(["a fox"])[0]["word_ids"].tolist() != []


@pytest.mark.parametrize(
    "channels",
    [
        CHANNELS[:1],
        CHANNELS[::-1],
        (*CHANNELS, CHANNELS[1]),
        (Channel("word_ids", "word", (1, 2), 1000, 4), CHANNELS[1]),
        (CHANNELS[0], CHANNELS[0]),
        (),
    ],
)
def test_other_channels_are_refused(channels: tuple[Channel, ...]) -> None:
    empty = [np.zeros(0, np.uint64)] * len(channels)
    table = build_table(channels, empty, 8)
    with pytest.raises(ValueError, match="single words, then characters"):
        WordsFeaturizer(channels, table, 8)


def test_more_rows_than_the_channel_has_is_an_error() -> None:
    channels = (Channel("word_ids", "word", (1, 1), 2, 4), CHANNELS[1])
    many = np.arange(3, dtype=np.uint64) << np.uint64(50)
    with pytest.raises(ValueError, match="table of channel 'word_ids' has too many rows"):
        WordsFeaturizer(channels, build_table(channels, [many, many], 8), 8)


@pytest.mark.parametrize(
    "change",
    [
        {"channels": None},
        {"channels": [{"name": "a"}]},
        {"max_length": 0},
        {"max_length": 9},
        {"max_length": "many"},
        {"table": None},
    ],
)
def test_a_wrong_spec_is_a_bundle_error(change: dict[str, Any]) -> None:
    made = featurizer("a red fox ran")
    with pytest.raises(BundleError, match="the words featurizer cannot be read"):
        load_featurizer({**made.spec(), **change}, lambda name: made.files().get(name, b""))


def test_every_cut_of_the_table_is_an_error() -> None:
    made = featurizer("a red fox ran")
    for end in range(0, len(made.table), 5):
        with pytest.raises(BundleError, match="the words featurizer cannot be read"):
            load_featurizer(made.spec(), lambda _, end=end: made.table[:end])  # type: ignore[misc]


def test_shapes_are_those_of_the_core() -> None:
    assert len(reference.SHAPES) == SHAPES and KINDS == ("word", "char")
