"""The n-gram featurizer: words, word n-grams and character n-grams, as rows of a counted vocabulary.

The C core reads the text (`runtime/core/src/ngrams.c`); here are the vocabulary file, `ngrams.bin`, and the shape of
the ids. A vocabulary holds no strings. The top bits of an n-gram's 64-bit hash choose a line of 64 bytes, one cache
line, and the next 16 bits are kept in it: 4 to 8 bytes an n-gram, and a foreign n-gram is taken for a known one with a
probability of 8 to 16 in 65,536.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgebert_runtime import _core
from edgebert_runtime.features import Features, Flat, InputSpec, Text, check_lengths, split_flat, split_texts

MAGIC, MODEL_MAGIC = b"EBNG", b"EBNN"
VERSION = 3
HEADER, ENTRY, ALIGNMENT = 64, 32, 64
PRINT_BITS = 16
PRINTS = 29  # n-grams that a line has room for
IN_A_LINE = 16  # n-grams at most, on average; at least half as many
LINE = np.dtype([("before", "<u4"), ("count", "<u2"), ("prints", "<u2", PRINTS)])
CHARACTERS_PER_WORD = 12  # known character n-grams that count of one word (EB_CHARS_PER_WORD)
KINDS = ("word", "char")
NGRAMS_SECTION = 1  # of a native model


@dataclass(frozen=True)
class Channel:
    """One embedding table of the n-gram student: what it counts, how many rows it may have, how wide they are.

    Args:
        name: the graph input, such as `word_ids`.
        kind: `word` (n-grams of words) or `char` (n-grams of characters within a word, `<` and `>` at its ends).
        orders: smallest and largest n.
        rows: most n-grams kept (the table has one more row, the padding row 0).
        width: numbers in a row.
    """

    name: str
    kind: str
    orders: tuple[int, int]
    rows: int
    width: int

    def __post_init__(self) -> None:
        low, high = self.orders
        if self.kind not in KINDS or not 1 <= low <= high <= 8 or self.rows < 1 or self.width < 1:
            raise ValueError(
                f"n-gram channel {self.name!r}: kind must be word or char, 1 <= n <= 8, rows and width positive"
            )

    @property
    def per_length(self) -> int:
        """Ids that this channel may hold for each word of the input."""
        return self.orders[1] - self.orders[0] + 1 if self.kind == "word" else CHARACTERS_PER_WORD


def ngram_hashes(channel: Channel, texts: Sequence[str], max_length: int) -> tuple[np.ndarray, np.ndarray]:
    """64-bit hashes of all n-grams of the texts' first `max_length` words, known or not.

    Returns:
        uint64 [m], and int64 offsets [len(texts) + 1]: text `i` has the hashes from offsets[i] to offsets[i + 1].
    """
    hashes, offsets = _core.ngram_hashes(KINDS.index(channel.kind), *channel.orders, max_length, texts)
    return np.frombuffer(hashes, np.uint64), np.frombuffer(offsets, np.int64)


def words_of(text: str) -> list[str]:
    """The words of a text as it spells them; how it spells them is not what counts (see the core), but their hash."""
    ranges, _ = _core.ngram_words([text])
    content = text.encode("utf-8")
    return [content[start:end].decode("utf-8") for start, end in np.frombuffer(ranges, np.uint32).reshape(-1, 2)]


class NgramFeaturizer:
    """Texts to the rows of known n-grams, word by word; repeated n-grams stay repeated, unknown ones are dropped.

    A pair model has each input twice: `word_ids`, … for the first text and `word_ids_b`, … for the second.

    Args:
        channels: the tables, in the order of the graph's inputs.
        table: what `build_table` made of these channels.
        max_length: words read of a text.
    Raises:
        ValueError: a table that is damaged, or one of other channels.
    """

    min_length = 1

    def __init__(self, channels: Sequence[Channel], table: bytes, max_length: int, pair: bool = False) -> None:
        check_lengths(self.min_length, max_length)
        check_table(table, channels, max_length)
        self._ngrams = _core.Ngrams(table)
        self.channels, self.table = tuple(channels), table
        self.max_length, self.pair = max_length, pair
        self.rows: tuple[int, ...] = self._ngrams.rows()
        for channel, rows in zip(self.channels, self.rows, strict=True):
            if rows > channel.rows + 1:
                raise ValueError(f"the table of channel {channel.name!r} has too many rows")
        suffixes = ("", "_b")[: 1 + pair]
        self.inputs = tuple(
            InputSpec(channel.name + suffix, channel.per_length, rows)
            for suffix in suffixes
            for channel, rows in zip(self.channels, self.rows, strict=True)
        )

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], read: Callable[[str], bytes]) -> NgramFeaturizer:
        """See `load_featurizer`. The table may lie inside a native model."""
        channels = [Channel(**{**item, "orders": tuple(item["orders"])}) for item in spec["channels"]]
        table = table_of(read(str(spec["table"])))
        return cls(channels, table, int(spec["max_length"]), bool(spec["pair"]))

    def spec(self) -> dict[str, Any]:
        """See `Featurizer.spec`."""
        return {
            "type": "ngram",
            "table": "tokenizer/ngrams.bin",
            "channels": [{**asdict(c), "orders": list(c.orders)} for c in self.channels],
            "max_length": self.max_length,
            "pair": self.pair,
        }

    def files(self) -> dict[str, bytes]:
        """See `Featurizer.files`."""
        return {"tokenizer/ngrams.bin": self.table}

    def ids(self, index: int, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Rows of channel `index`, int32 [m], and where each text's begin, int64 [len(texts) + 1]."""
        rows, offsets = self._ngrams.ids(index, texts)
        return np.frombuffer(rows, np.int32), np.frombuffer(offsets, np.int64)

    def __call__(self, texts: Sequence[Text]) -> list[Features]:
        """See `Featurizer.__call__`."""
        return split_flat(self.flat(texts), len(texts))

    def spans(self, text: Text, cut: bool = True) -> np.ndarray:
        """See `Featurizer.spans`: a bag of n-grams has no tokens."""
        return np.zeros((0, 4), np.int32)

    def flat(self, texts: Sequence[Text]) -> dict[str, Flat]:
        """See `edgebert_runtime.features.Flat`; one for each input."""
        first, second = split_texts(texts, self.pair)
        return {
            channel.name + suffix: self.ids(index, half)
            for suffix, half in (("", first), ("_b", second))
            if half is not None
            for index, channel in enumerate(self.channels)
        }


def build_table(channels: Sequence[Channel], hashes: Sequence[np.ndarray], max_length: int) -> bytes:
    """`ngrams.bin` of a vocabulary; row `i + 1` of a channel belongs to its `i`-th smallest hash.

    An n-gram that a line has no room for, or whose kept bits are another's, is left out (about one in 3,000 at most).

    Args:
        hashes: uint64 [n] for each channel, as `ngram_hashes` gives them, those that must stay first.
    """
    head = struct.pack("<4sIII", MAGIC, VERSION, len(channels), max_length).ljust(HEADER, b"\0")
    entries, arrays = b"", b""
    for channel, kept in zip(channels, hashes, strict=True):
        bits, keys = line_bits(len(kept)), shortened(kept)[kept_by_table(kept)]
        kind, (low, high) = KINDS.index(channel.kind), channel.orders
        entries += struct.pack("<IIIII", kind, low, high, bits, len(keys)).ljust(ENTRY, b"\0")
        arrays += _lines(keys, bits).tobytes()
    return _padded(head + entries) + arrays


def _lines(keys: np.ndarray, bits: int) -> np.ndarray:
    """The lines of these ascending keys (see `shortened`); `LINE` [2^bits]."""
    lines = np.zeros(1 << bits, LINE)
    line = (keys >> np.uint64(PRINT_BITS)).astype(np.int64)
    lines["count"] = np.bincount(line, minlength=len(lines))
    lines["before"] = np.cumsum(lines["count"], dtype=np.uint32) - lines["count"]
    lines["prints"][line, np.arange(len(keys)) - lines["before"][line]] = keys & np.uint64(0xFFFF)
    return lines


def line_bits(count: int) -> int:
    """How many bits of a hash choose a line in a table of `count` n-grams."""
    return max(0, (count - 1) // IN_A_LINE).bit_length()


def shortened(hashes: np.ndarray) -> np.ndarray:
    """The bits of these hashes that a table of as many n-grams keeps: which line, and the print in it."""
    return hashes.astype(np.uint64) >> np.uint64(64 - line_bits(len(hashes)) - PRINT_BITS)


def kept_by_table(hashes: np.ndarray) -> np.ndarray:
    """Which of these hashes a table of as many n-grams keeps: their indices, in the order of the rows.

    Where a line is full, or two have the same kept bits, the earlier ones in `hashes` stay.
    """
    keys, first = np.unique(shortened(hashes), return_index=True)
    line = keys >> np.uint64(PRINT_BITS)
    by_rank = np.lexsort((first, line))  # within a line, the earlier ones first
    place = np.arange(len(keys)) - np.searchsorted(line, line)
    return first[np.sort(by_rank[place < PRINTS])]


def known_hashes(table: bytes, channels: int) -> list[np.ndarray]:
    """What a table knows of each row's hash, in its high bits; uint64 [rows without padding] a channel."""
    found: list[np.ndarray] = []
    at = len(_padded(bytes(HEADER + ENTRY * channels)))
    for index in range(channels):
        (bits,) = struct.unpack_from("<I", table, HEADER + ENTRY * index + 12)
        lines = np.frombuffer(table, LINE, 1 << bits, at)
        which = np.repeat(np.arange(len(lines), dtype=np.uint64), lines["count"])
        prints = lines["prints"][np.arange(PRINTS) < lines["count"][:, None]].astype(np.uint64)
        found.append((which << np.uint64(PRINT_BITS) | prints) << np.uint64(64 - bits - PRINT_BITS))
        at += lines.nbytes
    return found


def table_of(content: bytes) -> bytes:
    """The vocabulary in a file: the whole of an `ngrams.bin`, one section of a native model.

    Raises:
        ValueError: a native model without one.
    """
    if content[:4] != MODEL_MAGIC:
        return content
    (count,) = struct.unpack_from("<I", content, 24) if len(content) >= 128 else (0,)
    for at in range(128, min(128 + 32 * count, len(content) - 31), 32):
        kind, _, offset, size = struct.unpack_from("<IIQQ", content, at)
        if kind == NGRAMS_SECTION and offset + size <= len(content):
            return content[offset : offset + size]
    raise ValueError("the model holds no vocabulary")


def check_table(table: bytes, channels: Sequence[Channel], max_length: int) -> None:
    """Compare a table's header with what is said of it elsewhere; the core checks the rest.

    Raises:
        ValueError: not such a file, another version, other channels or another length.
    """
    if not channels or len(table) < HEADER + ENTRY * len(channels):
        raise ValueError("the n-gram table is too short")
    magic, version, count, length = struct.unpack_from("<4sIII", table)
    if magic != MAGIC or version != VERSION or count != len(channels):
        raise ValueError(f"the n-gram table is not a version {VERSION} table of {len(channels)} channels")
    if length != max_length:
        raise ValueError(f"the n-gram table is for texts of {length} words, not {max_length}")
    for index, channel in enumerate(channels):
        kind, low, high = struct.unpack_from("<III", table, HEADER + ENTRY * index)
        if (kind, low, high) != (KINDS.index(channel.kind), *channel.orders):
            raise ValueError(f"the n-gram table holds other n-grams for channel {channel.name!r}")


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % ALIGNMENT)
