"""`finetune`: a teacher from an encoder, and what it refuses before it trains."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

import edgebert
from edgebert.commands.scoring import report
from edgebert.models.teacher import HuggingFaceFeaturizer, featurizer_for, load_tokenizer
from edgebert.run import load_run
from edgebert_runtime.errors import DataError, EdgeBertError, UsageError
from edgebert_runtime.features import WordPiece


def quick(encoder: Path, out: Path, **options: Any) -> Path:
    return edgebert.finetune(encoder, out, **{"epochs": 1, "max_length": 24, "precision": "fp32", **options})


def test_a_teacher_learns_and_is_described(tiny_teacher: Path) -> None:
    described = json.loads((tiny_teacher / "run.json").read_text())
    assert described["metrics"]["test"]["accuracy"] > 0.9 and described["metrics"]["test"]["n"] == 40
    assert described["provenance"]["job"]["data"]["train"]["rows"] == 200
    assert sorted(path.name for path in tiny_teacher.iterdir()) == [
        "dev.jsonl.gz",
        "encoder",
        "job.json",
        "metrics.jsonl",
        "model.safetensors",
        "run.json",
        "sample.jsonl.gz",
        "tokenizer",
    ]
    assert transformers.AutoModel.from_pretrained(tiny_teacher / "encoder").config.hidden_size == 32


def test_a_seed_gives_one_teacher(tiny_encoder: Path, tiny_data: Path, tmp_path: Path) -> None:
    runs = [
        quick(tiny_encoder, tmp_path / name, data=tiny_data, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    heads = [load_file(run / "model.safetensors")["heads.logits.weight"] for run in runs]
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])


def test_a_finished_teacher_is_left_alone(tiny_encoder: Path, tiny_data: Path, tmp_path: Path) -> None:
    out = quick(tiny_encoder, tmp_path / "run", data=tiny_data)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert quick(tiny_encoder, out, data=tiny_data) == out
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    with pytest.raises(UsageError, match="other settings"):
        quick(tiny_encoder, out, data=tiny_data, seed=9)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_an_unknown_label_is_found_before_the_training(
    tiny_encoder: Path, tiny_data: Path, tmp_path: Path, split: str
) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"text": "a cat", "label": "animal"}\n{"text": "a rose", "label": "plant"}\n')
    with pytest.raises(DataError, match=r"bad.jsonl:2: the label 'plant' is not one that the model knows"):
        quick(tiny_encoder, tmp_path / "run", data=tiny_data, **{split: bad})
    assert not (tmp_path / "run").exists()


def test_one_class_only_is_refused(tiny_encoder: Path, tmp_path: Path) -> None:
    train = tmp_path / "train.jsonl"
    train.write_text("".join(json.dumps({"text": f"cat {i}", "label": "animal"}) + "\n" for i in range(20)))
    with pytest.raises(DataError, match="one class only"):
        quick(tiny_encoder, tmp_path / "run", train=train)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 100}, "is over the 64 positions"),
        ({"epochs": 0}, "epochs = 0"),
        ({"learning_rate": -1.0}, "learning_rate = -1.0"),
        ({"precision": "fp8"}, "precision = 'fp8'"),
        ({"task": "clasification"}, "Did you mean 'classification'"),
    ],
)
def test_wrong_options_leave_no_trace(
    tiny_encoder: Path, tiny_data: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        quick(tiny_encoder, tmp_path / "run", data=tiny_data, **options)
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").iterdir())


@pytest.mark.parametrize("kind", ["missing", "empty", "damaged"])
def test_a_bad_encoder_is_named(tiny_encoder: Path, tiny_data: Path, tmp_path: Path, kind: str) -> None:
    model = tmp_path / "model"
    if kind != "missing":
        model.mkdir()
    if kind == "damaged":
        for path in tiny_encoder.iterdir():
            (model / path.name).write_bytes(path.read_bytes()[: 400 if path.suffix == ".safetensors" else None])
    with pytest.raises(EdgeBertError, match="cannot load") as caught:
        quick(model, tmp_path / "run", data=tiny_data)
    assert str(model) in str(caught.value) and "\n" not in str(caught.value)
    assert not list((tmp_path / "run").iterdir())


def test_a_text_of_100_000_characters_and_an_odd_one_train(tiny_encoder: Path, tiny_data: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (tiny_data / "train.jsonl").read_text().splitlines()[:20]]
    rows += [{"text": "cat " * 25_000, "label": "animal"}, {"text": "a" * 100_000, "label": "tool"}]
    rows += [{"text": "😀" * 50, "label": "tool"}, {"text": "no", "label": "animal"}]
    train = tmp_path / "train.jsonl"
    train.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = quick(tiny_encoder, tmp_path / "run", train=train, dev=tiny_data / "dev.jsonl")
    assert load_run(out).description.metrics["dev"]["n"] == 40


def test_a_full_disk_leaves_nothing_half_written(
    tiny_encoder: Path,
    tiny_teacher: Path,
    tiny_data: Path,
    tmp_path: Path,
    full_disk: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """Both trainings in one process; the same commands go on where there is room."""
    code = f"""
import edgebert
from edgebert_runtime.errors import EdgeBertError
options = dict(data={str(tiny_data)!r}, epochs=1, max_length=24, precision="fp32")
for call in (
    lambda: edgebert.finetune({str(tiny_encoder)!r}, "teacher", **options),
    lambda: edgebert.distill(teacher={str(tiny_teacher)!r}, student="ngram", out="student", **options),
):
    try:
        call()
    except EdgeBertError as error:
        print(error)
"""
    result = full_disk(code, tmp_path)
    assert result.returncode == 0, result.stderr
    messages = result.stdout.splitlines()
    assert len(messages) == 2 and all("the disk is full" in message for message in messages), messages
    assert "Traceback" not in result.stderr and "Exception ignored" not in result.stderr
    for name in ("teacher", "student"):
        left = sorted(path.name for path in (tmp_path / name).iterdir())
        assert "run.json" not in left and "encoder" not in left and "model.safetensors" not in left
        assert not [name for name in left if name.endswith(".part")]
    options: dict[str, Any] = {"data": tiny_data, "epochs": 1, "max_length": 24, "precision": "fp32"}
    teacher = edgebert.finetune(tiny_encoder, tmp_path / "teacher", **options)
    student = edgebert.distill(teacher=tiny_teacher, student="ngram", out=tmp_path / "student", **options)
    assert (teacher / "run.json").exists() and (student / "run.json").exists()


def test_only_a_tokenizer_like_berts_becomes_our_wordpiece(tiny_encoder: Path, tmp_path: Path) -> None:
    assert isinstance(featurizer_for(load_tokenizer(tiny_encoder), 16, False), WordPiece)
    lines = (tiny_encoder / "vocab.txt").read_text().splitlines()
    changed = load_tokenizer(tiny_encoder)
    changed.add_tokens(["newword"])  # beyond the vocabulary: our WordPiece would not know it
    other = featurizer_for(changed, 16, True)
    assert isinstance(other, HuggingFaceFeaturizer)
    assert [spec.name for spec in other.inputs] == ["input_ids", "attention_mask", "token_type_ids"]
    (item,) = other([("a newword", "cat")])
    assert len(lines) in item["input_ids"].tolist() and item["token_type_ids"].tolist()[-1] == 1
    assert other([]) == []
    later = tmp_path / "vocab.txt"  # [PAD] is not the first
    later.write_text("\n".join([*lines[1:], lines[0]]) + "\n")
    moved = transformers.BertTokenizerFast(vocab=str(later), do_lower_case=True)
    assert isinstance(featurizer_for(moved, 16, False), HuggingFaceFeaturizer)


def test_an_encoder_with_another_tokenizer_is_a_teacher_but_no_bundle(
    tiny_encoder: Path, tiny_data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "encoder"
    model = transformers.AutoModel.from_pretrained(tiny_encoder)
    tokenizer = load_tokenizer(tiny_encoder)
    tokenizer.add_tokens(["newword"])
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    teacher = quick(folder, tmp_path / "teacher", data=tiny_data)
    student = edgebert.distill(
        teacher=teacher, student="ngram", data=tiny_data, out=tmp_path / "student", epochs=1, max_length=24
    )
    assert load_run(student).description.student == "ngram"
    with pytest.raises(UsageError, match="only WordPiece models can be exported"):
        edgebert.export(teacher, target="linux", out=tmp_path / "x.edgebert")
    with pytest.raises(UsageError, match="WordPiece vocabulary; take --student ngram"):
        edgebert.distill(teacher=teacher, student="mobilebert", data=tiny_data, out=tmp_path / "other")


@pytest.mark.parametrize(("mcc", "said"), [(0.0, True), (-0.1, True), (0.1, False)])
def test_a_model_that_learned_nothing_is_said_to(mcc: float, said: bool, capsys: pytest.CaptureFixture[str]) -> None:
    report({"dev": {"n": 3, "accuracy": 0.5, "mcc": mcc}}, "mcc")
    assert ("mcc on dev is not above 0: nothing was learned" in capsys.readouterr().err) == said
