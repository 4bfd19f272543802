"""The BiLSTM: its numbers against torch's own LSTM over texts without padding, its unrolled twin, its exports."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from edgebert.distillation.optimizers import make_optimizers
from edgebert.models.bilstm import SHUT, BiLstm, BiLstmConfig, Direction, Layer
from edgebert.tasks.heads import Head

HEADS = (Head("slots", 5, "classes", per_token=True), Head("intent", 3, "classes"))
CONFIG = BiLstmConfig(words=30, characters=40, shapes=8, word_width=7, character_width=6, shape_width=3, hidden=9)


def network_of(config: BiLstmConfig = CONFIG, seed: int = 0) -> BiLstm:
    torch.manual_seed(seed)
    return BiLstm(config, HEADS).eval()


def inputs_of(lengths: list[int], padded: int | None = None, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Random ids of texts of these lengths, padded to `padded` words; words have 0 to 12 characters."""
    draw = np.random.default_rng(seed)
    length = padded or max(lengths)
    words, shapes = (np.zeros((len(lengths), length), np.int64) for _ in range(2))
    characters = np.zeros((len(lengths), length, 12), np.int64)
    for row, count in enumerate(lengths):
        words[row, :count] = draw.integers(1, CONFIG.words, count)
        shapes[row, :count] = draw.integers(1, CONFIG.shapes, count)
        for word in range(count):
            known = draw.integers(0, 13)
            characters[row, word, :known] = draw.integers(1, CONFIG.characters, known)
    return tuple(torch.from_numpy(array.reshape(len(lengths), -1)) for array in (words, characters, shapes))


def cut(inputs: tuple[torch.Tensor, ...], row: int, count: int) -> tuple[torch.Tensor, ...]:
    """One text of a batch without its padding."""
    return tuple(array[row : row + 1, : count * (12 if place == 1 else 1)] for place, array in enumerate(inputs))


def close(found: torch.Tensor, expected: torch.Tensor, within: float = 1e-6) -> bool:
    return found.shape == expected.shape and bool((found - expected).abs().max() <= within)


@torch.no_grad()
@pytest.mark.parametrize("layers", [1, 2])
@settings(max_examples=25)
@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4), more=st.integers(0, 40))
def test_an_answer_does_not_depend_on_the_padding(layers: int, lengths: list[int], more: int) -> None:
    network = network_of(BiLstmConfig(**{**vars(CONFIG), "layers": layers}))
    inputs = inputs_of(lengths, max(lengths) + more)
    for one in (network, network.unrolled()):
        together = one(*inputs)
        for row, count in enumerate(lengths):
            alone = one(*cut(inputs, row, count))
            assert close(together["intent"][row : row + 1], alone["intent"])
            assert close(together["slots"][row : row + 1, :count], alone["slots"])


@torch.no_grad()
def test_without_the_shut_gate_it_would_depend_on_the_padding() -> None:
    """The test above can fail."""
    network = network_of()
    inputs = inputs_of([3], 12)
    (layer,) = network.layers
    assert isinstance(layer, Layer) and (layer.lstm.weight_ih_l0_reverse[:9, -1] == SHUT).all()
    layer.lstm.weight_ih_l0_reverse[:, -1] = 0
    assert not close(network(*inputs)["intent"], network(*cut(inputs, 0, 3))["intent"], 1e-4)


@torch.no_grad()
def test_it_is_the_textbooks_lstm() -> None:
    """Tables, one plain nn.LSTM over a text without padding, and the heads, put together by hand."""
    network = network_of()
    words, characters, shapes = inputs_of([6])
    (layer,) = network.layers
    assert isinstance(layer, Layer)
    plain = torch.nn.LSTM(16, 9, bidirectional=True, batch_first=True)
    for name, weight in layer.lstm.named_parameters():
        getattr(plain, name).copy_(weight[:, :16] if name.startswith("weight_ih") else weight)
    vectors = []
    for word, spelled, shape in zip(words[0], characters[0].reshape(6, 12), shapes[0], strict=True):
        known = spelled[spelled > 0]
        sums = network.characters.weight[known].sum(0) / max(1, len(known)) ** 0.5
        vectors.append(torch.cat([network.words.weight[word], sums, network.shapes.weight[shape]]))
    states = plain(torch.stack(vectors)[None])[0]
    found = network.run(words, characters, shapes)
    assert close(found.heads["slots"], network.heads["slots"](states), 1e-5)
    assert close(found.heads["intent"], network.heads["intent"](states.mean(1)), 1e-5)
    assert found.mask is not None and found.mask.tolist() == [[1.0] * 6] and list(found.heads) == ["intent", "slots"]


@torch.no_grad()
@pytest.mark.parametrize("layers", [1, 2])
def test_unrolled_is_the_same_network(layers: int) -> None:
    network = network_of(BiLstmConfig(**{**vars(CONFIG), "layers": layers}))
    twin = network.unrolled()
    assert not any(isinstance(module, torch.nn.LSTM) for module in twin.modules())
    assert sum(isinstance(module, Direction) for module in twin.modules()) == 2 * layers
    assert not twin.training and any(isinstance(module, torch.nn.LSTM) for module in network.modules())
    for lengths in ([1], [12, 5, 1]):
        inputs = inputs_of(lengths, 12)
        found, expected = twin(*inputs), network(*inputs)
        assert list(found) == list(expected) and all(close(found[name], expected[name]) for name in expected)


@torch.no_grad()
def test_a_text_without_words_has_an_answer() -> None:
    network = network_of()
    found = network(*(torch.zeros(1, count, dtype=torch.int64) for count in (1, 12, 1)))
    assert torch.equal(found["intent"][0], network.heads["intent"].bias)


def test_training_leaves_the_gate_shut() -> None:
    """Its weights get no gradient, from short and long texts alike; all others do."""
    network = network_of().train()
    inputs = inputs_of([2, 12, 5])
    found = network(*inputs)
    (found["intent"].square().sum() + (found["slots"] * (inputs[0] > 0)[..., None]).square().sum()).backward()
    (layer,) = network.layers
    assert isinstance(layer, Layer)
    for weight in (layer.lstm.weight_ih_l0, layer.lstm.weight_ih_l0_reverse):
        assert weight.grad is not None and not weight.grad[:, -1].any() and weight.grad[:, :-1].any()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        grad = weight.grad.to_dense()
        assert torch.isfinite(grad).all() and grad.any(), name
    assert not network.words.weight.grad.to_dense()[0].any()  # type: ignore[union-attr]


def test_it_learns() -> None:
    """To mark the words behind word 1, which the words themselves do not tell; with the trainer's optimizers."""
    network = network_of(BiLstmConfig(**{**vars(CONFIG), "dropout": 0.0})).train()
    optimizers = make_optimizers(network, 0.02, 0.05, 0.01)
    assert len(optimizers) == 2  # the tables have one of their own
    losses = []
    for step in range(120):
        words, characters, shapes = inputs_of([8, 8, 4, 6] * 4, seed=step)
        words[:, ::3] = (words[:, ::3] > 0).long()
        gold = torch.zeros_like(words)
        gold[:, 1:] = words[:, :-1] == 1
        slots = network(words, characters, shapes)["slots"]
        loss = functional.cross_entropy(slots[words > 0], gold[words > 0])
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 1 and losses[-1] < 0.1
    (layer,) = network.layers
    assert isinstance(layer, Layer) and layer.lstm.weight_ih_l0[:9, -1].max() < SHUT / 2
