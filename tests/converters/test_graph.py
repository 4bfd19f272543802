"""What happens to a module before any exporter sees it."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from converter_models import MAX_LENGTH
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edgebert_converters import graph
from edgebert_converters.base import ExportableModel, Precision
from edgebert_converters.sensitivity import imitated_drop, imitated_int8, layer_groups, rank_groups
from edgebert_converters.verify import reference
from edgebert_runtime.errors import ExportError


@settings(max_examples=50)
@given(st.integers(1, 40), st.integers(1, 20), st.floats(1e-6, 1e6), st.integers(0, 1000))
def test_each_row_is_rounded_to_half_a_step_of_its_own(rows: int, width: int, size: float, seed: int) -> None:
    table = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)) * size
    table *= torch.logspace(-3, 3, rows)[:, None]  # rows of very different size: one scale for all would lose most
    quantized, scale = graph.quantize_rows(table)
    assert quantized.dtype == torch.int8 and scale.shape == (rows, 1)
    assert int(quantized.abs().max()) <= 127
    assert ((quantized.float() * scale - table).abs() <= scale * 0.5001).all()
    assert (quantized.abs().amax(1) == 127).all()


def test_a_padding_row_stays_exactly_zero() -> None:
    table = torch.randn(5, 3)
    table[0] = 0
    embedding = graph.Int8Embedding(table)
    assert torch.equal(embedding(torch.tensor([[0, 0]])), torch.zeros(1, 2, 3))
    torch.testing.assert_close(embedding.weight, embedding(torch.arange(5)))


def test_prepare_replaces_tables_and_shares_the_rest(models: dict[str, ExportableModel]) -> None:
    model = models["pair"]
    module = graph.prepare(model, Precision.INT8, frozenset())
    assert isinstance(module.words, graph.Int8Embedding)
    assert isinstance(module.positions, graph.Int8Embedding)
    assert isinstance(module.types, nn.Embedding)  # 64 weights: nothing to save
    assert module.up.weight.data_ptr() == model.module.up.weight.data_ptr()
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert all(parameter.requires_grad for parameter in model.module.parameters())
    kept = graph.prepare(model, Precision.INT8, frozenset({"words"}))
    assert isinstance(kept.words, nn.Embedding)
    assert isinstance(graph.prepare(model, Precision.FP16, frozenset()).words, nn.Embedding)


def test_embedding_bags_are_refused(models: dict[str, ExportableModel]) -> None:
    class Bag(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bag = nn.EmbeddingBag(5000, 3)

    with pytest.raises(ExportError, match="module 'bag' is an EmbeddingBag"):
        graph.prepare(replace(models["encoder"], module=Bag()), Precision.FP32, frozenset())


def test_linears_on_one_vector_a_text_are_small_heads(models: dict[str, ExportableModel]) -> None:
    assert graph.small_heads(models["encoder"]) == {"classifier"}
    assert graph.small_heads(models["ngram"]) == {"linear", "hidden", "output"}


def test_heads_over_tokens_are_small_heads_unless_they_are_large(models: dict[str, ExportableModel]) -> None:
    """A head over the whole vocabulary is most of a network's work."""
    model = models["understanding"]
    assert graph.small_heads(model) == {"heads.intent", "heads.slots"}
    module = copy.deepcopy(model.module)
    module.heads["slots"] = nn.Linear(32, (graph.SMALL_HEAD_WEIGHTS >> 5) + 1)  # type: ignore[operator]
    assert graph.small_heads(replace(model, module=module)) == {"heads.intent"}


def test_only_a_module_that_can_be_unrolled_is(models: dict[str, ExportableModel]) -> None:
    class Loop(nn.Module):
        def unrolled(self) -> nn.Module:
            return nn.Linear(2, 2)

    assert graph.unrolled(models["encoder"]) is models["encoder"]
    model = graph.unrolled(replace(models["encoder"], module=Loop()))
    assert isinstance(model.module, nn.Linear) and not model.module.training


def test_sliced_tables_are_told_from_looked_up_ones(models: dict[str, ExportableModel]) -> None:
    assert graph.sliced_embeddings(models["encoder"]) == {"positions"}
    assert graph.sliced_embeddings(models["ngram"]) == frozenset()


def test_a_model_must_fit_together(models: dict[str, ExportableModel]) -> None:
    with pytest.raises(ExportError, match="end with the featurizer's longest length 16"):
        replace(models["encoder"], buckets=(8, 12))
    with pytest.raises(ExportError, match="at least 3"):
        replace(models["encoder"], buckets=(2, MAX_LENGTH))
    for field in ("asked", "pieces"):
        with pytest.raises(ExportError, match="no dev texts"):
            replace(models["encoder"], **{field: ()})
    backwards = models["understanding"].outputs[::-1]
    for outputs in ((), backwards, backwards[:1] * 2):
        with pytest.raises(ExportError, match="in alphabetical order and each once"):
            replace(models["encoder"], outputs=outputs)


def test_sensitivity_finds_the_layer_that_int8_hurts(models: dict[str, ExportableModel]) -> None:
    model = models["outlier"]
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    known = reference(model)
    assert rank_groups(model, known)[0] == ("read",)
    assert imitated_drop(model, known, frozenset()) > 0.2
    assert abs(imitated_drop(model, known, frozenset({"read"}))) <= 0.05
    assert all(torch.equal(value, before[name]) for name, value in model.module.state_dict().items())


def test_imitation_restores_the_weights_after_an_error(models: dict[str, ExportableModel]) -> None:
    module = models["encoder"].module
    before = module.up.weight.clone()
    with pytest.raises(RuntimeError), imitated_int8(module, ["up"]):
        assert not torch.equal(module.up.weight, before)
        raise RuntimeError
    assert torch.equal(module.up.weight, before)
    assert not module.up._forward_pre_hooks


def test_many_layers_are_grouped_by_block(models: dict[str, ExportableModel]) -> None:
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(5000, 4)
            self.blocks = nn.ModuleList(
                nn.ModuleDict({"up": nn.Linear(4, 4), "down": nn.Linear(4, 4)}) for _ in range(13)
            )

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
            states = self.table(ids)
            for block in self.blocks:
                states = block["down"](block["up"](states))
            return {"logits": states.mean(1)[:, :3]}

    groups = layer_groups(replace(models["encoder"], module=Deep().eval()))
    assert len(groups) == 13
    assert groups[3] == ("blocks.3.up", "blocks.3.down")
