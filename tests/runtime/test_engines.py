"""Each engine with a real graph: right numbers, right refusals, nothing left behind."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import runtime_graphs as graphs

from edgebert_runtime.bundle import open_bundle
from edgebert_runtime.engines import ENGINES, Engine, checked_outputs, load_engine
from edgebert_runtime.errors import BundleError, EdgeBertError, MissingExtraError, UsageError
from edgebert_runtime.features import InputSpec, length_of, pad
from edgebert_runtime.inference import pad_length
from edgebert_runtime.outputs import GraphSpec, OutputSpec

# Engines that take ids; the native one reads text: test_native_engine.py.
FORMATS = tuple(name for name in ENGINES if name != "native")
KINDS = [*FORMATS, "ngram", "executorch-int8"]
TAGGERS = [f"{name}-tags" for name in FORMATS]


def parts(path: Path) -> tuple[str, bytes, GraphSpec, list[dict[str, Any]]]:
    with open_bundle(path) as bundle:
        manifest = bundle.manifest
        pieces = [vector["pieces"][0] for vector in bundle.golden()]
        return manifest.format, bundle.read(bundle.model_name), manifest.graph, pieces


def loaded(path: Path, threads: int = 1) -> tuple[Engine, GraphSpec, list[dict[str, Any]]]:
    format, content, graph, golden = parts(path)
    return load_engine(format, content, graph, threads), graph, golden


def features_of(piece: dict[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.array(ids, dtype=np.int32) for name, ids in piece["ids"].items()}


def batch_of(piece: dict[str, Any], graph: GraphSpec) -> dict[str, np.ndarray]:
    features = features_of(piece)
    return pad([features], graph.inputs, pad_length(length_of(features, graph.inputs), graph.shapes))


def expected(piece: dict[str, Any], name: str = "logits") -> np.ndarray:
    output = piece["outputs"][name]
    return np.array(output["values"], np.float32).reshape(output["shape"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("threads", [1, 2])
def test_the_numbers_are_those_of_torch(tiny: Any, kind: str, threads: int) -> None:
    engine, graph, golden = loaded(tiny(kind), threads)
    for piece in golden:
        outputs = engine.run(batch_of(piece, graph))
        assert list(outputs) == ["logits"] and outputs["logits"].dtype == np.float32
        np.testing.assert_allclose(outputs["logits"], [expected(piece)], atol=1e-5)
    engine.close()


@pytest.mark.parametrize("kind", TAGGERS)
def test_two_outputs_have_their_names_and_shapes(tiny: Any, kind: str) -> None:
    """One row a text, and one row for each position that was run, padding too."""
    engine, graph, golden = loaded(tiny(kind))
    assert [(spec.name, spec.per_token) for spec in graph.outputs] == [("logits", False), ("tags", True)]
    for piece in golden:
        batch = batch_of(piece, graph)
        outputs = engine.run(batch)
        assert list(outputs) == ["logits", "tags"] and outputs["tags"].dtype == np.float32
        assert outputs["logits"].shape == (1, 3) and outputs["tags"].shape == (1, batch["input_ids"].shape[1], 2)
        np.testing.assert_allclose(outputs["logits"], [expected(piece)], atol=1e-5)
        tokens = expected(piece, "tags")
        np.testing.assert_allclose(outputs["tags"][0, : len(tokens)], tokens, atol=1e-5)
    engine.close()


def test_onnx_takes_batches(tiny: Any) -> None:
    engine, graph, golden = loaded(tiny("onnx-tags"))
    outputs = engine.run(pad([features_of(piece) for piece in golden], graph.inputs, graphs.MAX_LENGTH))
    np.testing.assert_allclose(outputs["logits"], [expected(piece) for piece in golden], atol=1e-5)
    assert outputs["tags"].shape == (len(golden), graphs.MAX_LENGTH, 2)


@pytest.mark.parametrize("kind", FORMATS)
def test_from_a_path(tiny: Any, kind: str, tmp_path: Path) -> None:
    format, content, graph, golden = parts(tiny(kind))
    path = tmp_path / "graph"
    path.write_bytes(content)
    engine = load_engine(format, path, graph)
    np.testing.assert_allclose(engine.run(batch_of(golden[0], graph))["logits"][0], expected(golden[0]), atol=1e-5)
    engine.close()
    assert path.exists()  # not ours to remove


@pytest.mark.parametrize("kind", TAGGERS)
def test_the_answer_is_a_copy(tiny: Any, kind: str) -> None:
    """Engines reuse their buffers; an answer must not change when the next text runs."""
    engine, graph, golden = loaded(tiny(kind))
    first = engine.run(batch_of(golden[0], graph))
    kept = {name: values.copy() for name, values in first.items()}
    engine.run(batch_of(golden[1], graph))
    gc.collect()
    for name, values in kept.items():
        np.testing.assert_array_equal(first[name], values)
    engine.close()
    for name, values in kept.items():
        np.testing.assert_array_equal(first[name], values)


@pytest.mark.parametrize("kind", FORMATS)
def test_after_close(tiny: Any, kind: str) -> None:
    engine, graph, golden = loaded(tiny(kind))
    engine.close()
    engine.close()
    with pytest.raises(EdgeBertError, match="is closed"):
        engine.run(batch_of(golden[0], graph))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("damage", ["empty", "text", "half", "zeros"])
def test_a_damaged_graph(tiny: Any, kind: str, damage: str) -> None:
    format, content, graph, _ = parts(tiny(kind))
    half = content[: len(content) // 2]
    bad = {"empty": b"", "text": b"this is no graph at all", "half": half, "zeros": b"\0" * 4096}
    with pytest.raises(BundleError, match=r"^(ONNX Runtime|LiteRT|ExecuTorch)"):
        load_engine(format, bad[damage], graph)


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_inputs_must_be_those_described(tiny: Any, kind: str) -> None:
    format, content, graph, _ = parts(tiny(kind))
    with pytest.raises(BundleError, match=r"input 'attention_mask'|input 'input_ids'"):
        load_engine(format, content, replace(graph, inputs=(InputSpec("word_ids", 1, 10),)))


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_outputs_must_be_there(tiny: Any, kind: str) -> None:
    format, content, graph, _ = parts(tiny(kind))
    with pytest.raises(BundleError, match=r"(the graph|signature 'seq8') has no output named 'tags'"):
        load_engine(format, content, replace(graph, outputs=(graphs.LOGITS, graphs.TAGS)))


def test_executorch_counts_its_inputs_and_outputs(tiny: Any) -> None:
    format, content, graph, _ = parts(tiny("executorch"))
    with pytest.raises(BundleError, match="takes 2 inputs, but the manifest names 1"):
        load_engine(format, content, replace(graph, inputs=graph.inputs[:1]))
    with pytest.raises(BundleError, match="gives 1 outputs, but the manifest names 2"):
        load_engine(format, content, replace(graph, outputs=(graphs.LOGITS, graphs.TAGS)))


@pytest.mark.parametrize("kind", TAGGERS)
def test_outputs_must_have_the_shape_described(tiny: Any, kind: str) -> None:
    """Also where ExecuTorch's, which have no names, stand in another order."""
    format, content, graph, golden = parts(tiny(kind))
    for wrong in (
        (graphs.LOGITS._replace(width=4), graphs.TAGS),
        (graphs.LOGITS, graphs.TAGS._replace(per_token=False)),
        (graphs.LOGITS._replace(per_token=True), graphs.TAGS),
        (OutputSpec("logits", 2, True), OutputSpec("tags", 3, False)),
    ):
        engine = load_engine(format, content, replace(graph, outputs=wrong))
        with pytest.raises(BundleError, match=r"the graph gave '(logits|tags)' in the shape .*, but the manifest says"):
            engine.run(batch_of(golden[0], graph))
        engine.close()


def test_litert_signatures_must_be_those_described(tiny: Any) -> None:
    format, content, graph, golden = parts(tiny("tflite"))
    with pytest.raises(BundleError, match="no signature 'seq64'"):
        load_engine(format, content, replace(graph, shapes={**graph.shapes, "lengths": [8, 64]}))
    with pytest.raises(BundleError, match="must name its lengths"):
        load_engine(format, content, replace(graph, shapes={**graph.shapes, "lengths": None}))
    engine = load_engine(format, content, graph)
    with pytest.raises(BundleError, match=r"takes the lengths \[8, 16, 32\], not 9"):
        engine.run({name: np.zeros((1, 9), dtype=np.int32) for name in golden[0]["ids"]})


def test_a_failing_run_is_one_sentence(tiny: Any) -> None:
    for kind in ("onnx", "executorch"):
        engine, graph, golden = loaded(tiny(kind))
        wrong = {spec.name: np.zeros((1, 3 + index), dtype=np.int32) for index, spec in enumerate(graph.inputs)}
        with pytest.raises(BundleError, match="could not run the") as caught:
            engine.run(wrong)
        assert "\n" not in str(caught.value)
        engine.run(batch_of(golden[0], graph))  # and it still works
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


def ids_only(length: int = 8, *outputs: OutputSpec) -> GraphSpec:
    shapes = {"batch": None, "lengths": None, "min_length": 1, "max_length": length}
    return GraphSpec((InputSpec("ids", 1, 10),), outputs or (OutputSpec("logits", 2),), shapes)


@pytest.mark.parametrize(
    ("logits", "reason"),
    [
        (np.array([[1.0, np.nan]], dtype=np.float32), "'logits' that are not finite"),
        (np.array([[1.0, np.inf]], dtype=np.float32), "'logits' that are not finite"),
        (np.array([1.0, 2.0], dtype=np.float32), r"'logits' in the shape \[2\], but the manifest says \[1, 2\]"),
        (np.zeros((2, 2), dtype=np.float32), r"in the shape \[2, 2\], but the manifest says \[1, 2\]"),
        (np.zeros((1, 3), dtype=np.float32), r"in the shape \[1, 3\], but the manifest says \[1, 2\]"),
    ],
)
def test_outputs_are_checked(logits: np.ndarray, reason: str) -> None:
    engine = load_engine("onnx", write_constant_onnx(logits), ids_only())
    with pytest.raises(BundleError, match=reason):
        engine.run({"ids": np.zeros((1, 1), dtype=np.int32)})
    with pytest.raises(BundleError, match="no output named 'logits'"):
        load_engine("onnx", write_constant_onnx(logits, "scores"), ids_only())


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "no output named 'logits'"),
        ({"logits": np.zeros((2, 2))}, "no output named 'tags'"),
        ({"logits": [["a", "b"]]}, "other than numbers in 'logits'"),
        ({"logits": [[1.0, 2.0], [3.0]]}, "other than numbers in 'logits'"),
        ({"logits": None}, "'logits'"),
        ({"logits": np.zeros((2, 2)), "tags": np.zeros((2, 4, 3))}, r"'tags' in the shape \[2, 4, 3\]"),
        ({"logits": np.zeros((2, 2)), "tags": np.zeros((2, 3))}, r"the manifest says \[2, 5, 3\]"),
    ],
)
def test_what_no_graph_should_give(values: dict[str, Any], reason: str) -> None:
    graph = ids_only(8, OutputSpec("logits", 2), OutputSpec("tags", 3, True))
    with pytest.raises(BundleError, match=f"^Some engine: the graph .*{reason}"):
        checked_outputs(values, 2, 5, graph, "Some engine")


def test_what_is_checked_is_taken_by_name() -> None:
    graph = ids_only(8, OutputSpec("logits", 2), OutputSpec("tags", 3, True))
    given = {"tags": np.ones((2, 5, 3), np.float64), "more": "anything", "logits": np.zeros((2, 2))}
    found = checked_outputs(given, 2, 5, graph, "Some engine")
    assert list(found) == ["logits", "tags"] and found["tags"].dtype == np.float32
    empty = checked_outputs({"logits": np.zeros((0, 2)), "tags": np.zeros((0, 5, 3))}, 0, 5, graph, "Some engine")
    assert empty["tags"].shape == (0, 5, 3)


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
    described = ids_only(64, OutputSpec("logits", 64))
    with pytest.raises(BundleError, match="refuses the graph"):
        load_engine("onnx", model, described)
    if location == "secret.bin":  # beside a graph on disk, which its owner gave by path, it is as good as the graph
        (tmp_path / "graph.onnx").write_bytes(model)
        engine = load_engine("onnx", tmp_path / "graph.onnx", described)
        assert engine.run({"ids": np.full((1, 1), 3, dtype=np.int32)})["logits"].tolist() == [[3.0] * 64]


def test_executorch_leaves_no_file(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    format, content, graph, golden = parts(tiny("executorch"))
    engine = load_engine(format, content, graph)
    (made,) = tmp_path.iterdir()
    assert made.stat().st_mode & 0o077 == 0 and made.read_bytes() == content  # for this user only
    engine.close()
    assert list(tmp_path.iterdir()) == []
    forgotten = load_engine(format, content, graph)
    forgotten.run(batch_of(golden[0], graph))
    del forgotten
    gc.collect()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BundleError):
        load_engine(format, b"damaged", graph)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "closest"), [("onx", "onnx"), ("executorh", "executorch"), ("torch", "executorch")])
def test_an_unknown_engine(name: str, closest: str) -> None:
    with pytest.raises(UsageError, match=rf"unknown engine '{name}'.* Did you mean '{closest}'\? Known: onnx"):
        load_engine(name, b"", ids_only())


@pytest.mark.parametrize("threads", [0, -1, 257, 1.5, True, "2"])
def test_wrong_threads(threads: Any) -> None:
    with pytest.raises(UsageError, match="threads must be a whole number from 1 to 256"):
        load_engine("onnx", b"", ids_only(), threads)


@pytest.mark.parametrize("name", ["tflite-runtime", "tflite_runtime"])
def test_tflite_runtime_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="silently wrong logits"):
        load_engine(name, b"", ids_only())


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
from edgebert_runtime.outputs import GraphSpec
try:
    load_engine(sys.argv[1], b"", GraphSpec((), (), {"lengths": [1]}))
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
