"""A bundle holds everything that the contract names, and the runtime answers from it as torch does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from converter_models import DEV, LABELS

from edgebert_converters.packager import golden_texts, plain, write_bundle
from edgebert_converters.verify import reference, torch_logits, verify
from edgebert_runtime.bundle import open_bundle
from edgebert_runtime.errors import EdgeBertError, ExportError
from edgebert_runtime.model import EdgeModel

CREATED = "2026-01-02T03:04:05+00:00"


@pytest.fixture(scope="module")
def written(models, convert, tmp_path_factory: pytest.TempPathFactory):
    """write(model, format): the int8 bundle."""

    def write(name: str, format: str) -> Path:
        model, artifact = models[name], convert(name, format, "int8")
        path = tmp_path_factory.mktemp("bundles") / f"{name}.edgebert"
        return write_bundle(artifact, verify(artifact, model, reference(model)), model, path, CREATED)

    return write


@pytest.mark.parametrize("name", ["encoder", "ngram"])
@pytest.mark.parametrize("format", ["onnx", "tflite", "executorch"])
def test_the_runtime_answers_as_torch(models, written, name: str, format: str) -> None:
    model = models[name]
    with EdgeModel.load(written(name, format)) as loaded:
        test = loaded.self_test()
        assert test.passed and test.checked == 24, test.failures
        expected = torch_logits(model, model.featurizer(DEV))
        found = loaded.logits(list(DEV))
        assert (found.argmax(1) == expected.argmax(1)).mean() >= 0.95
        assert np.abs(found - expected).max() < 0.3
        answer = loaded.predict(DEV[0])[0]
        assert answer.label == LABELS[int(expected[0].argmax())]


def test_the_manifest_holds_everything(models, written) -> None:
    with open_bundle(written("pair", "onnx")) as bundle:
        manifest = bundle.manifest
        assert manifest.name == "pair" and manifest.task == "classification" and manifest.labels == LABELS
        assert manifest.format == "onnx" and manifest.precision == "int8" and manifest.created == CREATED
        assert [tensor.name for tensor in manifest.inputs] == ["input_ids", "attention_mask", "token_type_ids"]
        assert manifest.inputs[0].dtype == "int64" and manifest.inputs[0].shape == ("batch", "length")
        assert manifest.outputs[0].shape == ("batch", 3)
        exported = manifest.metrics["exported"]
        assert exported["metric"] == "accuracy" and exported["drop"] == pytest.approx(
            exported["float_accuracy"] - exported["accuracy"]
        )
        assert manifest.metrics["teacher"] == {"test": {"accuracy": 0.97}}
        assert manifest.provenance["kept_float"] == ["classifier"]
        assert manifest.requires["package"] == "onnxruntime" and manifest.requires["minimum"]
        assert set(manifest.files) == {"model.onnx", "golden.jsonl", "MODEL_CARD.md", "tokenizer/vocab.txt"}
        assert all(isinstance(vector["text"], tuple) for vector in bundle.golden())


def test_the_golden_vectors_hold_real_and_awkward_texts(models, written) -> None:
    with open_bundle(written("encoder", "onnx")) as bundle:
        vectors = bundle.golden()
    texts = [vector["text"] for vector in vectors]
    assert len(texts) >= 16 and len(set(texts) & set(DEV)) >= 14
    assert "" in texts and any("😀" in text for text in texts) and max(map(len, texts)) > 400
    longest = max(vectors, key=lambda vector: len(vector["ids"]["input_ids"]))
    assert len(longest["ids"]["input_ids"]) == models["encoder"].featurizer.max_length


def test_few_dev_texts_still_give_sixteen_vectors(models) -> None:
    model = models["encoder"]
    few = replace(model, dev_texts=DEV[:3], score=lambda logits: 1.0)
    assert golden_texts(few)[:16] == [DEV[index * 3 // 16] for index in range(16)]


def test_same_inputs_same_bytes(written) -> None:
    first, second = written("encoder", "onnx"), written("encoder", "onnx")
    assert first != second and first.read_bytes() == second.read_bytes()


def test_only_created_differs(models, convert, tmp_path: Path) -> None:
    model, artifact = models["encoder"], convert("encoder", "onnx", "int8")
    found = verify(artifact, model)
    paths = [tmp_path / name for name in ("a.edgebert", "b.edgebert")]
    for path, created in zip(paths, (CREATED, "2026-02-03T00:00:00+00:00"), strict=True):
        write_bundle(artifact, found, model, path, created)
    with open_bundle(paths[0]) as first, open_bundle(paths[1]) as second:
        different = {name for name in first.names if first.read(name) != second.read(name)}
    assert different == {"manifest.json", "MODEL_CARD.md"}


def test_the_model_card_says_what_was_measured(models, convert, tmp_path: Path) -> None:
    model, artifact = models["encoder"], convert("encoder", "onnx", "int8")
    model = replace(model, card={"license": "CC-BY-4.0", "limits": "English | only.", "data": "Made up sentences."})
    found = verify(artifact, model)
    path = write_bundle(artifact, found, model, tmp_path / "x.edgebert")
    with open_bundle(path) as bundle:
        card = bundle.read("MODEL_CARD.md").decode("utf-8")
    assert card.startswith("# encoder\n")
    for expected in (
        f"| accuracy of this file on 40 dev texts | {found.metric:.4f} |",
        "| teacher test accuracy | 0.9700 |",
        f"| model.onnx | {artifact.size:,} |",
        "| labels | 3: light, music, weather |",
        "- English | only.",
        "Made up sentences.",
        "| licence of the model | CC-BY-4.0 |",
        "| licence of the data | not stated: fill this in before you ship the model |",
    ):
        assert expected in card


def test_a_failed_write_leaves_what_was_there(models, convert, tmp_path: Path) -> None:
    model, artifact = models["encoder"], convert("encoder", "onnx", "int8")
    found = verify(artifact, model)
    path = tmp_path / "x.edgebert"
    path.write_bytes(b"old")
    with pytest.raises(ExportError, match="cannot be written as JSON"):
        write_bundle(artifact, found, replace(model, metrics={"bad": object()}), path)
    with pytest.raises(EdgeBertError):
        write_bundle(artifact, found, replace(model, provenance={"nan": float("nan")}), path)
    with pytest.raises(EdgeBertError):
        write_bundle(artifact, found, model, path / "below" / "a file.edgebert")
    assert path.read_bytes() == b"old" and [item.name for item in tmp_path.iterdir()] == ["x.edgebert"]


def test_plain_turns_numpy_and_paths_into_json() -> None:
    assert plain({"a": np.float32(0.5), "b": (1, 2), "c": np.arange(2), "d": Path("x"), "e": {"y", "x"}}) == {
        "a": 0.5,
        "b": [1, 2],
        "c": [0, 1],
        "d": "x",
        "e": ["x", "y"],
    }
