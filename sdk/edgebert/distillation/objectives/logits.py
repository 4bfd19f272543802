"""Logits: the teacher's soft labels (Hinton et al. 2015, arXiv 1503.02531)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch.nn import functional

from edgebert.distillation.objectives import Objective
from edgebert.models.outputs import Outputs
from edgebert.recipe import Section


class Options(Section):
    """`T**2 * KL(softmax(teacher / T) || softmax(student / T))`, mean over the batch."""

    weight: float = Field(0.7, ge=0)
    temperature: float = Field(2.0, gt=0)


class Logits(Objective):
    """See `Options`. The factor T**2 keeps the gradient's size the same for each temperature."""

    options = Options
    needs = frozenset({"logits"})

    def forward(self, student: Outputs, teacher: Outputs | None, labels: torch.Tensor) -> torch.Tensor:
        """See `Objective.forward`."""
        assert teacher is not None
        temperature = self.settings.temperature
        ours = functional.log_softmax(student.logits.float() / temperature, dim=-1)
        theirs = functional.log_softmax(teacher.logits.float() / temperature, dim=-1)
        return functional.kl_div(ours, theirs, reduction="batchmean", log_target=True) * temperature**2
