"""Optimizers: AdamW for dense weights, row-wise Adagrad for embedding tables with sparse gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


class RowAdagrad(torch.optim.Optimizer):
    """Adagrad with one accumulator a row: a table of 1 M x 1000 costs 4 MB of state instead of 4 GB.

    Only rows in the gradient move. A row's step is `lr * g / sqrt(sum over steps of mean(g**2))`
    (row-wise Adagrad, as in Mudigere et al. 2021, arXiv 2104.05158).
    """

    def __init__(self, params: Any, lr: float, eps: float = 1e-10) -> None:
        super().__init__(params, {"lr": lr, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update; `closure` is not used."""
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is None:
                    continue
                gradient = table.grad.coalesce()
                rows, values = gradient.indices()[0], gradient.values()
                state = self.state[table]
                if not state:
                    state["sum"] = torch.zeros(table.shape[0], dtype=torch.float32, device=table.device)
                state["sum"].index_add_(0, rows, values.pow(2).mean(dim=1))
                scale = state["sum"][rows].sqrt_().add_(group["eps"]).reciprocal_().mul_(-group["lr"])
                table.index_add_(0, rows, values * scale.unsqueeze(1))


def make_optimizers(
    module: nn.Module, learning_rate: float, sparse_learning_rate: float, weight_decay: float
) -> list[torch.optim.Optimizer]:
    """AdamW for the dense weights (no decay for biases and norms) and `RowAdagrad` for sparse tables."""
    sparse = [m.weight for m in module.modules() if isinstance(m, nn.Embedding) and m.sparse]
    tables = {id(weight) for weight in sparse}
    dense = [p for p in module.parameters() if p.requires_grad and id(p) not in tables]
    groups = [
        {"params": [p for p in dense if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in dense if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=learning_rate, fused=True)]
    if sparse:
        optimizers.append(RowAdagrad(sparse, lr=sparse_learning_rate))
    return optimizers


def schedule(step: int, total: int, warmup: float) -> float:
    """Linear warm-up to 1 over the first share `warmup` of the steps, then linear decay towards 0."""
    rise = max(1, round(total * warmup))
    if step < rise:
        return (step + 1) / rise
    return max(0.0, (total - step) / max(1, total - rise))
