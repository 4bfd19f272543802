"""Precision, recall and F1 of labelled spans, as conlleval and seqeval's default mode count them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from edgebert_runtime.decode.spans import spans_of


class SpanScores(NamedTuple):
    """Fractions over all spans of all texts (micro); 0 where a quotient is 0/0."""

    precision: float
    recall: float
    f1: float


def span_scores(predicted: Sequence[Sequence[str]], gold: Sequence[Sequence[str]]) -> SpanScores:
    """BIO tags of each text -> how many spans are right: the same type, the same first and the same last word.

    An I- that continues nothing, or something of another type, begins a span (`spans_of`).

    Raises:
        ValueError: the texts, or the tags of one, differ in number, or there are no texts.
    """
    if len(predicted) != len(gold) or not gold:
        raise ValueError(f"{len(predicted)} predicted and {len(gold)} gold texts cannot be compared")
    hits = called = there = 0
    for index, (ours, theirs) in enumerate(zip(predicted, gold, strict=True)):
        if len(ours) != len(theirs):
            raise ValueError(f"text {index} has {len(ours)} predicted and {len(theirs)} gold tags")
        found, wanted = set(spans_of(ours)), set(spans_of(theirs))
        hits, called, there = hits + len(found & wanted), called + len(found), there + len(wanted)
    return SpanScores(_share(hits, called), _share(hits, there), _share(2 * hits, called + there))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
