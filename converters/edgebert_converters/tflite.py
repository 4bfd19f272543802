"""TFLite, for LiteRT: batch 1, one signature `seqN` for each length bucket, weights shared between them.

int8: embeddings as int8 rows and one float scale a row, both looked up in the graph. That is a quarter smaller and
faster than letting ai-edge-quantizer quantize them (it repeats 12 bytes a row in every signature). Larger linears are
dynamic int8 per output channel, by ai-edge-quantizer. fp16: weights stored in half, widened by the runtime.
Inputs are int32 and go by name, never by position.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from edgebert_converters.base import Artifact, ExportableModel, Precision, check_precision, requirement
from edgebert_converters.quiet import quiet
from edgebert_runtime.errors import ExportError, require

LARGEST_FILE = (1 << 31) - (1 << 24)  # a flatbuffer holds less than 2 GiB


class TfliteConverter:
    """See `base.Converter`."""

    format = "tflite"
    suffix = ".tflite"
    precisions = (Precision.FP32, Precision.FP16, Precision.INT8, Precision.INT8_STATIC)
    packages = ("litert_torch", "ai_edge_quantizer", "ai_edge_litert")
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
        with quiet("importing litert_torch"):
            for package in self.packages:
                require(package, "tflite")
        from edgebert_converters import graph

        model = graph.unrolled(model)
        path = directory / f"model{self.suffix}"
        module = graph.prepare(model, precision, keep_float)
        size = graph.weight_bytes(module)
        if size > LARGEST_FILE:
            raise ExportError(
                f"{model.name}: its weights take {size / 1e9:.2f} GB in {precision} and a TFLite file holds less than "
                "2 GB. Use --precision int8 or a smaller table"
            )
        kept = keep_float | graph.small_heads(model) if precision in graph.INT8 else frozenset()
        with quiet(f"tflite export of {model.name}"):
            _export(model, module, path)
            if precision is not Precision.FP32:
                _quantize(model, precision, kept, path)
        return Artifact(
            path=path,
            format=self.format,
            precision=precision,
            shapes={
                "batch": 1,
                "lengths": list(model.buckets),
                "min_length": model.featurizer.min_length,
                "max_length": model.featurizer.max_length,
            },
            size=path.stat().st_size,
            requires=requirement("ai-edge-litert", "litert-torch", "litert-converter", "ai-edge-quantizer"),
            kept=tuple(sorted(kept)),
        )


def _export(model: ExportableModel, module: Any, path: Path) -> None:
    """Write the float file with one signature for each bucket."""
    import litert_torch
    import torch

    from edgebert_converters import graph

    names = tuple(spec.name for spec in model.featurizer.inputs)
    named = graph.NamedForward(module, names).eval()
    signatures: Any = litert_torch
    for length in model.buckets:
        examples = graph.example_inputs(model, length, 1, torch.int32)
        signatures = signatures.signature(f"seq{length}", named, sample_kwargs=dict(zip(names, examples, strict=True)))
    signatures.convert().export(str(path))


def _quantize(model: ExportableModel, precision: Precision, kept: frozenset[str], path: Path) -> None:
    """Quantize the linears of the file in place, all but `kept`."""
    from ai_edge_quantizer import qtyping, quantizer

    scopes = _scopes_of(model, kept, path)
    tool = quantizer.Quantizer(str(path))
    if precision is Precision.INT8:
        tool.add_dynamic_config(".*", qtyping.TFLOperationName.FULLY_CONNECTED, num_bits=8)
    elif precision is Precision.INT8_STATIC:
        tool.add_static_config(".*", qtyping.TFLOperationName.FULLY_CONNECTED, activation_num_bits=8, weight_num_bits=8)
    else:
        half = qtyping.OpQuantizationConfig(
            weight_tensor_config=qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT),
            compute_precision=qtyping.ComputePrecision.FLOAT,
            explicit_dequantize=True,
        )
        for operation in (qtyping.TFLOperationName.FULLY_CONNECTED, qtyping.TFLOperationName.EMBEDDING_LOOKUP):
            tool.update_quantization_recipe(".*", operation, half, algorithm_key="float_casting")
    for scope in scopes:
        tool.update_quantization_recipe(
            f"^{re.escape(scope)}$", qtyping.TFLOperationName.FULLY_CONNECTED, algorithm_key="no_quantize"
        )
    if precision is not Precision.FP16 and _count_linears(path) == len(scopes):
        return  # every linear stays float: nothing to do, and the quantizer refuses to do nothing
    ranges = _calibrate(model, tool, path) if precision is Precision.INT8_STATIC else None
    quantized = tool.quantize(ranges)
    quantized.export_model(str(path), overwrite=True)


def _linears_of(path: Path) -> list[tuple[str, np.ndarray]]:
    """(scope, weight) of each linear of a float file; scopes repeat over signatures, and a weight that the graph
    computes is empty."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_quantizer.utils import tfl_flatbuffer_utils as flatbuffers

    model = flatbuffers.read_model(memoryview(path.read_bytes()))
    found = []
    for subgraph in model.subgraphs:
        for operator in subgraph.operators:
            code = model.operatorCodes[operator.opcodeIndex].builtinCode
            if code != schema.BuiltinOperator.FULLY_CONNECTED:
                continue
            tensor = subgraph.tensors[operator.inputs[1]]
            data = model.buffers[tensor.buffer].data
            weight = np.zeros((0, 0), np.float32)
            if data is not None:
                weight = np.frombuffer(np.asarray(data).tobytes(), np.float32).reshape(tensor.shape)
            found.append((flatbuffers.get_op_scope(operator, subgraph.tensors), weight))
    return found


def _count_linears(path: Path) -> int:
    return len({scope for scope, _ in _linears_of(path)})


def _scopes_of(model: ExportableModel, kept: frozenset[str], path: Path) -> list[str]:
    """The operation scopes of the kept linears. They are found by their weights: the names that the converter gives
    to fused operations mix those of several modules.

    Raises:
        ExportError: a kept linear is nowhere in the file.
    """
    from edgebert_converters import graph

    linears, scopes = _linears_of(path), []
    for name, layer in graph.linears(model.module):
        if name not in kept:
            continue
        weight = layer.weight.detach().float().numpy()
        found = [scope for scope, other in linears if _same(weight, other) or _same(weight.T, other)]
        found = found or [scope for scope, other in linears if _rescaled(weight, other)]
        if not found:
            raise ExportError(f"tflite: cannot keep {name!r} in float: its weights were merged with something else")
        scopes += found
    return list(dict.fromkeys(scopes))


def _same(weight: np.ndarray, other: np.ndarray) -> bool:
    return weight.shape == other.shape and np.array_equal(weight, other)


def _rescaled(weight: np.ndarray, other: np.ndarray) -> bool:
    """Whether `other` is the weight [out, in] with a factor for each input, or for each output: the converter puts into
    a linear what the norm before or behind it multiplies with."""
    if weight.shape != other.shape or min(weight.shape) < 2:  # of a single row or column anything is a multiple
        return False
    for axis in (0, 1):
        factors = (weight * other).sum(axis, keepdims=True) / np.maximum((weight**2).sum(axis, keepdims=True), 1e-30)
        if np.linalg.norm(weight * factors - other) < 1e-5 * np.linalg.norm(other):
            return True
    return False


def _calibrate(model: ExportableModel, tool: Any, path: Path) -> Any:
    """Activation ranges: the plain minimum and maximum over the calibration texts, per signature.

    The tool's own default is a moving average that stays near the first text's range.
    """
    from ai_edge_quantizer import calibrator, recipe_manager
    from ai_edge_quantizer.utils import qsv_utils

    from edgebert_converters.calibrate import calibration_batches

    specs = model.featurizer.inputs
    data: dict[str, list[dict[str, np.ndarray]]] = {f"seq{length}": [] for length in model.buckets}
    for batch in calibration_batches(model, model.buckets):
        length = batch[specs[0].name].shape[1] // specs[0].per_length
        data[f"seq{length}"].append(batch)
    for length in model.buckets:  # a bucket that no text falls into borrows the whole set, padded to it
        if not data[f"seq{length}"]:
            data[f"seq{length}"] = calibration_batches(model, (length,)) if length == model.buckets[-1] else []
    empty = [name for name, batches in data.items() if not batches]
    if empty:
        raise ExportError(f"int8-static: no calibration text falls into the bucket {empty[0]}; use int8")
    recipe = recipe_manager.RecipeManager()
    recipe.load_quantization_recipe(tool.get_quantization_recipe())
    ranges = calibrator.Calibrator(path.read_bytes(), num_threads=1, qsv_update_func=qsv_utils.min_max_update)
    ranges.calibrate(data, recipe)
    return ranges.get_model_qsvs()
