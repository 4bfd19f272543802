"""What all three formats need from torch before they export: example inputs, int8 embeddings, which linears stay float.

Embedding tables are most of a student's weights and no exporter quantizes them well by itself, so `prepare` swaps each
`nn.Embedding` for a module that holds int8 rows and one scale a row before any exporter sees it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import nn

from edgebert_converters.base import ExportableModel, Precision, check_keep_float
from edgebert_runtime.errors import ExportError

INT8 = (Precision.INT8, Precision.INT8_STATIC)

# An embedding below this many weights (token types) stays float: there is nothing to save.
SMALL_TABLE_WEIGHTS = 1 << 12

# A linear layer that only ever sees one vector a text (a classifier, the MLP after an embedding bag) does too
# little work for int8 arithmetic to pay: below this many weights it stays float in every format. So does a head that
# sees each token (tags): what it would save is nothing, and its error goes straight into the answer.
SMALL_HEAD_WEIGHTS = 1 << 18
HEADS = "heads."  # where a network keeps its heads


def quantize_rows(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Symmetric int8 rows: `[rows, width]` float to (int8 `[rows, width]`, float scale `[rows, 1]`).

    A row of zeros (padding) stays exactly zero.
    """
    weight = weight.detach().to(torch.float32)
    largest = weight.abs().amax(dim=1, keepdim=True)
    scale = torch.where(largest > 0, largest / 127.0, torch.ones_like(largest))
    rows = torch.empty(weight.shape, dtype=torch.int8)
    for start in range(0, len(weight), 1 << 16):  # a table of a billion weights must not need three float copies
        part = slice(start, start + (1 << 16))
        rows[part] = (weight[part] / scale[part]).round().clamp(-127, 127).to(torch.int8)
    return rows, scale


class Int8Embedding(nn.Module):
    """An embedding of int8 rows with one float scale each; the graph looks both up and multiplies."""

    rows: torch.Tensor
    scale: torch.Tensor

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        rows, scale = quantize_rows(weight)
        self.register_buffer("rows", rows)
        self.register_buffer("scale", scale)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids `[...]` to float `[..., width]`."""
        embed = nn.functional.embedding
        return embed(ids, self.rows).to(torch.float32) * embed(ids, self.scale)

    @property
    def weight(self) -> torch.Tensor:
        """The whole table in float, for a network that slices it (positions) instead of looking rows up."""
        return self.rows.to(torch.float32) * self.scale


def unrolled(model: ExportableModel) -> ExportableModel:
    """The model for a format without recurrent operators: its module's `unrolled()`, if it has that, else as it is."""
    return _variant(model, "unrolled")


def symbolic(model: ExportableModel) -> ExportableModel:
    """The model for ONNX, which has recurrent operators: its module's `symbolic()`, if it has that, else as it is."""
    return _variant(model, "symbolic")


def _variant(model: ExportableModel, method: str) -> ExportableModel:
    make: Callable[[], nn.Module] | None = getattr(model.module, method, None)
    return model if make is None else replace(model, module=make().eval())


def prepare(
    model: ExportableModel,
    precision: Precision,
    keep_float: frozenset[str],
    embedding: Callable[[torch.Tensor], nn.Module] = Int8Embedding,
) -> nn.Module:
    """A copy of the model's module, ready for an exporter; in the int8 precisions its embeddings are replaced.

    Weights are shared with the original, not copied.

    Args:
        embedding: makes the replacement from a float table.
    Raises:
        ExportError: `keep_float` names no module, or the module uses `nn.EmbeddingBag`.
    """
    check_keep_float(model, keep_float)
    module = _shared_copy(model.module).eval()
    for name, child in list(module.named_modules()):
        if isinstance(child, nn.EmbeddingBag):
            raise ExportError(
                f"{model.name}: module {name!r} is an EmbeddingBag, which the exporters refuse or turn into a loop; "
                "export it as an Embedding with a masked sum"
            )
        wanted = precision in INT8 and name not in keep_float
        if wanted and isinstance(child, nn.Embedding) and child.weight.numel() > SMALL_TABLE_WEIGHTS:
            _replace(module, name, embedding(child.weight))
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return module


def _shared_copy(module: nn.Module) -> nn.Module:
    """A deep copy of the structure in which every tensor is wrapped anew but its storage is shared."""
    memo: dict[int, object] = {}
    for parameter in module.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.detach(), requires_grad=False)
    for buffer in module.buffers():
        memo[id(buffer)] = buffer.detach()
    return copy.deepcopy(module, memo)


def _replace(module: nn.Module, name: str, new: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(module.get_submodule(parent) if parent else module, leaf, new)


class Positional(nn.Module):
    """Calls a module with its inputs in order. Exporters describe `*inputs` otherwise than named arguments; behind
    this wrapper every student looks the same, and its own modules are found below `PREFIX`."""

    PREFIX = "module."

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """Ids `[batch, per_length * length]` each, to the outputs by name."""
        outputs: dict[str, torch.Tensor] = self.module(*inputs)
        return outputs


def dynamic_length(model: ExportableModel, batch: object = None) -> tuple[tuple[dict[int, object], ...]]:
    """`dynamic_shapes` for an export of `Positional`: the length within the featurizer's limits, and perhaps the batch.

    Args:
        batch: a torch.export.Dim, or None for a fixed batch.
    """
    featurizer = model.featurizer
    length = torch.export.Dim("length", min=featurizer.min_length, max=featurizer.max_length)
    fixed: dict[int, object] = {} if batch is None else {0: batch}
    return (
        tuple({**fixed, 1: length * spec.per_length if spec.per_length > 1 else length} for spec in featurizer.inputs),
    )


def sliced_embeddings(model: ExportableModel) -> frozenset[str]:
    """Names of the embeddings of which forward uses the weights directly, instead of looking rows up."""
    called: set[str] = set()
    _watch(model, nn.Embedding, lambda name, _: called.add(name))
    tables = {name for name, child in model.module.named_modules() if isinstance(child, nn.Embedding)}
    return frozenset(tables - called)


def example_inputs(model: ExportableModel, length: int, batch: int, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    """One tensor `[batch, per_length * length]` per input, in forward's order; ids 1 (a real row, attended to)."""
    return tuple(torch.ones(batch, spec.per_length * length, dtype=dtype).clone() for spec in model.featurizer.inputs)


def example_length(model: ExportableModel) -> int:
    """A length inside the allowed range for tracing with a dynamic length."""
    return min(model.featurizer.max_length, max(model.featurizer.min_length + 1, 8))


def linears(module: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    """The linear layers with their names."""
    for name, child in module.named_modules():
        if isinstance(child, nn.Linear):
            yield name, child


def small_heads(model: ExportableModel) -> frozenset[str]:
    """Names of small linear layers that see one vector a text or are heads; see `SMALL_HEAD_WEIGHTS`."""
    seen: dict[str, int] = {}

    def note(name: str, argument: torch.Tensor) -> None:
        seen[name] = max(seen.get(name, 0), argument.dim())

    _watch(model, nn.Linear, note)
    small = {name for name, layer in linears(model.module) if layer.weight.numel() <= SMALL_HEAD_WEIGHTS}
    return frozenset(name for name in small if seen.get(name) == 2 or name.startswith(HEADS))


def _watch(model: ExportableModel, kind: type[nn.Module], note: Callable[[str, torch.Tensor], object]) -> None:
    """Run one example through the model and call `note(name, first argument)` for each call of a module of `kind`."""

    def hook(name: str) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], None]:
        return lambda _, args: (note(name, args[0]), None)[1]

    handles = [
        child.register_forward_pre_hook(hook(name))
        for name, child in model.module.named_modules()
        if isinstance(child, kind)
    ]
    try:
        with torch.no_grad():
            model.module(*example_inputs(model, example_length(model), 1, torch.int64))
    finally:
        for handle in handles:
            handle.remove()


class NamedForward(nn.Module):
    """Calls a module with its inputs by name, for the exporter whose inputs have names instead of an order."""

    def __init__(self, module: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.module = module
        self.names = names

    def forward(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """Inputs `[1, per_length * length]` by name to the outputs by name."""
        outputs: dict[str, torch.Tensor] = self.module(*(inputs[name] for name in self.names))
        return outputs


def weight_bytes(module: nn.Module) -> int:
    """Bytes of all parameters and buffers, shared ones once."""
    tensors = {tensor.data_ptr(): tensor for tensor in [*module.parameters(), *module.buffers()]}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
