"""A vector for a text, to be compared with other texts' vectors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from edgebert_runtime.decode import Asked, Decoder
from edgebert_runtime.outputs import Outputs


class Embedding(NamedTuple):
    """The answer to one text: float32 [width], of length 1, so that a dot product of two is their cosine.

    A text of which the network says nothing at all has a vector of zeros.
    """

    vector: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """The answer as plain JSON, with six digits behind the point."""
        return {"vector": [round(value, 6) for value in self.vector.tolist()]}

    def summary(self) -> str:
        """The first numbers, and how many there are."""
        first = " ".join(f"{value:.4f}" for value in self.vector[:4].tolist())
        return f"{first}{' ...' if len(self.vector) > 4 else ''}  ({len(self.vector)} numbers)"


def decode(outputs: Outputs, asked: Asked) -> list[Embedding]:
    """The vector of each row, [n, width], brought to length 1."""
    return [Embedding(row) for row in normalised(np.asarray(outputs["vector"]))]


def normalised(rows: np.ndarray) -> np.ndarray:
    """Each row [n, width] divided by its length, float32; rows of zeros stay."""
    wide = rows.astype(np.float64)  # where no square of a float32 overflows or vanishes
    lengths = np.sqrt(np.einsum("ij,ij->i", wide, wide))[:, None]
    return np.asarray(wide / np.where(lengths > 0, lengths, 1.0), np.float32)


def margins(outputs: Outputs, asked: Asked) -> list[float | None]:
    """None: a vector has no decision in it."""
    return [None] * len(asked.texts)


DECODER = Decoder({"vector": False}, decode, margins)
