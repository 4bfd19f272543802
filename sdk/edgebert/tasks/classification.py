"""One label for a sentence or for a pair of sentences."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from edgebert.data.columns import Columns, find_fields
from edgebert.data.readers import Reader, Row, label_of, text_reader
from edgebert.evaluation.calibration import ece, fit_temperature
from edgebert.evaluation.metrics import accuracy, macro_f1, softmax
from edgebert.evaluation.scores import binary_f1, mcc
from edgebert.tasks.base import Decisions, Labels, Reading, Settings, Target
from edgebert.tasks.heads import Head
from edgebert.tasks.text import TextTask
from edgebert_runtime.errors import DataError
from edgebert_runtime.outputs import Outputs

_WHOLE = re.compile(r"[-+]?[0-9]+")
_DECIMAL = re.compile(
    r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?|[-+]?(inf|infinity)", re.IGNORECASE
)


class Classification(TextTask):
    """Single-sentence and sentence-pair classification."""

    name = "classification"

    def metric_names(self, settings: Settings) -> tuple[str, ...]:
        """See `Task.metric_names`."""
        return ("accuracy", "macro_f1", "mcc")

    def recognises(self, records: Sequence[Mapping[str, object]], columns: Columns) -> str:
        """See `Task.recognises`: a column of labels, whatever they are."""
        try:
            fields = find_fields("train", list(records[0]) if records else [], columns, labelled=True)
        except DataError:
            return ""
        return f"the column {fields.label!r} holds one label for each {'pair' if fields.text_pair else 'text'}"

    def reader(self, where: str, found: Sequence[str], columns: Columns, labelled: bool) -> Reader:
        """See `Task.reader`."""
        read = text_reader(where, found, columns, labelled)
        label = find_fields(where, found, columns, labelled).label
        if label is None:
            return read

        def labelled_row(record: Mapping[str, object], source: str) -> Row:
            return Row(read(record, source).text, label_of(record, label, source), source)

        return labelled_row

    def labels_from(self, rows: Iterable[Row]) -> Labels:
        """The distinct labels in a fixed order: by value where all are whole numbers, else by spelling.

        Raises:
            DataError: there are no rows, no label, one class only, or the labels are decimal numbers.
        """
        first: dict[str, Row] = {}
        for row in rows:
            first.setdefault(label(row), row)
        if not first:
            raise DataError("there are no rows to take labels from. Give a train file that holds rows.")
        decimal = [label for label in first if _DECIMAL.fullmatch(label)]
        if decimal and all(_DECIMAL.fullmatch(label) or _WHOLE.fullmatch(label) for label in first):
            raise DataError(
                f"{first[decimal[0]].source}: the label {decimal[0]} is a decimal number, and classification wants "
                "class names. Write names or whole numbers, or choose another column with --label-column."
            )
        if len(first) == 1:
            (name, row), *_ = first.items()
            raise DataError(
                f"{row.source}: the train data holds one class only ({name!r}), and a classifier needs at least two. "
                "Add rows of another class, or choose another column with --label-column."
            )
        whole = all(_WHOLE.fullmatch(label) for label in first)
        return {"logits": tuple(sorted(first, key=(lambda label: (int(label), label)) if whole else None))}

    def check(self, rows: Sequence[Row], labels: Labels, split: str) -> None:
        """See `Task.check`.

        Raises:
            DataError: a row has no label, or one that train does not have.
        """
        encode(rows, labels["logits"])

    def heads(self, labels: Labels, settings: Settings) -> tuple[Head, ...]:
        """See `Task.heads`."""
        return (Head("logits", len(labels["logits"]), "classes"),)

    def targets(self, reading: Reading) -> list[Target]:
        """See `Task.targets`: the label of each row as an index."""
        gold = encode(reading.rows, reading.asked.labels["logits"])
        return [{"logits": np.asarray(index, np.int64)} for index in gold]

    def metrics(self, outputs: Outputs, reading: Reading) -> dict[str, Any]:
        """See `Task.metrics`: "n", "accuracy", "macro_f1", "mcc", with two labels the "f1" of the second, and "ece"."""
        logits, labels = self._logits(outputs, reading), reading.asked.labels["logits"]
        gold = encode(reading.rows, labels)
        predicted = logits.argmax(axis=1)
        found = {
            "n": len(gold),
            "accuracy": accuracy(predicted, gold),
            "macro_f1": macro_f1(predicted, gold),
            "mcc": mcc(predicted, gold),
        }
        if len(labels) == 2:
            found["f1"] = binary_f1(predicted, gold)
        temperature = reading.asked.settings.get("temperature", {}).get("logits", 1.0)
        return {**found, "ece": ece(softmax(logits / temperature), gold)}

    def calibrate(self, outputs: Outputs, reading: Reading) -> Settings:
        """See `Task.calibrate`: the temperature (Guo et al. 2017, arXiv:1706.04599), and the error before and after."""
        logits = self._logits(outputs, reading)
        gold = encode(reading.rows, reading.asked.labels["logits"])
        temperature = fit_temperature(logits, gold)
        return {
            **reading.asked.settings,
            "temperature": {"logits": temperature},
            "calibration": {
                "texts": len(gold),
                "ece_before": ece(softmax(logits), gold),
                "ece_after": ece(softmax(logits / temperature), gold),
            },
        }

    def decisions(self, outputs: Outputs, reading: Reading) -> Decisions:
        """See `Task.decisions`."""
        logits, labels = self._logits(outputs, reading), reading.asked.labels["logits"]
        answers = [labels[index] for index in logits.argmax(axis=1)]
        right = np.asarray([answer == row.gold for answer, row in zip(answers, reading.rows, strict=True)])
        order = sorted(range(len(labels)), key=labels.__getitem__)
        return Decisions(answers, right, probabilities=softmax(logits)[:, order])

    def _logits(self, outputs: Outputs, reading: Reading) -> np.ndarray:
        """Logits, float32 [rows, labels], checked."""
        logits = np.asarray(outputs["logits"])
        expected = (len(reading.rows), len(reading.asked.labels["logits"]))
        if logits.shape != expected:
            raise ValueError(f"logits of shape {logits.shape} do not fit {expected[0]} rows and {expected[1]} labels")
        if not np.isfinite(logits).all():
            raise ValueError("the logits hold values that are not finite numbers")
        return logits


def label(row: Row) -> str:
    """The row's label.

    Raises:
        DataError: it has none.
    """
    if not isinstance(row.gold, str):
        raise DataError(f"{row.source}: the row has no label. Name the label column with --label-column.")
    return row.gold


def encode(rows: Iterable[Row], labels: Sequence[str]) -> np.ndarray:
    """The label of each row as an index in `labels`, int64 [rows].

    Raises:
        DataError: a row has no label, or one that is not in `labels`.
    """
    index = {name: position for position, name in enumerate(labels)}
    found = []
    for row in rows:
        if label(row) not in index:
            raise unknown(row.source, label(row), labels)
        found.append(index[label(row)])
    return np.asarray(found, np.int64)


def unknown(source: str, name: str, labels: Sequence[str]) -> DataError:
    """The error for a label that the model does not know."""
    close = difflib.get_close_matches(name, labels, n=1, cutoff=0.6)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    listed = ", ".join(labels[:20]) + (f", ... ({len(labels)} in all)" if len(labels) > 20 else "")
    return DataError(
        f"{source}: the label {name!r} is not one that the model knows.{hint} Known: {listed}. "
        "Correct the label, or delete the row."
    )


CLASSIFICATION = Classification()
