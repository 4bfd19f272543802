"""Masked-lm end to end on tiny text: a teacher from a bare encoder, a student, a bundle, and a start for others."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import edgebert
from edgebert.commands import scoring
from edgebert.data.stream import Stream
from edgebert.distillation import features, trainer
from edgebert.distillation.batches import TrainingSet
from edgebert.run import load_run
from edgebert.tasks import get_task
from edgebert_runtime.decode import get_decoder
from edgebert_runtime.errors import DataError, EdgeBertError, UsageError
from edgebert_runtime.model import EdgeModel

MINI = {"name": "mobilebert-mini", "hidden": 32, "bottleneck": 16, "embedding": 16, "feedforward": 32}
MINI |= {"heads": 2, "layers": 2}
TRAINING = {"batch_size": 20, "max_length": 24, "learning_rate": 3e-3, "precision": "fp32"}
Recipe = Callable[..., Path]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path) -> Path:
    """A folder with train.txt (200 lines three times, and a long one) and test.txt."""
    folder = tmp_path_factory.mktemp("corpus")
    for name in ("train", "test"):
        lines = [json.loads(line)["text"] for line in (tiny_data / f"{name}.jsonl").read_text().splitlines()]
        if name == "train":
            lines = [*lines, " . ".join(lines[:30]), *lines, *lines]
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path, corpus: Path) -> Path:
    out = tmp_path_factory.mktemp("masked") / "teacher"
    return edgebert.finetune(tiny_encoder, out, task="masked-lm", data=corpus, epochs=6, **TRAINING)


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory, teacher: Path, corpus: Path, write_recipe: Recipe) -> Path:
    folder = tmp_path_factory.mktemp("student")
    training = {name: value for name, value in TRAINING.items() if name != "max_length"} | {"epochs": 6}
    return edgebert.distill(
        write_recipe(folder, teacher=teacher, student=MINI, data={"path": str(corpus)}, training=training)
    )


def described(run: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((run / "run.json").read_text())
    return values


def test_a_bare_encoder_learns_from_text_alone(teacher: Path, corpus: Path) -> None:
    about = described(teacher)
    assert about["task"] == "masked-lm" and about["labels"] == {} and about["metric"] == "masked_accuracy"
    assert about["heads"][0]["tied"] and about["heads"][0]["width"] == about["settings"]["vocabulary"]
    data = about["provenance"]["job"]["data"]
    assert data["dev"] == {"held_out_of": "train", "rows": 20} and data["train"]["rows"] == 541
    test = about["metrics"]["test"]
    words = Counter((corpus / "test.txt").read_text().split())
    assert test["masked_accuracy"] > words.most_common(1)[0][1] / words.total() and test["n"] == 40
    assert 1 < test["perplexity"] < about["settings"]["vocabulary"] / 5
    assert not (teacher / "features").exists()
    assert len(load_run(teacher).rows("dev")) == 20


def test_a_student_learns_beside_it(student: Path, teacher: Path, corpus: Path) -> None:
    about = described(student)
    assert about["max_length"] == described(teacher)["max_length"]  # by default: both must read the same tokens
    first, *_, last = [json.loads(line) for line in (student / "metrics.jsonl").read_text().splitlines()]
    assert all(last[f"loss_{name}"] < first[f"loss_{name}"] for name in ("logits", "hard_labels", "feature_maps"))
    assert about["metrics"]["teacher"] == described(teacher)["metrics"]
    assert about["metrics"]["test"]["perplexity"] < about["settings"]["vocabulary"] / 4
    result = edgebert.evaluate(student, data=corpus, teacher=teacher)
    assert result["data"]["file"] == "test.txt"
    for name in ("masked_accuracy", "perplexity"):
        assert result[name] == pytest.approx(about["metrics"]["test"][name], rel=1e-4)
        assert result["teacher"][name] == pytest.approx(about["metrics"]["teacher"]["test"][name], rel=1e-4)
    assert 0 <= result["label_loyalty"] <= 1 and result["flips"]["n"] == 40


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, student: Path) -> Path:
    pytest.importorskip("onnx")
    out = tmp_path_factory.mktemp("bundle") / "masked.edgebert"
    return edgebert.export(student, target="linux", format="onnx", precision="fp32", out=out)[0]


def test_a_bundle_fills_gaps(bundle: Path, student: Path, corpus: Path) -> None:
    text = "😀 i saw a [MASK] by the [MASK] " + "in the garden " * 12 + "[MASK]"
    with EdgeModel.load(bundle) as model:
        assert model.self_test().passed
        (filled,) = model.predict(text)
        with pytest.raises(DataError, match=r"^text 2 holds no \[MASK\]\. Write \[MASK\] where a word is missing\.$"):
            model.predict(["a [MASK]", "a cat"])
        with pytest.raises(UsageError, match="no probability"):
            model.predict("a [MASK]", threshold=0.5)
        assert any(vector["answer"]["gaps"] for vector in model.bundle.golden())
        settings = dict(model.manifest.settings)
    assert settings == {"vocabulary": 297}
    assert [text[gap.start : gap.end] for gap in filled.gaps] == ["[MASK]"] * 3 and len(filled.gaps[0].words) == 5
    run = load_run(student)
    about = run.description
    torch_side = scoring.Scoring(get_task(about.task), run.featurizer, about.labels, about.settings, about.metric)
    asked = torch_side.ask([text])
    assert len(asked.read) > 1
    (expected,) = get_decoder("masked-lm").decode(torch_side.outputs(run.module, asked.read), asked)
    for gap, same in zip(filled.gaps, expected.gaps, strict=True):
        assert gap._replace(words=()) == same._replace(words=())
        assert dict(gap.words) == pytest.approx(dict(same.words), rel=1e-3)
    result = edgebert.evaluate(bundle, data=corpus)
    assert result["masked_accuracy"] == pytest.approx(described(student)["metrics"]["test"]["masked_accuracy"])
    assert result["perplexity"] == pytest.approx(described(student)["metrics"]["test"]["perplexity"], rel=1e-3)


def test_a_file_is_answered_up_to_the_line_without_a_gap(bundle: Path, tmp_path: Path) -> None:
    from edgebert.commands.predict import answers, read_file

    lines = [f"a [MASK] {number}" for number in range(40)]
    path = tmp_path / "lines.txt"
    path.write_text("\n".join([*lines, "a cat", "a [MASK]"]))
    found = []
    with EdgeModel.load(bundle) as model, pytest.raises(DataError, match=r"^text 41 holds no \[MASK\]"):
        for text, answer in answers(model, read_file(path, False)):
            found.append((text, len(answer.gaps)))
    assert found == [(line, 1) for line in lines]


def test_ids_of_any_number_of_texts_lie_in_files(
    tiny_encoder: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From some number on, and then the run is the same; no list of all rows is made on the way."""
    monkeypatch.setattr(features, "CHUNK", 20)
    whole = edgebert.finetune(
        tiny_encoder, tmp_path / "a", task="masked-lm", train=corpus / "train.txt", epochs=1, **TRAINING
    )
    monkeypatch.setattr(features, "MAPPED", 50)
    most = 0
    read = Stream.__getitem__

    def watched(self: Stream, index: Any) -> Any:
        nonlocal most
        found = read(self, index)
        most = max(most, len(found)) if isinstance(index, slice) else most
        return found

    mapped: list[bool] = []
    joined = scoring.Scoring.lessons

    def lessons(self: scoring.Scoring, *args: Any) -> Any:
        made = joined(self, *args)
        mapped.append(all(isinstance(ids, np.memmap) for ids, _ in made[0].features.flat.values()))
        return made

    monkeypatch.setattr(Stream, "__getitem__", watched)
    monkeypatch.setattr(scoring.Scoring, "lessons", lessons)
    monkeypatch.setattr("edgebert.run.SAMPLE", 10)
    again = edgebert.finetune(
        tiny_encoder, tmp_path / "b", task="masked-lm", train=corpus / "train.txt", epochs=1, **TRAINING
    )
    assert mapped == [True] and not (again / "features").exists() and most <= 24
    a, b = (load_file(run / "model.safetensors") for run in (whole, again))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_resumed_run_hides_the_same_tokens(
    teacher: Path, corpus: Path, tmp_path: Path, write_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[int, list[list[int]]]] = []
    draw = TrainingSet.draw

    def watched(self: TrainingSet, indices: np.ndarray, step: int, seed: int) -> Any:
        found = draw(self, indices, step, seed)
        drawn.append((step, [item["input_ids"].tolist() for item in found[0]]))
        return found

    monkeypatch.setattr(TrainingSet, "draw", watched)

    def run(name: str) -> Path:
        (tmp_path / name).mkdir(exist_ok=True)
        training = {**TRAINING, "epochs": 2, "checkpoint_seconds": 0, "whole_word": True}
        return edgebert.distill(
            write_recipe(tmp_path / name, teacher=teacher, student=MINI, data={"path": str(corpus)}, training=training)
        )

    whole = run("whole")
    expected = list(drawn)
    assert len({str(batch) for _, batch in expected}) == len(expected)  # an epoch hides others than the last
    drawn.clear()
    one_step = trainer.Trainer._one_step

    def interrupt(self: trainer.Trainer, batch: np.ndarray) -> Any:
        if self.state.step == 31:
            raise KeyboardInterrupt
        return one_step(self, batch)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(trainer.Trainer, "_one_step", interrupt)
        run("parted")
    parted = run("parted")
    assert drawn == expected
    a, b = (load_file(made / "model.safetensors") for made in (whole, parted))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert described(whole)["provenance"]["job"]["training"]["whole_word"] is True


def test_a_student_of_another_task_starts_from_it(
    student: Path, tiny_teacher: Path, tiny_data: Path, tmp_path: Path, write_recipe: Recipe
) -> None:
    start = {**MINI, "start_from": str(student)}
    common: dict[str, Any] = {"teacher": tiny_teacher, "data": {"path": str(tiny_data)}}
    training = {**TRAINING, "epochs": 1, "learning_rate": 1e-12}
    run = edgebert.distill(write_recipe(tmp_path, student=start, training=training, **common))
    before, after = (load_file(made / "model.safetensors") for made in (student, run))
    encoder = [name for name in after if not name.startswith("heads.")]
    assert len(encoder) > 20 and all(torch.allclose(before[name], after[name], atol=1e-6) for name in encoder)
    assert after["heads.logits.weight"].shape == (2, 32)
    assert described(run)["provenance"]["job"]["student"]["start_from"] == str(student)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("hidden", 24, "the run RUN was made with hidden 32 and this student has 24; give the same sizes."),
        ("layers", 1, "the run RUN was made with layers 2 and this student has 1; give the same sizes."),
        ("name", "mobilebert-tiny", ""),
        ("name", "mobilebert", "was made with shared_query_key False and this student has True"),
        ("name", "ngram", "unknown key"),
        ("start_from", "nowhere", "there is no run folder nowhere"),
        ("start_from", "TEACHER", "the run TEACHER is no mobilebert student, and student.start_from wants one."),
    ],
)
def test_another_size_or_kind_does_not_start_from_it(
    student: Path,
    tiny_teacher: Path,
    tiny_data: Path,
    tmp_path: Path,
    write_recipe: Recipe,
    option: str,
    value: Any,
    message: str,
) -> None:
    start = {
        **MINI,
        "feedforwards": 2,
        "start_from": str(student),
        option: str(tiny_teacher) if value == "TEACHER" else value,
    }
    recipe = write_recipe(
        tmp_path, teacher=tiny_teacher, student=start, data={"path": str(tiny_data)}, training={**TRAINING, "epochs": 1}
    )
    if not message:  # the same sizes by another name
        assert (edgebert.distill(recipe) / "run.json").is_file()
        return
    with pytest.raises(EdgeBertError) as caught:
        edgebert.distill(recipe)
    assert message.replace("RUN", str(student)).replace("TEACHER", str(tiny_teacher)) in str(caught.value)


def test_another_vocabulary_does_not_start_from_it(
    student: Path, tiny_teacher: Path, tiny_data: Path, tmp_path: Path, write_recipe: Recipe
) -> None:
    import shutil

    other = tmp_path / "other"
    shutil.copytree(student, other)
    path = other / "tokenizer" / "vocab.txt"
    path.write_text(path.read_text().replace("\nword1", "\nother1"))
    recipe = write_recipe(
        tmp_path, teacher=tiny_teacher, student={**MINI, "start_from": str(other)}, data={"path": str(tiny_data)}
    )
    with pytest.raises(UsageError, match="has another vocabulary than the teacher"):
        edgebert.distill(recipe)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "masked-lm", "whole_word": True, "label_column": "x"}, "leave out --label-column"),
        ({"task": "masked-lm", "metric": "perplexity"}, "unknown metric 'perplexity'. Known: masked_accuracy."),
        (
            {"whole_word": True},
            r"whole words are for masked-lm, and classification hides none; leave out --whole-word.",
        ),
    ],
)
def test_wrong_options_of_finetune(
    tiny_encoder: Path, tiny_data: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        edgebert.finetune(tiny_encoder, tmp_path / "run", data=tiny_data, max_length=24, **options)
    assert message in str(caught.value)
    assert not (tmp_path / "run" / "run.json").exists()


def test_an_encoder_without_the_token_is_refused(tiny_encoder: Path, corpus: Path, tmp_path: Path) -> None:
    import shutil

    model = tmp_path / "model"
    shutil.copytree(tiny_encoder, model)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        path = model / name
        if path.is_file():
            path.write_text(path.read_text().replace("[MASK]", "[HOLE]"))
    with pytest.raises(UsageError, match=r"has no \[MASK\] token, which masked-lm needs; take another encoder"):
        edgebert.finetune(model, tmp_path / "run", task="masked-lm", data=corpus, epochs=1, max_length=24)


def test_what_distill_refuses(teacher: Path, tiny_encoder: Path, corpus: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.txt"
    more.write_text("a cat\n")
    for options, message in (
        ({"student": "ngram"}, "masked-lm needs .* take --student mobilebert"),
        ({"student": "mobilebert-mini", "unlabelled": [more]}, "learns from text alone: give all of it as train"),
        (
            {"student": "mobilebert-mini", "max_length": 32},
            "read 32 tokens and the teacher 24, but for masked-lm",
        ),
    ):
        with pytest.raises(UsageError, match=message):
            edgebert.distill(teacher=teacher, data=corpus, out=tmp_path / "run", **options)  # type: ignore[arg-type]
    with pytest.raises(EdgeBertError, match="an encoder without a head for a task"):
        edgebert.distill(
            teacher=tiny_encoder, task="masked-lm", student="mobilebert-mini", data=corpus, out=tmp_path / "run"
        )


def test_a_hugging_face_model_with_its_own_head_is_a_teacher(
    tiny_encoder: Path, corpus: Path, tmp_path: Path, write_recipe: Recipe
) -> None:
    """Its table is padded to a round number of rows, as some are; no answer is one of these."""
    import transformers

    model = tmp_path / "model"
    network = transformers.BertForMaskedLM.from_pretrained(tiny_encoder)
    network.resize_token_embeddings(304, mean_resizing=False)
    network.save_pretrained(model)
    transformers.AutoTokenizer.from_pretrained(tiny_encoder).save_pretrained(model)
    found = edgebert.evaluate(model, data=corpus)
    assert found["n"] == 40 and found["perplexity"] > 1
    run = edgebert.distill(
        write_recipe(
            tmp_path,
            teacher=model,
            student=MINI,
            data={"path": str(corpus)},
            training={**TRAINING, "epochs": 1},
            objectives={"logits": {"weight": 1.0}},
        )
    )
    about = described(run)
    assert about["settings"]["vocabulary"] == 304 and about["config"]["vocabulary"] == 297
    assert about["metrics"]["teacher"]["test"]["perplexity"] == pytest.approx(found["perplexity"], rel=1e-4)
    assert load_file(run / "model.safetensors")["heads.logits.words.weight"].shape == (304, 16)
