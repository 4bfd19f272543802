"""Embedding transfer: the embedding output imitates the teacher's (TinyBERT, arXiv 1909.10351, equation 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from pydantic import Field

from edgebert.distillation.objectives import Objective, Sizes, masked_average, project
from edgebert.models.outputs import Outputs
from edgebert.recipe import Section
from edgebert.tasks.heads import Head


class Options(Section):
    """Mean squared difference of the embedding outputs, averaged over positions."""

    weight: float = Field(1.0, ge=0)


class Embedding(Objective):
    """See `Options`."""

    options = Options
    needs = frozenset({"hidden"})

    def __init__(self, options: Options, student: Sizes, teacher: Sizes, heads: Sequence[Head]) -> None:
        super().__init__(options, student, teacher, heads)
        self.projection = project(student.hidden, teacher.hidden)

    def forward(self, student: Outputs, teacher: Outputs | None, gold: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """See `Objective.forward`."""
        assert teacher is not None and student.mask is not None
        difference = self.projection(student.hidden[0]).float() - teacher.hidden[0].float()
        return masked_average(difference.pow(2).mean(-1), student.mask)
