"""Logits: the teacher's soft labels (Hinton et al. 2015, arXiv 1503.02531)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field

from edgebert.distillation.losses import soft_loss
from edgebert.distillation.objectives import Objective
from edgebert.models.outputs import Outputs
from edgebert.recipe import Section
from edgebert.tasks.heads import Head


class Options(Section):
    """`T**2 * KL(softmax(teacher / T) || softmax(student / T))`, mean over the batch.

    A score is compared by its squared difference, a vector by `1 - cos`.
    """

    weight: float = Field(0.7, ge=0)
    temperature: float = Field(2.0, gt=0)


class Logits(Objective):
    """See `Options`. The factor T**2 keeps the gradient's size the same for each temperature."""

    options = Options
    needs = frozenset({"logits"})

    def forward(self, student: Outputs, teacher: Outputs | None, gold: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """See `Objective.forward`."""
        assert teacher is not None
        answers = teacher.heads

        def loss(head: Head) -> torch.Tensor:
            mask = student.mask
            if head.tied and mask is not None:
                mask = mask * (gold[head.name] >= 0)  # words are learned where one is masked
            return soft_loss(head, student.heads[head.name], answers[head.name], mask, self.settings.temperature)

        return self.average(loss)
