"""Answers of masked-lm: gaps and their words, long texts, margins, and what is refused."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert_runtime.decode import Asked, ask, get_decoder
from edgebert_runtime.decode.masked_lm import Filled
from edgebert_runtime.errors import BundleError, DataError
from edgebert_runtime.features import WordPiece

WORDS = WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "dog", "##s", "the", "é"], True, 12)
DECODER = get_decoder("masked-lm")
WIDTH = 10


def asked_for(*texts: str) -> Asked:
    return ask(DECODER, texts, WORDS, {}, {})


def rows_of(asked: Asked, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    lengths = [len(item["input_ids"]) for item in WORDS(asked.read)]
    return [random.normal(size=(length, WIDTH)).astype(np.float32) for length in lengths]


def test_the_five_best_words_of_each_gap() -> None:
    asked = asked_for("😀 the [MASK] é[MASK].", "the cat")
    logits = rows_of(asked)
    # [CLS] 😀 the [MASK] é [MASK] . [SEP]
    logits[0][3] = [-9, -9, -9, -9, -9, 3, 4, 1, 2, 0]
    filled, nothing = DECODER.decode({"logits": logits}, asked)
    first, second = filled.gaps
    assert [guess.word for guess in first.words] == ["dog", "cat", "the", "##s", "é"]
    total = sum(math.exp(x) for x in logits[0][3].tolist())
    assert [guess.probability for guess in first.words] == pytest.approx([math.exp(x) / total for x in (4, 3, 2, 1, 0)])
    assert (first.start, first.end, first.byte_start, first.byte_end) == (6, 12, 9, 15)
    assert (first.utf16_start, first.utf16_end) == (7, 13)
    assert (second.start, second.end, second.byte_start, second.utf16_start) == (14, 20, 18, 15)
    assert [guess.word for guess in second.words] == [
        WORDS.vocabulary[index] for index in np.argsort(-logits[0][5], kind="stable")[:5]
    ]
    assert nothing == Filled(()) and nothing.summary() == "-"
    assert filled.summary().startswith("dog 0.") and filled.summary().count(" | ") == 1
    plain = json.loads(json.dumps(filled.to_json()))
    assert plain["gaps"][0]["words"][0] == {"word": "dog", "probability": first.words[0].probability}
    assert plain["gaps"][0]["start"] == 6


def test_columns_without_a_word_are_never_the_answer() -> None:
    asked = asked_for("[MASK]")
    rows = np.zeros((3, WIDTH + 6), np.float32)
    rows[1, WIDTH:] = 5.0
    (filled,) = DECODER.decode({"logits": [rows]}, asked)
    assert [guess.word for guess in filled.gaps[0].words] == WORDS.vocabulary[:5]
    assert filled.gaps[0].words[0].probability == pytest.approx(1 / (10 + 6 * math.exp(5)))


def test_each_gap_of_a_long_text_is_answered_where_it_has_most_context() -> None:
    text = "the [MASK] " * 12 + "dog"
    asked = asked_for(text)
    assert asked.pieces is not None and len(asked.pieces) > 2
    rows = []
    for number, item in enumerate(WORDS(asked.read)):
        ids = item["input_ids"]
        row = np.zeros((len(ids), WIDTH), np.float32)
        # The answer says how near a gap stands to an end of its piece, and in which piece.
        row[np.arange(len(ids)), 0] = np.minimum(np.arange(len(ids)), len(ids) - 1 - np.arange(len(ids)))
        row[:, 1] = number
        rows.append(row)
    (filled,) = DECODER.decode({"logits": rows}, asked)
    assert [(gap.start, text[gap.start : gap.end]) for gap in filled.gaps] == [
        (4 + 11 * n, "[MASK]") for n in range(12)
    ]
    best: dict[int, float] = {}
    for piece, item, row in zip(asked.pieces, WORDS(asked.read), rows, strict=True):
        for token in np.flatnonzero(item["input_ids"] == 4):
            start = int(WORDS.spans(piece.text)[token, 2]) + piece.start
            best[start] = max(best.get(start, 0), float(row[token, 0]))
    for gap in filled.gaps:
        odds = {guess.word: guess.probability for guess in gap.words}
        if best[gap.start] > 2:  # else the number of its piece may be among the best
            assert math.log(odds["[PAD]"] / odds["[CLS]"]) == pytest.approx(best[gap.start])


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.lists(st.sampled_from(["[MASK]", "the", "cats", "?"]), min_size=1, max_size=20))
def test_margins_are_what_the_numbers_may_move_by(seed: int, words: list[str]) -> None:
    asked = asked_for(" ".join(words))
    rows = rows_of(asked, seed)
    (margin,) = DECODER.margins({"logits": rows}, asked)
    if "[MASK]" not in words:
        assert margin is None
        return
    assert margin is not None
    random = np.random.default_rng(seed)

    def answer(by: float) -> list[list[str]]:
        moved = [row + by * random.choice([-1.0, 1.0], row.shape) for row in rows]
        (filled,) = DECODER.decode({"logits": moved}, asked)
        return [[guess.word for guess in gap.words] for gap in filled.gaps]

    assert answer(0.99 * margin) == answer(0.0)


def test_the_margin_is_tight() -> None:
    asked = asked_for("[MASK]")
    rows = np.zeros((3, WIDTH), np.float32)
    rows[1] = [0, 10, 9, 8, 7, 6.5, 6.1, 3, 2, 1]  # the fifth and the sixth are nearest
    assert DECODER.margins({"logits": [rows]}, asked) == [pytest.approx(0.2)]


def test_a_text_without_a_gap_is_refused_and_named() -> None:
    assert DECODER.check_text is not None
    DECODER.check_text("the [MASK]", 1)
    for text in ("the cat", "[mask]", "[ MASK ]", ""):
        with pytest.raises(DataError) as caught:
            DECODER.check_text(text, 3)
        assert str(caught.value) == "text 3 holds no [MASK]. Write [MASK] where a word is missing."


def test_a_tokenizer_without_the_token_is_refused() -> None:
    asked = asked_for("the cat")._replace(featurizer=WordPiece([*WORDS.vocabulary[:4], "the"], True, 12))
    with pytest.raises(BundleError, match=r"needs a tokenizer with the token \[MASK\]"):
        DECODER.decode({"logits": [np.zeros((4, 5), np.float32)]}, asked)


def test_outputs_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="a row for each token"):
        DECODER.decode({"logits": [np.zeros((7, WIDTH), np.float32)]}, asked_for("the [MASK]"))
