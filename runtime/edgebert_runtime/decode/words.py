"""The words of the texts of a call: where the network reads each, and which of its rows answers for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edgebert_runtime.decode import Asked, Piece
from edgebert_runtime.decode.windows import most_context, windows
from edgebert_runtime.features import Featurizer, Text
from edgebert_runtime.units import unit_ranges, units


class Words(NamedTuple):
    """Words as the network reads them, one after the other; all int64 [n]. In overlapping pieces a word stands twice.

    Attributes:
        owners: the text that each belongs to.
        starts: where it begins in that text, in code points; ends: where it ends.
        pieces: the piece that it is read in.
        rows: its first token, counted over the tokens of all pieces.
        context: tokens between it and the nearer end of its piece.
    """

    owners: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    pieces: np.ndarray
    rows: np.ndarray
    context: np.ndarray


def cut_at_words(texts: Sequence[Text], featurizer: Featurizer) -> list[Piece]:
    """Each text in windows that the network can read; neighbours share a quarter."""
    room = featurizer.max_length - len(featurizer.spans("", cut=False))
    pieces = []
    for owner, text in enumerate(texts):
        spans = featurizer.spans(text, cut=False)
        assert isinstance(text, str)  # a featurizer of single texts refuses pairs
        real = np.flatnonzero(spans[:, 0] >= 0)
        inner = spans[real[0] : real[-1] + 1] if len(real) else spans[:0]
        for start, end in windows(inner, len(text), room, room // 4):
            pieces.append(Piece(text[start:end], owner, start))
    return pieces


def read_words(asked: Asked) -> tuple[Words, np.ndarray]:
    """The words of all pieces in order, and how many tokens each piece has, int64 [pieces]."""
    pieces = asked.pieces
    if pieces is None:
        pieces = [Piece(text, owner, 0) for owner, text in enumerate(asked.texts)]
    tables, lengths = [np.zeros((6, 0), np.int64)], np.zeros(len(pieces), np.int64)
    before = 0
    for number, piece in enumerate(pieces):
        spans = asked.featurizer.spans(piece.text)
        lengths[number] = len(spans)
        tokens = units(spans)
        if len(tokens):
            table = np.empty((6, len(tokens)), np.int64)
            table[0] = piece.owner
            table[1:3] = unit_ranges(spans, tokens).T + piece.start
            table[3] = number
            table[4] = tokens + before
            real = np.flatnonzero(spans[:, 0] >= 0)
            table[5] = np.minimum(tokens - real[0], real[-1] - tokens)
            tables.append(table)
        before += len(spans)
    return Words(*np.concatenate(tables, axis=1)), lengths


def answered(outputs: np.ndarray | Sequence[np.ndarray], asked: Asked) -> tuple[Words, np.ndarray]:
    """The words of all texts, each once and in order, and the numbers of each: float32 [words, width].

    Args:
        outputs: of each piece, [tokens, width].
    Raises:
        ValueError: a piece has another number of tokens.
    """
    words, lengths = read_words(asked)
    if [len(rows) for rows in outputs] != lengths.tolist():
        raise ValueError("the outputs do not have a row for each token of the texts")
    if asked.pieces is not None and len(asked.pieces) > len(asked.texts):
        kept = most_context(words.owners, words.starts, words.pieces, words.context)
        words = Words(*(column[kept] for column in words))
    width = outputs[0].shape[1] if len(outputs) else 0
    numbers = np.concatenate(outputs) if len(outputs) else np.zeros((0, width), np.float32)
    return words, numbers[words.rows]
