"""WordPiece against transformers' BertTokenizerFast, and the ragged batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgebert_runtime.errors import BundleError
from edgebert_runtime.features import InputSpec, Text, WordPiece, length_of, load_featurizer, pad

TEXT = st.one_of(
    st.text(max_size=80),
    st.lists(
        st.sampled_from(
            [
                "The",
                "cat",
                "naïve",
                "ÉCOLE",
                "don't",
                "日本語",
                "😀",
                "[SEP]",
                "[MASK]",
                "[CLS]",
                "##ing",
                "a" * 101,
                "x" * 100,
                "\u0000",
                "\ufffd",
                "\u00ad",
                "\u200b",
                "ﬁ",
                "İ",
                "ß",
                "e\u0301",
                "1,000.50",
                "...",
                "\t",
                "\r\n",
                "\u3000",
                "中a文",
            ]
        ),
        max_size=20,
    ).map(" ".join),
)
SETTINGS = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Both:
    """Ours and theirs, over one vocabulary."""

    def __init__(self, path: Path, lowercase: bool) -> None:
        self.lines = path.read_text(encoding="utf-8").splitlines()
        self.lowercase = lowercase
        transformers = pytest.importorskip("transformers")
        self.theirs = transformers.BertTokenizerFast(vocab=str(path), do_lower_case=lowercase)
        self.ours: dict[Any, WordPiece] = {}

    def check(self, text: Text, max_length: int) -> None:
        pair = isinstance(text, tuple)
        key = (max_length, pair)
        if key not in self.ours:
            self.ours[key] = WordPiece(self.lines, self.lowercase, max_length, pair)
        (got,) = self.ours[key]([text])
        halves = text if isinstance(text, tuple) else (text,)
        # As a batch of one: called with two strings, transformers takes an empty second one for none.
        batch = self.theirs(*([half] for half in halves), truncation="longest_first", max_length=max_length)
        expected = {name: values[0] for name, values in batch.items()}
        for name in ("input_ids", "attention_mask", *(["token_type_ids"] if pair else [])):
            assert got[name].tolist() == expected[name], (name, text)
            assert got[name].dtype == np.int32


@pytest.fixture(scope="module", params=["uncased", "cased"])
def both(request: pytest.FixtureRequest, shared_data: Path) -> Both:
    path = shared_data / "vocab" / f"bert-base-{request.param}-vocab.txt"
    return Both(path, request.param == "uncased")


@SETTINGS
@given(text=TEXT, max_length=st.sampled_from([4, 5, 7, 128]))
def test_ids_are_hugging_faces(both: Both, text: str, max_length: int) -> None:
    both.check(text, max_length)


@SETTINGS
@given(a=TEXT, b=TEXT, max_length=st.sampled_from([4, 5, 12, 128]))
def test_ids_of_pairs_are_hugging_faces(both: Both, a: str, b: str, max_length: int) -> None:
    both.check((a, b), max_length)


def test_long_texts_are_cut_as_hugging_face_cuts_them(both: Both) -> None:
    for text in ("a" * 100_000, "no way! " * 12_500, "日" * 100_000):
        both.check(text, 128)
        both.check((text, "short"), 64)
        both.check(("short", text), 64)
        # The oracle builds each piece that it cuts off, the product of both lengths: hence the shorter texts.
        both.check((text[:2000], text[:3000]), 63)
        both.check((text[:3000], text[:2000]), 64)


def test_the_tiny_vocabulary_too(tiny_encoder: Path) -> None:
    small = Both(tiny_encoder / "vocab.txt", lowercase=True)
    for text in ("the CAT is hereing!", "", "zzz [PAD] q", ("a frog", "the river"), ("", "")):
        small.check(text, 16)


def word_piece(**options: Any) -> WordPiece:
    return WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "cat", "##s"], True, **{"max_length": 8, **options})


def test_a_featurizer_comes_back_from_its_spec_and_files() -> None:
    one = word_piece(pair=True, min_length=3, strip_accents=False)
    again = load_featurizer(one.spec(), one.files().__getitem__)
    assert again.spec() == one.spec() and again.files() == one.files() and again.inputs == one.inputs
    assert again.min_length == 3
    text = ("cats", "cat é")
    assert {k: v.tolist() for k, v in again([text])[0].items()} == {k: v.tolist() for k, v in one([text])[0].items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_length": 2}, "impossible"),
        ({"max_length": -1}, "impossible"),
        ({"max_length": 10**30}, "impossible"),
        ({"min_length": 0}, "impossible"),
        ({"min_length": 9}, "impossible"),
        ({"strip_accents": "yes"}, "cannot be read"),
        ({"max_length": None}, "cannot be read"),
    ],
)
def test_a_wrong_spec_is_a_bundle_error(change: dict[str, Any], message: str) -> None:
    one = word_piece()
    with pytest.raises(BundleError, match=message):
        load_featurizer({**one.spec(), **change}, one.files().__getitem__)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no \\[PAD\\]"),
        (b"[UNK]\n[PAD]\n[CLS]\n[SEP]\n", "first vocabulary entry"),
        (b"[PAD]\n[UNK]\n[CLS]\n", "no \\[SEP\\]"),
        (b"[PAD]\n\xff\n", "utf-8"),
    ],
)
def test_a_wrong_vocabulary_is_a_bundle_error(content: bytes, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        load_featurizer(word_piece().spec(), lambda _: content)


def test_texts_and_pairs_are_told_apart() -> None:
    with pytest.raises(ValueError, match="one text, not a pair"):
        word_piece()([("a", "b")])
    with pytest.raises(ValueError, match="pairs of texts"):
        word_piece(pair=True)(["a"])
    assert word_piece()([]) == []


def test_padding_and_lengths() -> None:
    inputs = (InputSpec("a", 1, 9), InputSpec("b", 3, 9))
    features = {"a": np.array([1, 2], np.int32), "b": np.arange(1, 8, dtype=np.int32)}
    empty = {"a": np.zeros(0, np.int32), "b": np.zeros(0, np.int32)}
    assert length_of(features, inputs) == 3 and length_of(empty, inputs) == 1
    batch = pad([features, empty], inputs, 3)
    assert batch["a"].tolist() == [[1, 2, 0], [0, 0, 0]]
    assert batch["b"].shape == (2, 9) and batch["b"][0].tolist() == [1, 2, 3, 4, 5, 6, 7, 0, 0]
    with pytest.raises(ValueError):
        pad([features], inputs, 2)
