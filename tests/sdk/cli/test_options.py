"""Options: sizes, options of many words, and that nothing is passed on that nobody gave."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

import edgebert
from edgebert.sizes import parse_size, show_size
from edgebert_runtime.errors import UsageError

Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8MB", 8_000_000),
        ("8MiB", 8 * 2**20),
        ("500KB", 500_000),
        ("500 kb", 500_000),
        ("1.5gb", 1_500_000_000),
        (".5KiB", 512),
        ("123", 123),
        (123, 123),
        ("1B", 1),
    ],
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MB", "8XB", "8 M B", "-8MB", "eight", "1e3", "8MB8", "٨MB", "nan", "0x10"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(UsageError, match="8MiB"):
        parse_size(text)


@pytest.mark.parametrize("text", ["0", "0MB", "0.1B"])
def test_sizes_of_nothing(text: str) -> None:
    with pytest.raises(UsageError, match="room for nothing"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"), [(7_250_000, "7.25 MB"), (999, "999 B"), (82_345, "82.3 KB"), (1_200_000_000, "1.2 GB")]
)
def test_show_size(size: int, text: str) -> None:
    assert show_size(size) == text


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """What the commands hand to the public functions, which are replaced: training is tested elsewhere."""
    seen: dict[str, dict[str, Any]] = {}

    def recorder(name: str, answer: object) -> Callable[..., object]:
        def function(**options: Any) -> object:
            seen[name] = options
            print("a library prints this")
            return answer

        return function

    answers = {
        "quickstart": Path("q"),
        "finetune": Path("t"),
        "distill": Path("s"),
        "export": [Path("o/a.edgebert"), Path("o/b.edgebert")],
    }
    for name, answer in answers.items():
        monkeypatch.setattr(edgebert, name, recorder(name, answer), raising=False)
    return seen


def test_finetune(run: Run, calls: dict[str, dict[str, Any]]) -> None:
    result = run("finetune", "--model", "minilm", "--data", "d", "--out", "o", "--learning-rate", "2e-5", "--seed", 3)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "t\n"
    assert calls["finetune"] == {"model": "minilm", "data": "d", "out": Path("o"), "learning_rate": 2e-5, "seed": 3}


def test_distill(run: Run, calls: dict[str, dict[str, Any]]) -> None:
    run(
        "distill",
        "--unlabelled",
        "a.txt",
        "b.txt",
        "r.yaml",
        "--student",
        "ngram",
        "--unlabelled",
        "c.txt",
        "--out",
        "o",
    )
    assert calls["distill"] == {
        "recipe": Path("r.yaml"),
        "student": "ngram",
        "unlabelled": (Path("a.txt"), Path("b.txt"), Path("c.txt")),
        "out": Path("o"),
    }
    result = run("distill", "r.yaml")
    assert calls["distill"] == {"recipe": Path("r.yaml")} and result.stdout == "s\n"


def test_export(run: Run, calls: dict[str, dict[str, Any]]) -> None:
    result = run("export", "r", "--target", "android", "--max-size", "8MiB", "--max-drop", 0)
    assert calls["export"] == {"run": Path("r"), "target": "android", "max_size": 8 * 2**20, "max_drop": 0}
    assert result.stdout.splitlines()[-1] == "o/b.edgebert"
    result = run("export", "r", "--target", "android", "--format", "all", "--out", "o")
    assert result.stdout.splitlines() == ["o/a.edgebert", "o/b.edgebert", "o"]
    assert "a library prints this" in result.stderr


def test_quickstart(run: Run, calls: dict[str, dict[str, Any]]) -> None:
    assert run("quickstart").stdout == "q\n" and calls["quickstart"] == {}
    run("quickstart", "--out", "x")
    assert calls["quickstart"] == {"out": Path("x")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("export", "r", "--target", "linux", "--max-size", "8XB"), "'8XB' is no size"),
        (("export", "r", "--target", "linux", "--max-size", "0"), "room for nothing"),
        (("export", "r", "--target", "linux", "--max-drop", "2"), "0<=x<=1"),
        (("finetune", "--model", "m", "--out", "o", "--epochs", "0"), "x>=1"),
        (("finetune", "--model", "m", "--out", "o", "--epochs", "many"), "'many'"),
        (("finetune", "--model", "m", "--out", "o", "--learning-rate", "0"), "x>0"),
        (("distill", "a.yaml", "b.yaml"), "b.yaml"),
    ],
)
def test_bad_values(run: Run, arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2 and result.stdout == ""
    assert message in result.stderr and result.stderr.count("\n") == 1
