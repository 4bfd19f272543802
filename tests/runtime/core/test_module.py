"""The Python extension: how texts reach the core, what is refused, and threads."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference_model as model
import reference_ngrams as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_ngrams import CHARACTERS, WORDS

from edgebert_runtime import _core

TEXTS = ["the red fox didn't run", "", "über Straße 日本語 😀", " \n", "no " * 500, "the\x00fox"]
VOCABULARY = b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\nred\nfox\n##s\nno\n!\n"
TABLE = reference.write_vocabulary(
    100,
    [
        (*channel, bits, [new for text in TEXTS for new in reference.hashes(*channel, 100, text.encode())])
        for channel, bits in (((WORDS, 1, 1), 1), ((CHARACTERS, 2, 3), 2))
    ],
)


def make_model(pairs: bool = False) -> Any:
    sizes = model.Sizes(3, 32, (32, 64), model.PAIRS * pairs, 8, 1)
    return _core.Model(model.write(sizes, model.random_sections(sizes, TABLE)), _core.features())


SINGLE, PAIRED, NGRAMS, PIECES = make_model(), make_model(True), _core.Ngrams(TABLE), _core.WordPiece(VOCABULARY, 3)
# Whatever takes texts, as a function of the texts alone; the last two take pairs, too.
CALLS: dict[str, Callable[..., Any]] = {
    "hashes": lambda texts: _core.ngram_hashes(CHARACTERS, 1, 3, 50, texts),
    "words": _core.ngram_words,
    "rows": lambda texts: NGRAMS.ids(1, texts),
    "words with rows": lambda texts: NGRAMS.words(0, 1, 50, texts),
    "logits": lambda texts: SINGLE.logits(texts, None),
    "pieces": lambda texts: PIECES.ids(texts, None, 16),
    "logits of first": lambda texts: PAIRED.logits(texts, ["b"] * count(texts)),
    "logits of second": lambda texts: PAIRED.logits(["b"] * count(texts), texts),
    "pieces of pairs": lambda texts: PIECES.ids(texts, texts, 16),
}
PAIR_CALLS: dict[str, Callable[..., Any]] = {
    "logits": PAIRED.logits,
    "pieces": lambda a, b: PIECES.ids(a, b, 16),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
each_pair_call = pytest.mark.parametrize("call", PAIR_CALLS.values(), ids=PAIR_CALLS)


def count(texts: Any) -> int:
    if isinstance(texts, tuple) and len(texts) == 2 and not isinstance(texts[0], str):
        return len(memoryview(texts[1]).cast("B")) // 8 - 1
    return len(texts) if hasattr(texts, "__len__") else 1


def arrow(texts: list[str]) -> tuple[bytes, bytes]:
    contents = [text.encode() for text in texts]
    return b"".join(contents), np.cumsum([0, *map(len, contents)]).astype(np.int64).tobytes()


# ---- texts


@each_call
def test_arrow_says_the_same_as_a_list(call: Callable[..., Any]) -> None:
    data, offsets = arrow(TEXTS)
    expected = call(TEXTS)
    for first in (data, bytearray(data), memoryview(data), np.frombuffer(data, np.uint8)):
        for second in (offsets, bytearray(offsets), np.frombuffer(offsets, np.int64)):
            assert call((first, second)) == expected


@each_call
def test_arrow_may_be_a_slice_of_a_larger_array(call: Callable[..., Any]) -> None:
    data, offsets = arrow(["before", *TEXTS, "behind"])
    assert call((data, offsets[8:-8])) == call(TEXTS)
    assert call((b"", bytes(8))) == call([])
    assert call((b"", bytes(24))) == call(["", ""])


@settings(max_examples=100)
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=6))
def test_arrow_says_the_same_as_a_list_whatever_the_texts(texts: list[str]) -> None:
    for call in CALLS.values():
        assert call(arrow(texts)) == call(texts)


@each_call
def test_any_sequence_of_texts_will_do(call: Callable[..., Any]) -> None:
    expected = call(TEXTS)
    assert call(tuple(TEXTS)) == expected
    assert call(np.array(TEXTS, dtype=object)) == expected
    assert call(dict.fromkeys(TEXTS).keys()) == expected

    class Text(str):
        pass

    assert call([Text(text) for text in TEXTS]) == expected


@each_call
def test_no_text_has_no_answer(call: Callable[..., Any]) -> None:
    found = call([])
    parts = found if isinstance(found, tuple) else (found,)
    assert all(isinstance(part, bytearray) for part in parts)
    assert [len(part) for part in parts[:-1]] == [0] * (len(parts) - 1)
    assert len(parts[-1]) == (8 if len(parts) > 1 else 0)  # one offset, or no logits


@each_call
@pytest.mark.parametrize(
    "offsets",
    [[-1, 3], [0, -1], [0, 12], [4, 3], [0, 5, 4], [0, 2**62], [2**62, 2**62 + 1], [-(2**63), 2], [0, 11, 12, 2]],
)
def test_offsets_outside_the_data_are_refused(call: Callable[..., Any], offsets: list[int]) -> None:
    with pytest.raises(ValueError, match=r"the offsets of text \d lie outside the data"):
        call((b"hello there", np.array(offsets, np.int64)))


@each_call
@pytest.mark.parametrize("size", [0, 1, 7, 9, 12, 15])
def test_offsets_of_another_size_are_refused(call: Callable[..., Any], size: int) -> None:
    with pytest.raises(ValueError, match="offsets must be int64 numbers"):
        call((b"hello there", bytes(size)))


@each_call
def test_half_a_surrogate_pair_is_refused_with_the_texts_number(call: Callable[..., Any]) -> None:
    for place in (0, 1, 3):
        texts = ["fine"] * 4
        texts[place] = "a \ud83d b"
        with pytest.raises(ValueError, match=f"text {place + 1} is not valid Unicode") as caught:
            call(texts)
        assert type(caught.value) is ValueError  # no UnicodeEncodeError, whose text says nothing to a user


@each_call
@pytest.mark.parametrize("wrong", [None, b"bytes", 3, ["nested"], ("a", "b")])
def test_what_is_no_text_is_named(call: Callable[..., Any], wrong: Any) -> None:
    with pytest.raises(TypeError, match="text 2 must be a str"):
        call(["a", wrong, "c"])


@each_call
def test_a_str_is_not_a_list(call: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="a sequence of texts, not one str"):
        call("a b c")


@each_call
@pytest.mark.parametrize("wrong", [3, 2.5, object()])
def test_what_is_no_sequence(call: Callable[..., Any], wrong: Any) -> None:
    with pytest.raises(TypeError, match="not iterable"):
        call(wrong)


@each_call
def test_an_error_of_the_iterator_comes_through(call: Callable[..., Any]) -> None:
    class Broken(list[str]):
        def __iter__(self) -> Any:
            yield "a"
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        call(Broken(["a", "b"]))


@each_call
def test_memory_comes_back(call: Callable[..., Any]) -> None:
    """Texts and buffers are let go of, whether there is an answer or not."""
    texts = ["".join(["te", "xt"]) for _ in range(3)]
    data, offsets = (bytearray(part) for part in arrow(texts))
    before = [sys.getrefcount(item) for item in (texts, *texts)]
    call(texts)
    with pytest.raises(TypeError):
        call([*texts, 3])
    call((data, offsets))
    with pytest.raises(ValueError):
        call((data, np.array([0, 99], np.int64)))
    gc.collect()
    assert [sys.getrefcount(item) for item in (texts, *texts)] == before
    data.append(0), offsets.append(0)  # a bytearray that someone still reads cannot grow


# ---- pairs


@each_pair_call
def test_as_many_second_texts_as_first(call: Callable[..., Any]) -> None:
    for first, second in ((["a"], ["b", "c"]), (["a", "b"], []), ([], ["a"])):
        with pytest.raises(ValueError, match=f"{len(first)} texts but {len(second)} second texts"):
            call(first, second)
        with pytest.raises(ValueError, match=f"{len(first)} texts but {len(second)} second texts"):
            call(arrow(first), second)


@each_pair_call
def test_each_half_of_a_pair_may_be_arrow(call: Callable[..., Any]) -> None:
    expected = call(TEXTS, TEXTS[::-1])
    assert call(arrow(TEXTS), TEXTS[::-1]) == call(TEXTS, arrow(TEXTS[::-1])) == expected
    assert call(arrow(TEXTS), arrow(TEXTS[::-1])) == expected
    assert call(["", ""], ["", ""]) == call((b"", bytes(24)), (b"", bytes(24)))


def test_pairs_only_where_they_are_taken() -> None:
    for opened, second in ((SINGLE, ["b"]), (PAIRED, None)):
        with pytest.raises(ValueError, match="a pair was given where one text is taken, or the reverse"):
            opened.logits(["a"], second)
        assert opened.logits(["a"], ["b"] if second is None else None)


# ---- handles


@pytest.mark.parametrize(
    "make", [_core.Ngrams, lambda file: _core.Model(file, 0), lambda file: _core.WordPiece(file, 0)]
)
def test_a_file_is_a_buffer(make: Callable[[Any], object]) -> None:
    for wrong in (None, 3, ["a"]):
        with pytest.raises(TypeError):
            make(wrong)
    with pytest.raises(ValueError):
        make(b"")


def test_a_handle_keeps_its_file() -> None:
    content = bytearray(TABLE)
    ngrams = _core.Ngrams(content)
    with pytest.raises(BufferError):
        content.append(0)
    expected = ngrams.ids(0, TEXTS)
    del ngrams
    content.append(0)
    made = [_core.Ngrams(bytes(bytearray(TABLE))) for _ in range(50)]  # nobody else holds those bytes
    gc.collect()
    assert all(item.ids(0, TEXTS) == expected for item in made)


def test_a_refused_file_is_let_go_of() -> None:
    for make in (_core.Ngrams, lambda content: _core.Model(content, 0)):
        content = bytearray(b"nothing that opens")
        with pytest.raises(ValueError):
            make(content)
        content.append(0)


def test_answers_are_the_callers_own() -> None:
    first = SINGLE.logits(TEXTS, None)
    kept = bytes(first)
    SINGLE.logits(TEXTS[::-1], None)
    assert first == kept
    np.frombuffer(first, np.float32)[0] = 5.0  # and may be written to
    assert SINGLE.logits(TEXTS, None) == kept


def test_long_answers_too() -> None:
    """More hashes than there are bytes in the text: the array grows in the middle of a text."""
    text = "a" * 64
    hashes, _ = _core.ngram_hashes(CHARACTERS, 1, 8, 10, [text, "b", text])
    expected = reference.hashes(CHARACTERS, 1, 8, 10, text.encode())
    found = np.frombuffer(hashes, np.uint64).tolist()
    assert len(expected) > 2 * len(text) + 64
    assert found[: len(expected)] == found[-len(expected) :] == expected


# ---- threads


def test_eight_threads_get_the_same_answers() -> None:
    """One handle, many threads: each call has memory of its own."""
    many = [f"{text} {number}" for number in range(40) for text in TEXTS]
    expected = {name: call(many) for name, call in CALLS.items()}
    wrong: list[object] = []
    start = threading.Barrier(8)

    def work(offset: int) -> None:
        try:
            start.wait()
            for number in range(3 * len(CALLS)):
                name = list(CALLS)[(offset + number) % len(CALLS)]
                if CALLS[name](many) != expected[name]:
                    wrong.append(name)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_list_that_another_thread_empties() -> None:
    """The texts of a call are those that were there when it began."""
    texts = ["the red fox ran"] * 2000
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            texts.clear()
            texts.extend("the red fox ran" + str(number) for number in range(2000))

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(50):
            _, offsets = _core.ngram_words(texts)
            found = np.diff(np.frombuffer(offsets, np.int64))
            assert len(found) <= 2000 and set(found.tolist()) <= {4}
    finally:
        stop.set()
        thread.join()


@settings(max_examples=50)
@given(
    logits=st.lists(st.lists(st.floats(-50, 50), min_size=3, max_size=3), max_size=4),
    temperature=st.floats(0.05, 20),
)
def test_softmax_at_a_temperature(logits: list[list[float]], temperature: float) -> None:
    rows = np.array(logits, np.float64).reshape(-1, 3)
    found = np.array(_core.softmax(rows.data, 3, temperature)).reshape(-1, 3)
    powers = np.exp((rows - rows.max(1, keepdims=True, initial=-np.inf)) / temperature)
    assert np.allclose(found, powers / powers.sum(1, keepdims=True), atol=1e-12)
    assert _core.softmax(rows.data, 3, 1.0) == _core.softmax(rows.data, 3)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_makes_no_sense(temperature: float) -> None:
    with pytest.raises(ValueError, match="makes no sense"):
        _core.softmax(np.zeros(3).data, 3, temperature)
