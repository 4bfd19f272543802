"""Hard labels: the loss of each head's kind beside the gold, where a text has some."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field

from edgebert.distillation.losses import hard_loss
from edgebert.distillation.objectives import Objective
from edgebert.models.outputs import Outputs
from edgebert.recipe import Section


class Options(Section):
    """Cross-entropy (a squared difference for scores), summed over the labelled texts and divided by the batch size.

    Where each token has a label of its own: the mean over the labelled tokens of the batch.
    """

    weight: float = Field(0.3, ge=0)


class HardLabels(Objective):
    """See `Options`. Dividing by the whole batch keeps a text's weight the same whoever shares its batch."""

    options = Options

    def forward(self, student: Outputs, teacher: Outputs | None, gold: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """See `Objective.forward`."""
        return self.average(
            lambda head: (
                hard_loss(head, student.heads[head.name], gold[head.name], student.mask)
                if head.name in gold
                else student.heads[head.name].new_zeros((), dtype=torch.float32)
            )
        )
