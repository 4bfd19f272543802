"""Length-bucketed batches: texts of similar length share a batch, so that little time goes into padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from edgebert.distillation.features import FlatFeatures
from edgebert_runtime.features import Features, InputSpec

# Texts are sorted by length within a window of this many batches: wide enough for little padding, narrow enough
# that the batches of an epoch still differ from those of the last.
WINDOW = 50


@dataclass(frozen=True)
class TrainingSet:
    """What a network learns from.

    Attributes:
        features: the ids of each text.
        labels: int64 [n], -1 where a text has no label.
        teacher_logits: float32 [n, classes], or None.
        teacher_features: the ids that the teacher reads, where it runs along; None if it does not.
    """

    features: Sequence[Features]
    labels: np.ndarray
    teacher_logits: np.ndarray | None = None
    teacher_features: Sequence[Features] | None = None


def lengths_of(features: Sequence[Features]) -> np.ndarray:
    """Ids in each text, over all inputs; int64 [n]."""
    if isinstance(features, FlatFeatures):
        return features.lengths()
    return np.array([sum(len(ids) for ids in item.values()) for item in features], dtype=np.int64)


def plan(lengths: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The batches of an epoch, as arrays of text indices: a function of its arguments only.

    Each text is in exactly one batch.
    """
    generator = np.random.default_rng((seed, epoch))
    order = generator.permutation(len(lengths))
    batches: list[np.ndarray] = []
    for start in range(0, len(order), batch_size * WINDOW):
        window = order[start : start + batch_size * WINDOW]
        window = window[np.argsort(lengths[window], kind="stable")]
        batches += [window[i : i + batch_size] for i in range(0, len(window), batch_size)]
    return [batches[i] for i in generator.permutation(len(batches))]


def collate(
    features: Sequence[Features], inputs: Sequence[InputSpec], min_length: int = 1, device: torch.device | str = "cpu"
) -> tuple[torch.Tensor, ...]:
    """One int64 tensor [batch, longest] for each input, zero-padded to its own longest text."""
    tensors = []
    for spec in inputs:
        longest = max(min_length, *(len(item[spec.name]) for item in features)) if features else min_length
        ids = np.zeros((len(features), longest), dtype=np.int64)
        for row, item in enumerate(features):
            ids[row, : len(item[spec.name])] = item[spec.name]
        tensors.append(torch.from_numpy(ids).to(device))
    return tuple(tensors)
