"""Row-wise Adagrad against a plain reference, the groups of AdamW, and the schedule."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from edgebert.distillation.optimizers import RowAdagrad, make_optimizers, schedule


def test_row_adagrad_is_the_dense_formula() -> None:
    generator = np.random.default_rng(0)
    start = generator.normal(size=(12, 5)).astype(np.float32)
    table = nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = RowAdagrad([table], lr=0.3)
    expected, total = start.astype(float), np.zeros(12)
    target = torch.from_numpy(generator.normal(size=(4, 5)).astype(np.float32))
    for step in range(6):
        ids = torch.from_numpy(generator.integers(0, 12, (4, 3)))  # some rows twice in one text
        optimizer.zero_grad()
        loss = (functional.embedding_bag(ids, table, mode="sum", sparse=True) - target).pow(2).sum()
        loss.backward()
        assert table.grad is not None and table.grad.is_sparse
        optimizer.step()
        # The same by hand, with a dense gradient.
        gradient = np.zeros((12, 5))
        difference = 2 * (expected[ids.numpy()].sum(1) - target.numpy())
        for text, row in enumerate(ids.numpy()):
            for index in row:
                gradient[index] += difference[text]
        total += (gradient**2).mean(1)
        moved = total > 0
        expected[moved] -= 0.3 * gradient[moved] / np.sqrt(total[moved])[:, None]
        assert np.allclose(table.detach().numpy(), expected, atol=1e-3), step
    assert optimizer.state[table]["sum"].shape == (12,)  # one number a row


def test_row_adagrad_comes_back_from_its_state() -> None:
    def step(table: nn.Parameter, optimizer: RowAdagrad) -> None:
        optimizer.zero_grad()
        functional.embedding_bag(torch.tensor([[1, 2]]), table, mode="sum", sparse=True).pow(2).sum().backward()
        optimizer.step()

    one = nn.Parameter(torch.ones(4, 3))
    first = RowAdagrad([one], lr=0.1)
    step(one, first)
    other = nn.Parameter(one.detach().clone())
    second = RowAdagrad([other], lr=0.1)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    step(one, first)
    step(other, second)
    assert torch.equal(one, other)


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 3, sparse=True)
        self.dense = nn.Linear(3, 2)
        self.frozen = nn.Parameter(torch.ones(2, 2), requires_grad=False)


def test_tables_and_dense_weights_have_their_own_optimizers() -> None:
    module = Mixed()
    adamw, adagrad = make_optimizers(module, 1e-3, 0.05, 0.01)
    assert [p is module.table.weight for p in adagrad.param_groups[0]["params"]] == [True]
    decayed, plain = adamw.param_groups
    assert [p is module.dense.weight for p in decayed["params"]] == [True] and decayed["weight_decay"] == 0.01
    assert [p is module.dense.bias for p in plain["params"]] == [True] and plain["weight_decay"] == 0.0
    assert len(make_optimizers(nn.Linear(2, 2), 1e-3, 0.05, 0.0)) == 1


def test_the_schedule_rises_and_falls() -> None:
    rates = [schedule(step, 100, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == pytest.approx(1.0)
    assert all(a < b for a, b in itertools.pairwise(rates[:10]))
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))
    assert 0 < rates[-1] < 0.02
    assert schedule(0, 1, 0.1) == 1.0 and schedule(0, 10, 0.0) == 1.0
    assert all(schedule(step, 3, 0.9) > 0 for step in range(3))
