"""A teacher's words beside a student's: by the character at which ours begins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert.distillation.align import Units, align, check_tokens, ranges_of, same_tokens
from edgebert.tasks.heads import Head
from edgebert_runtime.errors import UsageError
from edgebert_runtime.features import Text, WordPiece
from edgebert_runtime.units import units

LETTERS = "abcdefgh"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
SPELLING = [*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS), ".", "'", "é"]
WHOLE = [*SPECIAL, "abc", "de", "fgh", "##d", "a", "b", "##c", "##gh", "."]
TEXTS = st.text(alphabet=LETTERS + " .'éÉ\t一", max_size=40)


def reader(vocabulary: list[str], max_length: int = 60, pair: bool = False, lowercase: bool = True) -> WordPiece:
    return WordPiece(vocabulary, lowercase, max_length, pair)


@st.composite
def words(draw: st.DrawFn) -> np.ndarray:
    """Words of one or two halves: each with a start and an end, none of them overlapping."""
    rows = []
    for half in range(draw(st.integers(0, 2))):
        borders = sorted(draw(st.sets(st.integers(0, 30), max_size=12)))
        rows += [(half, start, end) for start, end in zip(borders[::2], borders[1::2], strict=False)]
    return np.array(rows, np.int32).reshape(-1, 3)


@settings(max_examples=300)
@given(ours=words(), theirs=words())
def test_each_word_takes_the_one_that_holds_its_first_character(ours: np.ndarray, theirs: np.ndarray) -> None:
    found = align(ours, theirs)
    assert len(found) == len(ours)
    for (half, start, _), index in zip(ours.tolist(), found.tolist(), strict=True):
        holding = [n for n, word in enumerate(theirs.tolist()) if word[0] == half and word[1] <= start < word[2]]
        assert [index] == (holding or [-1])


@settings(max_examples=150)
@given(text=TEXTS)
def test_the_same_tokens_are_copied_one_by_one(text: str) -> None:
    _, ranges = ranges_of(reader(SPELLING).spans(text))
    assert align(ranges, ranges).tolist() == list(range(len(ranges)))


@settings(max_examples=150)
@given(text=TEXTS | st.tuples(TEXTS, TEXTS))
def test_other_vocabularies_begin_words_at_the_same_characters(text: Text) -> None:
    """Both split at spaces and punctuation, so each word of the one is a word of the other, whatever its pieces."""
    pair = isinstance(text, tuple)
    ours, theirs = (ranges_of(reader(v, 200, pair).spans(text))[1] for v in (SPELLING, WHOLE))
    assert align(ours, theirs).tolist() == list(range(len(theirs)))
    halves = text if isinstance(text, tuple) else (text,)
    assert all(not halves[half][start].isspace() for half, start, _ in ours.tolist())


@settings(max_examples=100)
@given(text=TEXTS, room=st.integers(4, 12))
def test_what_the_teacher_cut_off_it_says_nothing_of(text: str, room: int) -> None:
    _, ours = ranges_of(reader(SPELLING, 200).spans(text))
    _, theirs = ranges_of(reader(SPELLING, room).spans(text))
    kept = len(theirs)
    assert align(ours, theirs).tolist() == [*range(kept), *[-1] * (len(ours) - kept)]


def test_a_longer_word_of_theirs_holds_several_of_ours() -> None:
    ours = np.array([[0, 0, 1], [0, 1, 2], [0, 2, 3], [0, 5, 9], [1, 0, 2]], np.int32)
    theirs = np.array([[0, 0, 3], [0, 4, 5], [1, 0, 1]], np.int32)
    assert align(ours, theirs).tolist() == [0, 0, 0, -1, 2]


def test_two_words_in_one_character_are_two() -> None:
    both = np.array([[0, 0, 1], [0, 0, 1], [0, 1, 2]], np.int32)
    assert align(both, both).tolist() == [0, 1, 2]


def test_the_same_tokens_are_the_same_vocabulary_read_the_same_way() -> None:
    student = reader(SPELLING, 20)
    assert same_tokens(student, reader(SPELLING, 20)) and same_tokens(student, reader(SPELLING, 30))
    assert same_tokens(student, WordPiece(SPELLING, True, 20, strip_accents=True))
    others = [
        reader(WHOLE, 20),
        reader(SPELLING, 19),
        reader(SPELLING, 20, pair=True),
        reader(SPELLING, 20, False, False),
    ]
    others.append(WordPiece(SPELLING, True, 20, strip_accents=False))
    assert not any(same_tokens(student, other) for other in others)


@pytest.mark.parametrize(
    "head", [Head("logits", 2, "positions", per_token=True), Head("logits", 9, "classes", per_token=True, tied=True)]
)
def test_heads_that_speak_of_single_tokens_want_the_same_ones(head: Head) -> None:
    check_tokens("question-answering", (head,), reader(SPELLING), reader(SPELLING))
    with pytest.raises(UsageError) as caught:
        check_tokens("question-answering", (head,), reader(SPELLING), reader(WHOLE))
    assert str(caught.value) == (
        "the teacher and the student must read the same tokens for question-answering; take a mobilebert student."
    )
    with pytest.raises(UsageError, match=r"would read 21 tokens and the teacher 20, .* take --max-length 20 or less"):
        check_tokens("question-answering", (head,), reader(SPELLING, 21), reader(SPELLING, 20))
    check_tokens(
        "token-classification", (Head("logits", 2, "classes", per_token=True),), reader(SPELLING), reader(WHOLE)
    )


def test_units_are_looked_up_when_they_are_asked_for() -> None:
    texts = ["abc de", "", "a.b"]
    found = Units(reader(SPELLING), texts)
    assert len(found) == 3
    assert [found[n].tolist() for n in range(3)] == [units(reader(SPELLING).spans(text)).tolist() for text in texts]
    assert found[0].tolist() == [1, 4] and found[2].tolist() == [1, 2, 3]
