"""Generates src/unicode_tables.c: what the `tokenizers` library does with each code point.

The library itself is asked, code point by code point, so that the core agrees with it whatever Unicode version each
part of it was built with. Two columns are Python's (`\\w` with the marks that belong to letters, and `str.isspace`, for
the n-grams): they are frozen at Unicode `FROZEN`; a Python of another version takes them from the file that is there.

    python runtime/core/tools/make_unicode.py [--check]
"""

from __future__ import annotations

import argparse
import functools
import itertools
import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import normalizers, pre_tokenizers

TARGET = Path(__file__).resolve().parent.parent / "src" / "unicode_tables.c"
FROZEN = "14.0.0"  # unicodedata.unidata_version of Python 3.11
BLOCK = 64
ORDERS = 64  # ranks of combining classes are less: UNICODE_ORDERS
LAST_OF_SEQUENCE = 1 << 31
POINTS = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]
CHARACTERS = "".join(map(chr, POINTS))
DROPPED, SPACE, IDEOGRAPH, PUNCTUATION, MARK, DECOMPOSES, LONG_LOWER, WORD, BLANK = (1 << bit for bit in range(9))


def bert(**options: bool) -> normalizers.Normalizer:
    """BertNormalizer with only these options."""
    none = dict.fromkeys(("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"), False)
    return normalizers.BertNormalizer(**(none | options))


def apply(normalizer: normalizers.Normalizer, texts: Sequence[str], separator: str = "\1") -> list[str]:
    """The normalised texts. All at once, with a separator that the normalizer keeps: a million calls are slow."""
    result = normalizer.normalize_str(separator + separator.join(texts) + separator).split(separator)[1:-1]
    assert len(result) == len(texts), "the separator does not stay as it is"
    return result


def map_points(normalizer: normalizers.Normalizer, separator: str = "\1") -> dict[int, str]:
    """Code points that the normalizer changes, and into what."""
    texts = CHARACTERS.replace(separator, "")
    changed = dict(zip(texts, apply(normalizer, texts, separator), strict=True))
    changed[separator] = normalizer.normalize_str(separator)
    return {ord(old): new for old, new in changed.items() if new != old}


def combining_order(points: Iterable[int]) -> dict[int, int]:
    """Rank (from 1) of the combining class of each code point that canonical ordering moves."""
    order = normalizers.NFD()

    def moved(first: str, second: str) -> bool:
        return order.normalize_str(first + second) != first + second

    def compare(first: str, second: str) -> int:
        return moved(first, second) - moved(second, first)

    # Marks of the lowest class (1) and the highest (240): a starter changes places with neither, a mark with one.
    lowest, highest = "\u0334", "\u0345"
    signs = [chr(point) for point in points]
    before = zip(signs, apply(order, [sign + lowest for sign in signs]), strict=True)
    after = zip(signs, apply(order, [highest + sign for sign in signs]), strict=True)
    marks = {sign for sign, low in before if low != sign + lowest}
    marks |= {sign for sign, high in after if high != highest + sign}
    ranks: dict[int, int] = {}
    rank, last = 0, ""
    for mark in sorted(marks, key=functools.cmp_to_key(compare)):
        rank += not last or compare(last, mark) != 0
        ranks[ord(mark)], last = rank, mark
    return ranks


def words_apart() -> tuple[set[int], set[int]]:
    """Code points that BertPreTokenizer takes for punctuation, and for whitespace."""
    text = "a" + "a".join(CHARACTERS) + "a"  # POINTS[i] stands at 2 * i + 1
    pieces = pre_tokenizers.BertPreTokenizer().pre_tokenize_str(text)
    punctuation = {POINTS[start // 2] for _, (start, end) in pieces if end - start == 1 and start % 2}
    covered = {index for _, (start, end) in pieces for index in range(start, end)}
    return punctuation, {point for index, point in enumerate(POINTS) if 2 * index + 1 not in covered}


class Oracle:
    """What the library does. Mappings hold the code points that it changes, and into what."""

    def __init__(self) -> None:
        self.nfd, self.lower = map_points(normalizers.NFD()), map_points(bert(lowercase=True))
        self.clean, self.ideographs = (
            map_points(bert(clean_text=True), "a"),
            map_points(bert(handle_chinese_chars=True)),
        )
        self.strip = map_points(bert(strip_accents=True))
        self.marks = {point for point, new in self.strip.items() if not new}
        self.punctuation, self.blanks = words_apart()
        self.order = combining_order(point for point in POINTS if point not in self.nfd and point != 1)
        self.check()
        self.check_decomposition()
        for point in self.marks & set(self.nfd):  # sorted by its first part, and gone as a whole
            self.order[point] = self.order.get(ord(self.nfd[point][0]), 0)

    def check(self) -> None:
        """What the C code takes for granted."""
        assert max(self.order.values()) < ORDERS, "too many combining classes"
        assert not self.order.keys() & self.clean.keys(), "cleaning removes what ordering moves"
        assert set(self.clean.values()) == {"", " "}, "cleaning does something new"
        assert all(new == f" {chr(point)} " for point, new in self.ideographs.items()), "spaces stand elsewhere"
        assert not self.punctuation & (self.marks | set(self.order) | set(self.clean)), "punctuation may move or vanish"
        assert all(point in self.clean for point in self.blanks - {0x20}), "white space stays"
        made = [new for point, new in [*self.strip.items(), *self.lower.items()] if point not in self.clean]
        assert all(len(new) <= 3 for new in made), "a longer sequence"
        assert not any(ord(c) in self.clean for new in made for c in new), "cleaning would have to be done again"
        assert not any(ord(c) in self.punctuation for new in made if len(new) > 1 for c in new), "punctuation inside"
        assert not any(ord(c) in self.punctuation for new in self.lower.values() for c in new), "small punctuation"
        assert all(len(self.strip.get(point, " ")) == 1 for point in self.ideographs), "an ideograph becomes several"

    def check_decomposition(self) -> None:
        """How marks come out of a decomposition."""
        for point, parts in self.nfd.items():
            kept = "".join(c for c in parts if ord(c) not in self.marks)
            assert self.strip.get(point, chr(point)) == kept, "decomposition and stripping disagree"
            moves = [ord(c) in self.order for c in parts]
            assert not moves[0] or (not kept and all(moves)), "a mark that leaves something"
            assert not kept or ord(kept[0]) not in self.order, "a starter that leaves a mark"
            assert moves == sorted(moves), "a starter behind a mark"
        for syllable in range(11172):
            parts = (0x1100 + syllable // 588, 0x1161 + syllable % 588 // 28, 0x11A7 + syllable % 28)
            text = "".join(map(chr, parts[: 3 if syllable % 28 else 2]))
            assert self.strip[0xAC00 + syllable] == self.nfd[0xAC00 + syllable] == text, "odd Hangul"


class Tables:
    """All that goes into the C file."""

    def __init__(self, oracle: Oracle) -> None:
        syllables = range(0xAC00, 0xAC00 + 11172)
        self.strip = {point: new for point, new in oracle.strip.items() if new and point not in syllables}
        self.pool: list[int] = []
        word, blank = python_columns()
        flags: dict[int, Iterable[int]] = {
            DROPPED: [point for point, new in oracle.clean.items() if not new],
            SPACE: [0x20, *(point for point, new in oracle.clean.items() if new)],
            IDEOGRAPH: oracle.ideographs, PUNCTUATION: oracle.punctuation, MARK: oracle.marks,
            DECOMPOSES: [*syllables, *self.strip], WORD: word, BLANK: blank,
            LONG_LOWER: [point for point, new in oracle.lower.items() if len(new) > 1],
        }  # fmt: skip
        columns = [[0] * 0x110000 for _ in range(3)]  # lower case, flags, order
        for point, new in sorted(oracle.lower.items()):
            columns[0][point] = ord(new) - point if len(new) == 1 else self.sequence(new)
        for flag, points in flags.items():
            for point in points:
                columns[1][point] |= flag
        for point, rank in oracle.order.items():
            columns[2][point] = rank
        self.records: dict[tuple[int, ...], int] = {}
        self.rows = [self.records.setdefault(row, len(self.records)) for row in zip(*columns, strict=True)]
        assert len(self.records) <= 256, "too many records for one byte"
        last = max(start for start, _, _ in runs(self.rows) if start < 0xE0000)
        self.limit = -(-last // BLOCK) * BLOCK

    def sequence(self, text: str) -> int:
        """Place of a sequence in the pool."""
        self.pool += [ord(c) for c in text]
        self.pool[-1] |= LAST_OF_SEQUENCE
        return len(self.pool) - len(text)

    def strip_entry(self, point: int) -> int:
        new = self.strip.get(point, "\0")
        if len(new) == 1 and ord(new) < 0x10000:
            return ord(new)
        place = self.sequence(new)
        assert place < 0x800, "the pool is full"
        return 0xD800 + place

    def source(self) -> str:
        """The C file."""
        index, blocks = two_stages(self.rows[: self.limit])
        end = max(self.strip) // BLOCK * BLOCK + BLOCK
        strip_index, strip_blocks = two_stages([self.strip_entry(point) for point in range(end)])
        tail = [(start, row) for start, _, row in runs(self.rows) if start > self.limit]
        tail = [*reversed(tail), (self.limit, self.rows[self.limit])]
        assert len(strip_blocks) // BLOCK <= 256
        arrays = [
            array("uint16_t unicode_index", index),
            array("uint8_t unicode_blocks", blocks),
            array("unicode_record unicode_records", [f"{{{a}, {b}, {c}}}" for a, b, c in self.records]),
            array("unicode_range unicode_tail", [f"{{{first:#x}, {row}}}" for first, row in tail]),
            array("uint32_t unicode_pool", [f"{entry:#x}" for entry in self.pool]),
            array("uint8_t unicode_strip_index", [place // BLOCK for place in strip_index]),
            array("uint16_t unicode_strip_blocks", strip_blocks),
        ]
        head = '/* Generated by tools/make_unicode.py; do not edit. */\n#include "unicode.h"\n\n'
        head += f'_Static_assert(UNICODE_LIMIT == {self.limit:#x}, "unicode.h says otherwise");\n'
        return head + "".join(arrays)


def runs(rows: Sequence[int]) -> list[tuple[int, int, int]]:
    """(start, end, value) of each run of equal values."""
    edges = [0, *(i for i in range(1, len(rows)) if rows[i] != rows[i - 1]), len(rows)]
    return [(start, end, rows[start]) for start, end in itertools.pairwise(edges)]


def two_stages(rows: Sequence[int]) -> tuple[list[int], list[int]]:
    """Equal blocks once: where each block starts, and the blocks."""
    starts: dict[tuple[int, ...], int] = {}
    blocks: list[int] = []
    index = []
    for first in range(0, len(rows), BLOCK):
        block = tuple(rows[first : first + BLOCK])
        if block not in starts:
            starts[block] = len(blocks)
            blocks += block
        index.append(starts[block])
    return index, blocks


def array(name: str, values: Sequence[object]) -> str:
    """A C array, 120 columns wide."""
    lines, line = [], "   "
    for value in values:
        text = f" {value},"
        if len(line) + len(text) > 120:
            lines.append(line)
            line = "   "
        line += text
    return "\n".join([f"\nconst {name}[{len(values)}] = {{", *lines, line, "};\n"])


def python_columns() -> tuple[set[int], set[int]]:
    """Code points that make words, and those that str.isspace takes.

    Words are made of what matches Python's `\\w` and of combining marks: Indic vowels are marks, and so are accents
    that stand apart from their letter. Variation selectors are marks too, but belong to emoji.
    """
    if unicodedata.unidata_version == FROZEN:
        marks = {ord(c) for c in CHARACTERS if unicodedata.category(c) in ("Mn", "Mc")}
        marks -= {*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}
        return marks | {ord(c) for c in re.findall(r"\w", CHARACTERS)}, {ord(c) for c in CHARACTERS if c.isspace()}
    flags = committed_flags()
    return tuple({point for point in POINTS if flags[point] & flag} for flag in (WORD, BLANK))  # type: ignore[return-value]


def committed_flags() -> list[int]:
    """Flags of each code point as the generated file has them."""
    text = TARGET.read_text("utf-8")

    def numbers(name: str) -> list[int]:
        body = re.search(rf" {name}\[\d+\] = {{(.*?)}};", text, re.DOTALL)
        assert body, f"no {name} in {TARGET}"
        return [int(number, 0) for number in re.findall(r"-?\w+", body[1])]

    index, blocks, records = numbers("unicode_index"), numbers("unicode_blocks"), numbers("unicode_records")
    tail = numbers("unicode_tail")
    rows = [blocks[start + place] for start in index for place in range(BLOCK)]
    ranges = sorted(zip(tail[::2], tail[1::2], strict=True))
    ends = [first for first, _ in ranges[1:]] + [0x110000]
    for (first, row), end in zip(ranges, ends, strict=True):
        rows += [row] * (end - first)
    return [records[3 * row + 1] for row in rows]


def main() -> int:
    """Writes the file; with --check only compares (exit code 1 when it differs)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when the file would change")
    check, source = parser.parse_args().check, Tables(Oracle()).source()
    if not check:
        TARGET.write_text(source, "utf-8")
        return 0
    same = TARGET.exists() and TARGET.read_text("utf-8") == source
    print(f"{TARGET.name} is {'up to date' if same else 'NOT what the tokenizers library here does'}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
