"""Any number of labels for a text or for a pair of texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgebert.data.columns import LABELS, Columns, find_column
from edgebert.data.formats import stem_and_format, type_name
from edgebert.data.readers import Reader, Row, check_encodable, text_reader, value_of
from edgebert.evaluation.calibration import fit_flag_temperature, flag_ece
from edgebert.evaluation.multi_label import (
    best_thresholds,
    exact_match,
    macro_f1,
    mean_average_precision,
    micro_f1,
)
from edgebert.tasks.base import Decisions, Labels, Reading, Settings, Target
from edgebert.tasks.classification import unknown
from edgebert.tasks.heads import Head
from edgebert.tasks.text import TextTask, text_record
from edgebert_runtime.decode import temperature_of
from edgebert_runtime.decode.multi_label import thresholds
from edgebert_runtime.errors import DataError
from edgebert_runtime.outputs import Outputs

_BETWEEN = "|"  # labels in a cell of a CSV or TSV file


class MultiLabel(TextTask):
    """None, one or several labels for a sentence or a sentence pair."""

    name = "multi-label"

    def metric_names(self, settings: Settings) -> tuple[str, ...]:
        """See `Task.metric_names`."""
        return ("micro_f1", "macro_f1", "exact_match", "mean_average_precision")

    def recognises(self, records: Sequence[Mapping[str, object]], columns: Columns) -> str:
        """See `Task.recognises`: the label column holds lists."""
        try:
            column = _column("train", list(records[0]) if records else [], columns)
        except DataError:
            return ""
        # Any list: where one is missing, that row is to blame, and not the first that has one.
        lists = any(isinstance(record.get(column), list) for record in records)
        return f"the column {column!r} holds lists of labels" if lists else ""

    def reader(self, where: str, found: Sequence[str], columns: Columns, labelled: bool) -> Reader:
        """See `Task.reader`; a cell of a CSV or TSV file holds labels with "|" between them."""
        read = text_reader(where, found, columns, labelled)
        if not labelled:
            return read
        column = _column(where, found, columns)
        cells = stem_and_format(Path(where))[1] in (".csv", ".tsv")

        def labelled_row(record: Mapping[str, object], source: str) -> Row:
            return Row(read(record, source).text, _labels_of(record, column, source, cells), source)

        return labelled_row

    def record(self, row: Row) -> dict[str, object]:
        """See `Task.record`."""
        return {**text_record(row.text), "labels": list(labels_of_row(row))}

    def keys(self, row: Row) -> tuple[str, str]:
        """See `Task.keys`: the first label of each row gives its share."""
        labels = labels_of_row(row)
        return super().keys(row)[0], labels[0] if labels else ""

    def labels_from(self, rows: Iterable[Row]) -> Labels:
        """The distinct labels, by spelling.

        Raises:
            DataError: there are no rows, or none has a label.
        """
        rows = list(rows)
        if not rows:
            raise DataError("there are no rows to take labels from. Give a train file that holds rows.")
        names = {label for row in rows for label in labels_of_row(row)}
        if not names:
            raise DataError(f"{rows[0].source}: no row of train has a label, so there is nothing to learn. Add some.")
        return {"logits": tuple(sorted(names))}

    def check(self, rows: Sequence[Row], labels: Labels, split: str) -> None:
        """See `Task.check`.

        Raises:
            DataError: a row has a label that train does not have, or no list of labels.
        """
        encode(rows, labels["logits"])

    def heads(self, labels: Labels, settings: Settings) -> tuple[Head, ...]:
        """See `Task.heads`."""
        return (Head("logits", len(labels["logits"]), "flags"),)

    def targets(self, reading: Reading) -> list[Target]:
        """See `Task.targets`: 1 for a label that the row has, 0 for the others."""
        gold = encode(reading.rows, reading.asked.labels["logits"])
        return [{"logits": row} for row in gold.astype(np.float32)]

    def metrics(self, outputs: Outputs, reading: Reading) -> dict[str, Any]:
        """See `Task.metrics`: "n", those of `metric_names`, and "ece"."""
        probabilities, gold = self._both(outputs, reading)
        predicted = self._predicted(probabilities, reading)
        return {
            "n": len(gold),
            "micro_f1": micro_f1(predicted, gold),
            "macro_f1": macro_f1(predicted, gold),
            "exact_match": exact_match(predicted, gold),
            "mean_average_precision": mean_average_precision(probabilities, gold),
            "ece": flag_ece(probabilities, gold),
        }

    def calibrate(self, outputs: Outputs, reading: Reading) -> Settings:
        """See `Task.calibrate`: the temperature, and a threshold for each label."""
        logits, gold = self._logits(outputs, reading), encode(reading.rows, reading.asked.labels["logits"])
        temperature = fit_flag_temperature(logits, gold)
        fitted = _sigmoid(logits / temperature)
        return {
            **reading.asked.settings,
            "temperature": {"logits": temperature},
            "thresholds": best_thresholds(fitted, gold).tolist(),
            "calibration": {
                "texts": len(gold),
                "ece_before": flag_ece(_sigmoid(logits), gold),
                "ece_after": flag_ece(fitted, gold),
            },
        }

    def decisions(self, outputs: Outputs, reading: Reading) -> Decisions:
        """See `Task.decisions`: an answer is all labels of a row, and right if every one is."""
        probabilities, gold = self._both(outputs, reading)
        predicted, labels = self._predicted(probabilities, reading), reading.asked.labels["logits"]
        answers = [tuple(sorted(labels[index] for index in np.flatnonzero(row))) for row in predicted]
        return Decisions(answers, (predicted == gold).all(axis=1))

    def _both(self, outputs: Outputs, reading: Reading) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities and gold, [rows, labels]."""
        temperature = temperature_of(reading.asked.settings, "logits")
        gold = encode(reading.rows, reading.asked.labels["logits"])
        return _sigmoid(self._logits(outputs, reading) / temperature), gold

    def _predicted(self, probabilities: np.ndarray, reading: Reading) -> np.ndarray:
        """Whether each label is given, bool [rows, labels]."""
        return probabilities >= np.asarray(thresholds(reading.asked.settings, probabilities.shape[1]))

    def _logits(self, outputs: Outputs, reading: Reading) -> np.ndarray:
        """Logits, float64 [rows, labels], checked."""
        logits = np.asarray(outputs["logits"], np.float64)
        expected = (len(reading.rows), len(reading.asked.labels["logits"]))
        if logits.shape != expected:
            raise ValueError(f"logits of shape {logits.shape} do not fit {expected[0]} rows and {expected[1]} labels")
        if not np.isfinite(logits).all():
            raise ValueError("the logits hold values that are not finite numbers")
        return logits


def labels_of_row(row: Row) -> tuple[str, ...]:
    """The row's labels.

    Raises:
        DataError: it has none, not even an empty list.
    """
    if not isinstance(row.gold, tuple):
        raise DataError(f"{row.source}: the row has no labels. Name the label column with --label-column.")
    return row.gold


def encode(rows: Sequence[Row], labels: Sequence[str]) -> np.ndarray:
    """Which labels each row has, bool [rows, labels].

    Raises:
        DataError: one that is not in `labels`, or no list of labels.
    """
    index = {name: position for position, name in enumerate(labels)}
    found = np.zeros((len(rows), len(labels)), dtype=bool)
    for place, row in enumerate(rows):
        for name in labels_of_row(row):
            if name not in index:
                raise unknown(row.source, name, labels)
            found[place, index[name]] = True
    return found


def _column(where: str, found: Sequence[str], columns: Columns) -> str:
    taken = (columns.text, columns.text_pair)
    return find_column(where, found, columns.label, LABELS, "label", "label", taken)


def _labels_of(record: Mapping[str, object], column: str, source: str, cells: bool) -> tuple[str, ...]:
    """The labels in a column; `cells`: as a text with "|" between them."""
    value = value_of(record, column, source)
    if cells and (value is None or isinstance(value, str)):
        value = value.split(_BETWEEN) if value and value.strip() else []
    if not isinstance(value, list):
        raise DataError(
            f'{source}: {column!r} is a {type_name(value)}, and multi-label wants a list such as ["a", "b"]. '
            "Write a list, or name --task classification."
        )
    found: dict[str, None] = {}
    for item in value:
        if not isinstance(item, str):
            raise DataError(f"{source}: the label list holds {item!r}, not strings. Write each label as a string.")
        label = item.strip()
        if not label:
            raise DataError(f"{source}: a label in {column!r} is empty. Write its name, or take it out.")
        check_encodable(label, column, source)
        if label in found:
            raise DataError(f"{source}: the label {label!r} is listed twice. Write it once.")
        found[label] = None
    return tuple(found)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0.0, -logits))


MULTI_LABEL = MultiLabel()
