"""Windows of a text: the ids of each are a slice of the ids of the whole, and each word is answered once."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import span_texts
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert_runtime.decode import Asked
from edgebert_runtime.decode.windows import most_context, windows
from edgebert_runtime.decode.words import answered, cut_at_words, read_words
from edgebert_runtime.features import WordPiece
from edgebert_runtime.units import units

SETTINGS = settings(max_examples=150)
LONG = st.lists(st.one_of(st.sampled_from(span_texts.SNIPPETS), st.text(max_size=8)), min_size=5, max_size=80)


@functools.cache
def featurizer(max_length: int, lowercase: bool = True, pair: bool = False) -> WordPiece:
    lines = span_texts.vocabulary().read_text(encoding="utf-8").splitlines()
    return WordPiece(lines, lowercase, max_length, pair)


def ids(text: str, lowercase: bool) -> list[int]:
    return featurizer(100_000, lowercase)([text])[0]["input_ids"][1:-1].tolist()


def check(text: str, room: int, overlap: int, lowercase: bool) -> None:
    spans = featurizer(100_000, lowercase).spans(text)[1:-1]
    found = windows(spans, len(text), room, overlap)
    whole = ids(text, lowercase)
    assert found[0][0] == 0 and found[-1][1] == len(text)
    covered = 0  # tokens
    for number, (start, end) in enumerate(found):
        inside = np.flatnonzero((spans[:, 2] >= start) & (spans[:, 2] < max(end, start + 1)))
        first, last = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)
        got = ids(text[start:end], lowercase)
        assert got == whole[first:last], (text, room, overlap, number)
        assert len(got) <= room or len(set(spans[first:last, 1].tolist())) == 1 or not separable(spans[first:last])
        assert first <= covered and (last > covered or last == len(whole))
        covered = last
    assert covered == len(whole)
    assert found == sorted(set(found))


def separable(spans: np.ndarray) -> bool:
    """Whether there is a place between two words that lies between two code points."""
    borders = units(spans)[1:]
    return any(spans[i, 2] >= spans[:i, 3].max() for i in borders)


@pytest.mark.parametrize("text", span_texts.AWKWARD)
@pytest.mark.parametrize("lowercase", [True, False])
def test_awkward_texts(text: str, lowercase: bool) -> None:
    for room, overlap in ((1, 0), (2, 1), (7, 2), (30, 10), (120, 30)):
        check(text, room, overlap, lowercase)


@SETTINGS
@given(
    words=LONG,
    glue=st.sampled_from([" ", ""]),
    room=st.integers(1, 40),
    share=st.floats(0, 0.9),
    lowercase=st.booleans(),
)
def test_the_ids_of_a_window_are_a_slice_of_the_whole(
    words: list[str], glue: str, room: int, share: float, lowercase: bool
) -> None:
    check(glue.join(words), room, int(room * share), lowercase)


@pytest.mark.parametrize("glue", [" ", ""])
def test_a_context_is_cut_as_a_text_is(glue: str) -> None:
    question, context = "who is the cat?", glue.join(span_texts.AWKWARD * 3)
    both = featurizer(64, pair=True)
    whole = both.spans((question, context), cut=False)
    inner = whole[whole[:, 0] == 1]
    room = 64 - 3 - int((whole[:, 0] == 0).sum())
    expected = ids(context, True)
    place = 0
    found = windows(inner, len(context), room, 16)
    assert len(found) > 5
    for start, end in found:
        got = both([(question, context[start:end])])[0]
        second = got["input_ids"][got["token_type_ids"] == 1][:-1].tolist()
        first = int(np.searchsorted(inner[:, 2], start)) if start else 0
        assert second == expected[first : first + len(second)][:room]
        assert first <= place
        place = first + len(second)


def test_neighbours_share_what_was_asked() -> None:
    text = " ".join(f"w{i}"[:1] for i in range(100))
    spans = featurizer(1000).spans(text)[1:-1]
    assert [(start // 2, end // 2 + end % 2) for start, end in windows(spans, len(text), 40, 10)] == [
        (0, 40),
        (30, 70),
        (60, 100),
    ]


def test_less_is_shared_where_the_next_word_would_not_fit() -> None:
    spans = np.asarray([[0, word, 2 * word, 2 * word + 1] for word in (0, 1, 2, 3, 3, 3, 4)], np.int32)
    assert windows(spans, 9, 4, 2) == [(0, 6), (4, 8), (6, 9)]  # the third word and the long fourth, not the second
    assert windows(spans, 9, 3, 2) == [(0, 6), (6, 8), (8, 9)]


def test_the_piece_with_most_context_answers() -> None:
    text = "a b c d e f g h i j k l m n o p"
    small = featurizer(10)  # eight words, two of them shared
    pieces = cut_at_words(["x y", text], small)
    assert [piece.text for piece in pieces] == ["x y", "a b c d e f g h ", "g h i j k l m n ", "m n o p"]
    assert [piece.owner for piece in pieces] == [0, 1, 1, 1] and [piece.start for piece in pieces] == [0, 0, 12, 24]
    asked = Asked(["x y", text], pieces, small, {}, {})
    rows = [np.full((length, 1), number) for number, length in enumerate(read_words(asked)[1].tolist())]
    words, numbers = answered(rows, asked)
    assert words.owners.tolist() == [0] * 2 + [1] * 16
    assert words.starts.tolist() == [0, 2, *range(0, 32, 2)]
    assert numbers[:, 0].tolist() == [0, 0, *[1] * 7, *[2] * 6, *[3] * 3]


@SETTINGS
@given(texts=st.lists(LONG.map(" ".join), min_size=1, max_size=3), length=st.integers(5, 40))
def test_each_word_of_the_whole_is_answered_once(texts: list[str], length: int) -> None:
    small = featurizer(length)
    pieces = cut_at_words(texts, small)
    asked = Asked(texts, pieces, small, {}, {})
    lengths = read_words(asked)[1]
    words, _ = answered([np.zeros((n, 1)) for n in lengths.tolist()], asked)
    for owner, text in enumerate(texts):
        spans = featurizer(100_000).spans(text)
        assert words.starts[words.owners == owner].tolist() == spans[units(spans), 2].tolist()


def test_two_words_in_one_code_point_come_from_one_piece() -> None:
    """They begin at the same place; the second has more context in the first piece than the first has."""
    one = np.zeros(4, np.int64)
    kept = most_context(one, np.asarray([3, 3, 3, 3]), np.asarray([0, 0, 1, 1]), np.asarray([1, 2, 2, 1]))
    assert kept.tolist() == [0, 1]


def test_outputs_of_another_length_are_refused() -> None:
    asked = Asked(["x y"], None, featurizer(10), {}, {})
    with pytest.raises(ValueError, match="a row for each token"):
        answered([np.zeros((3, 2))], asked)
