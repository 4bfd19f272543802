"""A number for a text or a pair of texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from edgebert_runtime.decode import Asked, Decoder, number
from edgebert_runtime.outputs import Outputs


class Score(NamedTuple):
    """The answer to one text, in the units of the training data."""

    score: float

    def to_json(self) -> dict[str, Any]:
        """The answer as plain JSON."""
        return self._asdict()

    def summary(self) -> str:
        """The score."""
        return f"{self.score:.4f}"


def decode(outputs: Outputs, asked: Asked) -> list[Score]:
    """The score of each row of `score`, [n, 1]."""
    return [Score(score) for score in scores(outputs, asked.settings)]


def scores(outputs: Outputs, settings: Mapping[str, Any]) -> list[float]:
    """The network's numbers in the units of the training data: it learns them with mean 0 and deviation 1."""
    scale, shift = settings.get("scale") or 1.0, settings.get("shift") or 0.0
    return [value * scale + shift for value in np.asarray(outputs["score"])[:, 0].tolist()]


def margins(outputs: Outputs, asked: Asked) -> list[float | None]:
    """None: a score has no decision in it."""
    return [None] * len(asked.texts)


def check(labels: Mapping[str, tuple[str, ...]], settings: Mapping[str, Any]) -> None:
    """See `Decoder.check`."""
    number(settings, "scale", default=1.0, low=1e-30)
    number(settings, "shift", default=0.0)


DECODER = Decoder({"score": False}, decode, margins, check=check, widths={"score": 1})
