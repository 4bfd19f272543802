"""Feature-map transfer: each student layer imitates a teacher layer (MobileBERT, section 3.5, L_FMT)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from edgebert.distillation.objectives import Objective, Sizes, layer_map, masked_average, project
from edgebert.models.outputs import Outputs
from edgebert.recipe import Section
from edgebert.tasks.heads import Head


class Options(Section):
    """Mean squared difference after a layer norm without parameters, averaged over positions and layers."""

    weight: float = Field(1.0, ge=0)


class FeatureMaps(Objective):
    """See `Options`. The norm takes away the scale, which a NoNorm network need not share with its teacher."""

    options = Options
    needs = frozenset({"hidden"})

    def __init__(self, options: Options, student: Sizes, teacher: Sizes, heads: Sequence[Head]) -> None:
        super().__init__(options, student, teacher, heads)
        self.layers = layer_map(student.layers, teacher.layers)
        self.projections = nn.ModuleList(project(student.hidden, teacher.hidden) for _ in self.layers)

    def forward(self, student: Outputs, teacher: Outputs | None, gold: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """See `Objective.forward`."""
        assert teacher is not None and student.mask is not None
        losses = []
        for index, (layer, projection) in enumerate(zip(self.layers, self.projections, strict=True)):
            ours, theirs = projection(student.hidden[index + 1]).float(), teacher.hidden[layer].float()
            width = (theirs.shape[-1],)
            difference = functional.layer_norm(ours, width) - functional.layer_norm(theirs, width)
            losses.append(masked_average(difference.pow(2).mean(-1), student.mask))
        return torch.stack(losses).mean()
