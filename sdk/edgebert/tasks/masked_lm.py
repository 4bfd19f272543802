"""Words that are hidden in a text, to be guessed: how a network learns a language from text alone.

In training other words are hidden each time a text is drawn. A dev text is asked as a person would ask it, with [MASK]
in place of some whole words, always the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from edgebert.data.columns import Columns
from edgebert.data.readers import Reader, Row, text_reader
from edgebert.tasks.base import Decisions, Labels, Lessons, Reading, Settings, Target
from edgebert.tasks.heads import Head
from edgebert.tasks.masking import Masking, word_pieces
from edgebert.tasks.text import TextTask, text_record
from edgebert_runtime.decode import Asked
from edgebert_runtime.decode.windows import windows
from edgebert_runtime.errors import DataError, UsageError
from edgebert_runtime.features import Features, Featurizer
from edgebert_runtime.outputs import Outputs

EXPORTED, LONGEST = 64, 100  # texts that an exported file is checked on, and characters of each
_LARGEST = 700.0  # a loss whose exp is still a number


class MaskedLm(TextTask):
    """A word for each gap. Its answer to one text is a number for each word of the vocabulary at each token."""

    name = "masked-lm"
    needs = frozenset({"tokens", "vocabulary"})
    labelled = False

    def metric_names(self, settings: Settings) -> tuple[str, ...]:
        """See `Task.metric_names`."""
        return ("masked_accuracy",)

    def reader(self, where: str, found: Sequence[str], columns: Columns, labelled: bool) -> Reader:
        """See `Task.reader`: single texts, whatever else stands beside them.

        Raises:
            UsageError: a label column is named.
        """
        if columns.label is not None:
            raise UsageError("masked-lm learns from text alone; leave out --label-column.")
        read = text_reader(where, found, columns)

        def row(record: Mapping[str, object], source: str) -> Row:
            made = read(record, source)
            if isinstance(made.text, tuple):
                raise DataError(
                    f"{source}: this row is a pair of texts, and masked-lm reads one at a time. "
                    "Name the column of one with --text-column."
                )
            return made

        return row

    def record(self, row: Row) -> dict[str, object]:
        """See `Task.record`."""
        return text_record(row.text)

    def keys(self, row: Row) -> tuple[str, str]:
        """See `Task.keys`."""
        return _text(row), ""

    def labels_from(self, rows: Iterable[Row]) -> Labels:
        """See `Task.labels_from`: the vocabulary is the tokenizer's."""
        return {}

    def settings(self, train: Sequence[Row], featurizer: Featurizer) -> Settings:
        """See `Task.settings`.

        Raises:
            UsageError: the tokenizer cannot hide words.
        """
        return {"vocabulary": len(word_pieces(featurizer).vocabulary)}

    def heads(self, labels: Labels, settings: Settings) -> tuple[Head, ...]:
        """See `Task.heads`."""
        return (Head("logits", int(settings["vocabulary"]), "classes", per_token=True, tied=True),)

    def read(self, rows: Sequence[Row], featurizer: Featurizer, labels: Labels, settings: Settings) -> Reading:
        """See `Task.read`: each text with some of its words hidden, up to the featurizer's length."""
        masking = Masking(word_pieces(featurizer).vocabulary, whole_words=True)
        texts = [masking.hide_words(_text(row), featurizer) for row in rows]
        return Reading(tuple(rows), Asked(texts, None, featurizer, labels, settings))

    def lessons(self, rows: Sequence[Row], featurizer: Featurizer, whole_words: bool) -> Lessons | None:
        """See `Task.lessons`: long texts in pieces, each with other tokens hidden every time."""
        masking = Masking(word_pieces(featurizer).vocabulary, whole_words)

        def change(features: Features, random: np.random.Generator) -> tuple[Features, Target]:
            hidden, gold = masking.hide(features, random)
            return hidden, {"logits": gold}

        return Lessons((piece for row in rows for piece in pieces(_text(row), featurizer)), change)

    def targets(self, reading: Reading) -> list[Target]:
        """See `Task.targets`: what is hidden in the texts."""
        found = []
        for tokens, gold, length in _hidden(reading):
            target = np.full(length, -1, np.int64)
            target[tokens] = gold
            found.append({"logits": target})
        return found

    def keep(self, outputs: Outputs, reading: Reading) -> Outputs:
        """See `Task.keep`: "gaps", of each text float64 [gaps, 3]: what is hidden, the best guess, and the loss."""
        if "gaps" in outputs:
            return outputs
        gaps = []
        for (tokens, gold, length), rows in zip(_hidden(reading), outputs["logits"], strict=True):
            if rows.ndim != 2 or len(rows) != length:
                raise ValueError(f"logits of shape {rows.shape} do not fit a text of {length} tokens")
            logits = rows[tokens].astype(np.float64)
            if not np.isfinite(logits).all():
                raise ValueError("the logits hold values that are not finite numbers")
            best = logits.argmax(axis=1)
            lower = logits - np.take_along_axis(logits, best[:, None], axis=1)
            loss = np.log(np.exp(lower).sum(axis=1)) - np.take_along_axis(lower, gold[:, None], axis=1)[:, 0]
            gaps.append(np.stack((gold, best, loss), axis=1))
        return {"gaps": gaps}

    def metrics(self, outputs: Outputs, reading: Reading) -> dict[str, Any]:
        """See `Task.metrics`: "masked_accuracy" and "perplexity", over all that is hidden.

        Raises:
            DataError: nothing is.
        """
        table = self._gaps(outputs, reading)
        perplexity = math.exp(min(float(table[:, 2].mean()), _LARGEST))
        right = float((table[:, 0] == table[:, 1]).mean())
        return {"n": len(reading.rows), "masked_accuracy": right, "perplexity": perplexity}

    def decisions(self, outputs: Outputs, reading: Reading) -> Decisions:
        """See `Task.decisions`: all guesses of a text, right where each of them is."""
        found = self.keep(outputs, reading)["gaps"]
        right = np.asarray([bool((gaps[:, 0] == gaps[:, 1]).all()) for gaps in found], bool)
        return Decisions([tuple(gaps[:, 1].tolist()) for gaps in found], right)

    def agreement(self, ours: Outputs, theirs: Outputs, reading: Reading) -> float:
        """See `Task.agreement`: of the guesses, each for itself."""
        return float((self._gaps(ours, reading)[:, 1] == self._gaps(theirs, reading)[:, 1]).mean())

    def shortened(self, dev: Sequence[Row]) -> Sequence[Row]:
        """See `Task.shortened`: the beginnings of a few texts, for a text of 128 tokens is answered in 16 MB."""
        return [Row(_beginning(_text(row)), None, row.source) for row in dev[:EXPORTED]]

    def _gaps(self, outputs: Outputs, reading: Reading) -> np.ndarray:
        """All that is hidden in the texts, float64 [gaps, 3]; see `keep`."""
        table = np.concatenate([np.zeros((0, 3)), *self.keep(outputs, reading)["gaps"]])
        if not len(table):
            where = f"{reading.rows[0].source}: " if reading.rows else ""
            raise DataError(f"{where}none of the texts holds a word of the vocabulary, so none can be hidden.")
        return table


def pieces(text: str, featurizer: Featurizer) -> Iterator[str]:
    """The text, cut at words where it has more tokens than the featurizer takes."""
    room = featurizer.max_length - 2  # without [CLS] and [SEP]
    if len(text) <= room:  # as good as always this is as many tokens at most; what is cut off of others is not learned
        yield text
        return
    for start, end in windows(featurizer.spans(text, cut=False)[1:-1], len(text), room, 0):
        yield text[start:end]


def _hidden(reading: Reading) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Of each text: the tokens that are hidden, int64 [gaps]; the ids there, int64 [gaps]; how many tokens it has."""
    featurizer, texts = reading.asked.featurizer, [_text(row) for row in reading.rows]
    mask = word_pieces(featurizer).vocabulary.index("[MASK]")
    for whole, asked in zip(featurizer(texts), featurizer(reading.texts), strict=True):
        gold, ids = whole["input_ids"], asked["input_ids"]
        tokens = np.flatnonzero((ids == mask) & (gold != mask))
        yield tokens, gold[tokens].astype(np.int64), len(ids)


def _text(row: Row) -> str:
    assert isinstance(row.text, str)  # the reader refuses pairs
    return row.text


def _beginning(text: str) -> str:
    """At most so many characters, whole words where there are several."""
    return text if len(text) <= LONGEST else text[:LONGEST].rsplit(maxsplit=1)[0]


MASKED_LM = MaskedLm()
