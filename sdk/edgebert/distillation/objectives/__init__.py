"""The distillation objectives, one file each. A recipe weights them by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from edgebert.models.outputs import Outputs
from edgebert.recipe import Section, parse
from edgebert.tasks.heads import Head
from edgebert_runtime.errors import UsageError, choose, resolve

OBJECTIVES: dict[str, str] = {
    "logits": "edgebert.distillation.objectives.logits:Logits",
    "hard_labels": "edgebert.distillation.objectives.hard_labels:HardLabels",
    "feature_maps": "edgebert.distillation.objectives.feature_maps:FeatureMaps",
    "attention": "edgebert.distillation.objectives.attention:Attention",
    "hidden_states": "edgebert.distillation.objectives.hidden_states:HiddenStates",
    "embedding": "edgebert.distillation.objectives.embedding:Embedding",
}

# What an objective may need that stored soft labels do not hold.
LAYERS = frozenset({"hidden", "attentions"})


@dataclass(frozen=True)
class Sizes:
    """What an objective must know of a network before it sees a batch."""

    layers: int
    hidden: int
    heads: int


class Objective(nn.Module):
    """One term of the loss.

    Attributes:
        needs: what it reads of the teacher: `logits` (the heads' answers), `hidden`, `attentions`, or nothing.
        heads: what the networks answer.
    """

    options: type[Section]
    needs: frozenset[str] = frozenset()

    def __init__(self, options: Any, student: Sizes | None, teacher: Sizes | None, heads: Sequence[Head]) -> None:
        super().__init__()
        self.settings, self.student_sizes, self.teacher_sizes, self.heads = options, student, teacher, heads

    def forward(self, student: Outputs, teacher: Outputs | None, gold: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The loss of a batch, a scalar. `gold` is by head (see `batches.collate_targets`)."""
        raise TypeError(f"{type(self).__name__} defines no loss")

    def average(self, loss: Callable[[Head], torch.Tensor]) -> torch.Tensor:
        """The mean of a loss over the heads."""
        return torch.stack([loss(head) for head in self.heads]).mean()


def make_objectives(
    wanted: Mapping[str, Mapping[str, Any]],
    student: Sizes | None,
    teacher: Sizes | None,
    heads: Sequence[Head],
) -> nn.ModuleDict:
    """The objectives that `wanted` names, with checked options; those of weight 0 are left out.

    Raises:
        UsageError: an unknown objective or option, one that needs layers that the student lacks, or none is left.
    """
    made = nn.ModuleDict()
    for name, values in wanted.items():
        kind: Any = resolve(OBJECTIVES[choose("objective", name, OBJECTIVES)])
        options: Any = parse(kind.options, values, f"objectives.{name}")
        if options.weight == 0:
            continue
        if kind.needs & LAYERS and (student is None or teacher is None):
            raise UsageError(f"the objective {name!r} compares layers, and this student has none; leave it out.")
        made[name] = kind(options, student, teacher, heads)
    if not made:
        raise UsageError("objectives: every weight is 0, so there is nothing to learn.")
    return made


def layer_map(student_layers: int, teacher_layers: int) -> list[int]:
    """For each student layer (1-based place in `Outputs.hidden`), the teacher layer at the same relative depth."""
    return [max(1, round((i + 1) * teacher_layers / student_layers)) for i in range(student_layers)]


def project(from_width: int, to_width: int) -> nn.Module:
    """Nothing where the widths agree, else a learned linear map (it is trained along and thrown away)."""
    return nn.Identity() if from_width == to_width else nn.Linear(from_width, to_width, bias=False)


def masked_average(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of [batch, seq] over the positions where `mask` is 1."""
    weights = mask.to(values.dtype)
    return (values * weights).sum() / weights.sum().clamp(min=1.0)
