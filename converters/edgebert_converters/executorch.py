"""ExecuTorch with XNNPACK: batch 1, dynamic length with a hard maximum; of an unrolled network, whose loop has one
length only, a method `seqN` for each length bucket. Methods share their weights.

int8: embeddings as int8 rows through `quantized_decomposed.embedding_byte`, larger linears dynamic int8 per output
channel. There is no fp16: XNNPACK multiplies half weights only with half activations, which CPUs without half
arithmetic do not have, and half tables would need an operator that the runtime lacks.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebert_converters.base import Artifact, ExportableModel, Precision, check_precision, requirement
from edgebert_converters.quiet import quiet
from edgebert_runtime.errors import ExportError, require

if TYPE_CHECKING:
    import numpy as np
    import torch

_log = logging.getLogger(__name__)


class ExecuTorchConverter:
    """See `base.Converter`."""

    format = "executorch"
    suffix = ".pte"
    precisions = (Precision.FP32, Precision.INT8, Precision.INT8_STATIC)
    packages = ("executorch", "torchao")
    featurizers = None

    def convert(
        self,
        model: ExportableModel,
        precision: Precision,
        directory: Path,
        keep_float: frozenset[str] = frozenset(),
    ) -> Artifact:
        """See `base.Converter.convert`."""
        check_precision(self, precision)
        with quiet("importing executorch"):
            for package in (*self.packages, "executorch.exir", "executorch.kernels.quantized"):
                require(package, "executorch")
        from edgebert_converters import graph

        lengths = list(model.buckets) if hasattr(model.module, "unrolled") else None
        model = graph.unrolled(model)
        path = directory / f"model{self.suffix}"
        # Of a table that is sliced (positions) the program would widen every row in every run: it stays float.
        sliced = graph.sliced_embeddings(model) if precision in graph.INT8 else frozenset()
        prepared = graph.prepare(model, precision, keep_float | sliced, _byte_embedding)
        module = graph.Positional(prepared).eval()
        kept = keep_float | sliced | graph.small_heads(model) if precision in graph.INT8 else frozenset()
        with quiet(f"executorch export of {model.name}"):
            programs = {
                f"seq{length}" if length else "forward": _export(model, module, precision, kept, length)
                for length in lengths or (None,)
            }
            summary = _lower(model, programs, path)
        _log.info("executorch, %s, %s: %s", model.name, precision, summary)
        return Artifact(
            path=path,
            format=self.format,
            precision=precision,
            shapes={
                "batch": 1,
                "lengths": lengths,
                "min_length": model.featurizer.min_length,
                "max_length": model.featurizer.max_length,
            },
            size=path.stat().st_size,
            requires=requirement("executorch", "torchao"),
            kept=tuple(sorted(kept)),
        )


def _byte_embedding(weight: torch.Tensor) -> Any:
    """An embedding of int8 rows for the operator that ExecuTorch has for it."""
    import torch
    from executorch.kernels import quantized  # noqa: F401  (registers the operator)

    from edgebert_converters.graph import Int8Embedding

    class ByteEmbedding(Int8Embedding):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            looked_up: torch.Tensor = torch.ops.quantized_decomposed.embedding_byte.default(
                self.rows, self.scale.flatten(), None, -128, 127, ids
            )
            return looked_up

    return ByteEmbedding(weight)


def _export(model: ExportableModel, module: Any, precision: Precision, kept: frozenset[str], length: int | None) -> Any:
    """The program of one method, for inputs of one length or (None) of any."""
    import torch

    from edgebert_converters import graph

    examples = graph.example_inputs(model, length or graph.example_length(model), 1, torch.int64)
    shapes: Any = None if length else graph.dynamic_length(model)
    if precision in graph.INT8:
        module = _quantize(model, torch.export.export(module, examples, dynamic_shapes=shapes), precision, kept, length)
        shapes = shapes and shapes[0]  # the quantized module takes its inputs one by one, no longer as `*inputs`
    return torch.export.export(module, examples, dynamic_shapes=shapes)


def _quantize(
    model: ExportableModel, program: Any, precision: Precision, kept: frozenset[str], length: int | None
) -> Any:
    """A module of the program with its linears quantized, all but `kept`, in the form that XNNPACK recognises."""
    import torch
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    dynamic = precision is Precision.INT8
    config = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=dynamic)
    quantizer = XNNPACKQuantizer().set_operator_type(torch.ops.aten.linear.default, config)
    quantizer.set_filter_function(lambda node: not _inside(node, kept))
    prepared = prepare_pt2e(program.module(), quantizer)
    if dynamic:
        prepared(*program.example_inputs[0])  # the observers of weights must have seen them
    else:
        for batch in _calibration(model, length):
            prepared(*(torch.from_numpy(batch[spec.name]).long() for spec in model.featurizer.inputs))
    return convert_pt2e(prepared)


def _calibration(model: ExportableModel, length: int | None) -> list[dict[str, np.ndarray]]:
    """Calibration batches for the method of one length: the texts that it holds.

    Raises:
        ExportError: there is none.
    """
    from edgebert_converters.calibrate import calibration_batches

    if length is None:
        return calibration_batches(model)
    first = model.featurizer.inputs[0]
    padded = calibration_batches(model, tuple(bucket for bucket in model.buckets if bucket >= length))
    found = [batch for batch in padded if batch[first.name].shape[1] == length * first.per_length]
    if not found:
        raise ExportError(f"int8-static: no calibration text has {length} words or less; use int8")
    return found


def _inside(node: Any, kept: frozenset[str]) -> bool:
    """Whether a node of an exported graph came from one of the kept modules."""
    stack = node.meta.get("nn_module_stack") or {}
    return any(name.removeprefix("L['self'].").removeprefix("module.") in kept for name, _ in stack.values())


def _lower(model: ExportableModel, programs: dict[str, Any], path: Path) -> str:
    """Write the methods as one program; returns one line about what runs in XNNPACK.

    Raises:
        ExportError: nothing was delegated, so the program would run in slow portable kernels.
    """
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.devtools.backend_debug import get_delegation_info
    from executorch.exir import to_edge_transform_and_lower

    lowered = to_edge_transform_and_lower(
        programs, partitioner=[XnnpackPartitioner()], transform_passes=[_drop_empty_expands()]
    )
    info = [get_delegation_info(lowered.exported_program(name).graph_module) for name in programs]
    if not all(method.num_delegated_subgraphs for method in info):
        raise ExportError(f"executorch: XNNPACK took no part of {model.name}")
    with open(path, "wb") as handle:
        lowered.to_executorch().write_to_file(handle)
    return (
        f"{sum(method.num_delegated_nodes for method in info)} nodes in "
        f"{sum(method.num_delegated_subgraphs for method in info)} XNNPACK subgraphs, "
        f"{sum(method.num_non_delegated_nodes for method in info)} outside"
    )


def _drop_empty_expands() -> Any:
    """A pass that removes `expand_copy` nodes that change no shape: each one would cut the delegated graph."""
    from executorch.exir.dialects._ops import ops
    from executorch.exir.pass_base import ExportPass, NodeMetadata, ProxyValue

    class DropEmptyExpands(ExportPass):  # type: ignore[misc,unused-ignore]
        def call_operator(
            self, op: Any, args: tuple[Any, ...], kwargs: dict[str, Any], meta: NodeMetadata
        ) -> ProxyValue:
            result = super().call_operator(op, args, kwargs, meta)
            if op == ops.edge.aten.expand_copy.default:
                before, after = args[0].to_tensor().shape, result.to_tensor().shape
                if len(before) == len(after) and all(a == b for a, b in zip(before, after, strict=True)):
                    return args[0]
            return result

    return DropEmptyExpands()
