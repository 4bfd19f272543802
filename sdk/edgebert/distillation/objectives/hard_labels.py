"""Hard labels: cross-entropy where a text has a label."""

from __future__ import annotations

import torch
from pydantic import Field
from torch.nn import functional

from edgebert.distillation.objectives import Objective
from edgebert.models.outputs import Outputs
from edgebert.recipe import Section


class Options(Section):
    """Cross-entropy, summed over the labelled texts and divided by the batch size."""

    weight: float = Field(0.3, ge=0)


class HardLabels(Objective):
    """See `Options`. Dividing by the whole batch keeps a text's weight the same whoever shares its batch."""

    options = Options

    def forward(self, student: Outputs, teacher: Outputs | None, labels: torch.Tensor) -> torch.Tensor:
        """See `Objective.forward`."""
        loss = functional.cross_entropy(student.logits.float(), labels, ignore_index=-1, reduction="sum")
        return loss / len(labels)
