"""The n-gram network: pooling, sparse gradients, empty texts and pairs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from edgebert.distillation.optimizers import make_optimizers
from edgebert.models.ngram import NgramConfig, NgramNet
from edgebert.tasks.heads import Head

HEADS = (Head("logits", 3, "classes"),)
CONFIG = NgramConfig(rows=(20, 30), widths=(6, 4), hidden=8, ngram_dropout=0.0, dropout=0.0)


def make(config: NgramConfig = CONFIG) -> NgramNet:
    torch.manual_seed(0)
    network = NgramNet(config, HEADS)
    with torch.no_grad():
        for table in network.tables:
            table.weight[1:].normal_()
    return network


def batch(rows: int = 5, seed: int = 1) -> list[torch.Tensor]:
    """Ids [rows, 7] and [rows, 9], each row with some padding behind; the first row is empty."""
    generator = torch.Generator().manual_seed(seed)
    inputs = []
    for limit, length in ((20, 7), (30, 9)):
        ids = torch.randint(1, limit, (rows, length), generator=generator)
        lengths = torch.randint(1, length + 1, (rows, 1), generator=generator)
        lengths[0] = 0
        inputs.append(ids * (torch.arange(length) < lengths))
    return inputs


@pytest.mark.parametrize("pooling", ["sqrt", "mean"])
@pytest.mark.parametrize("pair", [False, True])
def test_training_pools_as_evaluation_does(pooling: str, pair: bool) -> None:
    network = make(replace(CONFIG, pooling=pooling, pair=pair))
    inputs = batch() + (batch(seed=2) if pair else [])
    training = network.train()(*inputs)["logits"]
    evaluation = network.eval()(*inputs)["logits"]
    assert torch.allclose(training, evaluation, atol=1e-5)


def test_pooling_is_the_plain_formula() -> None:
    network = make().eval()
    ids = torch.tensor([[3, 5, 5, 0, 0]])
    rows = network.tables[0].weight[[3, 5, 5]].sum(0)
    assert torch.allclose(network._pool(network.tables[0], ids)[0], rows / 3**0.5)
    mean = make(replace(CONFIG, pooling="mean")).eval()
    assert torch.allclose(mean._pool(mean.tables[0], ids)[0], rows / 3)


@pytest.mark.parametrize("training", [False, True])
def test_an_empty_text_has_a_zero_vector_and_finite_logits(training: bool) -> None:
    network = make().train(training)
    empty = [torch.zeros(2, 1, dtype=torch.int64), torch.zeros(2, 1, dtype=torch.int64)]
    assert not network.vector(empty).any()
    assert torch.isfinite(network(*empty)["logits"]).all()


def test_a_pair_compares_its_two_texts() -> None:
    network = make(replace(CONFIG, pair=True, hidden=0)).eval()
    one, other = batch(seed=3), batch(seed=4)
    a, b = network.vector(one), network.vector(other)
    joined = torch.cat([a, b, a * b, (a - b).abs()], dim=1)
    assert torch.allclose(network(*one, *other)["logits"], network.linear(joined))
    assert network.hidden is None and network.output is None


def test_the_head_has_the_name_and_width_that_are_asked_for() -> None:
    network = NgramNet(CONFIG, (Head("vector", 5, "vector"),)).eval()
    assert {name: answer.shape for name, answer in network(*batch()).items()} == {"vector": (5, 5)}


@pytest.mark.parametrize("heads", [(), (Head("tags", 3, "classes", per_token=True),), (*HEADS, Head("b", 1, "number"))])
def test_other_heads_than_one_a_text_are_refused(heads: tuple[Head, ...]) -> None:
    with pytest.raises(ValueError, match="one head, and it answers for whole texts"):
        NgramNet(CONFIG, heads)


def test_gradients_are_sparse_and_touch_only_the_rows_present() -> None:
    network = make().train()
    inputs = batch()
    network(*inputs)["logits"].pow(2).sum().backward()
    for table, ids in zip(network.tables, inputs, strict=True):
        gradient = table.weight.grad
        assert gradient is not None and gradient.is_sparse
        gradient = gradient.coalesce()
        touched = set(gradient.indices()[0].tolist())
        present = set(ids.flatten().tolist()) - {0}
        assert touched - {0} == present
        values = gradient.to_dense()
        assert values[sorted(present)].any(dim=1).all() and not values[0].any()


def test_the_padding_row_stays_zero_and_absent_rows_stay_put() -> None:
    network = make(replace(CONFIG, ngram_dropout=0.3)).train()
    before = [table.weight.detach().clone() for table in network.tables]
    optimizers = make_optimizers(network, 1e-2, 0.1, 0.01)
    for step in range(5):
        network(*batch(seed=step))["logits"].pow(2).sum().backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    for index, (table, old) in enumerate(zip(network.tables, before, strict=True)):
        assert not table.weight[0].any()
        seen = set(torch.cat([batch(seed=step)[index].flatten() for step in range(5)]).tolist())
        unseen = sorted(set(range(1, len(old))) - seen)
        assert torch.equal(table.weight[unseen], old[unseen])
        assert not torch.equal(table.weight, old)


def test_ngram_dropout_drops_that_share_and_only_in_training() -> None:
    network = make(replace(CONFIG, ngram_dropout=0.25, pooling="mean"))
    with torch.no_grad():
        network.tables[0].weight.copy_(torch.ones(20, 6))
        network.tables[0].weight[0] = 0
    ids = torch.ones(4000, 4, dtype=torch.int64)
    with torch.no_grad():
        torch.manual_seed(1)
        pooled = network.train()._pool(network.tables[0], ids)[:, 0]
    # The mean of what is left is 1, or 0 where all four were dropped: 0.25 ** 4 of the texts.
    assert abs((pooled == 0).float().mean().item() - 0.25**4) < 0.004
    assert pooled[pooled > 0].allclose(torch.tensor(1.0))
    assert network.eval()._pool(network.tables[0], ids).allclose(torch.tensor(1.0))
