"""A tag for each word of a text, and the spans that BIO tags spell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from edgebert_runtime.decode import Asked, Decoder, Piece, check_confidence, need_labels, temperature_of
from edgebert_runtime.decode.spans import Span, make_spans, spans_of
from edgebert_runtime.decode.words import answered, cut_at_words
from edgebert_runtime.features import Featurizer, Text
from edgebert_runtime.outputs import Outputs


class Tagging(NamedTuple):
    """The answer to one text: each word with its tag and, of BIO tags, the spans that they spell.

    The probability of a span is the least of its words'. Spans below the threshold are left out, words never are.
    """

    words: tuple[Span, ...]
    spans: tuple[Span, ...]

    def to_json(self) -> dict[str, Any]:
        """The answer as plain JSON."""
        return {name: [span.to_json() for span in spans] for name, spans in self._asdict().items()}

    def summary(self) -> str:
        """The spans, such as "LOC[tampa bay 35:44]"; of plain tags, each word with its tag; "-" where there is none."""
        if self.spans:
            return " ".join(f"{s.label}[{' '.join(s.text.split())} {s.start}:{s.end}]" for s in self.spans)
        plain = (word for word in self.words if word.label != "O" and word.label[:2] not in ("B-", "I-"))
        return " ".join(f"{word.text}/{word.label}" for word in plain) or "-"


def cut(texts: Sequence[Text], featurizer: Featurizer, settings: Mapping[str, Any]) -> list[Piece]:
    """Pieces of the texts that the network can read."""
    return cut_at_words(texts, featurizer)


def decode(outputs: Outputs, asked: Asked) -> list[Tagging]:
    """The tags and spans of each text."""
    return tag(outputs["logits"], asked, "logits", asked.settings.get("threshold") or 0.0)


def tag(rows: np.ndarray | Sequence[np.ndarray], asked: Asked, output: str, threshold: float) -> list[Tagging]:
    """The most probable tag of each word (of equal ones the first), and the spans.

    Args:
        rows: what `output` gives for each piece, [tokens, labels].
    """
    words, logits = answered(rows, asked)
    best = logits.argmax(axis=1) if len(logits) else np.zeros(0, np.int64)
    probabilities = certainty(logits, temperature_of(asked.settings, output)).tolist()
    names = asked.labels[output]
    tags = [names[index] for index in best.tolist()]
    ranges = np.stack((words.starts, words.ends), axis=1)
    bounds = np.searchsorted(words.owners, np.arange(len(asked.texts) + 1)).tolist()
    return [
        _tagging(text, tags[first:last], probabilities[first:last], ranges[first:last], threshold)
        for text, (first, last) in zip(asked.texts, pairwise(bounds), strict=True)
    ]


def certainty(logits: np.ndarray, temperature: float) -> np.ndarray:
    """The largest probability of each row of logits [n, labels], float64 [n]."""
    if not len(logits):
        return np.zeros(0)
    lower = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.asarray(1 / np.exp(lower / temperature).sum(axis=1))


def _tagging(
    text: Text, tags: Sequence[str], probabilities: Sequence[float], ranges: np.ndarray, threshold: float
) -> Tagging:
    assert isinstance(text, str)  # a featurizer of single texts refuses pairs
    found = [
        (label, min(probabilities[first : last + 1]), ranges[first, 0], ranges[last, 1])
        for label, first, last in spans_of(tags)
    ]
    found = [span for span in found if span[1] >= threshold]
    labels = [*tags, *(span[0] for span in found)]
    places = np.concatenate((ranges, np.asarray([span[2:] for span in found], np.int64).reshape(-1, 2)))
    made = make_spans(text, labels, [*probabilities, *(span[1] for span in found)], places)
    return Tagging(made[: len(tags)], made[len(tags) :])


def margins(outputs: Outputs, asked: Asked) -> list[float | None]:
    """Half the least distance of the two largest logits of a word, or less where a span is close to the threshold."""
    found = tag_margins(outputs["logits"], asked, "logits")
    return [float(margin) if np.isfinite(margin) else None for margin in found]


def tag_margins(rows: np.ndarray | Sequence[np.ndarray], asked: Asked, output: str) -> np.ndarray:
    """By how much the numbers of `output` may move before a tag or a span of a text is another; inf without words."""
    words, logits = answered(rows, asked)
    least = np.full(len(asked.texts), np.inf)
    if len(logits):
        best = np.partition(logits, -2, axis=1)
        np.minimum.at(least, words.owners, (best[:, -1] - best[:, -2]) / 2)
    threshold = asked.settings.get("threshold") or 0.0
    if 0.0 < threshold < 1.0:
        for index, tagging in enumerate(tag(rows, asked, output, 0.0)):
            sure = np.asarray([span.probability for span in tagging.spans])
            # The log-odds of a tag change by twice as much as the scaled logits do at most.
            with np.errstate(divide="ignore"):
                odds = np.log(sure / (1.0 - sure)) - np.log(threshold / (1.0 - threshold))
            room = np.abs(odds) * temperature_of(asked.settings, output) / 2
            least[index] = min(least[index], room.min(initial=np.inf))
    return least


def check(labels: Mapping[str, tuple[str, ...]], settings: Mapping[str, Any]) -> None:
    """See `Decoder.check`."""
    need_labels(labels, "logits")
    check_confidence(settings, "logits")


DECODER = Decoder({"logits": True}, decode, margins, cut, takes_threshold=True, check=check)
