"""`edgebert inspect`, `profile`, `formats` and `doctor`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import Result

import edgebert
from edgebert import extras
from edgebert.cli.inspect import describe
from edgebert.models import STUDENTS
from edgebert.tasks import TASKS
from edgebert_converters.base import CONVERTERS, converter

Run = Callable[..., Result]


def test_inspect(run: Run, bundle: Path) -> None:
    result = run("inspect", bundle)
    assert result.exit_code == 0 and result.stderr == ""
    lines = dict(line.split(None, 1) for line in result.stdout.splitlines())
    assert lines["output"].endswith("batch×2, 2 labels: bad, good")
    assert lines["format"] == "onnx, fp32"


def test_inspect_leaves_a_recipe_to_json(bundle: Path) -> None:
    job = {"command": "distill", "training": {"seed": 7}}
    text = describe(edgebert.inspect(bundle) | {"provenance": {"job": job}})
    assert "from job.command" in text and "job.training" not in text


def test_inspect_json(run: Run, bundle: Path) -> None:
    value = json.loads(run("inspect", bundle, "--json").stdout)
    assert value["outputs"][0]["labels"] == ["bad", "good"] and value["size"] == bundle.stat().st_size
    assert sum(value["parts"].values()) == value["size"]
    assert value["golden"] == 3 and value["parts"]["tokenizer"] > 0
    assert value == edgebert.inspect(bundle)


def test_profile(run: Run, bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    result = run("profile", bundle, "--threads", 1, "--json", path)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    value = json.loads(path.read_text())
    assert value["schema"] == 1 and value["threads"] == 1
    assert value["stages"]["total"]["p50"] > 0
    assert "tokenize" in result.stderr and "peak memory" in result.stderr


def test_profile_to_stdout(run: Run, bundle: Path) -> None:
    assert "cold load" in run("profile", bundle).stdout
    assert json.loads(run("profile", bundle, "--json", "-").stdout)["bundle"]["name"] == "film"


def test_profile_refuses(run: Run, bundle: Path, tmp_path: Path) -> None:
    assert run("profile", bundle, "--threads", 0).exit_code == 2
    assert run("profile", bundle, "--threads", 10**6).exit_code == 2
    (tmp_path / "file").write_text("")
    result = run("profile", bundle, "--json", tmp_path / "file" / "p.json")
    assert result.exit_code == 1 and "cannot write" in result.stderr.splitlines()[-1]


def test_formats(run: Run) -> None:
    result = run("formats")
    assert result.exit_code == 0, result.stderr
    header, _, *rows = result.stdout.split("\n\n")[0].splitlines()
    columns = re.split(r"\s{2,}", header)
    assert columns[:2] == ["task", "student"] and set(columns[2:]) == set(CONVERTERS)
    cells = edgebert.formats()
    shown = {
        (task, student.rstrip("*"), format, precision)
        for task, student, *held in (re.split(r"\s{2,}", row) for row in rows)
        for format, precisions in zip(columns[2:], held, strict=True)
        for precision in precisions.split()
        if precision != "-"
    }
    assert shown == {(cell.task, cell.students[-1], cell.format, cell.precision) for cell in cells}
    assert len(rows) == len({(cell.task, cell.students) for cell in cells})
    assert "mobilebert*: mobilebert-mini, mobilebert-tiny, mobilebert" in result.stdout


def test_the_proved_cells_are_of_this_code() -> None:
    """The list is made by tests/matrix, which takes minutes; that it fits the code is seen here at once."""
    cells = edgebert.formats()
    assert {cell.task for cell in cells} == set(TASKS)
    assert {student for cell in cells for student in cell.students} == set(STUDENTS)
    assert {cell.format for cell in cells} == set(CONVERTERS)
    assert all(cell.precision in converter(cell.format).precisions and cell.targets for cell in cells)
    assert {cell.students for cell in cells if cell.format == "native"} == {("ngram",)}
    assert all(cell.jvm == ("engine" if cell.format in ("native", "onnx") else "decode") for cell in cells)
    assert len(cells) == len({(cell.task, cell.students, cell.format, cell.precision) for cell in cells})


def test_formats_json(run: Run) -> None:
    cells = json.loads(run("formats", "--json").stdout)["cells"]
    assert cells == [json.loads(json.dumps(asdict(cell))) for cell in edgebert.formats()]


def test_formats_names_what_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgebert.commands import formats

    assert "train,tflite" not in run("formats").stdout
    monkeypatch.setattr(formats, "_installed", lambda module: module != "litert_torch")
    result = run("formats")
    assert 'pip install "edgebert[train,tflite]"' in result.stdout
    cells = edgebert.formats()
    assert {cell.format for cell in cells if not cell.converts} == {"tflite"}


def test_formats_loads_no_exporter_and_no_torch() -> None:
    code = "import sys; from edgebert.cli import cli\ntry: cli(['formats'])\nexcept SystemExit: pass\n"
    code += "found = {'torch', 'onnx', 'onnxruntime', 'litert_torch', 'executorch', 'pydantic'} & set(sys.modules)\n"
    code += "assert not found, found"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "masked-lm" in done.stdout


def test_doctor(run: Run) -> None:
    result = run("doctor")
    assert result.exit_code == 0, result.stderr
    for word in ("Python", "processor", "threads", "memory", "numpy", "click", "torch", "offline model"):
        assert word in result.stdout


def test_doctor_says_how_to_get_what_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    real = extras.version
    monkeypatch.setattr(extras, "version", lambda name: {"torch": None, "numpy": "1.0"}.get(name, real(name)))
    found = edgebert.doctor()
    assert not next(extra for extra in found.extras if extra.name == "train").ready
    result = run("doctor")
    assert result.exit_code == 0
    assert 'train: missing: torch. Run: pip install "edgebert[train]"' in result.stdout
    assert "wrong version: numpy 1.0 (needs >=" in result.stdout


@pytest.mark.parametrize(
    ("installed", "specifier", "fits"),
    [
        ("2.13.0+cpu", ">=2.13,<2.15", True),
        ("2.15.1", ">=2.13,<2.15", False),
        ("2.9", ">=2.13", False),
        ("2.0", "==2", True),
        ("2.1", "==2.*", True),
        ("3.0", "!=3", False),
        ("1.4.9", "~=1.4.2", True),
        ("1.5.0", "~=1.4.2", False),
        ("1.0", "", True),
    ],
)
def test_satisfies(installed: str, specifier: str, fits: bool) -> None:
    assert extras.satisfies(installed, specifier) is fits


def test_extras() -> None:
    found = extras.packages()
    assert {"", "train", "onnx", "tflite", "executorch"} <= set(found)
    assert next(p for p in found[""] if p.name == "numpy").installed is not None
    assert extras.extra_of("torch") == "train"
    assert extras.extra_of("yaml") == "train"
    assert extras.extra_of("litert_torch") == "tflite"
    assert extras.extra_of("no_such_module") is None
    assert extras._from_checkout(Path(__file__).parents[3] / "pyproject.toml")
