"""One label for a sentence or for a pair of sentences."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgebert.data.readers import Row
from edgebert.evaluation.metrics import accuracy, macro_f1
from edgebert_runtime.errors import DataError

_WHOLE = re.compile(r"[-+]?[0-9]+")
_DECIMAL = re.compile(
    r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?|[-+]?(inf|infinity)", re.IGNORECASE
)


@dataclass(frozen=True)
class Classification:
    """Single-sentence and sentence-pair classification."""

    name: str = "classification"
    metric: str = "accuracy"

    def labels_from(self, rows: Iterable[Row]) -> tuple[str, ...]:
        """The distinct labels in a fixed order: by value where all are whole numbers, else by spelling.

        Raises:
            DataError: there are no rows, no label, one class only, or the labels are decimal numbers.
        """
        first: dict[str, Row] = {}
        for row in rows:
            if row.label is None:
                raise DataError(f"{row.source}: the row has no label. Name the label column with --label-column.")
            first.setdefault(row.label, row)
        if not first:
            raise DataError("there are no rows to take labels from. Give a train file that holds rows.")
        decimal = [label for label in first if _DECIMAL.fullmatch(label)]
        if decimal and all(_DECIMAL.fullmatch(label) or _WHOLE.fullmatch(label) for label in first):
            raise DataError(
                f"{first[decimal[0]].source}: the label {decimal[0]} is a decimal number, and classification wants "
                "class names. Write names or whole numbers, or choose another column with --label-column."
            )
        if len(first) == 1:
            (label, row), *_ = first.items()
            raise DataError(
                f"{row.source}: the train data holds one class only ({label!r}), and a classifier needs at least two. "
                "Add rows of another class, or choose another column with --label-column."
            )
        whole = all(_WHOLE.fullmatch(label) for label in first)
        return tuple(sorted(first, key=(lambda label: (int(label), label)) if whole else None))

    def encode(self, rows: Iterable[Row], labels: Sequence[str]) -> list[int]:
        """The label of each row as an index in `labels`.

        Raises:
            DataError: a row has no label, or one that is not in `labels`.
        """
        index = {label: position for position, label in enumerate(labels)}
        encoded = []
        for row in rows:
            if row.label is None or row.label not in index:
                raise _unknown(row, labels)
            encoded.append(index[row.label])
        return encoded

    def metrics(self, logits: np.ndarray, gold: Sequence[int] | np.ndarray, labels: Sequence[str]) -> dict[str, Any]:
        """Logits [n, len(labels)] and gold indices [n] -> {"n", "accuracy", "macro_f1"}, each score in 0..1.

        Raises:
            ValueError: the shapes do not fit, there are no rows, or a logit is not a finite number.
        """
        logits = np.asarray(logits)
        if logits.shape != (len(gold), len(labels)):
            raise ValueError(f"logits of shape {logits.shape} do not fit {len(gold)} rows and {len(labels)} labels")
        if not np.isfinite(logits).all():
            raise ValueError("the logits hold values that are not finite numbers")
        predicted = logits.argmax(axis=1)
        return {"n": len(gold), "accuracy": accuracy(predicted, gold), "macro_f1": macro_f1(predicted, gold)}


def _unknown(row: Row, labels: Sequence[str]) -> DataError:
    if row.label is None:
        return DataError(f"{row.source}: the row has no label. Name the label column with --label-column.")
    close = difflib.get_close_matches(row.label, labels, n=1, cutoff=0.6)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    listed = ", ".join(labels[:20]) + (f", ... ({len(labels)} in all)" if len(labels) > 20 else "")
    return DataError(
        f"{row.source}: the label {row.label!r} is not one that the model knows.{hint} Known: {listed}. "
        "Correct the label, or delete the row."
    )


CLASSIFICATION = Classification()
