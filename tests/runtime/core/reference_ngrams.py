"""The n-gram featurizer in plain Python, written down from runtime/core/src/ngrams.c and .h: what the core must equal.

What a character is stands in the core's table, src/unicode_tables.c; it is read from there, so that this file means the
same under every version of Python.
"""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

WORDS, CHARACTERS = 0, 1  # kinds of channel
CHARACTERS_PER_WORD, LONGEST_WORD, MOST_ORDER = 12, 64, 8
PRINT_BITS = 16
PRINTS = 29  # n-grams that a line has room for
WIDE = 2**64
MULTIPLIER = 0x9E3779B97F4A7C15

TABLES = Path(__file__).resolve().parents[3] / "runtime" / "core" / "src" / "unicode_tables.c"
BLOCK = 64
IDEOGRAPH, MARK, LONG_LOWER, WORD, SPACE = 4, 16, 64, 128, 256  # flags of unicode.h
LAST_OF_SEQUENCE = 1 << 31
APOSTROPHES = (0x27, 0x2019)


# ---- characters


@functools.cache
def table(name: str) -> list[int]:
    """The numbers of one array of unicode_tables.c."""
    body = re.search(rf" {name}\[\d+\] = {{(.*?)}};", TABLES.read_text("utf-8"), re.DOTALL)
    assert body, f"no {name} in {TABLES}"
    return [int(number, 0) for number in re.findall(r"-?\w+", body[1])]


@functools.cache
def records() -> list[tuple[int, int]]:
    """(lower, flags) of each code point."""
    blocks, tail = table("unicode_blocks"), table("unicode_tail")
    rows = [row for start in table("unicode_index") for row in blocks[start : start + BLOCK]]
    ranges = sorted(zip(tail[::2], tail[1::2], strict=True))
    for (first, row), (end, _) in pairwise([*ranges, (0x110000, 0)]):
        assert len(rows) == first
        rows += [row] * (end - first)
    numbers = table("unicode_records")
    made = list(zip(numbers[::3], numbers[1::3], strict=True))
    return [made[row] for row in rows]


def lower(point: int) -> list[int]:
    """Lower case of a code point, whatever stands around it."""
    change, flags = records()[point]
    if not flags & LONG_LOWER:
        return [point + change]
    pool = table("unicode_pool")
    end = next(place for place in range(change, len(pool)) if pool[place] & LAST_OF_SEQUENCE)
    return [number & ~LAST_OF_SEQUENCE for number in pool[change : end + 1]]


def kind(point: int) -> str:
    """Space, ideograph, word character, apostrophe or another visible one: a letter each."""
    flags = records()[point][1]
    if flags & SPACE:
        return "s"
    if flags & IDEOGRAPH:
        return "i"
    if flags & WORD:
        return "w"
    return "a" if point in APOSTROPHES else "o"


def decode(content: bytes) -> Iterator[tuple[int, int, int]]:
    """(code point, start, end) of each character; a broken sequence is U+FFFD, as Python's `replace` has it."""
    at = 0
    while at < len(content):
        if content[at] < 0x80:
            yield content[at], at, at + 1
            at += 1
            continue
        for size in range(1, 5):
            try:
                character = content[at : at + size].decode("utf-8")
                break
            except UnicodeDecodeError as error:
                character, broken = "\ufffd", error.end
        else:
            size = broken
        yield ord(character), at, at + size
        at += size


# ---- words


@dataclass(frozen=True)
class Word:
    """A word of a text: the bytes it stands at, and its lower-cased code points."""

    start: int
    end: int
    points: tuple[int, ...]


# Letters with apostrophes inside; an ideograph, or whatever else is seen, alone.
WORD_PATTERN = re.compile("w(?:a?w)*|[^s]")


@functools.lru_cache
def words(content: bytes) -> list[Word]:
    characters = list(decode(content))
    found = []
    for match in WORD_PATTERN.finditer("".join(kind(point) for point, _, _ in characters)):
        inside = characters[match.start() : match.end()]
        points = tuple(new for point, _, _ in inside for new in lower(point))
        found.append(Word(inside[0][1], inside[-1][2], points))
    return found


# How a word is written: letters (L in upper case), digits; what is neither is left out.
SHAPES = (
    ("l+", 1),
    ("Ll*", 2),
    ("LL+", 3),
    ("[lL]+", 4),
    ("d+", 5),
    ("[lLd]+", 6),
    ("", 7),
)


def shape(content: bytes) -> int:
    """The shape of the word that these bytes are."""
    written = ""
    for point, _, _ in decode(content):
        flags = records()[point][1]
        if chr(point) in "0123456789":
            written += "d"
        elif flags & WORD and not flags & MARK and chr(point) != "_":
            written += "l" if lower(point) == [point] else "L"
    return next(number for pattern, number in SHAPES if re.fullmatch(pattern, written))


# ---- hashes


def word_hash(points: Sequence[int]) -> int:
    """Of the UTF-8 bytes, eight at a time, little-endian; the last of them filled up with zeros."""
    content = "".join(map(chr, points)).encode("utf-8")
    state = MULTIPLIER
    full = len(content) // 8 * 8
    for start in range(0, full, 8):
        state = (state ^ int.from_bytes(content[start : start + 8], "little")) * MULTIPLIER % WIDE
        state ^= state >> 32
    state = (state ^ int.from_bytes(content[full:], "little")) * MULTIPLIER % WIDE
    return ((state ^ state >> 32) + len(content)) % WIDE


def mix(value: int) -> int:
    value = (value ^ value >> 32) * MULTIPLIER % WIDE
    return value ^ value >> 29


def ngram_hash(values: Sequence[int]) -> int:
    state = 0
    for place, value in enumerate(values, start=1):
        state = (state * MULTIPLIER + value + place) % WIDE
    return mix(state)


def ending_at(values: Sequence[int], place: int, low: int, high: int) -> list[int]:
    """Hashes of the n-grams that end at values[place], short ones first."""
    orders = range(low, min(high, place + 1) + 1)
    return [ngram_hash(values[place + 1 - order : place + 1]) for order in orders]


@functools.lru_cache
def by_word(channel: int, low: int, high: int, max_length: int, content: bytes) -> list[list[int]]:
    """Hashes of a text's n-grams, known or not, word by word."""
    read = words(content)[:max_length]
    if channel == WORDS:
        values = [word_hash(word.points) for word in read]
        return [ending_at(values, place, low, high) for place in range(len(read))]
    found = []
    for word in read:
        spelled = [ord("<"), *word.points[:LONGEST_WORD], ord(">")]
        found.append([new for place in range(len(spelled)) for new in ending_at(spelled, place, low, high)])
    return found


def hashes(channel: int, low: int, high: int, max_length: int, content: bytes) -> list[int]:
    return [new for group in by_word(channel, low, high, max_length, content) for new in group]


# ---- the vocabulary


@dataclass(frozen=True)
class Channel:
    """One channel of an ngrams.bin: its n-grams, cut to `bits` + 16 bits, row by row."""

    kind: int
    low: int
    high: int
    bits: int
    keys: tuple[int, ...]

    @functools.cached_property
    def rows(self) -> dict[int, int]:
        """Row of each key; of equal keys the first counts."""
        return {key: row for row, key in reversed(list(enumerate(self.keys, start=1)))}

    def row(self, hashed: int) -> int:
        """0 for an unknown n-gram."""
        return self.rows.get(hashed >> 64 - self.bits - PRINT_BITS, 0)


@dataclass(frozen=True)
class Vocabulary:
    """What an ngrams.bin says."""

    max_length: int
    channels: tuple[Channel, ...]

    def ids_by_word(self, index: int, content: bytes) -> list[list[int]]:
        channel = self.channels[index]
        most = CHARACTERS_PER_WORD if channel.kind == CHARACTERS else MOST_ORDER
        found = []
        for group in by_word(channel.kind, channel.low, channel.high, self.max_length, content):
            found.append([row for row in map(channel.row, group) if row][:most])
        return found

    def words(self, single: int, characters: int, content: bytes) -> list[list[int]]:
        """Start, end, row, 12 rows of characters and shape of each of the first `max_length` words."""
        known = self.ids_by_word(single, content), self.ids_by_word(characters, content)
        found = []
        for word, row, spelled in zip(words(content)[: self.max_length], *known, strict=True):
            filled = [*spelled, *[0] * (CHARACTERS_PER_WORD - len(spelled))]
            found.append([word.start, word.end, *(row or [0]), *filled, shape(content[word.start : word.end])])
        return found

    def ids(self, index: int, content: bytes) -> list[int]:
        return [row for group in self.ids_by_word(index, content) for row in group]


def read_vocabulary(content: bytes) -> Vocabulary:
    """A sound ngrams.bin; nothing is checked."""
    count, max_length = struct.unpack_from("<II", content, 8)
    at = padded(64 + 32 * count)
    channels = []
    for index in range(count):
        kind, low, high, bits, known = struct.unpack_from("<5I", content, 64 + 32 * index)
        keys: list[int] = []
        for line in range(2**bits):
            before, held, *prints = struct.unpack_from(f"<IH{PRINTS}H", content, at + 64 * line)
            assert before == len(keys)
            keys += [line << PRINT_BITS | new for new in prints[:held]]
        assert len(keys) == known
        channels.append(Channel(kind, low, high, bits, tuple(keys)))
        at += 64 * 2**bits
    return Vocabulary(max_length, tuple(channels))


def write_vocabulary(max_length: int, channels: Iterable[tuple[int, int, int, int, Iterable[int]]]) -> bytes:
    """An ngrams.bin of (kind, low, high, bits, hashes) of each channel, with as many lines as `bits` says."""
    entries, arrays = b"", b""
    count = 0
    for kind, low, high, bits, kept in channels:
        keys = sorted({hashed >> 64 - bits - PRINT_BITS for hashed in kept})
        known = 0
        for line in range(2**bits):
            prints = [key & 2**PRINT_BITS - 1 for key in keys if key >> PRINT_BITS == line][:PRINTS]
            arrays += struct.pack(f"<IH{PRINTS}H", known, len(prints), *prints, *[0] * (PRINTS - len(prints)))
            known += len(prints)
        entries += struct.pack("<5I12x", kind, low, high, bits, known)
        count += 1
    head = struct.pack("<4sIII", b"EBNG", 3, count, max_length).ljust(64, b"\0") + entries
    return head.ljust(padded(len(head)), b"\0") + arrays


def padded(size: int) -> int:
    """The least multiple of 64 that is at least `size`."""
    return -(-size // 64) * 64
