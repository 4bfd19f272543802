"""A bundle holds everything that the contract names, and the runtime answers from it as torch does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from converter_models import DEV, LABELS, logits_of
from tagging_models import TAGS, WORDS, cut

from edgebert_converters.card import _output
from edgebert_converters.packager import golden_texts, plain, write_bundle
from edgebert_converters.verify import reference, verify
from edgebert_runtime.bundle import open_bundle
from edgebert_runtime.errors import EdgeBertError, ExportError, UsageError
from edgebert_runtime.model import EdgeModel
from edgebert_runtime.outputs import OutputSpec

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
        expected = logits_of(model, DEV)
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
        assert manifest.outputs[0].shape == ("batch", 3) and manifest.outputs[0].labels == LABELS
        assert manifest.settings == {} and "calibration" not in manifest.metrics["exported"]
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
    assert all(len(vector["pieces"]) == 1 for vector in vectors)
    assert len(texts) >= 16 and len(set(texts) & set(DEV)) >= 14
    assert "" in texts and any("😀" in text for text in texts) and max(map(len, texts)) > 400
    lengths = [len(vector["pieces"][0]["ids"]["input_ids"]) for vector in vectors]
    assert max(lengths) == models["encoder"].featurizer.max_length


@pytest.mark.parametrize("format", ["onnx", "tflite", "executorch"])
def test_a_bundle_of_tags(models, written, format: str) -> None:
    """Several outputs, a row for each token, texts that are read in parts."""
    model = models["understanding"]
    with EdgeModel.load(written("understanding", format)) as loaded:
        test = loaded.self_test()
        assert test.passed and test.checked == 24, test.failures
        batch = "batch" if format == "onnx" else 1
        assert [output.shape for output in loaded.manifest.outputs] == [
            (batch, "length", spec.width) if spec.per_token else (batch, spec.width) for spec in model.outputs
        ]
        assert [output.labels for output in loaded.manifest.outputs] == [spec.labels for spec in model.outputs]
        found = loaded.predict(list(DEV))
        tags = [[label for label in answer.labels if label in TAGS] for answer in found]
        words = [len(text.split()) for text in DEV]
        # Of each piece, two more are for [CLS] and [SEP], and one is the intent.
        assert list(map(len, tags)) == [count + 3 * -(-count // WORDS) for count in words]


def test_the_pieces_of_a_golden_text(models, written) -> None:
    with open_bundle(written("understanding", "onnx")) as bundle:
        vectors = bundle.golden()
    model = models["understanding"]
    for vector in vectors:
        pieces = [piece.text for piece in cut([vector["text"]], model.featurizer, {})]
        ids = [item["input_ids"].tolist() for item in model.featurizer(pieces)]
        assert [piece["ids"]["input_ids"] for piece in vector["pieces"]] == ids
        assert [piece["outputs"]["slots"]["shape"] for piece in vector["pieces"]] == [[len(item), 4] for item in ids]
        assert [piece["outputs"]["intent"]["shape"] for piece in vector["pieces"]] == [[3] for _ in ids]
        assert vector["margin"] >= 0 and set(vector["answer"]) == {"labels"}
    assert max(len(vector["pieces"]) for vector in vectors) > 2


def test_settings_are_of_this_very_file(models, convert, tmp_path: Path) -> None:
    """Fitted on the exported file's answers, and calibration apart from what a decoder reads."""
    model, artifact = models["understanding"], convert("understanding", "onnx", "int8")
    found = verify(artifact, model)
    seen = []

    def settings(outputs):
        seen.append(outputs)
        return {"calibration": {"texts": np.int64(len(outputs["slots"])), "ece_after": 0.125}, "words": 5}

    path = write_bundle(artifact, found, replace(model, settings=settings), tmp_path / "x.edgebert", CREATED)
    (outputs,) = seen
    assert outputs is found.answers
    with open_bundle(path) as bundle:
        assert bundle.manifest.settings == {"words": 5}
        assert bundle.manifest.metrics["exported"]["calibration"] == {"texts": len(model.pieces), "ece_after": 0.125}
        assert "| calibration ece_after | 0.1250 |" in bundle.read("MODEL_CARD.md").decode()
        assert max(len(piece["ids"]["input_ids"]) for vector in bundle.golden() for piece in vector["pieces"]) >= 7
        assert len(bundle.golden()[0]["pieces"]) == len(
            cut([bundle.golden()[0]["text"]], model.featurizer, {"words": 5})
        )


def test_a_task_that_the_runtime_does_not_know(models, convert) -> None:
    with pytest.raises(UsageError, match=r"unknown task 'tiny-taggers'\. Did you mean 'tiny-tagger'"):
        reference(replace(models["tagger"], task="tiny-taggers"))


def test_few_dev_texts_still_give_sixteen_vectors(models) -> None:
    model = models["encoder"]
    few = replace(model, asked=DEV[:3], pieces=DEV[:3])
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
        "| output logits | 3 numbers a text: light, music, weather |",
        "- English | only.",
        "Made up sentences.",
        "| licence of the model | CC-BY-4.0 |",
        "| licence of the data | not stated: fill this in before you ship the model |",
    ):
        assert expected in card


def test_the_card_shortens_a_long_list_of_labels(models, convert, tmp_path: Path) -> None:
    model = models["understanding"]
    many = tuple(f"label {number}" for number in range(77))
    shown = _output(OutputSpec("intent", 77, False, many))
    assert shown == f"77 numbers a text: {', '.join(many[:20])} and 57 more"
    assert _output(OutputSpec("score", 1)) == "1 number a text"
    found = verify(convert("understanding", "onnx", "int8"), model)
    path = write_bundle(convert("understanding", "onnx", "int8"), found, model, tmp_path / "x.edgebert")
    with open_bundle(path) as bundle:
        card = bundle.read("MODEL_CARD.md").decode("utf-8")
    assert "| output slots | 4 numbers a token: O, light, music, weather |" in card


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
