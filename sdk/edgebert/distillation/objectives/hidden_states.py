"""Hidden states: the last layer's vectors point where the teacher's do (DistilBERT's cosine term, arXiv 1910.01108)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from pydantic import Field
from torch.nn import functional

from edgebert.distillation.objectives import Objective, Sizes, masked_average, project
from edgebert.models.outputs import Outputs
from edgebert.recipe import Section
from edgebert.tasks.heads import Head


class Options(Section):
    """`1 - cos(student, teacher)` of the last layer, averaged over positions."""

    weight: float = Field(1.0, ge=0)


class HiddenStates(Objective):
    """See `Options`."""

    options = Options
    needs = frozenset({"hidden"})

    def __init__(self, options: Options, student: Sizes, teacher: Sizes, heads: Sequence[Head]) -> None:
        super().__init__(options, student, teacher, heads)
        self.projection = project(student.hidden, teacher.hidden)

    def forward(self, student: Outputs, teacher: Outputs | None, gold: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """See `Objective.forward`."""
        assert teacher is not None and student.mask is not None
        ours, theirs = self.projection(student.hidden[-1]).float(), teacher.hidden[-1].float()
        return masked_average(1.0 - functional.cosine_similarity(ours, theirs, dim=-1), student.mask)
