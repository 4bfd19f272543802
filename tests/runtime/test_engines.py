"""Each engine with a real graph: right numbers, right refusals, nothing left behind."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import runtime_graphs as graphs

from edgebert_runtime.bundle import open_bundle
from edgebert_runtime.engines import ENGINES, Engine, load_engine
from edgebert_runtime.errors import BundleError, EdgeBertError, MissingExtraError, UsageError
from edgebert_runtime.features import InputSpec, length_of, pad
from edgebert_runtime.inference import pad_length

# Engines that take ids; the native one reads text: test_native_engine.py.
FORMATS = tuple(name for name in ENGINES if name != "native")
KINDS = [*FORMATS, "ngram", "executorch-int8"]


def parts(path: Path) -> tuple[str, bytes, tuple[InputSpec, ...], dict[str, Any], list[dict[str, Any]]]:
    with open_bundle(path) as bundle:
        manifest = bundle.manifest
        graph = bundle.read(bundle.model_name)
        return manifest.format, graph, manifest.input_specs, manifest.shapes.to_json(), bundle.golden()


def loaded(path: Path, threads: int = 1) -> tuple[Engine, tuple[InputSpec, ...], dict[str, Any], list[dict[str, Any]]]:
    format, graph, inputs, shapes, golden = parts(path)
    return load_engine(format, graph, inputs, shapes, threads), inputs, shapes, golden


def batch_of(vector: dict[str, Any], inputs: tuple[InputSpec, ...], shapes: dict[str, Any]) -> dict[str, np.ndarray]:
    features = {name: np.array(ids, dtype=np.int32) for name, ids in vector["ids"].items()}
    return pad([features], inputs, pad_length(length_of(features, inputs), shapes))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("threads", [1, 2])
def test_the_numbers_are_those_of_torch(tiny: Any, kind: str, threads: int) -> None:
    engine, inputs, shapes, golden = loaded(tiny(kind), threads)
    for vector in golden:
        logits = engine.run(batch_of(vector, inputs, shapes))
        assert logits.dtype == np.float32 and logits.shape == (1, 3)
        np.testing.assert_allclose(logits[0], vector["logits"], atol=1e-5)
    engine.close()


def test_onnx_takes_batches(tiny: Any) -> None:
    engine, inputs, _, golden = loaded(tiny("onnx"))
    features = [{name: np.array(ids, dtype=np.int32) for name, ids in vector["ids"].items()} for vector in golden]
    logits = engine.run(pad(features, inputs, graphs.MAX_LENGTH))
    np.testing.assert_allclose(logits, [vector["logits"] for vector in golden], atol=1e-5)


@pytest.mark.parametrize("kind", FORMATS)
def test_from_a_path(tiny: Any, kind: str, tmp_path: Path) -> None:
    format, graph, inputs, shapes, golden = parts(tiny(kind))
    path = tmp_path / "graph"
    path.write_bytes(graph)
    engine = load_engine(format, path, inputs, shapes)
    np.testing.assert_allclose(engine.run(batch_of(golden[0], inputs, shapes))[0], golden[0]["logits"], atol=1e-5)
    engine.close()
    assert path.exists()  # not ours to remove


@pytest.mark.parametrize("kind", FORMATS)
def test_the_answer_is_a_copy(tiny: Any, kind: str) -> None:
    """Engines reuse their buffers; an answer must not change when the next text runs."""
    engine, inputs, shapes, golden = loaded(tiny(kind))
    first = engine.run(batch_of(golden[0], inputs, shapes))
    kept = first.copy()
    engine.run(batch_of(golden[1], inputs, shapes))
    gc.collect()
    np.testing.assert_array_equal(first, kept)
    engine.close()
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("kind", FORMATS)
def test_after_close(tiny: Any, kind: str) -> None:
    engine, inputs, shapes, golden = loaded(tiny(kind))
    engine.close()
    engine.close()
    with pytest.raises(EdgeBertError, match="is closed"):
        engine.run(batch_of(golden[0], inputs, shapes))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("damage", ["empty", "text", "half", "zeros"])
def test_a_damaged_graph(tiny: Any, kind: str, damage: str) -> None:
    format, graph, inputs, shapes, _ = parts(tiny(kind))
    bad = {"empty": b"", "text": b"this is no graph at all", "half": graph[: len(graph) // 2], "zeros": b"\0" * 4096}
    with pytest.raises(BundleError, match=r"^(ONNX Runtime|LiteRT|ExecuTorch)"):
        load_engine(format, bad[damage], inputs, shapes)


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_inputs_must_be_those_described(tiny: Any, kind: str) -> None:
    format, graph, _, shapes, _ = parts(tiny(kind))
    with pytest.raises(BundleError, match=r"input 'attention_mask'|input 'input_ids'"):
        load_engine(format, graph, [InputSpec("word_ids", 1, 10)], shapes)


def test_executorch_counts_its_inputs(tiny: Any) -> None:
    format, graph, inputs, shapes, _ = parts(tiny("executorch"))
    with pytest.raises(BundleError, match="takes 2 inputs, but the manifest names 1"):
        load_engine(format, graph, inputs[:1], shapes)


def test_litert_signatures_must_be_those_described(tiny: Any) -> None:
    format, graph, inputs, shapes, golden = parts(tiny("tflite"))
    with pytest.raises(BundleError, match="no signature 'seq64'"):
        load_engine(format, graph, inputs, {**shapes, "lengths": [8, 64]})
    with pytest.raises(BundleError, match="must name its lengths"):
        load_engine(format, graph, inputs, {**shapes, "lengths": None})
    engine = load_engine(format, graph, inputs, shapes)
    with pytest.raises(BundleError, match=r"takes the lengths \[8, 16, 32\], not 9"):
        engine.run({name: np.zeros((1, 9), dtype=np.int32) for name in golden[0]["ids"]})


def test_a_failing_run_is_one_sentence(tiny: Any) -> None:
    for kind in ("onnx", "executorch"):
        engine, inputs, shapes, golden = loaded(tiny(kind))
        wrong = {spec.name: np.zeros((1, 3 + index), dtype=np.int32) for index, spec in enumerate(inputs)}
        with pytest.raises(BundleError, match="could not run the") as caught:
            engine.run(wrong)
        assert "\n" not in str(caught.value)
        engine.run(batch_of(golden[0], inputs, shapes))  # and it still works
        engine.close()


def write_constant_onnx(logits: np.ndarray, name: str = "logits") -> bytes:
    """A graph that gives `logits` whatever the ids are."""
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    value = onnx.numpy_helper.from_array(logits, "value")
    graph = helper.make_graph(
        [helper.make_node("Constant", [], [name], value=value)],
        "constant",
        [helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, ["batch", "length"])],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, list(logits.shape))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("logits", "reason"),
    [
        (np.array([[1.0, np.nan]], dtype=np.float32), "not finite"),
        (np.array([[1.0, np.inf]], dtype=np.float32), "not finite"),
        (np.array([1.0, 2.0], dtype=np.float32), r"logits of shape \(2,\) for 1 text"),
        (np.zeros((2, 2), dtype=np.float32), r"logits of shape \(2, 2\) for 1 text"),
    ],
)
def test_logits_are_checked(logits: np.ndarray, reason: str) -> None:
    inputs, shapes = [InputSpec("ids", 1, 10)], {"batch": None, "lengths": None, "min_length": 1, "max_length": 8}
    engine = load_engine("onnx", write_constant_onnx(logits), inputs, shapes)
    with pytest.raises(BundleError, match=reason):
        engine.run({"ids": np.zeros((1, 1), dtype=np.int32)})
    with pytest.raises(BundleError, match="no output named 'logits'"):
        load_engine("onnx", write_constant_onnx(logits, "scores"), inputs, shapes)


@pytest.mark.parametrize("location", ["secret.bin", "../{folder}/secret.bin", "{absolute}/secret.bin"])
def test_onnx_reads_no_file_outside_the_bundle(location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights may be "external data": a graph that says so could read any file on the machine."""
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    np.ones(64, dtype=np.float32).tofile(tmp_path / "secret.bin")
    weights = types(name="weights", data_type=types.FLOAT, dims=[1, 64], data_location=types.EXTERNAL)
    place = location.format(folder=tmp_path.name, absolute=tmp_path)
    for key, value in (("location", place), ("offset", "0"), ("length", "256")):
        weights.external_data.add(key=key, value=value)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["ids"], ["x"], to=types.FLOAT),
            helper.make_node("Mul", ["x", "weights"], ["logits"]),
        ],
        "external",
        [helper.make_tensor_value_info("ids", types.INT64, ["batch", "length"])],
        [helper.make_tensor_value_info("logits", types.FLOAT, ["batch", 64])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    monkeypatch.chdir(tmp_path)
    inputs, shapes = [InputSpec("ids", 1, 10)], {"batch": None, "lengths": None, "min_length": 1, "max_length": 64}
    with pytest.raises(BundleError, match="refuses the graph"):
        load_engine("onnx", model, inputs, shapes)
    if location == "secret.bin":  # beside a graph on disk, which its owner gave by path, it is as good as the graph
        (tmp_path / "graph.onnx").write_bytes(model)
        engine = load_engine("onnx", tmp_path / "graph.onnx", inputs, shapes)
        assert engine.run({"ids": np.full((1, 1), 3, dtype=np.int32)}).tolist() == [[3.0] * 64]


def test_executorch_leaves_no_file(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    format, graph, inputs, shapes, golden = parts(tiny("executorch"))
    engine = load_engine(format, graph, inputs, shapes)
    (made,) = tmp_path.iterdir()
    assert made.stat().st_mode & 0o077 == 0 and made.read_bytes() == graph  # for this user only
    engine.close()
    assert list(tmp_path.iterdir()) == []
    forgotten = load_engine(format, graph, inputs, shapes)
    forgotten.run(batch_of(golden[0], inputs, shapes))
    del forgotten
    gc.collect()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BundleError):
        load_engine(format, b"damaged", inputs, shapes)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "closest"), [("onx", "onnx"), ("executorh", "executorch"), ("torch", "executorch")])
def test_an_unknown_engine(name: str, closest: str) -> None:
    with pytest.raises(UsageError, match=rf"unknown engine '{name}'.* Did you mean '{closest}'\? Known: onnx"):
        load_engine(name, b"", [], {})


@pytest.mark.parametrize("threads", [0, -1, 257, 1.5, True, "2"])
def test_wrong_threads(threads: Any) -> None:
    with pytest.raises(UsageError, match="threads must be a whole number from 1 to 256"):
        load_engine("onnx", b"", [], {}, threads)


@pytest.mark.parametrize("name", ["tflite-runtime", "tflite_runtime"])
def test_tflite_runtime_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="silently wrong logits"):
        load_engine(name, b"", [], {})


# In a process of its own, because an imported package cannot be made missing. It may find more in a folder.
MISSING = """
import sys
sys.path.insert(0, sys.argv[3])
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == sys.argv[2]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
from edgebert_runtime.engines import load_engine
from edgebert_runtime.errors import MissingExtraError
try:
    load_engine(sys.argv[1], b"", [], {"lengths": [1]})
except MissingExtraError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("engine", "package"),
    [("onnx", "onnxruntime"), ("tflite", "ai_edge_litert"), ("executorch", "executorch"), ("executorch", "torch")],
)
def test_a_missing_package_is_answered_with_its_command(engine: str, package: str, tmp_path: Path) -> None:
    if package == "torch":
        pytest.importorskip("executorch")
    done = subprocess.run(
        [sys.executable, "-c", MISSING, engine, package, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert re.search(rf"pip install \S*edgebert\[{engine}\]", done.stdout), done.stdout + done.stderr
    assert done.stdout.count("\n") == 1


def test_only_tflite_runtime_installed(tmp_path: Path) -> None:
    (tmp_path / "tflite_runtime").mkdir()
    (tmp_path / "tflite_runtime" / "__init__.py").write_text("")
    command = [sys.executable, "-c", MISSING, "tflite", "ai_edge_litert", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "tflite-runtime gives silently wrong logits" in done.stdout and "pip install" in done.stdout


def test_missing_extra_is_one_of_ours() -> None:
    assert issubclass(MissingExtraError, EdgeBertError)
