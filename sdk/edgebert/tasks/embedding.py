"""A vector for a text, learnt from an encoder's own vectors: text alone is enough.

A student is judged by pairs, if dev has them: with scores, by how their order is that of the cosines; without, by how
well each text finds its partner. A dev set of texts alone is judged by the teacher's vectors (`taught`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from edgebert.data.columns import LABELS, Columns, find_column, match
from edgebert.data.readers import Reader, Row, text_reader
from edgebert.evaluation.retrieval import cosines, mrr, ranks, recall_at
from edgebert.evaluation.scores import spearman
from edgebert.tasks.base import Decisions, Labels, Reading, Settings, Target
from edgebert.tasks.heads import Head
from edgebert.tasks.regression import SCORES, number_of
from edgebert.tasks.text import TextTask, text_record
from edgebert_runtime.decode.embedding import normalised
from edgebert_runtime.errors import DataError, UsageError
from edgebert_runtime.features import Featurizer, Text
from edgebert_runtime.outputs import Outputs

_SAME = 0.99  # the cosine from which on two engines agree
_DIGITS = 5  # of a teacher's vector in a run folder


class Embedding(TextTask):
    """A direction for a text. The network reads one text at a time, both halves of a pair apart."""

    name = "embedding"

    def metric_names(self, settings: Settings) -> tuple[str, ...]:
        """See `Task.metric_names`: what "similarity" is depends on the rows (see `metrics`)."""
        return ("similarity",)

    def reader(self, where: str, found: Sequence[str], columns: Columns, labelled: bool) -> Reader:
        """See `Task.reader`: texts or pairs; pairs may have a score, and a single text the vector of a teacher."""
        read = text_reader(where, found, columns)
        if columns.label is not None:
            find_column(where, found, columns.label, (), "label", "label")
        column = columns.label or match((*SCORES, *LABELS), found)

        def row(record: Mapping[str, object], source: str) -> Row:
            text = read(record, source).text
            if not labelled:
                return Row(text, None, source)
            if not isinstance(text, tuple):
                return Row(text, _vector_of(record, source), source)
            named = columns.label is not None or column in SCORES
            return Row(text, None if column is None else _score_of(record, column, source, named), source)

        return row

    def record(self, row: Row) -> dict[str, object]:
        """See `Task.record`."""
        gold: Any = row.gold
        if gold is None:
            return text_record(row.text)
        kept = (
            {"score": gold} if isinstance(row.text, tuple) else {"vector": [round(x, _DIGITS) for x in gold.tolist()]}
        )
        return {**text_record(row.text), **kept}

    def labels_from(self, rows: Iterable[Row]) -> Labels:
        """See `Task.labels_from`: a vector has none."""
        return {}

    def check(self, rows: Sequence[Row], labels: Labels, split: str) -> None:
        """See `Task.check`.

        Raises:
            DataError: some pairs have a score and others none.
        """
        missing = [row for row in rows if row.gold is None]
        if 0 < len(missing) < len(rows) and isinstance(rows[0].text, tuple):
            raise DataError(
                f"{missing[0].source}: this pair has no number as its score, and other pairs of {split} have one. "
                "Write a score for each pair, or for none."
            )

    def settings(self, train: Sequence[Row], featurizer: Featurizer) -> Settings:
        """See `Task.settings`.

        Raises:
            UsageError: always. Its one setting, "width", is how wide the teacher's vectors are.
        """
        raise UsageError(
            "an embedding model is not fine-tuned: its teacher is an encoder as it is. "
            "Run edgebert distill --task embedding --teacher ENCODER."
        )

    def heads(self, labels: Labels, settings: Settings) -> tuple[Head, ...]:
        """See `Task.heads`."""
        return (Head("vector", int(settings["width"]), "vector"),)

    def texts(self, rows: Sequence[Row]) -> list[Text]:
        """See `Task.texts`: of a pair first the one half, then the other."""
        return [half for row in rows for half in (row.text if isinstance(row.text, tuple) else (row.text,))]

    def targets(self, reading: Reading) -> list[Target]:
        """See `Task.targets`: a vector has no gold."""
        return [{} for _ in reading.texts]

    def taught(self, rows: Sequence[Row], answer: Callable[[Sequence[Row]], Outputs]) -> tuple[Row, ...]:
        """See `Task.taught`: single texts with the vector that a teacher gives each; pairs as they are."""
        if not rows or isinstance(rows[0].text, tuple):
            return tuple(rows)
        gold: Any = normalised(np.asarray(answer(rows)["vector"]))
        return tuple(dataclasses.replace(row, gold=vector) for row, vector in zip(rows, gold, strict=True))

    def metrics(self, outputs: Outputs, reading: Reading) -> dict[str, Any]:
        """See `Task.metrics`: "n", and "similarity", which is the first of the others.

        Pairs with scores: "spearman" of the cosines. Pairs alone: "mrr", "recall_at_1" and "recall_at_10" of each
        first text among all second ones. Single texts: "teacher_cosine", the mean.

        Raises:
            DataError: single texts without a teacher's vectors.
        """
        found = self._metrics(self._vectors(outputs, reading), reading.rows)
        return {"n": len(reading.rows), "similarity": next(iter(found.values())), **found}

    def decisions(self, outputs: Outputs, reading: Reading) -> Decisions:
        """See `Task.decisions`: of pairs, the cosines."""
        vectors = self._vectors(outputs, reading)
        pairs = bool(reading.rows) and isinstance(reading.rows[0].text, tuple)
        return Decisions(scores=cosines(vectors[::2], vectors[1::2]) if pairs else None)

    def agreement(self, ours: Outputs, theirs: Outputs, reading: Reading) -> float:
        """See `Task.agreement`: vectors that point the same way agree."""
        return float((cosines(self._vectors(ours, reading), self._vectors(theirs, reading)) >= _SAME).mean())

    def _metrics(self, vectors: np.ndarray, rows: Sequence[Row]) -> dict[str, float]:
        gold: list[Any] = [row.gold for row in rows]
        known = all(value is not None for value in gold)
        if isinstance(rows[0].text, tuple):
            if known:
                return {"spearman": spearman(cosines(vectors[::2], vectors[1::2]), gold)}
            found = ranks(vectors[::2], vectors[1::2])
            return {"mrr": mrr(found), "recall_at_1": recall_at(found, 1), "recall_at_10": recall_at(found, 10)}
        if not known:
            raise DataError(
                f"{rows[0].source}: a text alone does not say what its vector should be. "
                "Give pairs (text_a, text_b), with a score where they have one."
            )
        return {"teacher_cosine": float(cosines(vectors, np.stack(gold)).mean())}

    def _vectors(self, outputs: Outputs, reading: Reading) -> np.ndarray:
        """The vectors of all texts, float32 [texts, width], checked."""
        vectors = np.asarray(outputs["vector"])
        if vectors.ndim != 2 or len(vectors) != len(reading.texts):
            raise ValueError(f"vectors of shape {vectors.shape} do not fit {len(reading.texts)} texts")
        if not np.isfinite(vectors).all():
            raise ValueError("the vectors hold values that are not finite numbers")
        return vectors


def _score_of(record: Mapping[str, object], column: str, source: str, named: bool) -> float | None:
    """The score of a pair. A column that was found by its name alone may hold classes: those say nothing here."""
    try:
        return number_of(record, column, source, EMBEDDING.name)
    except DataError:
        if named:
            raise
        return None


def _vector_of(record: Mapping[str, object], source: str) -> Any:
    """The vector that a record brings, float32 [width]; None where there is none."""
    value = record.get("vector")
    if value is None:
        return None
    try:
        vector = np.asarray(value, np.float32)
    except (TypeError, ValueError):
        vector = np.zeros(0, np.float32)
    if vector.ndim != 1 or not vector.size or not np.isfinite(vector).all():
        raise DataError(f"{source}: 'vector' is not a list of numbers. Correct it, or take it out.")
    return vector


EMBEDDING = Embedding()
