"""The core's n-grams against the reference in plain Python: words, hashes and rows of any text."""

from __future__ import annotations

import re
import struct
import unicodedata
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import reference_ngrams as reference
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference_ngrams import CHARACTERS, WORDS

from edgebert_runtime import _core

LONG = 1_000_000  # more words than any text here has
ODD = (
    "abcAB nNoOtT't'’''!.,?0_-ßſKÅİıΣσςǅﬁǰŉ日本中文ー々〇ハ한글ไทยनमस्ते\u0301\u0308\u200d\u200b\u00ad\ufe0f😀👩🏽🇩🇪"
    "\n\t \u00a0\u2028\u3000\x00\x01\x1c\x85\ufffd\uffff\U0001f600\U00020000\U0002ebef\U000313ff\U0010ffff\ue000①½²٣Ⅷª"
)
CHARACTER = st.one_of(st.sampled_from(ODD), st.characters(exclude_categories=["Cs"]))
TEXT = st.one_of(
    st.text(CHARACTER, max_size=60),
    st.lists(st.sampled_from(["not", "don't", "isn’t", "'tis", "Σας", "naïve", "日本語", "!", "a" * 70, "ǅ" * 40]))
    .map(" ".join),
)  # fmt: skip
ORDERS = st.integers(1, 8).flatmap(lambda high: st.tuples(st.integers(1, high), st.just(high)))
MANY = settings(max_examples=200)


def arrow(contents: list[bytes]) -> tuple[bytes, bytes]:
    return b"".join(contents), np.cumsum([0, *map(len, contents)]).astype(np.int64).tobytes()


def lists(found: tuple[bytearray, bytearray], dtype: Any) -> list[list[int]]:
    """The core's answer: one list of numbers a text."""
    values = np.frombuffer(found[0], dtype).tolist()
    offsets = np.frombuffer(found[1], np.int64).tolist()
    assert offsets[0] == 0 and offsets[-1] == len(values)
    return [values[start:end] for start, end in pairwise(offsets)]


def core_hashes(kind: int, low: int, high: int, max_length: int, *contents: bytes) -> list[list[int]]:
    return lists(_core.ngram_hashes(kind, low, high, max_length, arrow(list(contents))), np.uint64)


def core_words(content: bytes) -> list[tuple[int, int]]:
    ranges, offsets = _core.ngram_words(arrow([content]))
    found = np.frombuffer(ranges, np.uint32).reshape(-1, 2).tolist()
    assert np.frombuffer(offsets, np.int64).tolist() == [0, len(found)]
    return [tuple(item) for item in found]


# ---- characters


POINTS = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]


def test_the_table_is_pythons() -> None:
    """Word characters, spaces and lower case. The table is frozen at Unicode 14 (Python 3.11); of a later Python count
    only characters old enough not to change."""
    same = unicodedata.unidata_version == "14.0.0"
    records = reference.records()
    everything = "".join(map(chr, POINTS)) if same else "".join(c for c in map(chr, POINTS) if is_old(c))
    word = set(re.findall(r"\w", everything)) | {c for c in everything if unicodedata.category(c) in ("Mn", "Mc")}
    word -= {c for c in everything if unicodedata.name(c, "").startswith("VARIATION SELECTOR")}
    assert {c for c in everything if records[ord(c)][1] & reference.WORD} == word
    assert {c for c in everything if records[ord(c)][1] & reference.SPACE} == {c for c in everything if c.isspace()}
    for character in everything:
        if unicodedata.category(character) != "Cn":
            assert "".join(map(chr, reference.lower(ord(character)))) == character.lower(), ascii(character)


def is_old(character: str) -> bool:
    return unicodedata.ucd_3_2_0.category(character) != "Cn"


def test_characters_of_every_kind_one_by_one() -> None:
    """Alone and between letters: all small code points, and the borders and a few of the inside of each later range."""
    records = reference.records()
    chosen = [p for p in POINTS if p < 0x3400 or p % 401 == 0 or records[p] != records[p - 1]]
    contents = [f"{chr(point)} a{chr(point)}b".encode() for point in chosen]
    found = core_hashes(WORDS, 1, 1, LONG, *contents)
    for point, content, hashes in zip(chosen, contents, found, strict=True):
        assert hashes == reference.hashes(WORDS, 1, 1, LONG, content), hex(point)


# ---- words


def test_marks_belong_to_their_letters() -> None:
    """Vowels of Indic scripts, accents that stand apart; the mark that makes a heart red is no letter's."""
    text = "हिन्दी में cafe\u0301s ❤\ufe0fgood"
    spans = _core.ngram_words([text])[0]
    words = [text.encode()[a:b].decode() for a, b in np.frombuffer(spans, np.uint32).reshape(-1, 2)]
    assert words == ["हिन्दी", "में", "cafe\u0301s", "❤", "\ufe0f", "good"]


@MANY
@given(text=TEXT)
@example("don't n't 'a' a' ’b b’ c''d e'日 '' '")
@example("日本語, ok日本ok 日'a")
@example("")
@example(" \t\n\u3000")
def test_words_are_the_references(text: str) -> None:
    content = text.encode()
    assert core_words(content) == [(word.start, word.end) for word in reference.words(content)]


@MANY
@given(content=st.lists(st.one_of(TEXT.map(str.encode), st.binary(max_size=5)), max_size=8).map(b"".join))
@example(b"\xff")
@example(b"ab\xc3")
@example(b"\xe2\x80 don\xe2\x80\x99")
@example(b"\xed\xa0\x80\xf0\x9f\x98\xf4\x90\x80\x80\xc0\xaf")
def test_broken_utf8_is_read_as_python_replaces_it(content: bytes) -> None:
    assert core_words(content) == [(word.start, word.end) for word in reference.words(content)]
    cured = content.decode("utf-8", "replace").encode()
    for kind in (WORDS, CHARACTERS):
        (found,) = core_hashes(kind, 1, 3, LONG, content)
        assert found == reference.hashes(kind, 1, 3, LONG, content) == reference.hashes(kind, 1, 3, LONG, cured)


def test_words_by_example() -> None:
    def spelled(text: str) -> list[str]:
        content = text.encode()
        return [content[start:end].decode() for start, end in core_words(content)]

    assert spelled("Don't STOP!! it's n't, isn’t") == ["Don't", "STOP", "!", "!", "it's", "n't", ",", "isn’t"]
    assert spelled("'quoted' o''clock rock'n'roll '") == "' quoted ' o ' ' clock rock'n'roll '".split()
    assert spelled("😀👍 日本x") == ["😀", "👍", "日", "本", "x"]
    assert spelled("x日'日x") == ["x", "日", "'", "日", "x"]
    assert spelled("3.5_a\u0301b\u00adc") == ["3", ".", "5_a\u0301b", "\u00ad", "c"]


# ---- hashes


@MANY
@given(text=TEXT, kind=st.sampled_from([WORDS, CHARACTERS]), orders=ORDERS, max_length=st.integers(0, 12))
def test_hashes_are_the_references(text: str, kind: int, orders: tuple[int, int], max_length: int) -> None:
    content = text.encode()
    (found,) = core_hashes(kind, *orders, max_length, content)
    assert found == reference.hashes(kind, *orders, max_length, content)


def test_hashes_stay_what_they_are() -> None:
    """Bundles hold vocabularies of them: a change here makes each of those useless."""
    (words,) = core_hashes(WORDS, 1, 2, 9, b"Isn't it an internationalization ?")
    (characters,) = core_hashes(CHARACTERS, 3, 4, 9, "Straße".encode())
    assert [f"{value:016x}" for value in words[:3]] == ["ffdcec73a4f756b8", "759e533cca8150a6", "5b77398e8a86baa1"]
    assert [f"{value:016x}" for value in characters[:3]] == ["25b23c8bd9cec8d4", "ae78167196356b22", "c05aa167a1bf6b6c"]


def test_case_does_not_matter_and_neither_does_what_stands_around() -> None:
    (upper,) = core_hashes(WORDS, 1, 1, 9, "ΣΑΣ ÉCOLE STRASSE".encode())
    (lower,) = core_hashes(WORDS, 1, 1, 9, "σασ école strasse".encode())
    assert upper == lower
    (context,) = core_hashes(WORDS, 1, 1, 9, "σας".encode())  # a final sigma is written, never made
    assert context != lower[:1]


@pytest.mark.parametrize("size", [1, 7, 8, 9, 15, 16, 17, 62, 63, 64, 65, 66, 1000])
@pytest.mark.parametrize("letter", ["a", "é", "İ", "ⅷ", "𐐀"])
def test_long_words(size: int, letter: str) -> None:
    """Of the 64 first characters come character n-grams; of all of them the hash."""
    content = (letter * size).encode()
    for kind in (WORDS, CHARACTERS):
        assert core_hashes(kind, 1, 8, 3, content) == [reference.hashes(kind, 1, 8, 3, content)]
    longer = (letter * (size + 1)).encode()
    same = core_hashes(CHARACTERS, 2, 3, 3, content) == core_hashes(CHARACTERS, 2, 3, 3, longer)
    assert same == (len("".join(chr(p) for p in reference.lower(ord(letter)))) * size >= 64)


@pytest.mark.parametrize("count", [63, 64, 65, 127, 128, 129, 1000])
def test_long_texts(count: int) -> None:
    content = " ".join(f"w{number % 50}" for number in range(count)).encode()
    for kind in (WORDS, CHARACTERS):
        for max_length in (count - 1, count, count + 1):
            assert core_hashes(kind, 2, 3, max_length, content) == [
                reference.hashes(kind, 2, 3, max_length, content)
            ]  # fmt: skip


@pytest.mark.parametrize(
    "orders", [(0, 1), (2, 1), (1, 9), (9, 9), (0, 0), (2**32 - 1, 2**32 - 1), (1, 2**32 - 1)]
)  # fmt: skip
@pytest.mark.parametrize("kind", [WORDS, CHARACTERS])
def test_orders_that_make_no_sense(kind: int, orders: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="makes no sense"):
        _core.ngram_hashes(kind, *orders, 5, ["a"])


@pytest.mark.parametrize(("kind", "max_length"), [(2, 5), (-1, 5), (0, -1)])
def test_other_numbers_that_make_no_sense(kind: int, max_length: int) -> None:
    with pytest.raises(ValueError, match="makes no sense"):
        _core.ngram_hashes(kind, 1, 1, max_length, ["a"])


# ---- rows


CHANNELS = st.lists(
    st.tuples(st.sampled_from([WORDS, CHARACTERS]), ORDERS, st.integers(0, 6), st.integers(1, 4)),
    min_size=1,
    max_size=3,
)


@settings(max_examples=150)
@given(corpus=st.lists(TEXT, max_size=2), text=TEXT, channels=CHANNELS, max_length=st.integers(1, 12))
def test_rows_are_the_references(corpus: list[str], text: str, channels: list[Any], max_length: int) -> None:
    """Some n-grams of the corpus are left out, so that unknown ones lie between known ones."""
    made = []
    for kind, orders, bits, keep in channels:
        known = {new for item in [*corpus, text] for new in reference.hashes(kind, *orders, LONG, item.encode())}
        made.append((kind, *orders, bits, sorted(known)[::keep]))
    table = reference.write_vocabulary(max_length, made)
    vocabulary, ngrams = reference.read_vocabulary(table), _core.Ngrams(table)
    assert ngrams.rows() == tuple(len(channel.keys) + 1 for channel in vocabulary.channels)
    for index in range(len(channels)):
        found = lists(ngrams.ids(index, [text, *corpus]), np.int32)
        assert found == [vocabulary.ids(index, item.encode()) for item in [text, *corpus]]


def vocabulary_of(content: bytes, channel: tuple[int, int, int], bits: int = 2, max_length: int = 1000) -> bytes:
    return reference.write_vocabulary(max_length, [(*channel, bits, reference.hashes(*channel, LONG, content))])


@pytest.mark.parametrize("letters", [11, 12, 13, 64, 65, 200])
def test_a_word_brings_twelve_character_ngrams_at_most(letters: int) -> None:
    content = ("".join(chr(0x3B1 + number % 17) for number in range(letters)) + " ab").encode()
    table = vocabulary_of(content, (CHARACTERS, 1, 3))
    (found,) = lists(_core.Ngrams(table).ids(0, [content.decode()]), np.int32)
    vocabulary = reference.read_vocabulary(table)
    first, second = vocabulary.ids_by_word(0, content)
    assert found == [*first, *second] and len(first) == 12 and len(second) == 9
    # Known ones count: with every other n-gram unknown, the twelve reach further into the word.
    fewer = reference.write_vocabulary(9, [(CHARACTERS, 1, 3, 0, reference.hashes(CHARACTERS, 1, 3, 9, content)[::2])])
    (found,) = lists(_core.Ngrams(fewer).ids(0, [content.decode()]), np.int32)
    assert found == reference.read_vocabulary(fewer).ids(0, content)


@pytest.mark.parametrize(("bits", "kept"), [(0, 29), (1, 58), (3, 232), (6, 599), (10, 599)])
def test_any_number_of_lines(bits: int, kept: int) -> None:
    """A line holds 29 n-grams; what it has no room for is unknown."""
    content = " ".join(f"word{number}" for number in range(300)).encode()
    table = vocabulary_of(content, (WORDS, 1, 2), bits)
    (found,) = lists(_core.Ngrams(table).ids(0, [content.decode()]), np.int32)
    assert found == reference.read_vocabulary(table).ids(0, content)
    assert sorted(set(found)) == list(range(1, kept + 1))


def test_what_lies_behind_the_prints_of_a_line_does_not_count() -> None:
    """The core compares a whole line at once: its numbers, and the places left free, are no match."""
    hashed = {word: reference.hashes(WORDS, 1, 1, 1, word.encode())[0] for word in (f"word{n}" for n in range(80))}
    words = sorted((word for word in hashed if not hashed[word] >> 63), key=hashed.__getitem__)
    unknown, words = words[0], words[1:]
    for size in range(30):
        table = bytearray(reference.write_vocabulary(9, [(WORDS, 1, 1, 1, [hashed[word] for word in words[:size]])]))
        table[128 + 6 + 2 * size : 128 + 64] = struct.pack("<H", hashed[unknown] >> 47 & 0xFFFF) * (29 - size)
        found = lists(_core.Ngrams(bytes(table)).ids(0, [unknown, *words]), np.int32)
        assert found == [[], *([row] for row in range(1, size + 1)), *([] for _ in words[size:])]


def test_the_numbers_of_a_line_are_no_prints() -> None:
    """A line's own count, read as a print, is not an n-gram; nor is either half of what was before it."""
    for value in (1, 2, 29):
        entry = struct.pack("<5I12x", WORDS, 1, 1, 0, 1)
        head = (struct.pack("<4sIII", b"EBNG", 3, 1, 9).ljust(64, b"\0") + entry).ljust(128, b"\0")
        table = head + struct.pack("<IH29H", 0, 1, *[value] * 29)
        ngrams, vocabulary = _core.Ngrams(table), reference.read_vocabulary(table)
        texts = [f"word{number}" for number in range(20_000)]
        found = lists(ngrams.ids(0, texts), np.int32)
        assert found == [vocabulary.ids(0, text.encode()) for text in texts]


def test_an_empty_vocabulary_knows_nothing() -> None:
    table = reference.write_vocabulary(9, [(WORDS, 1, 1, 0, []), (CHARACTERS, 1, 8, 3, [])])
    ngrams = _core.Ngrams(table)
    assert ngrams.rows() == (1, 1)
    assert lists(ngrams.ids(0, ["a b"]), np.int32) == lists(ngrams.ids(1, ["a b"]), np.int32) == [[]]


def test_a_channel_that_is_not_there() -> None:
    ngrams = _core.Ngrams(vocabulary_of(b"a", (WORDS, 1, 1)))
    for channel in (1, 8, 2**32 - 1):
        with pytest.raises(ValueError, match="makes no sense"):
            ngrams.ids(channel, ["a"])


# ---- words with rows


SINGLE, SPELLED = (WORDS, 1, 1), (CHARACTERS, 2, 4)


def described(table: bytes, *contents: bytes, max_length: int = LONG, unit: int = 0) -> list[list[list[int]]]:
    """Of each text its words, 16 numbers each."""
    entries, offsets = _core.Ngrams(table).words(0, 1, max_length, arrow(list(contents)), unit)
    rows = np.frombuffer(entries, np.int32).reshape(-1, 16).tolist()
    return [rows[start:end] for start, end in pairwise(np.frombuffer(offsets, np.int64).tolist())]


def table_of(*contents: bytes, keep: int = 1) -> bytes:
    """Single words and characters of these texts, all or some."""
    known = [{new for c in contents for new in reference.hashes(*kind, LONG, c)} for kind in (SINGLE, SPELLED)]
    channels = [(*kind, 2, sorted(new)[::keep]) for kind, new in zip((SINGLE, SPELLED), known, strict=True)]
    return reference.write_vocabulary(LONG, channels)


@MANY
@given(
    contents=st.lists(st.one_of(TEXT.map(str.encode), st.binary(max_size=20)), max_size=3),
    keep=st.integers(1, 3),
    max_length=st.integers(0, 12),
)
@example([b"U2 DON'T iPhone 3.5 _ 1_000 don't A\xff"], 1, 99)
def test_words_with_rows_are_the_references(contents: list[bytes], keep: int, max_length: int) -> None:
    table = table_of(*contents, keep=keep)
    vocabulary = reference.read_vocabulary(table)
    expected = [vocabulary.words(0, 1, content) for content in contents]
    assert described(table, *contents) == expected
    assert described(table, *contents, max_length=max_length) == [rows[:max_length] for rows in expected]


@MANY
@given(text=TEXT)
@example("日本 \U0001f600x é")
def test_ranges_of_words_in_other_units(text: str) -> None:
    table = table_of(text.encode())
    of_bytes, points, utf16 = (described(table, text.encode(), unit=unit)[0] for unit in range(3))
    for row, in_points, in_utf16 in zip(of_bytes, points, utf16, strict=True):
        word = text.encode()[row[0] : row[1]].decode()
        assert text[in_points[0] : in_points[1]] == word
        assert text.encode("utf-16-le")[2 * in_utf16[0] : 2 * in_utf16[1]].decode("utf-16-le") == word
        assert row[2:] == in_points[2:] == in_utf16[2:]


@pytest.mark.parametrize(
    ("words", "shape"),
    [
        ("hello don't 日 हिन्दी ß ー cafe\u0301", 1),
        ("Hello A É E\u0301cole O'neil ǅabc İx", 2),
        ("NATO DON'T ÉÉ E\u0301E\u0301 A_B ΣΑ", 3),
        ("iPhone O'Neil McD aB", 4),
        ("1 2026 1_000 0'1", 5),
        ("U2 3rd 1st B52 5_é ٣5", 6),
        (". _ ' \U0001f600 \u00ad ___", 7),
    ],
)
def test_shapes_by_example(words: str, shape: int) -> None:
    table = table_of(b"")
    for word in words.split():
        (found,) = described(table, word.encode())
        assert [row[15] for row in found] == [shape], ascii(word)


def test_shapes_of_every_kind_of_character() -> None:
    """Alone, behind a capital and before a digit."""
    records = reference.records()
    chosen = [p for p in POINTS if p < 0x3400 or p % 401 == 0 or records[p] != records[p - 1]]
    contents = [f"{chr(point)} A{chr(point)} {chr(point)}1".encode() for point in chosen]
    for point, content, rows in zip(chosen, contents, described(table_of(b""), *contents), strict=True):
        assert [row[15] for row in rows] == [reference.shape(content[row[0] : row[1]]) for row in rows], hex(point)


def test_channels_that_do_not_describe_words() -> None:
    kinds = (SINGLE, SPELLED, (WORDS, 1, 2), (WORDS, 2, 2))
    ngrams = _core.Ngrams(reference.write_vocabulary(9, [(*kind, 0, []) for kind in kinds]))
    for words, characters in [(1, 1), (0, 0), (0, 2), (2, 1), (3, 1), (4, 1), (0, 4), (-1, 1), (0, -1)]:
        with pytest.raises(ValueError, match="makes no sense"):
            ngrams.words(words, characters, 9, ["a"])
    for max_length, unit in ((-1, 1), (9, 3), (9, -1)):
        with pytest.raises(ValueError, match="makes no sense"):
            ngrams.words(0, 1, max_length, ["a"], unit)
    assert ngrams.words(0, 1, 9, []) == (b"", bytes(8))


def test_a_long_text_of_many_short_words() -> None:
    """More words than the first guess of the binding has room for."""
    content = b"a " * 5000
    (found,) = described(table_of(b"a"), content)
    assert len(found) == 5000 and found[-1][:3] == [9998, 9999, 1]


# ---- damage


TABLE = reference.write_vocabulary(
    50,
    [
        (kind, low, high, bits, reference.hashes(kind, low, high, LONG, b"the red fox ran, didn't it? no!"))
        for kind, low, high, bits in ((WORDS, 1, 1, 2), (WORDS, 2, 3, 1), (CHARACTERS, 3, 4, 3))
    ],
)
PROBE = ["the red fox ran, didn't it? no!", "fox it the", "", "réd ran 日本"]


def open_and_ask(table: bytes) -> bool:
    """Whether the core takes the table; what it takes it must read as the reference does."""
    try:
        ngrams = _core.Ngrams(table)
    except ValueError:
        return False
    vocabulary = reference.read_vocabulary(table)
    assert ngrams.rows() == tuple(len(channel.keys) + 1 for channel in vocabulary.channels)
    for index in range(len(vocabulary.channels)):
        expected = [vocabulary.ids(index, text.encode()) for text in PROBE]
        assert lists(ngrams.ids(index, PROBE), np.int32) == expected
    return True


def test_every_cut_and_every_growth_is_refused() -> None:
    assert open_and_ask(TABLE)
    for damaged in [*(TABLE[:end] for end in range(len(TABLE))), TABLE + b"\0", TABLE + bytes(64), b"\0" + TABLE]:
        with pytest.raises(ValueError, match=r"not an EdgeBERT model|another version"):
            _core.Ngrams(damaged)


def test_no_flipped_bit_does_harm() -> None:
    """There is no checksum here (the bundle has one): a flip is refused, or is another sound table."""
    taken = 0
    for place in range(8 * len(TABLE)):
        damaged = bytearray(TABLE)
        damaged[place // 8] ^= 1 << place % 8
        taken += open_and_ask(bytes(damaged))
    assert 0 < taken < 8 * len(TABLE)


def test_no_random_damage_does_harm() -> None:
    random = np.random.default_rng(3)
    numbers = [0, 1, 2, 3, 31, 32, 33, 2**16, 2**31 - 1, 2**31, 2**32 - 1]
    for _ in range(3000):
        damaged = bytearray(TABLE)
        for _ in range(random.integers(1, 4)):
            if random.random() < 0.5:  # a number of the head, or two halfwords of a line
                place = 4 * int(random.integers(2, len(damaged) // 4))
                struct.pack_into("<I", damaged, place, int(random.choice(numbers)))
            else:
                damaged[random.integers(8, len(damaged))] = random.integers(256)
        open_and_ask(bytes(damaged))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (8, 0), (8, 9), (8, 2**32 - 1), (12, 0), (12, 1_000_001), (12, 2**32 - 1),  # channels, words
        (64, 2), (68, 0), (68, 2), (72, 0), (72, 9),  # kind, orders
        (76, 33), (76, 32), (76, 2**32 - 1), (80, 2**31 - 1), (80, 2**32 - 1),  # bits of a line, n-grams
    ],
)  # fmt: skip
def test_numbers_of_the_head_that_make_no_sense(place: int, value: int) -> None:
    damaged = bytearray(TABLE)
    struct.pack_into("<I", damaged, place, value)
    with pytest.raises(ValueError, match="not an EdgeBERT model"):
        _core.Ngrams(bytes(damaged))


def test_another_version_is_named() -> None:
    for version in (0, 1, 2, 4):
        with pytest.raises(ValueError, match="another version of EdgeBERT"):
            _core.Ngrams(TABLE[:4] + struct.pack("<I", version) + TABLE[8:])


def test_the_bytes_may_lie_anywhere() -> None:
    for shift in range(1, 9):
        ngrams = _core.Ngrams(memoryview(bytes(shift) + TABLE)[shift:])
        assert lists(ngrams.ids(0, PROBE), np.int32) == lists(_core.Ngrams(TABLE).ids(0, PROBE), np.int32)
