"""A tiny real bundle for the command line: a word counts for a label, in a real ONNX graph run by ONNX Runtime."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from edgebert_runtime import golden
from edgebert_runtime.bundle import Manifest, Shapes, TensorInfo, input_tensors, write_bundle_file
from edgebert_runtime.decode import Asked, get_decoder
from edgebert_runtime.features import InputSpec, WordPiece

LABELS = ("bad", "good")
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "awful", "great", "film", "plot")
# One row of logits for each word; a text's logits are the sum over its words.
TABLE = np.array([[0, 0], [0, 0], [0.1, 0], [0, 0], [4, 0], [0, 4], [0.5, 0], [0, 0.5]], dtype=np.float32)


@pytest.fixture
def run() -> Callable[..., Result]:
    """Call the command line in this process: `run("predict", path, input=b"...")`."""
    from edgebert.cli import cli

    def call(*arguments: object, **options: Any) -> Result:
        return CliRunner().invoke(cli, [str(argument) for argument in arguments], **options)

    return call


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of single texts: `great` is good, `awful` is bad, anything else leans to bad."""
    return write_bundle(tmp_path_factory.mktemp("bundle") / "film.edgebert", pair=False)


@pytest.fixture(scope="session")
def pair_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for pairs of texts."""
    return write_bundle(tmp_path_factory.mktemp("bundle") / "pairs.edgebert", pair=True)


def write_bundle(path: Path, pair: bool, table: np.ndarray = TABLE, labels: tuple[str, ...] = LABELS) -> Path:
    """A bundle whose logits are the sum over a text's words of their rows in `table` [words, labels]."""
    featurizer = WordPiece(WORDS, lowercase=True, max_length=12, pair=pair)
    decoder, vectors = get_decoder("classification"), []
    for text in (("great", "film"), ("awful", "plot")) if pair else ("great film", "awful plot", ""):
        features = featurizer([text])[0]
        logits = table[features["input_ids"]].sum(axis=0, dtype=np.float32)[None]
        outputs, asked = {"logits": logits}, Asked([text], None, featurizer, {"logits": labels}, {})
        (answer,), (margin,) = decoder.decode(outputs, asked), decoder.margins(outputs, asked)
        vectors.append(golden.vector(text, [(features, {"logits": logits[0]})], answer, margin, featurizer.inputs))
    manifest = Manifest(
        name="film",
        task="classification",
        max_length=12,
        student="ngram",
        format="onnx",
        precision="fp32",
        inputs=input_tensors(featurizer.inputs, "int64"),
        outputs=(TensorInfo("logits", "float32", ("batch", 2), labels=labels),),
        shapes=Shapes(None, None, 1, 12),
        featurizer=featurizer.spec(),
        created="2026-01-02T03:04:05+00:00",
        metrics={"student": {"accuracy": 0.5}},
        provenance={"seed": 1},
        requires={"package": "onnxruntime"},
    )
    lines = "".join(json.dumps(vector) + "\n" for vector in vectors).encode()
    entries = {"golden.jsonl": lines, "model.onnx": graph(featurizer.inputs, table), "MODEL_CARD.md": b"# film\n"}
    write_bundle_file(path, manifest, {**entries, **featurizer.files()})
    return path


def graph(inputs: tuple[InputSpec, ...], table: np.ndarray) -> bytes:
    """Logits = sum over the ids of their rows in the table; padding (id 0) has a row of zeros."""
    onnx = pytest.importorskip("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("ReduceSum", ["rows", "axes"], ["sums"], keepdims=0),
    ]
    last = "sums"
    for spec in inputs[1:]:  # the other inputs must be read, or the graph would not have them; they add nothing
        nodes += [
            helper.make_node("Cast", [spec.name], [f"{spec.name}_float"], to=kinds.FLOAT),
            helper.make_node("ReduceSum", [f"{spec.name}_float", "axes"], [f"{spec.name}_sum"], keepdims=1),
            helper.make_node("Mul", [f"{spec.name}_sum", "zero"], [f"{spec.name}_zero"]),
            helper.make_node("Add", [last, f"{spec.name}_zero"], [f"{spec.name}_out"]),
        ]
        last = f"{spec.name}_out"
    nodes.append(helper.make_node("Identity", [last], ["logits"]))
    made = helper.make_graph(
        nodes,
        "film",
        [helper.make_tensor_value_info(spec.name, kinds.INT64, ["batch", "length"]) for spec in inputs],
        [helper.make_tensor_value_info("logits", kinds.FLOAT, ["batch", 2])],
        [
            onnx.numpy_helper.from_array(table, "table"),
            onnx.numpy_helper.from_array(np.array([1], dtype=np.int64), "axes"),
            onnx.numpy_helper.from_array(np.array(0, dtype=np.float32), "zero"),
        ],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())
