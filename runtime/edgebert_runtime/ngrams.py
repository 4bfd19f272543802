"""The n-gram featurizer: words, word n-grams and character n-grams, as rows of hashed vocabularies.

A vocabulary is a sorted list of 64-bit hashes; the row of an n-gram is its place in that list plus one (row 0 is
padding). No strings are stored: among a million n-grams, a foreign one is taken for a known one with probability
1e6 / 2**64, about 5e-14.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgebert_runtime.features import Features, InputSpec, Text, check_lengths, split_pair

# A word keeps its inner apostrophes ("don't", "n't"), every other visible character is a word of its own: negation
# and punctuation carry sentiment, and scikit-learn's default pattern loses both.
WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")

MAGIC = b"EBNG"
VERSION = 1
FNV_OFFSET, FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3
MASK = 0xFFFFFFFFFFFFFFFF
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, odd
# In-vocabulary character n-grams a word brings on average is about 8; 12 leaves room, the rest is cut.
CHARACTERS_PER_WORD = 12
LONGEST = 64  # character n-grams are taken of this many first characters of a word
REMEMBERED = 100_000  # words whose hashes are kept


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
        if self.kind not in ("word", "char") or not 1 <= low <= high <= 8 or self.rows < 1 or self.width < 1:
            raise ValueError(
                f"n-gram channel {self.name!r}: kind must be word or char, 1 <= n <= 8, rows and width positive"
            )

    @property
    def per_length(self) -> int:
        """Ids that this channel may hold for each word of the input."""
        return self.orders[1] - self.orders[0] + 1 if self.kind == "word" else CHARACTERS_PER_WORD


def words_of(text: str) -> list[str]:
    """Lower-cased words and single punctuation marks, in order."""
    return WORD.findall(text.lower())


def word_hash(word: str) -> int:
    """FNV-1a, 64 bit, over the UTF-8 bytes."""
    value = FNV_OFFSET
    for byte in word.encode("utf-8", "surrogatepass"):
        value = ((value ^ byte) * FNV_PRIME) & MASK
    return value


def _mix(values: np.ndarray) -> np.ndarray:
    """Spread the bits, so that a table may be searched by interpolation or bucketed by its high bits."""
    values = (values ^ (values >> np.uint64(32))) * MULTIPLIER
    return values ^ (values >> np.uint64(29))


def rolling_hashes(values: np.ndarray, low: int, high: int) -> np.ndarray:
    """Hashes of all n-grams of `values` (uint64 [n]) with n in [low, high], order by order; uint64 [m]."""
    result = []
    running = np.zeros(len(values), dtype=np.uint64)
    for order in range(1, high + 1):
        if order > len(values):
            break
        # running[i] holds the n-gram that starts at i; each order drops the last start and adds one value.
        running = running[: len(values) - order + 1] * MULTIPLIER + values[order - 1 :] + np.uint64(order)
        if order >= low:
            result.append(_mix(running))
    return np.concatenate(result) if result else np.zeros(0, dtype=np.uint64)


class NgramHasher:
    """Texts to n-gram hashes, channel by channel; remembers the hashes of words it has met."""

    def __init__(self, channels: Sequence[Channel], max_length: int) -> None:
        self.channels, self.max_length = tuple(channels), max_length
        self._words: dict[str, tuple[int, tuple[np.ndarray, ...]]] = {}
        self._char_channels = [c for c in self.channels if c.kind == "char"]

    def _word(self, word: str) -> tuple[int, tuple[np.ndarray, ...]]:
        known = self._words.get(word)
        if known is None:
            points = np.array([ord(c) for c in f"<{word[:LONGEST]}>"], dtype=np.uint64)
            grams = tuple(rolling_hashes(points, *channel.orders) for channel in self._char_channels)
            known = (word_hash(word), grams)
            # Bounded (about 50 MB): a long-lived process may meet any number of words, of any length.
            if len(self._words) < REMEMBERED and len(word) <= LONGEST:
                self._words[word] = known
        return known

    def __call__(self, text: str) -> list[np.ndarray]:
        """Hashes of one text, uint64 [n] for each channel."""
        entries = [self._word(word) for word in words_of(text)[: self.max_length]]
        hashes = np.array([entry[0] for entry in entries], dtype=np.uint64)
        result, char_index = [], 0
        for channel in self.channels:
            if channel.kind == "word":
                result.append(rolling_hashes(hashes, *channel.orders))
            else:
                parts = [entry[1][char_index] for entry in entries]
                result.append(np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint64))
                char_index += 1
        return result


class NgramFeaturizer:
    """Texts to the rows of known n-grams; repeated n-grams stay repeated, unknown ones are dropped.

    A pair model has each input twice: `word_ids`, … for the first text and `word_ids_b`, … for the second.

    Args:
        channels: the tables, in the order of the graph's inputs.
        keys: sorted hashes of each channel, uint64 [rows]; row `i + 1` of a table belongs to `keys[i]`.
        max_length: words read of a text.
    Raises:
        ValueError: keys that are not strictly ascending, or more of them than the channel may have.
    """

    min_length = 1

    def __init__(
        self, channels: Sequence[Channel], keys: Sequence[np.ndarray], max_length: int, pair: bool = False
    ) -> None:
        if len(channels) != len(keys) or not channels:
            raise ValueError(f"{len(channels)} n-gram channels but {len(keys)} tables")
        for channel, table in zip(channels, keys, strict=True):
            if len(table) > channel.rows or np.any(table[1:] <= table[:-1]):
                raise ValueError(f"the table of channel {channel.name!r} is not sorted or has too many rows")
        check_lengths(self.min_length, max_length)
        self.channels, self.keys = tuple(channels), tuple(keys)
        self.max_length, self.pair = max_length, pair
        names = [
            (c.name + suffix, c, k) for suffix in ("", "_b")[: 1 + pair] for c, k in zip(channels, keys, strict=True)
        ]
        self.inputs = tuple(InputSpec(name, c.per_length, len(k) + 1) for name, c, k in names)
        self._hasher = NgramHasher(channels, max_length)

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], read: Callable[[str], bytes]) -> NgramFeaturizer:
        """See `load_featurizer`."""
        channels = [Channel(**{**item, "orders": tuple(item["orders"])}) for item in spec["channels"]]
        keys = read_tables(read(str(spec["table"])), len(channels))
        return cls(channels, keys, int(spec["max_length"]), bool(spec["pair"]))

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
        return {"tokenizer/ngrams.bin": write_tables(self.keys)}

    def _ids(self, text: str, suffix: str) -> Features:
        result = {}
        for channel, table, hashes in zip(self.channels, self.keys, self._hasher(text), strict=True):
            if len(table) == 0:
                result[channel.name + suffix] = np.zeros(0, dtype=np.int32)
                continue
            place = np.minimum(np.searchsorted(table, hashes), len(table) - 1)
            ids = place[table[place] == hashes].astype(np.int32) + 1
            result[channel.name + suffix] = ids[: channel.per_length * self.max_length]
        return result

    def __call__(self, texts: Sequence[Text]) -> list[Features]:
        """See `Featurizer.__call__`."""
        features = []
        for text in texts:
            first, second = split_pair(text, self.pair)
            item = self._ids(first, "")
            if second is not None:
                item |= self._ids(second, "_b")
            features.append(item)
        return features


def write_tables(keys: Sequence[np.ndarray]) -> bytes:
    """`ngrams.bin`: magic, version, number of tables, their row counts, then the sorted hashes (little-endian)."""
    head = struct.pack("<4sII", MAGIC, VERSION, len(keys)) + b"".join(struct.pack("<Q", len(k)) for k in keys)
    return head + b"".join(k.astype("<u8").tobytes() for k in keys)


def read_tables(content: bytes, count: int) -> list[np.ndarray]:
    """The inverse of `write_tables`; checks every size against the content's.

    Raises:
        ValueError: not such a file, another version, or sizes that do not add up.
    """
    start = 12 + 8 * count
    if len(content) < start:
        raise ValueError("ngrams.bin is too short")
    magic, version, tables = struct.unpack_from("<4sII", content)
    if magic != MAGIC or version != VERSION or tables != count:
        raise ValueError(f"ngrams.bin is not a version {VERSION} table of {count} channels")
    lengths = struct.unpack_from(f"<{count}Q", content, 12)
    if start + 8 * sum(lengths) != len(content):
        raise ValueError("the row counts in ngrams.bin do not match its size")
    keys = []
    for length in lengths:
        keys.append(np.frombuffer(content, dtype="<u8", count=length, offset=start))
        start += 8 * length
    return keys
