"""Stretches of a text, and how tags make them. Decoders and metrics both take the rule from here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from edgebert_runtime.decode.offsets import byte_offsets


class Span(NamedTuple):
    """A stretch of a text: half-open, in code points (Python), bytes of UTF-8 and UTF-16 units (Java, JavaScript)."""

    label: str
    text: str
    probability: float
    start: int
    end: int
    byte_start: int
    byte_end: int
    utf16_start: int
    utf16_end: int

    def to_json(self) -> dict[str, Any]:
        """The span as plain JSON."""
        return self._asdict()


def make_spans(
    text: str, labels: Sequence[str], probabilities: Sequence[float], ranges: np.ndarray
) -> tuple[Span, ...]:
    """One span for each label; `ranges`, int64 [n, 2], are starts and ends in code points of `text`."""
    in_bytes, in_utf16 = byte_offsets(text, ranges)
    table = np.concatenate((ranges, in_bytes, in_utf16), axis=1).tolist()
    return tuple(
        Span(label, text[places[0] : places[1]], probability, *places)
        for label, probability, places in zip(labels, probabilities, table, strict=True)
    )


def spans_of(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """The spans that BIO tags spell: (label, first tag, last tag), in order.

    "B-" begins one, and so does an "I-" that no tag of its label stands before. Anything else is outside.
    """
    found: list[tuple[str, int, int]] = []
    inside, first = "", 0
    for place, tag in enumerate(tags):
        prefix, label = tag[:2], tag[2:]
        if prefix == "I-" and label == inside:
            continue
        if inside:
            found.append((inside, first, place - 1))
        inside, first = (label if prefix in ("B-", "I-") else ""), place
    if inside:
        found.append((inside, first, len(tags) - 1))
    return found
