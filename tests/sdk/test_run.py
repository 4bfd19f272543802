"""Run folders: what is read back, and one sentence about each that cannot be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from edgebert.run import folder_hash, load_run, read_description, task_of
from edgebert_runtime.errors import EdgeBertError, UsageError


@pytest.fixture
def copy(tiny_teacher: Path, tmp_path: Path) -> Path:
    """A teacher's folder to be damaged."""
    return Path(shutil.copytree(tiny_teacher, tmp_path / "teacher"))


def test_a_teacher_comes_back(tiny_teacher: Path) -> None:
    run = load_run(tiny_teacher)
    assert run.description.labels == {"logits": ("animal", "tool")} and run.description.kind == "teacher"
    assert not run.module.training and run.featurizer.max_length == 32
    assert len(run.rows("dev")) == 40
    features = run.featurizer(["the cat is here", "a hammer again !"])
    ids = [torch.from_numpy(item["input_ids"]).long().unsqueeze(0) for item in features]
    answers = [run.module(item, torch.ones_like(item))["logits"].argmax().item() for item in ids]
    assert answers == [0, 1]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def drop_the_head(folder: Path) -> None:
    save_file({"heads.logits.bias": torch.zeros(2)}, folder / "model.safetensors")


def widen_the_head(folder: Path) -> None:
    save_file(
        {"heads.logits.bias": torch.zeros(3), "heads.logits.weight": torch.zeros(3, 32)}, folder / "model.safetensors"
    )


def newer(folder: Path) -> None:
    values = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**values, "schema": 3}))


def older(folder: Path) -> None:
    values = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**values, "schema": 1}))


def without_field(folder: Path) -> None:
    values = json.loads((folder / "run.json").read_text())
    del values["labels"]
    (folder / "run.json").write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: shutil.rmtree(f), "there is no run folder"),
        (lambda f: (f / "run.json").unlink(), "not finished; run the same command again"),
        (lambda f: [(f / name).unlink() for name in ("run.json", "job.json")], "no run"),
        (lambda f: cut(f / "run.json"), "run.json is damaged"),
        (lambda f: (f / "run.json").write_text("[]"), "run.json is damaged"),
        (newer, "newer EdgeBERT"),
        (older, "older EdgeBERT"),
        (without_field, "run.json is damaged"),
        (lambda f: cut(f / "model.safetensors"), "is damaged"),
        (lambda f: (f / "model.safetensors").unlink(), "is damaged"),
        (drop_the_head, "is damaged: .*"),
        (widen_the_head, "is damaged: .*"),
        (lambda f: cut(f / "encoder" / "model.safetensors"), "cannot load the model"),
        (lambda f: (f / "encoder" / "config.json").write_text("{"), "cannot load the model"),
        (lambda f: shutil.rmtree(f / "encoder"), "cannot load the model"),
        (lambda f: (f / "encoder" / "tokenizer.json").write_text("{}"), "tokenizer"),
    ],
)
def test_a_damaged_folder_is_named_in_one_sentence(copy: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(copy)
    with pytest.raises(EdgeBertError, match=message) as caught:
        load_run(copy)
    assert str(copy) in str(caught.value) and "\n" not in str(caught.value)


def test_a_run_without_dev_rows_says_so(copy: Path) -> None:
    (copy / "dev.jsonl.gz").unlink()
    with pytest.raises(EdgeBertError, match=r"holds no dev\.jsonl\.gz"):
        load_run(copy).rows("dev")


def test_the_hash_follows_the_weights_and_not_the_log(copy: Path, tiny_teacher: Path) -> None:
    before = folder_hash(tiny_teacher)
    assert folder_hash(copy) == before
    (copy / "metrics.jsonl").write_text("")
    assert folder_hash(copy) == before
    head = load_file(copy / "model.safetensors")
    save_file({**head, "heads.logits.bias": head["heads.logits.bias"] + 1}, copy / "model.safetensors")
    assert folder_hash(copy) != before


def test_run_json_alone_describes_a_run(tiny_teacher: Path) -> None:
    described = read_description(tiny_teacher)
    assert described.task == "classification" and not described.pair and described.metrics["dev"]["n"] == 40


@pytest.fixture(scope="module")
def classifier(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as Hugging Face's own trainer leaves it."""
    folder = tmp_path_factory.mktemp("classifier")
    torch.manual_seed(2)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        tiny_encoder, num_labels=2, id2label={0: "animal", 1: "tool"}, label2id={"animal": 0, "tool": 1}
    )
    model.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(tiny_encoder).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("pair", [False, True])
def test_a_hugging_face_classifier_is_a_teacher(classifier: Path, pair: bool) -> None:
    run = load_run(classifier, pair)
    assert run.description.labels == {"logits": ("animal", "tool")} and run.description.pair == pair
    assert run.featurizer.max_length == 64  # the encoder's positions, not 128
    text = ("a cat near the river", "the saw") if pair else "a cat near the river"
    (item,) = run.featurizer([text])
    inputs = [torch.from_numpy(item[spec.name]).long().unsqueeze(0) for spec in run.featurizer.inputs]
    model = transformers.AutoModelForSequenceClassification.from_pretrained(classifier).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(classifier)(*(text if pair else (text,)), return_tensors="pt")
    with torch.no_grad():
        assert torch.allclose(run.module(*inputs)["logits"], model(**tokens).logits, atol=1e-5)


def test_an_encoder_without_a_head_teaches_its_vectors_alone(tiny_encoder: Path) -> None:
    with pytest.raises(EdgeBertError, match="edgebert finetune --model"):
        task_of(tiny_encoder)
    assert task_of(tiny_encoder, "embedding") == "embedding"
    run = load_run(tiny_encoder)
    assert run.description.task == "embedding" and run.description.settings == {"width": 32}
    (item,) = run.featurizer(["a cat near the river"])
    inputs = [torch.from_numpy(item[spec.name]).long().unsqueeze(0) for spec in run.featurizer.inputs]
    with torch.no_grad():
        hidden = run.module.encoder(input_ids=inputs[0], attention_mask=inputs[1]).last_hidden_state  # type: ignore[operator]
        assert torch.allclose(run.module(*inputs)["vector"], hidden.mean(1), atol=1e-6)


def test_a_teacher_is_asked_for_its_own_task(tiny_teacher: Path) -> None:
    assert task_of(tiny_teacher) == task_of(tiny_teacher, "classification") == "classification"
    with pytest.raises(UsageError, match="has learned classification, not regression"):
        task_of(tiny_teacher, "regression")
