"""The words featurizer: each word of a text with its row, the rows of its character n-grams and its shape.

It reads the same words, and the same vocabulary file `ngrams.bin`, as the n-gram featurizer, but keeps them apart and
in order, so that a network can answer for each word.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from edgebert_runtime import _core
from edgebert_runtime.features import (
    Features,
    Flat,
    InputSpec,
    Text,
    check_lengths,
    split_flat,
    split_pair,
    split_texts,
)
from edgebert_runtime.ngrams import CHARACTERS_PER_WORD, Channel, check_table

SHAPES = 7  # ways to write a word (eb_shape), counted from 1
SHAPE_INPUT = "shape_ids"
ENTRY = 16  # numbers of a word (eb_word): start, end, row, rows of its characters, shape


class WordsFeaturizer:
    """Texts to words: one position each, which unknown words have too (the last row of the word table is theirs).

    Args:
        channels: two, single words and characters: the names of their inputs, and their n-grams.
        table: what `build_table` made of these channels.
        max_length: words read of a text.
    Raises:
        ValueError: other channels, or a table that is damaged or of other channels.
    """

    min_length = 1
    pair = False

    def __init__(self, channels: Sequence[Channel], table: bytes, max_length: int) -> None:
        check_lengths(self.min_length, max_length)
        if [(c.kind, c.kind == "char" or c.orders) for c in channels] != [("word", (1, 1)), ("char", True)]:
            raise ValueError("the channels must be two: single words, then characters")
        check_table(table, channels, max_length)
        self._ngrams = _core.Ngrams(table)
        self.channels, self.table, self.max_length = tuple(channels), table, max_length
        words, characters = self._ngrams.rows()
        for channel, rows in zip(self.channels, (words, characters), strict=True):
            if rows > channel.rows + 1:
                raise ValueError(f"the table of channel {channel.name!r} has too many rows")
        self.unknown = words  # the row of every unknown word, behind those of the known ones
        self.inputs: tuple[InputSpec, ...] = (
            InputSpec(self.channels[0].name, 1, words + 1),
            InputSpec(self.channels[1].name, CHARACTERS_PER_WORD, characters),
            InputSpec(SHAPE_INPUT, 1, SHAPES + 1),
        )

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], read: Callable[[str], bytes]) -> WordsFeaturizer:
        """See `load_featurizer`."""
        channels = [Channel(**{**item, "orders": tuple(item["orders"])}) for item in spec["channels"]]
        return cls(channels, read(str(spec["table"])), int(spec["max_length"]))

    def spec(self) -> dict[str, Any]:
        """See `Featurizer.spec`."""
        return {
            "type": "words",
            "table": "tokenizer/ngrams.bin",
            "channels": [{**asdict(c), "orders": list(c.orders)} for c in self.channels],
            "max_length": self.max_length,
        }

    def files(self) -> dict[str, bytes]:
        """See `Featurizer.files`."""
        return {"tokenizer/ngrams.bin": self.table}

    def __call__(self, texts: Sequence[Text]) -> list[Features]:
        """See `Featurizer.__call__`."""
        return split_flat(self.flat(texts), len(texts))

    def flat(self, texts: Sequence[Text]) -> dict[str, Flat]:
        """See `edgebert_runtime.features.Flat`; one for each input."""
        first, _ = split_texts(texts, self.pair)
        words, offsets = self._words(first, self.max_length)
        ids = np.where(words[:, 2] > 0, words[:, 2], np.int32(self.unknown))
        characters = words[:, 3 : 3 + CHARACTERS_PER_WORD].reshape(-1)
        names = [spec.name for spec in self.inputs]
        values = (ids, offsets), (characters, offsets * CHARACTERS_PER_WORD), (words[:, -1].copy(), offsets)
        return dict(zip(names, values, strict=True))

    def spans(self, text: Text, cut: bool = True) -> np.ndarray:
        """See `Featurizer.spans`."""
        first, _ = split_pair(text, self.pair)
        words, _ = self._words([first], self.max_length if cut else sys.maxsize)
        spans = np.zeros((len(words), 4), np.int32)
        spans[:, 1], spans[:, 2:] = np.arange(len(words)), words[:, :2]
        return spans

    def _words(self, texts: Sequence[str], most: int) -> tuple[np.ndarray, np.ndarray]:
        """Int32 [words, ENTRY] of all texts, at most `most` of each, and where each text's begin."""
        words, offsets = self._ngrams.words(0, 1, most, texts)
        return np.frombuffer(words, np.int32).reshape(-1, ENTRY), np.frombuffer(offsets, np.int64)
