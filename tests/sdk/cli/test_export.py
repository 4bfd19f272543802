"""A run folder through the real commands: `export` it, `evaluate` it, compare it with its own bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]

TEXTS = (
    "a great film",
    "great plot",
    "an awful film",
    "awful awful plot",
    "what a film",
    "the plot 🙂",
    "great",
    "awful",
)
LABELS = ("bad", "good")


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small n-gram student with random weights, as `distill` writes one."""
    import torch

    from edgebert.data import Row, Splits
    from edgebert.models import Context
    from edgebert.models.ngram_student import ChannelOptions, Options, build
    from edgebert.run import Description, write_run
    from edgebert.tasks.heads import Head

    torch.manual_seed(1)
    options = Options(
        channels=(
            ChannelOptions(name="word_ids", rows=50, width=8),
            ChannelOptions(name="char_ids", kind="char", orders=(3, 5), rows=200, width=4),
        ),
        min_count=1,
        hidden=8,
        start_from_teacher=False,
    )
    heads = (Head("logits", 2, "classes"),)
    made = build(options, Context(None, None, heads, False, 16, lambda: iter(TEXTS)))  # type: ignore[arg-type]
    for name, weights in made.module.named_parameters():
        torch.nn.init.normal_(weights)
        if name.startswith("tables."):
            torch.nn.init.zeros_(weights.data[0])  # the padding row
    rows = tuple(Row(text, LABELS["great" in text], f"dev:{number}") for number, text in enumerate(TEXTS, start=1))
    described = Description(
        kind="student",
        student="ngram",
        config=made.config,
        task="classification",
        labels={"logits": LABELS},
        heads=heads,
        settings={},
        metric="accuracy",
        pair=False,
        max_length=16,
        featurizer=made.featurizer.spec(),
    )
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    write_run(folder, described, made.module.eval(), made.featurizer, Splits(rows, rows, (), {}))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "test.csv"
    path.write_text("text,label\n" + "".join(f"{text},{LABELS['great' in text]}\n" for text in TEXTS))
    return path


def test_export_then_compare_the_bundle_with_its_run(run: Run, student: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiny.edgebert"
    result = run("export", student, "--target", "linux", "--format", "onnx", "--precision", "fp32", "--out", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[-1] == str(out) and out.is_file()
    value = json.loads(run("evaluate", out, "--data", data, "--teacher", student, "--json").stdout)
    alone = json.loads(run("evaluate", student, "--data", data, "--json").stdout)
    assert value["label_loyalty"] == 1 and value["probability_loyalty"] > 0.99
    assert value["teacher"]["accuracy"] == alone["accuracy"] == value["accuracy"] and alone["n"] == len(TEXTS)
    found = json.loads(run("inspect", out, "--json").stdout)
    assert found["student"] == "ngram" and found["format"] == "onnx" and found["outputs"][0]["labels"] == list(LABELS)
    assert len(json.loads(run("predict", out, "great", "", "🙂" * 5000, "--json").stdout)["predictions"]) == 3


@pytest.mark.parametrize(
    ("options", "message", "status"),
    [
        (("--target", "androd"), "Did you mean 'android'?", 2),
        (("--target", "linux", "--format", "onxn"), "Did you mean 'onnx'?", 2),
        (("--target", "linux", "--precision", "int88"), "Did you mean 'int8'?", 2),
        (("--target", "linux", "--format", "onnx", "--precision", "fp32", "--max-size", "1KB"), "1,000 bytes", 1),
    ],
)
def test_export_refuses_and_writes_nothing(
    run: Run, student: Path, tmp_path: Path, options: tuple[str, ...], message: str, status: int
) -> None:
    result = run("export", student, *options, "--out", tmp_path / "x.edgebert")
    assert result.exit_code == status and result.stdout == ""
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: ") and message in last
    assert list(tmp_path.iterdir()) == []


def test_no_run(run: Run, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "no"):
        result = run("export", folder, "--target", "linux")
        assert result.exit_code == 1 and str(folder) in result.stderr and result.stderr.count("\n") == 1


def test_distill_refuses_before_it_loads_anything(run: Run, data: Path, tmp_path: Path) -> None:
    common = ("distill", "--teacher", tmp_path / "t", "--train", data, "--out", tmp_path / "o")
    result = run(*common, "--student", "ngarm")
    assert result.exit_code == 2 and "Did you mean 'ngram'?" in result.stderr
    result = run(*common)
    assert result.exit_code == 2 and "--student is missing" in result.stderr
    result = run(*common, "--student", "ngram")
    assert result.exit_code == 1 and f"no run folder {tmp_path / 't'}" in result.stderr
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("student: ngram\ntrainning: {epochs: 2}\n", "Did you mean 'training'?"),
        ("student: ngram\ntraining: {epoch: 2}\n", "Did you mean 'epochs'?"),
        ("student: [", "not valid YAML"),
        ("- a\n", "mapping"),
    ],
)
def test_a_bad_recipe(run: Run, tmp_path: Path, data: Path, content: str, message: str) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(content)
    result = run("distill", recipe, "--teacher", tmp_path, "--train", data, "--out", tmp_path / "o")
    assert result.exit_code in (1, 2) and result.stdout == ""
    assert message in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("text,label\na,x\nb,x\n", (), "one class only"),
        ("text,label\na,0.25\nb,1.5\n", ("--task", "classification"), "decimal number"),
        ("text,label\na,x\n,y\n", (), "train.csv:3"),
        ("text,label\na,x\nb,y\n", ("--label-column", "lable"), "lable"),
        ("text,label\na,x\nb,y\n", ("--task", "tagging"), "unknown task 'tagging'"),
    ],
)
def test_finetune_refuses_bad_data(
    run: Run, tmp_path: Path, content: str, options: tuple[str, ...], message: str
) -> None:
    train = tmp_path / "train.csv"
    train.write_text(content)
    result = run("finetune", "--model", "minilm", "--train", train, "--dev", train, "--out", tmp_path / "o", *options)
    assert result.exit_code in (1, 2) and result.stdout == ""
    assert message in result.stderr and result.stderr.count("\n") == 1
    assert not (tmp_path / "o").exists()
