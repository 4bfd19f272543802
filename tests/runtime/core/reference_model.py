"""The n-gram student in numpy, written down from model.h, model.c and loader.c in runtime/core/src.

Every step is a step of float32 or of whole numbers, in the core's order: its logits must be equal bit for bit.
`write` makes a .ebnn file of any numbers; `Model` reads one and answers.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import reference_ngrams as reference

HEADER, ENTRY, CHECKED_FROM = 128, 32, 24
NGRAMS, ROWS, SCALES, FOLDED, FOLDED_SCALES, FOLDED_COUNTS, LINEAR, HIDDEN, OUTPUT = range(1, 10)
PAIRS, MEAN = 1, 2
MOST_ACTIVATION = 16383
BLOCK = 32


@dataclass(frozen=True)
class Sizes:
    """The numbers in the header of a .ebnn file."""

    classes: int
    hidden: int
    widths: tuple[int, ...]
    flags: int = 0
    bits: int = 8
    fold: int = 0

    @property
    def inputs(self) -> int:
        return sum(self.widths) * (4 if self.flags & PAIRS else 1)


# ---- the file


def checksum(content: bytes) -> int:
    lanes = [1, 2, 3, 4]
    checked = content[CHECKED_FROM:]
    for number, (word,) in enumerate(struct.iter_unpack("<Q", checked)):
        lane = (lanes[number % 4] ^ word) * reference.MULTIPLIER % reference.WIDE
        lanes[number % 4] = lane ^ lane >> 32
    result = len(checked)
    for lane in lanes:
        result = reference.mix(result ^ lane)
    return result


def write(sizes: Sizes, sections: Mapping[tuple[int, int], bytes]) -> bytes:
    """A file with these sections: (kind, channel) to content."""
    at = reference.padded(HEADER + ENTRY * len(sections))
    table, body = b"", b""
    for (kind, channel), content in sections.items():
        table += struct.pack("<IIQQQ", kind, channel, at + len(body), len(content), 0)
        body += content.ljust(reference.padded(len(content)), b"\0")
    numbers = (len(sections), sizes.classes, sizes.hidden, len(sizes.widths), sizes.flags, sizes.bits, sizes.fold)
    head = struct.pack("<4sIQQ7I", b"EBNN", 1, at + len(body), 0, *numbers).ljust(64, b"\0")
    head += struct.pack(f"<{len(sizes.widths)}I", *sizes.widths).ljust(64, b"\0")
    return signed((head + table).ljust(at, b"\0") + body)


def signed(content: bytes) -> bytes:
    """With its checksum made right."""
    return content[:16] + struct.pack("<Q", checksum(content)) + content[24:]


def random_sections(
    sizes: Sizes, vocabulary: bytes, seed: int = 0, rows: int | None = None
) -> dict[tuple[int, int], bytes]:
    """Sections of random numbers for this vocabulary, or with every number of every row the same."""
    random = np.random.default_rng(seed)
    channels = reference.read_vocabulary(vocabulary).channels
    sections = {(NGRAMS, 0): vocabulary}

    def table(known: int, width: int) -> bytes:
        size = known * width * sizes.bits // 8
        if rows is None:
            return random.integers(0, 256, size, np.uint8).tobytes()
        return bytes([rows & 255 if sizes.bits == 8 else rows & 15 | (rows & 15) << 4]) * size

    def floats(count: int, largest: float) -> bytes:
        return random.uniform(-largest, largest, count).astype(np.float32).tobytes()

    def layer(inputs: int, outputs: int) -> bytes:
        weights = random.integers(-127, 128, inputs * outputs).astype(np.int8).tobytes()
        return floats(outputs, 0.02) + floats(outputs, 1) + weights

    for index, (channel, width) in enumerate(zip(channels, sizes.widths, strict=True)):
        sections[ROWS, index] = table(len(channel.keys), width)
        sections[SCALES, index] = floats(width, 0.02)
        if sizes.fold and channel.kind == reference.CHARACTERS:
            words = len(channels[sizes.fold - 1].keys)
            sections[FOLDED, index] = table(words, width)
            sections[FOLDED_SCALES, index] = floats(width, 0.05)
            sections[FOLDED_COUNTS, index] = random.integers(0, 13, words).astype(np.uint8).tobytes()
    sections[LINEAR, 0] = layer(sizes.inputs, sizes.classes)
    if sizes.hidden:
        sections[HIDDEN, 0] = layer(sizes.inputs, sizes.hidden)
        sections[OUTPUT, 0] = layer(sizes.hidden, sizes.classes)
    return sections


# ---- the answer


@dataclass(frozen=True)
class Layer:
    """A linear layer: int64 weights [outputs, inputs], float32 scales and bias [outputs]."""

    scales: np.ndarray
    bias: np.ndarray
    weights: np.ndarray

    def __call__(self, whole: np.ndarray, scale: np.float32) -> np.ndarray:
        products = self.weights @ whole
        assert np.abs(products).max(initial=0) < 2**31
        return products.astype(np.float32) * (scale * self.scales) + self.bias


class Model:
    """A sound .ebnn file; nothing is checked."""

    def __init__(self, content: bytes) -> None:
        count, classes, hidden, channels, flags, bits, fold = struct.unpack_from("<7I", content, 24)
        self.sizes = Sizes(classes, hidden, struct.unpack_from(f"<{channels}I", content, 64), flags, bits, fold)
        self.sections: dict[tuple[int, int], bytes] = {}
        for number in range(count):
            kind, channel, offset, size = struct.unpack_from("<IIQQ", content, HEADER + ENTRY * number)
            self.sections.setdefault((kind, channel), content[offset : offset + size])
        self.vocabulary = reference.read_vocabulary(self.sections[NGRAMS, 0])
        self.linear = self._layer(LINEAR, self.sizes.inputs, classes)
        self.hidden = self._layer(HIDDEN, self.sizes.inputs, hidden) if hidden else None
        self.output = self._layer(OUTPUT, hidden, classes) if hidden else None

    def _floats(self, kind: int, channel: int) -> np.ndarray:
        return np.frombuffer(self.sections[kind, channel], np.float32)

    def _layer(self, kind: int, inputs: int, outputs: int) -> Layer:
        content = self.sections[kind, 0]
        floats = np.frombuffer(content, np.float32, 2 * outputs)
        weights = np.frombuffer(content, np.int8, inputs * outputs, 8 * outputs).astype(np.int64)
        return Layer(floats[:outputs], floats[outputs:], weights.reshape(outputs, inputs))

    def _rows(self, kind: int, channel: int) -> np.ndarray:
        """The numbers of a channel's rows, int64 [rows, width]; a row of zeros, for no n-gram, goes before them."""
        width, content = self.sizes.widths[channel], self.sections[kind, channel]
        if self.sizes.bits == 8:
            numbers = np.frombuffer(content, np.int8).astype(np.int64)
        else:
            blocks = np.frombuffer(content, np.uint8).reshape(-1, BLOCK // 2)
            halves = np.concatenate([blocks & 15, blocks >> 4], axis=1).astype(np.int64)
            numbers = np.where(halves > 7, halves - 16, halves)
        return np.concatenate([np.zeros((1, width), np.int64), numbers.reshape(-1, width)])

    def pool(self, text: str) -> np.ndarray:
        """The pooled vector of a text, float32 [sum of widths]."""
        vocabulary, content, fold = self.vocabulary, text.encode(), self.sizes.fold
        by_channel = [vocabulary.ids_by_word(index, content) for index in range(len(vocabulary.channels))]
        single = [(ids or [0])[0] for ids in by_channel[fold - 1]] if fold else []
        parts = []
        for index, by_word in enumerate(by_channel):
            folded = bool(fold) and vocabulary.channels[index].kind == reference.CHARACTERS
            known: list[int] = []  # rows of known words, whose character n-grams are added up already
            if folded:
                known = [row for row in single if row]
                by_word = [ids for ids, row in zip(by_word, single, strict=True) if not row]
            ids = [row for group in by_word for row in group]
            count = len(ids)
            summed = self._rows(ROWS, index)[ids].sum(axis=0).astype(np.float32) * self._floats(SCALES, index)
            if folded:
                sums = self._rows(FOLDED, index)[known].sum(axis=0).astype(np.float32)
                summed = summed + sums * self._floats(FOLDED_SCALES, index)
                count += sum(self.sections[FOLDED_COUNTS, index][row - 1] for row in known)
            n = np.float32(max(1, count))
            parts.append(summed * (np.float32(1) / (n if self.sizes.flags & MEAN else np.sqrt(n))))
        return np.concatenate(parts)

    def logits(self, text: str, second: str | None = None) -> np.ndarray:
        """Float32 [classes]."""
        x = self.pool(text)
        if second is not None:
            other = self.pool(second)
            x = np.concatenate([x, other, x * other, np.abs(x - other)])
        whole, scale = quantize(x)
        logits = self.linear(whole, scale)
        if self.hidden is not None and self.output is not None:
            hidden = self.hidden(whole, scale)
            logits = logits + self.output(*quantize(np.where(hidden > 0, hidden, np.float32(0))))
        assert logits.dtype == np.float32
        return logits


def quantize(x: np.ndarray) -> tuple[np.ndarray, np.float32]:
    """Whole numbers, int64, and their scale."""
    largest = np.abs(x).max(initial=np.float32(0))
    if not 1e-30 < largest < 1e20:
        return np.zeros(len(x), np.int64), np.float32(0)
    most = np.float32(min(MOST_ACTIVATION, (2**31 - 1) // (128 * len(x)) - 128))
    value = x * (most / largest)
    whole = np.trunc(value + np.where(value < 0, np.float32(-0.5), np.float32(0.5))).astype(np.int64)
    return np.minimum(whole, MOST_ACTIVATION), largest / most
