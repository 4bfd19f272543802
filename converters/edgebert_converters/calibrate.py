"""Calibration data for static int8: texts that the model was trained on, never the dev texts it is judged on."""

from __future__ import annotations

import numpy as np

from edgebert_converters.base import ExportableModel
from edgebert_runtime.errors import ExportError
from edgebert_runtime.features import length_of, pad

CALIBRATION_TEXTS = 200


def calibration_batches(model: ExportableModel, lengths: tuple[int, ...] | None = None) -> list[dict[str, np.ndarray]]:
    """Batches of one text each: input name to int32 `[1, per_length * length]`.

    Args:
        lengths: pad each text to the smallest of these that holds it; None pads to its own length.
    Raises:
        ExportError: the model carries no calibration texts.
    """
    texts = model.calibration_texts[:CALIBRATION_TEXTS]
    if not texts:
        raise ExportError(f"{model.name}: int8-static needs calibration texts and the model carries none; use int8")
    featurizer = model.featurizer
    batches = []
    for features in featurizer(texts):
        length = max(featurizer.min_length, length_of(features, featurizer.inputs))
        if lengths is not None:
            length = next(bucket for bucket in lengths if bucket >= length)
        batches.append(pad([features], featurizer.inputs, length))
    return batches
