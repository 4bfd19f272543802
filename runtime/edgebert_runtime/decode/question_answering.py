"""The stretch of a context that answers a question, or that there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from edgebert_runtime.decode import Asked, Decoder, Piece, check_confidence, number, temperature_of
from edgebert_runtime.decode.offsets import byte_offsets
from edgebert_runtime.decode.windows import windows
from edgebert_runtime.features import Featurizer, Text
from edgebert_runtime.outputs import Outputs

QUESTION = 64  # tokens read of a question
OVERLAP = 128  # tokens that two windows of a context share
KEPT = 20  # best starts and best ends of a window that are tried, and answers that share the probability
LONGEST = 30  # tokens of an answer
SHOWN = 5  # answers in the JSON


class Candidate(NamedTuple):
    """An answer that was thought of; `start` and `end` are code points of the context."""

    text: str
    start: int
    end: int
    probability: float


class FoundAnswer(NamedTuple):
    """The answer to one question: a half-open stretch of the context.

    In code points (Python), bytes of UTF-8 and UTF-16 units (Java, JavaScript). Where the context has no answer, and
    where the model is not sure, `text` is "" and the stretch is empty.

    Attributes:
        probability: of this answer, or of there being none; of what was found where the model is not sure of it.
        sure: whether the probability reaches the threshold that was asked for; true where none was.
        best: the best answers, each with another text, whatever was decided.
    """

    text: str
    start: int
    end: int
    byte_start: int
    byte_end: int
    utf16_start: int
    utf16_end: int
    probability: float
    sure: bool
    best: tuple[Candidate, ...]

    def to_json(self) -> dict[str, Any]:
        """The answer as plain JSON, with the first of `best`."""
        return {**self._asdict(), "best": [candidate._asdict() for candidate in self.best[:SHOWN]]}

    def summary(self) -> str:
        """The answer ("-" where there is none) and its probability, with a tab between."""
        return f"{' '.join(self.text.split()) or '-'}\t{self.probability:.4f}"


class Found(NamedTuple):
    """What the numbers say of one question, before anything is decided.

    Attributes:
        texts: the best answers, each with another text, the best one first; at most `KEPT`.
        ranges: int64 [n, 2], where each stands in the context, in code points.
        scores: float64 [n], the start's number plus the end's.
        null: the score of there being no answer: the least that a window gives its first token.
    """

    texts: tuple[str, ...]
    ranges: np.ndarray
    scores: np.ndarray
    null: float


# ---- what the network reads


def cut(texts: Sequence[Text], featurizer: Featurizer, settings: Mapping[str, Any]) -> list[Piece]:
    """The beginning of each question with each window of its context.

    The network reads a piece whole; only of a word that is longer than a window it does not read the end.

    Raises:
        ValueError: a single text where a pair is wanted, or the reverse.
    """
    free = featurizer.max_length - len(featurizer.spans(("", ""), cut=False))
    return [piece for owner, text in enumerate(texts) for piece in _pieces(text, owner, featurizer, free)]


def _pieces(text: Text, owner: int, featurizer: Featurizer, free: int) -> list[Piece]:
    """`free` tokens are there for both halves."""
    if not isinstance(text, tuple):
        raise ValueError("this model takes pairs of texts: give (question, context)")
    spans = featurizer.spans(text, cut=False)
    question, tokens = _beginning(text[0], _half(spans, 0), min(QUESTION, free // 2))
    room = free - tokens
    overlap = OVERLAP if room > 2 * OVERLAP else room // 4
    found = windows(_half(spans, 1), len(text[1]), room, overlap)
    return [Piece((question, text[1][start:end]), owner, start) for start, end in found]


def _half(spans: np.ndarray, half: int) -> np.ndarray:
    """The rows from the first to the last token of a half."""
    inside = np.flatnonzero(spans[:, 0] == half)
    return spans[inside[0] : inside[-1] + 1] if len(inside) else spans[:0]


def _beginning(text: str, spans: np.ndarray, most: int) -> tuple[str, int]:
    """What the first `most` tokens of a text are made of, and how many they are: fewer if one code point has several.

    A tokenizer takes the longest piece of a word that it knows, so the beginning of a word begins with the same ones.
    """
    if len(spans) <= most:
        return text, len(spans)
    ends = np.maximum.accumulate(spans[:, 3])
    borders = np.flatnonzero(spans[1 : most + 1, 2] >= ends[:most])
    return (text[: ends[borders[-1]]], int(borders[-1]) + 1) if len(borders) else ("", 0)


# ---- what the numbers say


def find(outputs: Outputs, asked: Asked) -> list[Found]:
    """The best answers to each question. Of equal scores that of the earlier window, start and end is better.

    Raises:
        ValueError: a piece has another number of tokens than `outputs` has rows.
    """
    answers = zip(asked.texts, _read(outputs, asked, KEPT), strict=True)
    return [_found(text[1], pairs, null) for text, (pairs, null) in answers]


class _Pairs(NamedTuple):
    """Starts and ends that may belong together; each field [n].

    Attributes:
        places: int64 [n, 2], start and end in code points of the context.
        room: by how much both numbers exceed the best ones that are not among the `KEPT` of their window.
    """

    places: np.ndarray
    scores: np.ndarray
    room: np.ndarray


def _read(outputs: Outputs, asked: Asked, kept: int | None) -> list[tuple[_Pairs, float]]:
    """Pairs of all windows of each text, the window's first, and the score of no answer; `kept` None: all of them."""
    assert asked.pieces is not None
    parts: list[list[_Pairs]] = [[] for _ in asked.texts]
    nulls = [np.inf] * len(asked.texts)
    for piece, rows in zip(asked.pieces, outputs["logits"], strict=True):
        numbers = np.asarray(rows, np.float64)
        parts[piece.owner].append(_pairs(numbers, asked.featurizer.spans(piece.text), piece.start, kept))
        nulls[piece.owner] = min(nulls[piece.owner], float(numbers[0].sum()))
    joined = [_Pairs(*(np.concatenate(fields) for fields in zip(*found, strict=True))) for found in parts]
    return list(zip(joined, nulls, strict=True))


def _pairs(numbers: np.ndarray, spans: np.ndarray, offset: int, kept: int | None) -> _Pairs:
    """The pairs of one window, in the order of their starts, then of their ends.

    Args:
        numbers: [tokens, 2]: how much each token looks like a start, and like an end.
        offset: where the window begins in the context.
    """
    if numbers.shape != (len(spans), 2):
        raise ValueError(f"logits of shape {numbers.shape} do not fit {len(spans)} tokens")
    inside = np.flatnonzero(spans[:, 0] == 1)
    numbers, begins, ends = numbers[inside], spans[inside, 2], np.maximum.accumulate(spans[inside, 3])
    first, last = (_largest(column, kept) for column in numbers.T)
    length = last - first[:, None]
    rows, columns = np.nonzero((length >= 0) & (length < LONGEST))
    first, last = first[rows], last[columns]
    left = np.partition(numbers, -KEPT - 1, axis=0)[-KEPT - 1] if len(numbers) > KEPT else np.full(2, -np.inf)
    starts, stops = numbers[first, 0], numbers[last, 1]
    places = np.stack((begins[first], ends[last]), axis=1).astype(np.int64) + offset
    return _Pairs(places, starts + stops, np.minimum(starts - left[0], stops - left[1]))


def _largest(numbers: np.ndarray, kept: int | None) -> np.ndarray:
    """Where the `kept` largest numbers are, ascending; of equal numbers the first."""
    return np.sort(np.argsort(-numbers, kind="stable")[:kept])


def _found(context: str, pairs: _Pairs, null: float) -> Found:
    """The best pairs, each with another text."""
    order = np.argsort(-pairs.scores, kind="stable")
    seen: dict[str, int] = {}
    for index, (start, end) in zip(order.tolist(), pairs.places[order].tolist(), strict=True):
        seen.setdefault(context[start:end], index)
        if len(seen) == KEPT:
            break
    chosen = list(seen.values())
    return Found(tuple(seen), pairs.places[chosen], pairs.scores[chosen], null)


# ---- what is answered


def options(found: Found, settings: Mapping[str, Any]) -> tuple[int, np.ndarray]:
    """Which answer is given, and the scores of all that there are.

    Those are the best answers and, for a model that may find none ("no_answer" in the settings), that as the last.
    -1 says that there is none, also where no answer could be thought of.
    """
    bar, best = settings.get("no_answer"), found.scores
    scores = best if bar is None else np.append(best, found.null)
    silent = not len(best) or (bar is not None and found.null - best[0] > bar)
    return (-1 if silent else 0), scores


def decode(outputs: Outputs, asked: Asked) -> list[FoundAnswer]:
    """The best answer to each question."""
    answers = zip(asked.texts, find(outputs, asked), strict=True)
    return [answer(text[1], found, asked.settings) for text, found in answers]


def answer(context: str, found: Found, settings: Mapping[str, Any]) -> FoundAnswer:
    """What is answered to one question."""
    chosen, scores = options(found, settings)
    probabilities = _softmax(scores / temperature_of(settings, "logits")).tolist()
    probability = probabilities[chosen] if probabilities else 0.0
    sure = probability >= (settings.get("threshold") or 0.0)
    start, end = found.ranges[0].tolist() if sure and chosen == 0 else (0, 0)
    (byte_start, byte_end), (utf16_start, utf16_end) = map(list, byte_offsets(context, np.asarray((start, end))))
    best = zip(found.texts, *found.ranges.T.tolist(), probabilities[: len(found.texts)], strict=True)
    return FoundAnswer(
        text=context[start:end],
        start=start,
        end=end,
        byte_start=int(byte_start),
        byte_end=int(byte_end),
        utf16_start=int(utf16_start),
        utf16_end=int(utf16_end),
        probability=probability,
        sure=sure,
        best=tuple(Candidate(*each) for each in best),
    )


def _softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(initial=-np.inf))
    return np.asarray(powers / powers.sum())


# ---- how certain that is


def margins(outputs: Outputs, asked: Asked) -> list[float | None]:
    """By how much each number may move before an answer, or one of those shown beside it, is another one.

    A score is the sum of two numbers, so the distance of two scores can shrink by four times as much.
    """
    answers = zip(asked.texts, _read(outputs, asked, None), decode(outputs, asked), strict=True)
    found = [_margin(text[1], pairs, null, given, asked.settings) for text, (pairs, null), given in answers]
    return [margin if np.isfinite(margin) else None for margin in found]


def _margin(context: str, pairs: _Pairs, null: float, given: FoundAnswer, settings: Mapping[str, Any]) -> float:
    """Of one text. `pairs` holds all there are, so that one which may come among the kept ones counts."""
    if not len(pairs.scores):
        return np.inf
    order = np.argsort(-pairs.scores, kind="stable")
    seen: dict[str, int] = {}
    distances: list[float] = []
    last = int(order[0])
    for index in order.tolist():
        start, end = pairs.places[index].tolist()
        text = context[start:end]
        if text not in seen:
            distances.append(pairs.scores[last] - pairs.scores[index] if seen else np.inf)
            seen[text] = last = index
        elif pairs.places[seen[text], 0] != start:  # the same words, elsewhere
            distances.append(pairs.scores[seen[text]] - pairs.scores[index])
        if len(seen) > SHOWN:
            break
    room = pairs.room[list(seen.values())[:SHOWN]].min()
    bar, threshold = settings.get("no_answer"), settings.get("threshold") or 0.0
    if bar is not None:
        distances.append(abs(null - pairs.scores[order[0]] - bar))
    if 0.0 < threshold < 1.0:
        with np.errstate(divide="ignore"):
            odds = np.log(given.probability / (1 - np.float64(given.probability))) - np.log(threshold / (1 - threshold))
        distances.append(abs(odds) * temperature_of(settings, "logits"))
    return float(max(0.0, min(room / 2, min(distances) / 4)))


def check(labels: Mapping[str, tuple[str, ...]], settings: Mapping[str, Any]) -> None:
    """See `Decoder.check`."""
    check_confidence(settings, "logits")
    number(settings, "no_answer", default=0.0)


DECODER = Decoder({"logits": True}, decode, margins, cut, takes_threshold=True, check=check, widths={"logits": 2})
