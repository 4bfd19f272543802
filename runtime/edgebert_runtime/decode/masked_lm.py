"""The words that fit where a text holds [MASK].

The tokenizer reads "[MASK]" in a text as the token of that name, so nothing but the text says what is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from edgebert_runtime.decode import Asked, Decoder, Piece
from edgebert_runtime.decode.offsets import byte_offsets
from edgebert_runtime.decode.windows import most_context
from edgebert_runtime.decode.words import cut_at_words
from edgebert_runtime.errors import BundleError, DataError
from edgebert_runtime.features import Featurizer, Text
from edgebert_runtime.outputs import Outputs

MASK = "[MASK]"
BEST = 5  # words of a gap


class Guess(NamedTuple):
    """A word of the vocabulary; one that begins with "##" goes on with the word before the gap."""

    word: str
    probability: float


class Gap(NamedTuple):
    """A [MASK] of a text, and the words that fit best there, the best one first.

    Where it stands: half-open, in code points (Python), bytes of UTF-8 and UTF-16 units (Java, JavaScript).
    """

    words: tuple[Guess, ...]
    start: int
    end: int
    byte_start: int
    byte_end: int
    utf16_start: int
    utf16_end: int

    def to_json(self) -> dict[str, Any]:
        """The gap as plain JSON."""
        return {**self._asdict(), "words": [guess._asdict() for guess in self.words]}


class Filled(NamedTuple):
    """The answer to one text: what fits in each of its gaps, in their order."""

    gaps: tuple[Gap, ...]

    def to_json(self) -> dict[str, Any]:
        """The answer as plain JSON."""
        return {"gaps": [gap.to_json() for gap in self.gaps]}

    def summary(self) -> str:
        """The words of each gap with their probabilities, " | " between two gaps; "-" where there is none."""
        return " | ".join("  ".join(f"{w.word} {w.probability:.4f}" for w in gap.words) for gap in self.gaps) or "-"


class _Places(NamedTuple):
    """Where the gaps of all texts are, each once and in order; all int64 [n], `ranges` [n, 2].

    Attributes:
        owners: the text that each belongs to; ranges: where it stands there, in code points.
        pieces: the piece that it is read in; tokens: which token it is there.
    """

    owners: np.ndarray
    ranges: np.ndarray
    pieces: np.ndarray
    tokens: np.ndarray


def mask_of(featurizer: Featurizer) -> int:
    """The id of [MASK].

    Raises:
        BundleError: the tokenizer has no such token.
    """
    vocabulary: Sequence[str] = getattr(featurizer, "vocabulary", ())
    if MASK not in vocabulary:
        raise BundleError(f"its task masked-lm needs a tokenizer with the token {MASK}")
    return vocabulary.index(MASK)


def cut(texts: Sequence[Text], featurizer: Featurizer, settings: Mapping[str, Any]) -> list[Piece]:
    """Pieces of the texts that the network can read."""
    return cut_at_words(texts, featurizer)


def check_text(text: Text, number: int) -> None:
    """See `Decoder.check_text`.

    Raises:
        DataError: there is nothing to fill in.
    """
    if MASK not in text:
        raise DataError(f"text {number} holds no {MASK}. Write {MASK} where a word is missing.")


def decode(outputs: Outputs, asked: Asked) -> list[Filled]:
    """The best words of each gap. A gap in the overlap of two pieces is taken from where it has most context."""
    places = _places(outputs, asked)
    vocabulary: Sequence[str] = asked.featurizer.vocabulary  # type: ignore[attr-defined]
    rows = outputs["logits"]
    guesses = []
    for piece, token in zip(places.pieces.tolist(), places.tokens.tolist(), strict=True):
        logits = rows[piece][token].astype(np.float64)
        shares = np.exp(logits - logits.max())
        named = shares[: len(vocabulary)]  # some networks have columns left over
        best = np.argsort(-named, kind="stable")[:BEST]
        found = (named[best] / shares.sum()).tolist()
        guesses.append(tuple(Guess(vocabulary[i], share) for i, share in zip(best.tolist(), found, strict=True)))
    bounds = np.searchsorted(places.owners, np.arange(len(asked.texts) + 1)).tolist()
    return [
        _filled(text, guesses[first:last], places.ranges[first:last])
        for text, (first, last) in zip(asked.texts, pairwise(bounds), strict=True)
    ]


def _filled(text: Text, guesses: Sequence[tuple[Guess, ...]], ranges: np.ndarray) -> Filled:
    assert isinstance(text, str)  # a featurizer of single texts refuses pairs
    in_bytes, in_utf16 = byte_offsets(text, ranges)
    table = np.concatenate((ranges, in_bytes, in_utf16), axis=1).tolist()
    return Filled(tuple(Gap(words, *row) for words, row in zip(guesses, table, strict=True)))


def _places(outputs: Outputs, asked: Asked) -> _Places:
    """Where the gaps are.

    Raises:
        ValueError: a piece has another number of tokens than its outputs.
    """
    mask, featurizer = mask_of(asked.featurizer), asked.featurizer
    pieces = asked.pieces
    if pieces is None:
        pieces = [Piece(text, owner, 0) for owner, text in enumerate(asked.texts)]
    features = featurizer([piece.text for piece in pieces])
    found = [np.zeros((6, 0), np.int64)]
    for number, (piece, item, rows) in enumerate(zip(pieces, features, outputs["logits"], strict=True)):
        ids = item["input_ids"]
        if len(ids) != len(rows):
            raise ValueError("the outputs do not have a row for each token of the texts")
        tokens = np.flatnonzero(ids == mask)
        if len(tokens):
            table = np.empty((6, len(tokens)), np.int64)
            table[0] = piece.owner
            table[1:3] = featurizer.spans(piece.text)[tokens, 2:].T + piece.start
            table[3] = number
            table[4] = tokens
            table[5] = np.minimum(tokens, len(ids) - 1 - tokens)
            found.append(table)
    owners, starts, ends, numbers, tokens, context = np.concatenate(found, axis=1)
    kept = most_context(owners, starts, numbers, context)
    return _Places(owners[kept], np.stack((starts, ends), axis=1)[kept], numbers[kept], tokens[kept])


def margins(outputs: Outputs, asked: Asked) -> list[float | None]:
    """Half the least distance of two logits next to each other among the best of a gap, and the one behind them."""
    places = _places(outputs, asked)
    words = len(asked.featurizer.vocabulary)  # type: ignore[attr-defined]
    least: list[float | None] = [None] * len(asked.texts)
    for owner, piece, token in zip(
        *(each.tolist() for each in (places.owners, places.pieces, places.tokens)), strict=True
    ):
        best = np.sort(outputs["logits"][piece][token][:words].astype(np.float64))[::-1][: BEST + 1]
        margin = float(-np.diff(best).max()) / 2
        before = least[owner]
        least[owner] = margin if before is None else min(margin, before)
    return least


DECODER = Decoder({"logits": True}, decode, margins, cut, check_text=check_text)
