"""Texts longer than the network reads: overlapping windows of them, and which window answers for a word.

A window is a stretch of the text itself, cut where words begin. A tokenizer works on one word at a time, so the ids of
a window are a slice of the ids of the whole, and to everything else a window is a text like any other.
"""

from __future__ import annotations

import numpy as np


def windows(spans: np.ndarray, end: int, room: int, overlap: int) -> list[tuple[int, int]]:
    """The windows of one text: (start, end) in code points. Together they hold all of it; one when all of it fits.

    Args:
        spans: the rows of one half in `Featurizer.spans(text, cut=False)`, from its first token to its last one.
        end: how many code points that half has.
        room: tokens that a window may have, at least 1; a word of more is a window of its own.
        overlap: tokens that two neighbours share at least, under `room`; fewer where words are too long for it.
    """
    if len(spans) <= room:
        return [(0, end)]
    borders = _borders(spans)
    found: list[tuple[int, int]] = []
    first = 0  # a place in `borders`, as is `last`
    while True:
        begin = int(spans[borders[first], 2]) if first else 0
        last = max(int(np.searchsorted(borders, borders[first] + room, "right")) - 1, first + 1)
        if last == len(borders) - 1:
            return [*found, (begin, end)]
        found.append((begin, int(spans[borders[last], 2])))
        shared = int(np.searchsorted(borders, borders[last] - overlap, "right")) - 1
        needed = int(np.searchsorted(borders, borders[last + 1] - room))  # or the next window would hold nothing new
        first = min(max(shared, needed), last)


def _borders(spans: np.ndarray) -> np.ndarray:
    """Int64: the tokens before which a text may be cut, from 0 to the number of tokens.

    Where a word begins, unless it begins within a code point (one may be two words once it is taken apart).
    """
    begins = np.flatnonzero((spans[1:, 0] >= 0) & (spans[1:, 1] != spans[:-1, 1])) + 1
    ends = np.maximum.accumulate(spans[:, 3])
    begins = begins[spans[begins, 2] >= ends[begins - 1]]
    return np.concatenate(([0], begins, [len(spans)]))


def most_context(owners: np.ndarray, starts: np.ndarray, pieces: np.ndarray, context: np.ndarray) -> np.ndarray:
    """Which of the words of all pieces answer, int64, by owner and place: each word is taken from one piece.

    That is the piece in which it stands farthest from both ends; of equal ones the first. Words that begin in the same
    code point come from the same piece.

    Args:
        owners: int64 [n], the text that a word belongs to.
        starts: int64 [n], where it begins in that text.
        pieces: int64 [n], the piece that it is read in; the words of a piece are in order.
        context: int64 [n], tokens between it and the nearer end of its piece.
    """
    order = np.lexsort((pieces, -context, starts, owners))
    new = np.ones(len(order), bool)
    new[1:] = (owners[order][1:] != owners[order][:-1]) | (starts[order][1:] != starts[order][:-1])
    chosen = np.empty(len(order), np.int64)
    chosen[order] = pieces[order][new][np.cumsum(new) - 1]
    kept = np.flatnonzero(pieces == chosen)
    return kept[np.lexsort((starts[kept], owners[kept]))]
