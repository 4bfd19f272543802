"""ONNX, for ONNX Runtime: dynamic batch and length, weights inside the file.

int8: embeddings as int8 rows with a scale each, every larger linear as DynamicQuantizeLinear + MatMulInteger with one
scale per output channel (ONNX Runtime fuses them). fp16: weights stored in half, widened when the session is made,
because ONNX Runtime has no half kernels on most CPUs.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgebert_converters.base import Artifact, ExportableModel, Precision, check_precision, requirement
from edgebert_converters.quiet import quiet
from edgebert_runtime.errors import ExportError, require

if TYPE_CHECKING:
    import onnx

OPSET = 20
MINIMUM_RUNTIME = "1.18"  # the first that reads this opset and the exporter's file version (IR 10)
LARGEST_FILE = (1 << 31) - (1 << 24)  # a protobuf holds less than 2 GiB; leave room for the graph
SMALLEST_HALF = 256  # arrays below this stay float in fp16: they save nothing


class OnnxConverter:
    """See `base.Converter`."""

    format = "onnx"
    suffix = ".onnx"
    precisions = (Precision.FP32, Precision.FP16, Precision.INT8, Precision.INT8_STATIC)
    packages = ("onnx", "onnxscript", "onnxruntime")
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
        for package in self.packages:
            require(package, "onnx")
        from edgebert_converters import graph

        path = directory / f"model{self.suffix}"
        module = graph.prepare(graph.symbolic(model), precision, keep_float)
        _check_size(model, precision, graph.weight_bytes(module))
        kept = keep_float | graph.small_heads(model) if precision in graph.INT8 else frozenset()
        with quiet(f"onnx export of {model.name}"):
            proto = _export(model, module)
            if precision is Precision.FP16:
                _halve_weights(proto)
            elif precision is Precision.INT8:
                proto = _quantize_dynamic(proto, kept, path)
            elif precision is Precision.INT8_STATIC:
                proto = _quantize_static(model, proto, kept, path)
            _strip(proto)
            path.write_bytes(proto.SerializeToString(deterministic=True))
        featurizer = model.featurizer
        return Artifact(
            path=path,
            format=self.format,
            precision=precision,
            shapes={
                "batch": None,
                "lengths": None,
                "min_length": featurizer.min_length,
                "max_length": featurizer.max_length,
            },
            size=path.stat().st_size,
            requires={**requirement("onnxruntime", "onnx", "onnxscript"), "minimum": MINIMUM_RUNTIME, "opset": OPSET},
            kept=tuple(sorted(kept)),
        )


def _check_size(model: ExportableModel, precision: Precision, size: int) -> None:
    if size > LARGEST_FILE:
        raise ExportError(
            f"{model.name}: its weights take {size / 1e9:.2f} GB in {precision}; one ONNX file holds less than 2 GB "
            "and a second file for weights has no place in a bundle. Use --precision int8 or a smaller table"
        )


def _export(model: ExportableModel, module: Any) -> onnx.ModelProto:
    """The float graph with symbolic "batch" and "length"."""
    import torch
    from torch.export import Dim

    from edgebert_converters import graph

    program = torch.onnx.export(
        graph.Positional(module).eval(),
        graph.example_inputs(model, graph.example_length(model), 2, torch.int64),
        input_names=[spec.name for spec in model.featurizer.inputs],
        output_names=[spec.name for spec in model.outputs],
        dynamic_shapes=graph.dynamic_length(model, Dim("batch")),
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    if program is None:
        raise ExportError(f"the ONNX exporter returned nothing for {model.name}")
    proto: onnx.ModelProto = program.model_proto
    # Wrong intermediate shapes that the exporter writes make onnxruntime's quantizer fail.
    del proto.graph.value_info[:]
    return proto


def _module_of(node: onnx.NodeProto) -> str:
    """The name of the torch module a node came from ("" if unknown)."""
    for item in node.metadata_props:
        if item.key == "pkg.torch.onnx.name_scopes":
            scopes = ast.literal_eval(item.value)
            return str(scopes[-2]).removeprefix("module.") if len(scopes) > 1 else ""
    return ""


def _matmuls(proto: onnx.ModelProto, kept: frozenset[str]) -> tuple[list[str], list[str]]:
    """Names of the products to quantize, and of those to leave: kept ones and products of two activations.

    The quantizer splits each Gemm first and names its product `…_MatMul`, so names to leave come in both forms.
    """
    constants = {item.name for item in proto.graph.initializer}
    quantized: list[str] = []
    left: list[str] = []
    for node in proto.graph.node:
        if node.op_type in ("MatMul", "Gemm"):
            if node.input[1] in constants and _module_of(node) not in kept:
                quantized.append(node.name)
            else:
                left += [node.name, f"{node.name}_MatMul"]
    return quantized, left


def _quantize_dynamic(proto: onnx.ModelProto, kept: frozenset[str], path: Path) -> onnx.ModelProto:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantized, left = _matmuls(proto, kept)
    if not quantized:
        return proto
    quantize_dynamic(
        proto,
        path,
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=left,
        extra_options={"MatMulConstBOnly": True},
    )
    return onnx.load(path)


def _quantize_static(
    model: ExportableModel, proto: onnx.ModelProto, kept: frozenset[str], path: Path
) -> onnx.ModelProto:
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.calibrate import CalibrationDataReader

    from edgebert_converters.calibrate import calibration_batches

    quantized, left = _matmuls(proto, kept)
    if not quantized:
        return proto

    class Reader(CalibrationDataReader):  # type: ignore[misc,unused-ignore]
        def __init__(self) -> None:
            self.batches = iter(calibration_batches(model))

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {name: ids.astype(np.int64) for name, ids in batch.items()}

    quantize_static(
        proto,
        path,
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=left,
    )
    return onnx.load(path)


def _halve_weights(proto: onnx.ModelProto) -> None:
    """Store float weights in half. A cast behind each widens them: after the lookup for embedding tables, so that a
    table stays half in memory, and directly behind the weight elsewhere, where the session folds it away."""
    from onnx import TensorProto, helper, numpy_helper

    graph = proto.graph
    tables = {node.input[0]: node for node in graph.node if node.op_type == "Gather"}
    uses = [name for node in graph.node for name in node.input]
    casts: list[onnx.NodeProto] = []
    for index, weight in enumerate(graph.initializer):
        if weight.data_type != TensorProto.FLOAT or int(np.prod(weight.dims)) < SMALLEST_HALF:
            continue
        array = numpy_helper.to_array(weight)
        half = array.astype(np.float16)
        if not np.isfinite(half).all():
            continue  # out of half's range: stays float
        name = weight.name
        lookup = tables.get(name)
        if lookup is not None and uses.count(name) == 1:
            output = lookup.output[0]
            lookup.output[0] = f"{output}_half"
            casts.append(helper.make_node("Cast", [f"{output}_half"], [output], to=TensorProto.FLOAT))
            graph.initializer[index].CopyFrom(numpy_helper.from_array(half, name))
        else:
            casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
            graph.initializer[index].CopyFrom(numpy_helper.from_array(half, f"{name}_half"))
    ordered = _sorted([*graph.node, *casts], {item.name for item in [*graph.initializer, *graph.input]})
    del graph.node[:]
    graph.node.extend(ordered)


def _sorted(nodes: list[onnx.NodeProto], known: set[str]) -> list[onnx.NodeProto]:
    """Nodes in an order in which each value is made before it is used."""
    known = known | {""}
    ordered, waiting = [], list(nodes)
    while waiting:
        later = []
        for node in waiting:
            if all(name in known for name in node.input):
                ordered.append(node)
                known.update(node.output)
            else:
                later.append(node)
        if len(later) == len(waiting):
            raise ExportError(f"the graph has a cycle at node {later[0].name!r}")
        waiting = later
    return ordered


def _strip(proto: onnx.ModelProto) -> None:
    """Remove stack traces and file names of this machine, which the exporter writes into every node."""
    del proto.metadata_props[:]
    del proto.graph.metadata_props[:]
    del proto.graph.value_info[:]
    proto.doc_string = proto.graph.doc_string = ""
    for item in [*proto.graph.node, *proto.graph.initializer, *proto.graph.input, *proto.graph.output]:
        item.doc_string = ""
        del item.metadata_props[:]
