"""Length-bucketed batches: texts of similar length share a batch, so that little time goes into padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from edgebert.distillation.features import FlatFeatures
from edgebert.tasks.base import Target
from edgebert.tasks.heads import Head
from edgebert_runtime.features import Features, InputSpec

# Texts are sorted by length within a window of this many batches: wide enough for little padding, narrow enough
# that the batches of an epoch still differ from those of the last.
WINDOW = 50


@dataclass(frozen=True)
class TrainingSet:
    """What a network learns from; each field has one entry for each text.

    Attributes:
        features: the ids of each text.
        targets: its gold, {} where there is none.
        soft: a stored teacher's answers; None without one.
        teacher_features: the ids that a teacher reads which runs along; None where it reads what the student reads.
        units: the tokens that a teacher which runs along has an opinion of, for heads that name the class of each word;
            None for all of them.
        change: makes of a text's features what is learned from them, and their gold, anew each time (masked words).
    """

    features: Sequence[Features]
    targets: Sequence[Target]
    soft: Sequence[Target] | None = None
    teacher_features: Sequence[Features] | None = None
    units: Sequence[np.ndarray] | None = None
    change: Callable[[Features, np.random.Generator], tuple[Features, Target]] | None = None

    def __post_init__(self) -> None:
        for name in ("targets", "soft", "teacher_features", "units"):
            given = getattr(self, name)
            if given is not None and len(given) != len(self.features):
                raise ValueError(f"{name} holds {len(given)} texts, and features {len(self.features)}")

    def draw(self, indices: np.ndarray, step: int, seed: int) -> tuple[list[Features], list[Target]]:
        """Features and gold of the texts of a batch.

        What `change` draws depends on (seed, step, index) alone, so a resumed run draws the same.
        """
        if self.change is not None:
            changed = [self.change(self.features[i], np.random.default_rng((seed, step, i))) for i in indices]
            return [features for features, _ in changed], [target for _, target in changed]
        return [self.features[index] for index in indices], [self.targets[index] for index in indices]


def lengths_of(features: Sequence[Features]) -> np.ndarray:
    """Ids in each text, over all inputs; int64 [n]."""
    if isinstance(features, FlatFeatures):
        return features.lengths()
    return np.array([sum(len(ids) for ids in item.values()) for item in features], dtype=np.int64)


def tokens_of(features: Features, inputs: Sequence[InputSpec]) -> int:
    """How many tokens a text has: rows of a per-token head."""
    return len(features[inputs[0].name]) // inputs[0].per_length


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
    """One int64 tensor [batch, longest] for each input, zero-padded to its own longest text.

    An input with `per_length` ids for every token has them for the padding too, also where no text has a token.
    """
    tokens = np.array([tokens_of(item, inputs) for item in features], np.int64)
    tensors = []
    for spec in inputs:
        lengths = np.array([len(item[spec.name]) for item in features], np.int64)
        if np.array_equal(lengths, tokens * spec.per_length):
            longest = int(tokens.max(initial=min_length)) * spec.per_length
        else:
            longest = int(lengths.max(initial=min_length))
        ids = np.zeros((len(features), longest), dtype=np.int64)
        for row, item in enumerate(features):
            ids[row, : len(item[spec.name])] = item[spec.name]
        tensors.append(torch.from_numpy(ids).to(device))
    return tuple(tensors)


def collate_targets(
    targets: Sequence[Target], heads: Sequence[Head], length: int, device: torch.device | str = "cpu"
) -> dict[str, torch.Tensor]:
    """The gold of a batch for each head that can have some; `length` is that of the padded tokens.

    classes     int64 [batch], or [batch, length] where each token has one; -1 for none
    flags       float32 [batch, width], per token [batch, length, width]; nan for none
    number      the same
    positions   int64 [batch, width]; -1 for none
    """
    return {
        head.name: torch.from_numpy(_gather(targets, head, length, gold=True)).to(device)
        for head in heads
        if head.kind != "vector"
    }


def collate_soft(
    soft: Sequence[Target], heads: Sequence[Head], length: int, device: torch.device | str = "cpu"
) -> dict[str, torch.Tensor]:
    """A teacher's answers, float32 [batch, width] or [batch, length, width]; nan where it says nothing."""
    return {head.name: torch.from_numpy(_gather(soft, head, length, gold=False)).to(device) for head in heads}


def _gather(targets: Sequence[Target], head: Head, length: int, gold: bool) -> np.ndarray:
    """One head's entry of each target as a padded array."""
    indexes = gold and head.kind in ("classes", "positions")
    by_token = head.per_token and not (gold and head.kind == "positions")
    shape = (length,) * by_token + (() if gold and head.kind == "classes" else (head.width,))
    rows = np.full((len(targets), *shape), -1 if indexes else np.nan, np.int64 if indexes else np.float32)
    for row, target in enumerate(targets):
        if head.name not in target:
            continue
        value = target[head.name]
        if by_token:
            rows[row, : len(value)] = value
        else:
            rows[row] = np.reshape(value, shape)
    return rows
