"""A tag for each word: names of people and places, parts of speech, chunks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from edgebert.console import note
from edgebert.data.columns import LABELS, TAGS, TEXTS, TOKENS, Columns, match
from edgebert.data.readers import Reader, Row
from edgebert.data.words import words_reader, words_record
from edgebert.evaluation.calibration import ece, fit_temperature
from edgebert.evaluation.metrics import accuracy, macro_f1, softmax
from edgebert.evaluation.spans import span_scores
from edgebert.tasks.base import Decisions, Labels, Reading, Settings, Target
from edgebert.tasks.heads import Head
from edgebert.tasks.tags import inside, scheme_of, tag_labels, unified, words
from edgebert.tasks.text import TextTask
from edgebert_runtime.decode import temperature_of
from edgebert_runtime.decode.words import answered, read_words
from edgebert_runtime.errors import DataError
from edgebert_runtime.features import Featurizer
from edgebert_runtime.outputs import Outputs


class TokenClassification(TextTask):
    """Tags, learnt and answered where words begin (`edgebert_runtime.units`), and counted at the words of the data."""

    name = "token-classification"
    needs = frozenset({"tokens"})

    def metric_names(self, settings: Settings) -> tuple[str, ...]:
        """See `Task.metric_names`."""
        if settings["scheme"] == "plain":
            return ("accuracy", "macro_f1")
        return ("span_f1", "span_precision", "span_recall", "accuracy")

    def recognises(self, records: Sequence[Mapping[str, object]], columns: Columns) -> str:
        """See `Task.recognises`. Where a text and its label stand beside the tags, they are what is learned."""
        found = any(holds_tags(record, columns) and not _is_labelled(record, columns) for record in records)
        return "the rows hold tokens and tags" if found else ""

    def reader(self, where: str, found: Sequence[str], columns: Columns, labelled: bool) -> Reader:
        """See `Task.reader`."""
        return words_reader(where, found, columns, labelled, intent=False)

    def record(self, row: Row) -> dict[str, object]:
        """See `Task.record`."""
        return words_record(row)

    def labels_from(self, rows: Iterable[Row]) -> Labels:
        """See `Task.labels_from`.

        Raises:
            DataError: there are no rows, one tag only, or tags that fit no scheme.
        """
        return {"logits": train_tags(unified(list(rows)))}

    def check(self, rows: Sequence[Row], labels: Labels, split: str) -> None:
        """See `Task.check`: counts and prints tags that train does not have.

        Raises:
            DataError: the tags fit no scheme.
        """
        note_unknown(split, {"tag": unknown_tags(unified(rows), labels["logits"])})

    def settings(self, train: Sequence[Row], featurizer: Featurizer) -> Settings:
        """See `Task.settings`."""
        return {"scheme": scheme_of(unified(train))}

    def heads(self, labels: Labels, settings: Settings) -> tuple[Head, ...]:
        """See `Task.heads`."""
        return (Head("logits", len(labels["logits"]), "classes", per_token=True),)

    def read(self, rows: Sequence[Row], featurizer: Featurizer, labels: Labels, settings: Settings) -> Reading:
        """See `Task.read`: the rows of the reading have BIO2 tags, whatever the data has."""
        return super().read(unified(rows), featurizer, labels, settings)

    def targets(self, reading: Reading) -> list[Target]:
        """See `Task.targets`: a column where a word begins, -1 elsewhere."""
        return [{"logits": columns} for columns in tag_targets(reading, "logits")]

    def metrics(self, outputs: Outputs, reading: Reading) -> dict[str, Any]:
        """See `Task.metrics`."""
        found = tag_words(outputs, reading, "logits")
        scores: dict[str, Any] = {"n": len(reading.rows)}
        if reading.asked.settings["scheme"] == "bio":
            spans = span_scores(found.tags, gold_tags(reading))
            scores |= {"span_f1": spans.f1, "span_precision": spans.precision, "span_recall": spans.recall}
        scores["accuracy"] = accuracy(found.predicted, found.gold)
        if reading.asked.settings["scheme"] == "plain":
            scores["macro_f1"] = macro_f1(found.predicted, found.gold)
        temperature = temperature_of(reading.asked.settings, "logits")
        return {**scores, "ece": ece(softmax(found.logits, temperature), found.answerable)}

    def calibrate(self, outputs: Outputs, reading: Reading) -> Settings:
        """See `Task.calibrate`: the temperature, over the words, and the error before and after."""
        found = tag_words(outputs, reading, "logits")
        temperature = fit_temperature(found.logits, found.known)
        return {
            **reading.asked.settings,
            "temperature": {"logits": temperature},
            "calibration": {
                "texts": len(reading.rows),
                "ece_before": ece(softmax(found.logits), found.answerable),
                "ece_after": ece(softmax(found.logits, temperature), found.answerable),
            },
        }

    def decisions(self, outputs: Outputs, reading: Reading) -> Decisions:
        """See `Task.decisions`: the tags of all words of a row are one answer."""
        answers = [tuple(tags) for tags in tag_words(outputs, reading, "logits").tags]
        right = [ours == theirs for ours, theirs in zip(answers, gold_tags(reading), strict=True)]
        return Decisions(answers, np.asarray(right, bool))

    def agreement(self, ours: Outputs, theirs: Outputs, reading: Reading) -> float:
        """See `Task.agreement`: the share of words with the same tag."""
        first, second = (tag_words(outputs, reading, "logits").predicted for outputs in (ours, theirs))
        return float((first == second).mean()) if len(first) else 1.0


class TaggedWords(NamedTuple):
    """What a model says of the words in the data, all rows one after the other.

    Attributes:
        tags: of each row, for each word; "O" where the network did not read the word.
        predicted: int64 [words]; gold: int64 [words]; ids that stand for tags, also for those train does not have.
        logits: [read words, labels], of the words that the network read.
        answerable: int64 [read words], their gold ids.
        known: the same with -1 for tags that train does not have.
    """

    tags: list[list[str]]
    predicted: np.ndarray
    gold: np.ndarray
    logits: np.ndarray
    answerable: np.ndarray
    known: np.ndarray


def tag_words(outputs: Outputs, reading: Reading, output: str) -> TaggedWords:
    """The tag of each word in the data: that of the first unit which begins in it.

    Raises:
        ValueError: the outputs do not fit the reading, or hold a number that is not finite.
    """
    labels = reading.asked.labels[output]
    units, logits = answered(outputs[output], reading.asked)
    if logits.shape[1:] != (len(labels),):
        raise ValueError(f"logits of shape {logits.shape} do not fit {len(labels)} labels")
    if not np.isfinite(logits).all():
        raise ValueError("the logits hold values that are not finite numbers")
    places = _places(reading)
    names = dict.fromkeys((*labels, "O", *(tag for row in reading.rows for tag in words(row).tags)))
    index = {tag: number for number, tag in enumerate(names)}
    gold = np.asarray([index[tag] for row in reading.rows for tag in words(row).tags], np.int64)
    keys = units.owners * places.width + units.starts
    at = np.searchsorted(keys, places.starts)
    read = at < np.searchsorted(keys, places.ends)
    logits = logits[at[read]]
    predicted = np.full(len(gold), index["O"])
    predicted[read] = logits.argmax(axis=1)
    called = list(names)
    tags = [called[number] for number in predicted.tolist()]
    answerable = gold[read]
    known = np.where(answerable < len(labels), answerable, -1)
    return TaggedWords(_by_row(tags, reading), predicted, gold, logits, answerable, known)


def tag_targets(reading: Reading, output: str) -> list[np.ndarray]:
    """The gold column of each token of each piece, int64 [tokens]: -1 but where a word begins that has a known tag.

    The units of a word behind its first one go on in the same span.
    """
    labels = reading.asked.labels[output]
    index = {tag: number for number, tag in enumerate(labels)}
    follows = np.asarray([*(index.get(inside(tag), -1) for tag in labels), -1])
    units, lengths = read_words(reading.asked)
    places = _places(reading)
    keys = units.owners * places.width + units.starts
    word = np.searchsorted(places.starts, keys, "right") - 1
    tagged = (word >= 0) & (keys < places.ends[word]) if len(places.starts) else np.zeros(len(keys), bool)
    keys, word, rows, pieces = keys[tagged], word[tagged], units.rows[tagged], units.pieces[tagged]
    first = np.full(len(places.starts), np.iinfo(np.int64).max)
    np.minimum.at(first, word, keys)
    begins = keys == first[word]
    begins[1:] &= (word[1:] != word[:-1]) | (pieces[1:] != pieces[:-1])  # two units may begin in one code point
    gold = np.asarray([index.get(tag, -1) for row in reading.rows for tag in words(row).tags], np.int64)
    columns = np.full(int(lengths.sum()), -1, np.int64)
    columns[rows] = np.where(begins, gold[word], follows[gold[word]])
    return np.split(columns, np.cumsum(lengths)[:-1]) if len(lengths) else []


class _Places(NamedTuple):
    """Where the words in the data stand, as numbers that ascend over all rows: owner * width + code point."""

    width: int
    starts: np.ndarray
    ends: np.ndarray


def _places(reading: Reading) -> _Places:
    spans = [words(row).spans for row in reading.rows]
    width = max((len(row.text) for row in reading.rows), default=0) + 1
    owners = np.repeat(np.arange(len(spans)), [len(found) for found in spans])
    table = np.asarray([span for found in spans for span in found], np.int64).reshape(-1, 2)
    return _Places(width, *(table + owners[:, None] * width).T)


def _by_row(tags: Sequence[str], reading: Reading) -> list[list[str]]:
    """Tags of all words as a list a row."""
    found, at = [], 0
    for row in reading.rows:
        count = len(words(row).tags)
        found.append(list(tags[at : at + count]))
        at += count
    return found


def gold_tags(reading: Reading) -> list[tuple[str, ...]]:
    """The tags in the data, of each row."""
    return [words(row).tags for row in reading.rows]


def train_tags(rows: Sequence[Row]) -> tuple[str, ...]:
    """The tags of train.

    Raises:
        DataError: there are no rows, or one tag only.
    """
    if not rows:
        raise DataError("there are no rows to take tags from. Give a train file that holds rows.")
    labels = tag_labels(rows)
    if len(labels) < 2:
        raise DataError(
            f"{rows[0].source}: the train data holds one tag only ({labels[0]!r}), so there is nothing to learn. "
            "Add rows with other tags."
            if labels
            else f"{rows[0].source}: the row has no tags. Name their column with --label-column."
        )
    return labels


def unknown_tags(rows: Sequence[Row], labels: Sequence[str]) -> int:
    """How many tags these rows have that train does not have."""
    return len({tag for row in rows for tag in words(row).tags} - set(labels))


def note_unknown(split: str, counts: Mapping[str, int]) -> None:
    """Say what of a split train does not have: "test: 6 tags and 4 intents are not in train; they count as wrong."."""
    found = [f"{count} {what}{'' if count == 1 else 's'}" for what, count in counts.items() if count]
    if found:
        alone = sum(counts.values()) == 1
        verb, they = ("is", "it counts") if alone else ("are", "they count")
        note(f"{split}: {' and '.join(found)} {verb} not in train; {they} as wrong.")


def holds_tags(record: Mapping[str, object], columns: Columns) -> bool:
    """Whether a record has a list of tokens and a list of tags."""
    wanted = ((columns.text, TOKENS), (columns.label, TAGS))
    names = [match(known, list(record)) if named is None else named for named, known in wanted]
    return all(name is not None and isinstance(record.get(name), list) for name in names)


def _is_labelled(record: Mapping[str, object], columns: Columns) -> bool:
    """Whether a record has a text and a label for all of it in columns that nobody had to name."""
    single = [name for name, value in record.items() if not isinstance(value, list)]
    return columns == Columns() and all(match(known, single) is not None for known in (TEXTS, LABELS))


TOKEN_CLASSIFICATION = TokenClassification()
