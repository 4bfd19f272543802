"""Which linear layers int8 hurts most, found in torch without exporting anything.

A linear in dynamic int8 is imitated: weights rounded per output channel, activations rounded with one scale a call.
Each group of layers is rounded alone on a sample of dev texts; how much the outputs change is its sensitivity.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn

from edgebert_converters import graph
from edgebert_converters.base import ExportableModel
from edgebert_converters.verify import Reference, torch_outputs
from edgebert_runtime.features import Features
from edgebert_runtime.outputs import flat, take

SAMPLE = 64
SINGLE_GROUPS = 24  # up to so many layers each is a group of its own; beyond, a block of the network is one


def layer_groups(model: ExportableModel) -> list[tuple[str, ...]]:
    """The linears that int8 would quantize, in groups that stay in float together."""
    heads = graph.small_heads(model)
    names = [name for name, _ in graph.linears(model.module) if name not in heads]
    if len(names) <= SINGLE_GROUPS:
        return [(name,) for name in names]
    blocks: dict[str, list[str]] = {}
    for name in names:
        blocks.setdefault(_block(name), []).append(name)
    return [tuple(members) for members in blocks.values()]


def _block(name: str) -> str:
    """ "encoder.layers.3.ffn.0.up" -> "encoder.layers.3"; a name without a number is its own block."""
    parts = name.split(".")
    number = next((index for index, part in enumerate(parts) if part.isdigit()), len(parts) - 1)
    return ".".join(parts[: number + 1])


def rank_groups(model: ExportableModel, known: Reference) -> list[tuple[str, ...]]:
    """The groups, the most sensitive first."""
    features, expected = _sample(known)
    change = {}
    for group in layer_groups(model):
        with imitated_int8(model.module, group):
            change[group] = float(np.abs(flat(torch_outputs(model, features)) - expected).sum())
    return sorted(change, key=lambda group: -change[group])


def imitated_drop(model: ExportableModel, known: Reference, kept: frozenset[str]) -> float:
    """The drop of the metric on all dev texts if every linear but `kept` (and the small heads) were int8."""
    rounded = [name for group in layer_groups(model) for name in group if name not in kept]
    with imitated_int8(model.module, rounded):
        answers = torch_outputs(model, known.features[: known.dev])
    return known.metric - float(model.score(answers))


def _sample(known: Reference) -> tuple[list[Features], np.ndarray]:
    """Features of some of dev, and torch's outputs of them in one row."""
    count = min(SAMPLE, known.dev)
    chosen = [index * known.dev // count for index in range(count)]
    return [known.features[index] for index in chosen], flat(take(known.outputs, chosen))


@contextlib.contextmanager
def imitated_int8(module: nn.Module, names: Sequence[str]) -> Iterator[None]:
    """Round the weights and inputs of these linears while the block runs; afterwards they are as before."""
    handles, originals = [], []
    try:
        for name in names:
            layer = module.get_submodule(name)
            assert isinstance(layer, nn.Linear)
            originals.append((layer, layer.weight.data))
            rows, scale = graph.quantize_rows(layer.weight)
            layer.weight.data = (rows.float() * scale).to(layer.weight.dtype)
            handles.append(layer.register_forward_pre_hook(_round_input))
        yield
    finally:
        for handle in handles:
            handle.remove()
        for layer, weight in originals:
            layer.weight.data = weight


def _round_input(_: nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    values = args[0]
    low, high = values.amin().clamp(max=0), values.amax().clamp(min=0)
    scale = ((high - low) / 255).clamp(min=1e-12)
    zero = (-low / scale).round()
    rounded = ((values / scale).round() + zero).clamp(0, 255)
    return ((rounded - zero) * scale, *args[1:])
