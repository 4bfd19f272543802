"""Seeds for the fuzzing harnesses: `make_seeds.py FOLDER` writes FOLDER/fuzz_model, fuzz_wordpiece and fuzz_bundle.

It writes .ebnn files by itself (layout: src/model.h, src/ngrams.c), so that the core can be fuzzed and tested from a
checkout that has a compiler and a bare Python, and no numpy. Weights are random: only the shapes matter here.
"""

from __future__ import annotations

import random
import re
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

MULTIPLIER = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1
WORDS, CHARACTERS = 0, 1
PRINTS = 29  # n-grams that a line of a vocabulary has room for
TEXTS = (
    "The cat isn't here, is it?",
    "I saw NO dog in the old house !",
    "a_b 12 naïve café 中国 don't",
    "unbelievable runner running " * 40,
    "",
    "\U0001f600 it's fine \x00 ok",
)
KNOWN = ("the cat isn't here , unbelievable",)


@dataclass(frozen=True)
class Channel:
    """One channel: words or characters, n-grams of `low` to `high`, rows of `width` numbers."""

    kind: int
    low: int
    high: int
    width: int


@dataclass(frozen=True)
class Shape:
    """What a tiny model looks like. `fold` is the channel of single words (plus 1) whose rows have folded ones."""

    channels: tuple[Channel, ...] = (Channel(WORDS, 1, 1, 32), Channel(WORDS, 2, 3, 64), Channel(CHARACTERS, 3, 4, 32))
    classes: int = 3
    hidden: int = 32
    bits: int = 8
    pairs: bool = False
    mean: bool = False
    fold: int = 0


SHAPES = (
    Shape(),
    Shape(bits=4, hidden=0),
    Shape(fold=1, mean=True),
    Shape(fold=1, bits=4, pairs=True),
    Shape(channels=(Channel(WORDS, 1, 8, 32),), classes=2, pairs=True, hidden=64),
)


def mix(value: int) -> int:
    value = ((value ^ value >> 32) * MULTIPLIER) & MASK
    return value ^ value >> 29


def word_hash(word: str) -> int:
    data = word.encode()
    state = MULTIPLIER
    whole = len(data) // 8 * 8
    for start in range(0, whole, 8):
        state = ((state ^ int.from_bytes(data[start : start + 8], "little")) * MULTIPLIER) & MASK
        state ^= state >> 32
    state = ((state ^ int.from_bytes(data[whole:], "little")) * MULTIPLIER) & MASK
    return ((state ^ state >> 32) + len(data)) & MASK


def ngram_hashes(values: Sequence[int], low: int, high: int) -> Iterator[int]:
    """Hashes of all n-grams of a sequence (of word hashes, or of code points)."""
    window: list[int] = []
    for value in values:
        grown = [(shorter * MULTIPLIER + value + order) & MASK for order, shorter in enumerate(window, start=2)]
        window = [(value + 1) & MASK, *grown][:high]
        yield from (mix(hash_) for hash_ in window[low - 1 :])


def words_of(text: str) -> list[str]:
    """Words as the core splits them, right for ASCII and near enough elsewhere: a wrong one is only never found."""
    return re.findall(r"\w+(?:'\w+)*|[^\w\s]", text.lower())


def known_hashes(channel: Channel, texts: Sequence[str]) -> list[int]:
    hashes: set[int] = set()
    for text in texts:
        words = words_of(text)
        if channel.kind == WORDS:
            hashes.update(ngram_hashes([word_hash(word) for word in words], channel.low, channel.high))
            continue
        for word in words:
            hashes.update(ngram_hashes([ord(sign) for sign in f"<{word[:64]}>"], channel.low, channel.high))
    return sorted(hashes)


def pad(data: bytes, unit: int = 64) -> bytes:
    return data + bytes(-len(data) % unit)


def ngrams_file(channels: Sequence[Channel], texts: Sequence[str], max_length: int = 256) -> tuple[bytes, list[int]]:
    """A vocabulary file (ngrams.bin), and how many n-grams each channel knows."""
    header = struct.pack("<4sIII", b"EBNG", 3, len(channels), max_length).ljust(64, b"\0")
    body, counts = b"", []
    for channel in channels:
        hashes = known_hashes(channel, texts)
        bits = max(0, (len(hashes) // 12).bit_length() - 1)
        lines: list[list[int]] = [[] for _ in range(1 << bits)]
        for hash_ in hashes:
            line = lines[hash_ >> (64 - bits) if bits else 0]
            if len(line) < PRINTS:
                line.append(hash_ >> (48 - bits) & 0xFFFF)
        known = 0
        for line in lines:
            body += struct.pack(f"<IH{PRINTS}H", known, len(line), *line, *[0] * (PRINTS - len(line)))
            known += len(line)
        header += struct.pack("<5I", channel.kind, channel.low, channel.high, bits, known).ljust(32, b"\0")
        counts.append(known)
    return pad(header) + body, counts


def model_file(shape: Shape, texts: Sequence[str], seed: int = 0) -> bytes:
    """A .ebnn file with random weights that knows the n-grams of `texts`."""
    draw = random.Random(seed)

    def floats(count: int, largest: float) -> bytes:
        return struct.pack(f"<{count}f", *(draw.uniform(-largest, largest) for _ in range(count)))

    def layer(outputs: int, inputs: int) -> bytes:
        return floats(outputs, 0.01) + floats(outputs, 1) + draw.randbytes(outputs * inputs)

    table, known = ngrams_file(shape.channels, texts)
    width = sum(channel.width for channel in shape.channels)
    inputs = width * (4 if shape.pairs else 1)
    sections: list[tuple[int, int, bytes]] = [(1, 0, table)]
    for number, channel in enumerate(shape.channels):
        row = channel.width * shape.bits // 8
        sections += [(2, number, draw.randbytes(row * known[number])), (3, number, floats(channel.width, 0.02))]
        if shape.fold and channel.kind == CHARACTERS:
            folded = known[shape.fold - 1]
            sections += [(4, number, draw.randbytes(row * folded)), (5, number, floats(channel.width, 0.02))]
            sections += [(6, number, bytes(draw.randrange(1, 13) for _ in range(folded)))]
    sections += [(7, 0, layer(shape.classes, inputs))]
    if shape.hidden:
        sections += [(8, 0, layer(shape.hidden, inputs)), (9, 0, layer(shape.classes, shape.hidden))]
    return assemble(shape, sections)


def assemble(shape: Shape, sections: Sequence[tuple[int, int, bytes]]) -> bytes:
    flags = shape.pairs | shape.mean << 1
    widths = [channel.width for channel in shape.channels]
    fixed = struct.pack(
        "<7I", len(sections), shape.classes, shape.hidden, len(widths), flags, shape.bits, shape.fold
    ).ljust(40, b"\0")
    fixed += struct.pack(f"<{len(widths)}I", *widths).ljust(64, b"\0")
    start = 24 + len(fixed) + 32 * len(sections)
    entries, body = b"", bytes(-start % 64)
    for kind, number, data in sections:
        entries += struct.pack("<IIQQQ", kind, number, start + len(body), len(data), 0)
        body += data + bytes(-(start + len(body) + len(data)) % 64)
    checked = fixed + entries + body
    return struct.pack("<4sIQQ", b"EBNN", 1, 24 + len(checked), checksum(checked)) + checked


def checksum(data: bytes) -> int:
    lanes = [1, 2, 3, 4]
    for number, (word,) in enumerate(struct.iter_unpack("<Q", data)):
        lane = ((lanes[number % 4] ^ word) * MULTIPLIER) & MASK
        lanes[number % 4] = lane ^ lane >> 32
    total = len(data)
    for lane in lanes:
        total = mix(total ^ lane)
    return total


def model_seeds() -> Iterator[bytes]:
    """Inputs of fuzz_model: flags, size of the text, text, file. The vocabulary is small, for speed."""
    for number, shape in enumerate(SHAPES):
        for kernels, text in enumerate(TEXTS[:4]):
            data = text.encode()
            flags = 1 | (kernels & 3) << 1 | shape.pairs << 3
            yield struct.pack("<BH", flags, len(data)) + data + model_file(shape, KNOWN, seed=number)
    for shape in SHAPES:
        data = TEXTS[0].encode()
        yield struct.pack("<BH", 16, len(data)) + data + ngrams_file(shape.channels, KNOWN)[0]


def wordpiece_seeds() -> Iterator[bytes]:
    """Inputs of fuzz_wordpiece: flags, max_length - 4, and with flag 4 a vocabulary; then the text."""
    extra = ("[CLS] unhappy[SEP]running [MASK]", "É\u0301 ß Σς İ ﬁ 한국어 \u200b\ufffd", "a" * 120, "x\u0301" * 60)
    for text in (*TEXTS, *extra):
        for flags in range(4):
            yield bytes([flags, 12]) + text.encode()
    vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nun\n##happy\nhappy\nthe\n##s\n中\nthe\n\n##\r\nÉ\n".encode()
    for flags in (4, 5, 7):
        yield bytes([flags, 60]) + struct.pack("<H", len(vocabulary)) + vocabulary + b"unhappy the happys \xff\xe4"


def bundle_seeds() -> Iterator[bytes]:
    """Inputs of fuzz_bundle: a sound bundle, one with changes, and files that are none."""
    yield b"\x01\x64\x00"
    yield b"\x01\x00\x20" + struct.pack("<HBB", 14, 1, 0) + struct.pack("<HBB", 49000, 0, 1)
    yield b"\x00PK\5\6" + bytes(18)
    yield b"\x00PK\3\4" + bytes(60) + b"PK\1\2" + bytes(42) + b"PK\5\6" + bytes(18)


def main(folder: Path) -> None:
    for name, seeds in (("model", model_seeds()), ("wordpiece", wordpiece_seeds()), ("bundle", bundle_seeds())):
        target = folder / f"fuzz_{name}"
        target.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(seeds):
            (target / f"seed-{number:03}").write_bytes(data)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_seeds.py FOLDER")
    main(Path(sys.argv[1]))
