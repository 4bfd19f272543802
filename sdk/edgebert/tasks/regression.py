"""A score for a text or for a pair of texts."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from edgebert.data.columns import LABELS, Columns, find_column
from edgebert.data.formats import type_name
from edgebert.data.readers import Reader, Row, label_of, text_reader, value_of
from edgebert.evaluation.scores import pearson, rmse, spearman
from edgebert.tasks.base import Decisions, Labels, Reading, Settings, Target
from edgebert.tasks.heads import Head
from edgebert.tasks.text import TextTask
from edgebert_runtime.decode.regression import scores
from edgebert_runtime.errors import DataError
from edgebert_runtime.features import Featurizer
from edgebert_runtime.outputs import Outputs

SCORES = ("score", "similarity", "stars")  # columns that are looked for after those of `LABELS`
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?(inf|infinity|nan)", re.IGNORECASE)
_LARGEST = 1e30  # its square must fit a float64, and it a float32
_SAME = 0.1  # deviations of train that two engines may lie apart and still agree


class Regression(TextTask):
    """A number for a sentence or a sentence pair. The network learns it with mean 0 and deviation 1."""

    name = "regression"

    def metric_names(self, settings: Settings) -> tuple[str, ...]:
        """See `Task.metric_names`."""
        return ("pearson", "spearman")

    def recognises(self, records: Sequence[Mapping[str, object]], columns: Columns) -> str:
        """See `Task.recognises`: every label is a number, and one has a fraction."""
        try:
            column = _column("train", list(records[0]) if records else [], columns)
            numbers = [number_of(record, column, "train", self.name) for record in records]
        except DataError:
            return ""
        fractional = next((number for number in numbers if not number.is_integer()), None)
        return "" if fractional is None else f"the column {column!r} holds numbers such as {fractional!r}"

    def reader(self, where: str, found: Sequence[str], columns: Columns, labelled: bool) -> Reader:
        """See `Task.reader`."""
        if not labelled:
            return text_reader(where, found, columns)
        column = _column(where, found, columns)
        read = text_reader(where, found, dataclasses.replace(columns, label=column), labelled)

        def labelled_row(record: Mapping[str, object], source: str) -> Row:
            return Row(read(record, source).text, number_of(record, column, source, self.name), source)

        return labelled_row

    def labels_from(self, rows: Iterable[Row]) -> Labels:
        """See `Task.labels_from`: a score has none."""
        return {}

    def settings(self, train: Sequence[Row], featurizer: Featurizer) -> Settings:
        """See `Task.settings`: "scale" and "shift", the deviation and the mean of train.

        Raises:
            DataError: there are no rows, or all have the same label.
        """
        gold = _gold(train)
        if not gold.size:
            raise DataError("there are no rows to learn scores from. Give a train file that holds rows.")
        if gold.min() == gold.max() or gold.std() < 1e-30:
            raise DataError(
                f"{train[0].source}: every row of train has the label {gold[0]}, so there is nothing to learn. "
                "Add rows with other scores."
            )
        return {"scale": float(gold.std()), "shift": float(gold.mean())}

    def heads(self, labels: Labels, settings: Settings) -> tuple[Head, ...]:
        """See `Task.heads`."""
        return (Head("score", 1, "number"),)

    def targets(self, reading: Reading) -> list[Target]:
        """See `Task.targets`: deviations from the mean of train."""
        settings = reading.asked.settings
        gold = (_gold(reading.rows) - settings.get("shift", 0.0)) / settings.get("scale", 1.0)
        return [{"score": row} for row in gold.astype(np.float32)[:, None]]

    def metrics(self, outputs: Outputs, reading: Reading) -> dict[str, Any]:
        """See `Task.metrics`: "n", "pearson", "spearman", "rmse"."""
        predicted, gold = self._scores(outputs, reading), _gold(reading.rows)
        return {
            "n": len(gold),
            "pearson": pearson(predicted, gold),
            "spearman": spearman(predicted, gold),
            "rmse": rmse(predicted, gold),
        }

    def decisions(self, outputs: Outputs, reading: Reading) -> Decisions:
        """See `Task.decisions`: a score is not right or wrong."""
        return Decisions(scores=self._scores(outputs, reading))

    def agreement(self, ours: Outputs, theirs: Outputs, reading: Reading) -> float:
        """See `Task.agreement`: scores that are a tenth of a deviation apart agree."""
        apart = np.abs(self._scores(ours, reading) - self._scores(theirs, reading))
        return float((apart <= _SAME * reading.asked.settings.get("scale", 1.0)).mean())

    def _scores(self, outputs: Outputs, reading: Reading) -> np.ndarray:
        """Scores as the data has them, float64 [rows], checked."""
        shape = np.shape(outputs["score"])
        if shape != (len(reading.rows), 1):
            raise ValueError(f"scores of shape {shape} do not fit {len(reading.rows)} rows")
        found = np.asarray(scores(outputs, reading.asked.settings))
        if not np.isfinite(found).all():
            raise ValueError("the scores hold values that are not finite numbers")
        return found


def number_of(record: Mapping[str, object], column: str, source: str, task: str) -> float:
    """The number in a column.

    Raises:
        DataError: it is missing, or no finite number; the message says that `task` wants one.
    """
    value = value_of(record, column, source)
    text = type_name(value) if isinstance(value, (list, dict)) else label_of(record, column, source)
    if not _NUMBER.fullmatch(text):
        raise DataError(
            f"{source}: the label {text[:40]!r} is not a number, and {task} wants one. "
            "Write a number, or name another task with --task."
        )
    number = float(text)
    if not math.isfinite(number):
        raise DataError(f"{source}: the label {number} is not a finite number. Correct it, or delete the row.")
    if abs(number) >= _LARGEST:
        raise DataError(f"{source}: the label {number} is too large. Write numbers below {_LARGEST:g}.")
    return number


def _column(where: str, found: Sequence[str], columns: Columns) -> str:
    taken = (columns.text, columns.text_pair)
    return find_column(where, found, columns.label, (*LABELS, *SCORES), "label", "label", taken)


def _gold(rows: Sequence[Row]) -> np.ndarray:
    """The score of each row, float64 [rows].

    Raises:
        DataError: a row has none.
    """
    for row in rows:
        if not isinstance(row.gold, float):
            raise DataError(f"{row.source}: the row has no score. Name the label column with --label-column.")
    return np.asarray([row.gold for row in rows], np.float64)


REGRESSION = Regression()
