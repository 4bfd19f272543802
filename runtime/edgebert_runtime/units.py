"""Units: the tokens at which a word begins. What is said of words is learnt and answered there.

A word is what the tokenizer splits a text into before it looks anything up: "don't" is three of them.
"""

from __future__ import annotations

import numpy as np


def units(spans: np.ndarray) -> np.ndarray:
    """Int64 indexes of the tokens that begin a word; `spans` is what `Featurizer.spans` gives, [tokens, 4]."""
    begins = spans[:, 0] >= 0
    begins[1:] &= (spans[1:, :2] != spans[:-1, :2]).any(axis=1)
    return np.flatnonzero(begins)


def unit_ranges(spans: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """Int64 [units, 2]: start and end of each word in code points of its half; `begins` is what `units` gives."""
    ranges = np.zeros((len(begins), 2), np.int64)
    if len(begins):
        ranges[:, 0] = spans[begins, 2]
        # [CLS] and [SEP] end at 0. The largest, since the last token of a word may lie in the same code point.
        ranges[:, 1] = np.maximum.reduceat(spans[:, 3], begins)
    return ranges
