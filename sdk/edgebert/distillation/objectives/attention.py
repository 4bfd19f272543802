"""Attention transfer: attention maps of student and teacher layers (MobileBERT, section 3.5, L_AT)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from pydantic import Field

from edgebert.distillation.objectives import Objective, Sizes, layer_map, masked_average
from edgebert.models.outputs import Outputs
from edgebert.recipe import Section
from edgebert.tasks.heads import Head


class Options(Section):
    """KL of the teacher's attention rows against the student's, averaged over heads, real query rows and layers."""

    weight: float = Field(1.0, ge=0)


class Attention(Objective):
    """See `Options`. Where the numbers of heads differ, the mean map over the heads is compared."""

    options = Options
    needs = frozenset({"attentions"})

    def __init__(self, options: Options, student: Sizes, teacher: Sizes, heads: Sequence[Head]) -> None:
        super().__init__(options, student, teacher, heads)
        self.layers = layer_map(student.layers, teacher.layers)
        self.average_heads = student.heads != teacher.heads

    def forward(self, student: Outputs, teacher: Outputs | None, gold: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """See `Objective.forward`."""
        assert teacher is not None and student.mask is not None
        losses = []
        for ours, layer in zip(student.attentions, self.layers, strict=True):
            ours, theirs = ours.float(), teacher.attentions[layer - 1].float()
            if self.average_heads:
                ours, theirs = ours.mean(1, keepdim=True), theirs.mean(1, keepdim=True)
            # Masked keys have probability 0 on both sides: the clamp makes their share of the sum 0, not nan.
            ratio = theirs.clamp(min=1e-8).log() - ours.clamp(min=1e-8).log()
            losses.append(masked_average((theirs * ratio).sum(-1).mean(1), student.mask))
        return torch.stack(losses).mean()
