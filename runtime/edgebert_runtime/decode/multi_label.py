"""Any number of labels for a text or a pair of texts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from edgebert_runtime import checks
from edgebert_runtime.decode import Asked, Decoder, check_confidence, need_labels, temperature_of
from edgebert_runtime.errors import BundleError
from edgebert_runtime.outputs import Outputs


class MultiLabel(NamedTuple):
    """The answer to one text: the labels that reach their thresholds, in the model's order.

    `probabilities` holds every label; each is between 0 and 1, whatever the others are.
    """

    labels: tuple[str, ...]
    probabilities: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """The answer as plain JSON."""
        return {"labels": list(self.labels), "probabilities": self.probabilities}

    def summary(self) -> str:
        """The labels with their probabilities, "-" where there is none."""
        return "  ".join(f"{label} {self.probabilities[label]:.4f}" for label in self.labels) or "-"


def decode(outputs: Outputs, asked: Asked) -> list[MultiLabel]:
    """The labels of each row of logits [n, labels].

    Not numpy's functions: for one text their calls would take longer than the n-gram student.
    """
    labels = asked.labels["logits"]
    temperature = temperature_of(asked.settings, "logits")
    limits = thresholds(asked.settings, len(labels))
    return [_reached(row, temperature, labels, limits) for row in np.asarray(outputs["logits"]).tolist()]


def _reached(
    logits: Sequence[float], temperature: float, labels: tuple[str, ...], limits: Sequence[float]
) -> MultiLabel:
    found = [_sigmoid(logit / temperature) for logit in logits]
    given = [label for label, value, limit in zip(labels, found, limits, strict=True) if value >= limit]
    return MultiLabel(tuple(given), dict(zip(labels, found, strict=True)))


def _sigmoid(logit: float) -> float:
    if logit >= 0:
        return 1.0 / (1.0 + math.exp(-logit))
    power = math.exp(logit)
    return power / (1.0 + power)


def thresholds(settings: Mapping[str, Any], count: int) -> Sequence[float]:
    """The least probability of each label: the one that was asked for, else those fitted on dev, else a half."""
    asked = settings.get("threshold")
    if asked is not None:
        return [asked] * count
    return settings.get("thresholds") or [0.5] * count


def margins(outputs: Outputs, asked: Asked) -> list[float | None]:
    """The least distance of a logit from the one at which its label is given; None where no logit can change that."""
    limits = np.asarray(thresholds(asked.settings, len(asked.labels["logits"])), np.float64)
    # At 1 a label is given once its probability is rounded to 1; at 0 always.
    limits = np.minimum(limits, 1.0 - 2.0**-53)
    with np.errstate(divide="ignore"):
        turning = np.log(limits / (1.0 - limits)) * temperature_of(asked.settings, "logits")
    least = np.abs(np.asarray(outputs["logits"], np.float64) - turning).min(axis=1)
    return [float(margin) if np.isfinite(margin) else None for margin in least]


def check(labels: Mapping[str, tuple[str, ...]], settings: Mapping[str, Any]) -> None:
    """See `Decoder.check`."""
    need_labels(labels, "logits")
    check_confidence(settings, "logits")
    if settings.get("thresholds") is None:
        return
    found = checks.list_("settings.thresholds", settings["thresholds"], _probability)
    if len(found) != len(labels["logits"]):
        raise BundleError(f"settings.thresholds must hold a number for each label, {len(labels['logits'])} in all")


def _probability(where: str, value: object) -> float:
    if isinstance(value, (int, float)) and checks.is_number(value) and 0 <= value <= 1:
        return float(value)
    raise checks.wrong(where, "a number from 0 to 1", value)


DECODER = Decoder({"logits": False}, decode, margins, takes_threshold=True, check=check)
