"""One label for a text or a pair of texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from edgebert_runtime import _core
from edgebert_runtime.decode import Asked, Decoder, check_confidence, need_labels, temperature_of
from edgebert_runtime.outputs import Outputs


class Prediction(NamedTuple):
    """The answer to one text. `probabilities` holds every label, in the model's order, and sums to 1.

    A named tuple, because a frozen dataclass takes longer to make than the n-gram student takes to answer.

    Attributes:
        sure: whether the probability reaches the threshold that was asked for; true where none was.
    """

    label: str
    probability: float
    probabilities: dict[str, float]
    sure: bool = True

    def to_json(self) -> dict[str, Any]:
        """The answer as plain JSON."""
        return self._asdict()

    def summary(self) -> str:
        """The label ("-" where the model is not sure) and its probability, with a tab between."""
        return f"{self.label if self.sure else '-'}\t{self.probability:.4f}"


def decode(outputs: Outputs, asked: Asked) -> list[Prediction]:
    """The most probable label of each row of logits [n, labels]; of equal ones the first.

    Not numpy's softmax: for one text its calls would take longer than the n-gram student.
    """
    labels, settings = asked.labels["logits"], asked.settings
    temperature = temperature_of(settings, "logits") if settings else 1.0
    threshold = settings.get("threshold") or 0.0
    logits = np.ascontiguousarray(outputs["logits"], np.float64)
    rows = _core.softmax(logits.data, len(labels), temperature)
    return [_most_probable(row, labels, threshold) for row in rows]


def _most_probable(probabilities: list[float], labels: tuple[str, ...], threshold: float) -> Prediction:
    largest = max(probabilities)
    found = dict(zip(labels, probabilities, strict=True))
    return Prediction(labels[probabilities.index(largest)], largest, found, largest >= threshold)


def margins(outputs: Outputs, asked: Asked) -> list[float | None]:
    """Half the distance of the two largest logits of each text: each may move by that much. Less where `sure` turns."""
    logits = np.asarray(outputs["logits"], np.float64)
    best = np.sort(logits, axis=1)
    found = (best[:, -1] - best[:, -2]) / 2
    threshold, temperature = asked.settings.get("threshold") or 0.0, temperature_of(asked.settings, "logits")
    if 0.0 < threshold < 1.0:
        # Of the best label: log(p / (1 - p)), which changes by twice as much as the scaled logits do at most.
        odds = best[:, -1] / temperature - np.logaddexp.reduce(best[:, :-1] / temperature, axis=1)
        found = np.minimum(found, np.abs(odds - np.log(threshold / (1.0 - threshold))) * temperature / 2)
    return [float(margin) for margin in found]


def check(labels: Mapping[str, tuple[str, ...]], settings: Mapping[str, Any]) -> None:
    """See `Decoder`."""
    need_labels(labels, "logits")
    check_confidence(settings, "logits")


DECODER = Decoder({"logits": False}, decode, margins, takes_threshold=True, check=check)
