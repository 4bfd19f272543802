"""`edgebert evaluate` and `edgebert.evaluate`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import edgebert
from edgebert_runtime.bundle import open_bundle, write_bundle_file
from edgebert_runtime.errors import DataError, UsageError

Run = Callable[..., Result]

ROWS = "text,label\ngreat film,good\nawful,bad\nplot,bad\ngreat plot,good\n"  # the bundle calls `plot` good


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text(ROWS)
    return path


def test_a_bundle(run: Run, bundle: Path, data: Path) -> None:
    result = run("evaluate", bundle, "--data", data)
    assert result.exit_code == 0, result.stderr
    assert dict(line.split() for line in result.stdout.splitlines()) == {
        "n": "4",
        "accuracy": "0.7500",
        "macro_f1": "0.7333",
        "mcc": "0.5774",
        "f1": "0.8000",
        "ece": "0.1649",
    }
    assert "evaluated on rows.csv: 4 texts" in result.stderr


def test_json(run: Run, bundle: Path, data: Path) -> None:
    value = json.loads(run("evaluate", bundle, "--data", data, "--json").stdout)
    assert value["n"] == 4 and value["accuracy"] == 0.75
    assert value["macro_f1"] == pytest.approx((2 / 3 + 0.8) / 2)
    assert value["data"]["file"] == "rows.csv" and "retention" not in value


def test_with_a_teacher(run: Run, bundle: Path, data: Path) -> None:
    value = json.loads(run("evaluate", bundle, "--data", data, "--teacher", bundle, "--json").stdout)
    assert value["retention"] == value["label_loyalty"] == 1
    assert value["probability_loyalty"] == pytest.approx(1)
    assert value["flips"]["changed"] == 0 and value["flips"]["both_right"] == 3
    assert value["teacher"]["accuracy"] == 0.75
    text = run("evaluate", bundle, "--data", data, "--teacher", bundle).stdout
    assert "label loyalty" in text and "Of 4 answers 0 differ" in text


def relabelled(bundle: Path, path: Path, labels: tuple[str, ...]) -> Path:
    """The same graph with other labels: with ("good", "bad") it answers the opposite."""
    import dataclasses

    with open_bundle(bundle) as opened:
        entries = {name: opened.read(name) for name in opened.manifest.files}
        outputs = tuple(dataclasses.replace(output, labels=labels) for output in opened.manifest.outputs)
        write_bundle_file(path, dataclasses.replace(opened.manifest, outputs=outputs), entries)
    return path


def test_a_teacher_whose_labels_stand_in_another_order(bundle: Path, data: Path, tmp_path: Path) -> None:
    opposite = relabelled(bundle, tmp_path / "opposite.edgebert", ("good", "bad"))
    value = edgebert.evaluate(bundle, data=data, teacher=opposite)
    assert value["teacher"]["accuracy"] == 0.25 and value["retention"] == 3
    assert value["label_loyalty"] == 0
    assert value["flips"]["gained"] == 3 and value["flips"]["lost"] == 1


def test_a_teacher_with_other_labels(run: Run, bundle: Path, data: Path, tmp_path: Path) -> None:
    other = relabelled(bundle, tmp_path / "other.edgebert", ("bad", "fine"))
    result = run("evaluate", bundle, "--data", data, "--teacher", other)
    assert result.exit_code == 2 and result.stdout == ""
    assert "cannot be compared" in result.stderr and "'fine'" in result.stderr


def test_a_folder_gives_its_test_split_or_else_dev(run: Run, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(ROWS)
    (tmp_path / "validation.csv").write_text("text,label\ngreat,good\n")
    result = run("evaluate", bundle, "--data", tmp_path, "--json")
    assert json.loads(result.stdout)["n"] == 1 and "validation.csv" in result.stderr
    (tmp_path / "test.csv").write_text("text,label\ngreat,good\nawful,good\n")
    result = run("evaluate", bundle, "--data", tmp_path, "--json")
    assert json.loads(result.stdout)["n"] == 2 and "test.csv" in result.stderr


def test_columns(run: Run, bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text("body,mark\ngreat,good\n")
    result = run("evaluate", bundle, "--data", path, "--text-column", "body", "--label-column", "mark", "--json")
    assert json.loads(result.stdout)["accuracy"] == 1
    result = run("evaluate", bundle, "--data", path)
    assert result.exit_code == 1 and "body" in result.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\ngreat,goood\n", "Did you mean 'good'?"),
        ("text,label\ngreat,\n", "label"),
        ("text,label\n,good\n", "empty"),
        ("text,label\n", "no row"),
        ("text_a,text_b,label\na,b,good\n", "single texts"),
    ],
)
def test_bad_rows(run: Run, bundle: Path, tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content)
    result = run("evaluate", bundle, "--data", path, "--json")
    assert result.exit_code in (1, 2) and result.stdout == ""
    assert message in result.stderr and str(path) in result.stderr and result.stderr.count("\n") == 1


def test_invalid_utf8(run: Run, bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(b"text,label\ngreat,good\n\xff,bad\n")
    result = run("evaluate", bundle, "--data", path)
    assert result.exit_code == 1 and f"{path}:3: invalid UTF-8" in result.stderr


def test_missing_things(run: Run, bundle: Path, data: Path, tmp_path: Path) -> None:
    for arguments in (
        (tmp_path / "no.edgebert", "--data", data),
        (bundle, "--data", tmp_path / "no.csv"),
        (bundle, "--data", tmp_path / "nofolder" / "x"),
        (bundle, "--data", data, "--teacher", tmp_path / "no"),
        (tmp_path, "--data", data),  # a folder that is no run
    ):
        result = run("evaluate", *arguments)
        assert result.exit_code in (1, 2) and result.stdout == "", arguments
        assert result.stderr.splitlines()[-1].startswith("error: ") and "unexpected" not in result.stderr, arguments


def test_function_raises(bundle: Path, data: Path, pair_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takes pairs"):
        edgebert.evaluate(pair_bundle, data=data)
    (tmp_path / "x.csv").write_text("text,label\ngreat,other\n")
    with pytest.raises(DataError, match="'other'"):
        edgebert.evaluate(bundle, data=tmp_path / "x.csv")


def test_a_bundle_needs_no_torch(bundle: Path, data: Path) -> None:
    script = (
        f"import sys, edgebert; assert edgebert.evaluate({str(bundle)!r}, data={str(data)!r})['n'] == 4\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
