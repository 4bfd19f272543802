"""`distill`, `evaluate` and `export`, end to end on tiny data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import edgebert
from edgebert.run import load_run
from edgebert_runtime.errors import DataError, EdgeBertError, UsageError

MINI = {"name": "mobilebert-mini", "hidden": 32, "bottleneck": 16, "embedding": 16, "feedforward": 32}
MINI |= {"heads": 2, "layers": 2}
Recipe = Callable[..., Path]


@pytest.fixture
def quick(tiny_teacher: Path, tiny_data: Path, tmp_path: Path) -> Callable[..., Path]:
    """A short n-gram distillation into `tmp_path/run`."""

    def run(**options: Any) -> Path:
        usual: dict[str, Any] = {"teacher": tiny_teacher, "student": "ngram", "out": tmp_path / "run", "epochs": 1}
        if "train" not in options:
            usual["data"] = tiny_data
        return edgebert.distill(**{**usual, "max_length": 24, **options})

    return run


def lines(path: Path, *texts: Any) -> Path:
    path.write_text(
        "".join(json.dumps({"text": t} if isinstance(t, str) else t) + "\n" for t in texts), encoding="utf-8"
    )
    return path


def test_a_student_learns_from_its_teacher(quick: Callable[..., Path], tiny_teacher: Path, tiny_data: Path) -> None:
    run = quick(epochs=4)
    described = json.loads((run / "run.json").read_text())
    assert described["metrics"]["test"]["accuracy"] > 0.9
    assert described["metrics"]["teacher"]["test"]["n"] == 40
    assert described["metrics"]["retention"]["test"] == pytest.approx(
        described["metrics"]["test"]["accuracy"] / described["metrics"]["teacher"]["test"]["accuracy"]
    )
    result = edgebert.evaluate(run, data=tiny_data, teacher=tiny_teacher)
    assert result["accuracy"] == described["metrics"]["test"]["accuracy"] and result["n"] == 40
    assert 0 <= result["label_loyalty"] <= 1 and result["retention"] > 0.9


def test_flags_count_more_than_the_recipe(
    tiny_teacher: Path, tiny_data: Path, tmp_path: Path, write_recipe: Recipe
) -> None:
    recipe = write_recipe(
        tmp_path, teacher="nowhere", student="mobilebert", data={"path": "nowhere"}, training={"epochs": 7, "seed": 3}
    )
    run = edgebert.distill(recipe, teacher=tiny_teacher, student="ngram", data=tiny_data, epochs=1, max_length=24)
    job = json.loads((run / "run.json").read_text())["provenance"]["job"]
    assert run == tmp_path / "run"
    assert job["student"]["name"] == "ngram" and job["training"]["epochs"] == 1 and job["training"]["seed"] == 3


def test_a_finished_run_is_left_alone_and_another_job_refused(quick: Callable[..., Path]) -> None:
    run = quick()
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    quick()
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    with pytest.raises(UsageError, match="other settings, data or teacher"):
        quick(seed=5)


def test_unlabelled_text_counts_once_and_never_what_is_in_the_splits(
    quick: Callable[..., Path], tiny_data: Path, tmp_path: Path
) -> None:
    test = [json.loads(line)["text"] for line in (tiny_data / "test.jsonl").read_text().splitlines()]
    extra = lines(tmp_path / "extra.jsonl", "a new cat", "a new cat", test[0], "cat " * 25_000)
    more = tmp_path / "more.txt"
    more.write_text("one more saw\na new cat\n")
    run = quick(unlabelled=[extra, more])
    job = json.loads((run / "run.json").read_text())["provenance"]["job"]
    assert job["unlabelled"][:2] == ["extra.jsonl", "more.txt"]
    assert job["unlabelled"][2] == 3


def test_unlabelled_pairs_do_not_fit_single_texts(quick: Callable[..., Path], tmp_path: Path) -> None:
    pairs = lines(tmp_path / "pairs.jsonl", {"text_a": "a cat", "text_b": "a saw"})
    with pytest.raises(DataError, match=r"pairs.jsonl: the train data holds single texts, but this file holds pairs"):
        quick(unlabelled=[pairs])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("split", ["dev", "test"])
def test_an_unknown_label_is_found_before_the_training(quick: Callable[..., Path], tmp_path: Path, split: str) -> None:
    bad = lines(tmp_path / "bad.jsonl", {"text": "a cat", "label": "animals"})
    with pytest.raises(DataError, match=r"bad.jsonl:1: the label 'animals' .*Did you mean 'animal'"):
        quick(**{split: bad})
    assert not (tmp_path / "run").exists()


def test_a_text_of_100_000_characters_in_train(quick: Callable[..., Path], tiny_data: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (tiny_data / "train.jsonl").read_text().splitlines()[:30]]
    long = [{"text": "a cat , " * 12_500, "label": "animal"}, {"text": "x" * 100_000, "label": "tool"}]
    train = lines(tmp_path / "train.jsonl", *rows, *long)
    assert (quick(train=train, dev=tiny_data / "dev.jsonl") / "run.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"teacher": "nowhere"}, "there is no run folder nowhere"),
        ({"student": "ngrm"}, "unknown student 'ngrm'. Did you mean 'ngram'"),
        ({"student": None}, "--student is missing"),
        ({"teacher": None}, "--teacher is missing"),
        ({"out": None}, "--out is missing"),
        ({"epochs": 0}, "epochs = 0"),
        ({"student": "mobilebert", "max_length": 100}, "over the 64 positions"),
    ],
)
def test_wrong_options_leave_no_trace(
    quick: Callable[..., Path], tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(EdgeBertError, match=message):
        quick(**options)
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").iterdir())


def test_an_unfinished_teacher_is_refused(quick: Callable[..., Path], tmp_path: Path) -> None:
    teacher = tmp_path / "teacher"
    teacher.mkdir()
    (teacher / "job.json").write_text("{}")
    with pytest.raises(EdgeBertError, match="the run is not finished; run the same command again"):
        quick(teacher=teacher)


def test_layers_need_a_student_that_has_some(
    tiny_teacher: Path, tiny_data: Path, tmp_path: Path, write_recipe: Recipe
) -> None:
    recipe = write_recipe(
        tmp_path,
        teacher=tiny_teacher,
        student="ngram",
        data={"path": str(tiny_data)},
        objectives={"logits": {}, "attention": {"weight": 0.1}},
    )
    with pytest.raises(UsageError, match="'attention' compares layers, and this student has none"):
        edgebert.distill(recipe)
    assert not list((tmp_path / "run").iterdir())


def classifier(encoder: Path, folder: Path) -> Path:
    torch.manual_seed(2)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        encoder, num_labels=2, id2label={0: "animal", 1: "tool"}, label2id={"animal": 0, "tool": 1}
    )
    model.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(encoder).save_pretrained(folder)
    return folder


def test_a_hugging_face_classifier_teaches_too(
    tiny_encoder: Path, tiny_data: Path, tmp_path: Path, write_recipe: Recipe
) -> None:
    teacher = classifier(tiny_encoder, tmp_path / "hf")
    recipe = write_recipe(
        tmp_path,
        teacher=teacher,
        student=MINI,
        data={"path": str(tiny_data)},
        training={"epochs": 1, "max_length": 24},
        objectives={"logits": {"weight": 1.0}, "feature_maps": {"weight": 0.5}, "attention": {"weight": 0.5}},
    )
    run = edgebert.distill(recipe)
    metrics = json.loads((run / "run.json").read_text())["metrics"]
    assert metrics["teacher"]["test"]["n"] == 40  # measured now: such a folder has no record of it


def test_a_teacher_measured_on_other_data_is_measured_again(
    tiny_teacher: Path, tiny_data: Path, tmp_path: Path, quick: Callable[..., Path]
) -> None:
    rows = [json.loads(line) for line in (tiny_data / "test.jsonl").read_text().splitlines()[:10]]
    run = quick(test=lines(tmp_path / "few.jsonl", *rows))
    metrics = json.loads((run / "run.json").read_text())["metrics"]
    assert metrics["test"]["n"] == metrics["teacher"]["test"]["n"] == 10


@pytest.fixture(scope="module")
def pairs(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Is the second text about a thing of the same kind?"""
    folder = tmp_path_factory.mktemp("pairs")
    for name, count in (("train", 120), ("dev", 30), ("test", 30)):
        rows = [json.loads(line) for line in (tiny_data / f"{name}.jsonl").read_text().splitlines()]
        made = [
            {"text_a": a["text"], "text_b": b["text"], "label": "same" if a["label"] == b["label"] else "other"}
            for a, b in zip(rows[:count], rows[1:] + rows[:1], strict=False)
        ]
        lines(folder / f"{name}.jsonl", *made)
    lines(folder / "more.jsonl", *({"text_a": f"a cat {i}", "text_b": f"the saw {i}"} for i in range(20)))
    return folder


@pytest.fixture(scope="module")
def pair_teacher(tiny_encoder: Path, pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pair_teacher") / "run"
    return edgebert.finetune(tiny_encoder, out, data=pairs, epochs=2, learning_rate=2e-3, max_length=32)


def check_bundle(bundle: Path, run: Path, data: Path, tolerance: float) -> None:
    """The bundle answers as torch does."""
    from edgebert.distillation.trainer import score
    from edgebert_runtime import EdgeModel

    loaded = load_run(run)
    texts = [row.text for row in loaded.rows("dev")]
    features = loaded.featurizer(texts)
    expected = np.asarray(score(loaded.module, loaded.featurizer, loaded.description.heads, features)["logits"])
    with EdgeModel.load(bundle) as model:
        got = model.logits(texts)
        assert model.self_test().passed
    scale = np.abs(expected).max()
    assert np.abs(got - expected).max() < tolerance * scale
    one, other = edgebert.evaluate(bundle, data=data), edgebert.evaluate(run, data=data)
    assert one["n"] == other["n"] and abs(one["accuracy"] - other["accuracy"]) <= 0.1


@pytest.mark.parametrize("student", [{"name": "ngram", "min_count": 1}, MINI], ids=["ngram", "mobilebert"])
def test_a_pair_task_from_end_to_end(
    pair_teacher: Path, pairs: Path, tmp_path: Path, write_recipe: Recipe, student: dict[str, Any]
) -> None:
    recipe = write_recipe(
        tmp_path,
        teacher=pair_teacher,
        student=student,
        data={"path": str(pairs), "unlabelled": [str(pairs / "more.jsonl")]},
        training={"epochs": 2, "max_length": 32},
    )
    run = edgebert.distill(recipe)
    assert load_run(run).description.pair
    assert edgebert.evaluate(run, data=pairs, teacher=pair_teacher)["n"] == 30
    (bundle,) = edgebert.export(run, target="linux", format="onnx", precision="fp32", out=tmp_path / "pair.edgebert")
    check_bundle(bundle, run, pairs, tolerance=1e-4)


def test_kinds_of_text_must_agree(
    pair_teacher: Path, tiny_teacher: Path, tiny_data: Path, pairs: Path, tmp_path: Path
) -> None:
    with pytest.raises(EdgeBertError, match="reads pairs of texts, but the train data holds single ones"):
        edgebert.distill(teacher=pair_teacher, student="ngram", data=tiny_data, out=tmp_path / "run")
    with pytest.raises(EdgeBertError, match="reads single texts, but the train data holds pairs"):
        edgebert.distill(teacher=tiny_teacher, student="ngram", data=pairs, out=tmp_path / "run")
    texts = tmp_path / "single.txt"
    texts.write_text("a cat\n")
    with pytest.raises(DataError, match="the train data holds pairs, but this file holds single texts"):
        edgebert.distill(teacher=pair_teacher, student="ngram", data=pairs, unlabelled=[texts], out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_hugging_face_classifier_may_read_pairs(tiny_encoder: Path, pairs: Path, tmp_path: Path) -> None:
    teacher = classifier(tiny_encoder, tmp_path / "hf")
    config = json.loads((teacher / "config.json").read_text())
    config |= {"id2label": {"0": "same", "1": "other"}, "label2id": {"same": 0, "other": 1}}
    (teacher / "config.json").write_text(json.dumps(config))
    run = edgebert.distill(teacher=teacher, student="ngram", data=pairs, out=tmp_path / "run", epochs=1, max_length=24)
    assert load_run(run).description.pair and load_run(run).description.labels == {"logits": ("same", "other")}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_drop": 2.0}, "--max-drop 2.0 is a share"),
        ({"max_drop": float("nan")}, "--max-drop nan is a share"),
        ({"max_size": "big"}, "'big' is no size"),
        ({"format": "onxx"}, "Did you mean 'onnx'"),
        ({"target": "andriod"}, "Did you mean 'android'"),
        ({"precision": "int9"}, "int8"),
    ],
)
def test_wrong_export_options_are_refused(
    tiny_teacher: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(EdgeBertError, match=message):
        edgebert.export(tiny_teacher, **{"target": "linux", "out": tmp_path / "x.edgebert", **options})
    assert not (tmp_path / "x.edgebert").exists()
