"""What `edgebert formats` prints stands in the docs as it is printed, so it cannot rot."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from edgebert import extras
from edgebert.cli import cli
from edgebert.commands import formats

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paragraphs of `edgebert formats` where everything is installed."""
    monkeypatch.setattr(formats, "_installed", lambda module: True)
    monkeypatch.setattr(extras, "version", lambda distribution: "1.0")
    result = CliRunner().invoke(cli, ["formats"])
    assert result.exit_code == 0, result.output
    return result.stdout.rstrip("\n").split("\n\n")


def test_the_matrix_of_the_tasks_page(printed: list[str]) -> None:
    matrix, students, _ = printed
    assert f"```\n{matrix}\n\n{students}\n```" in (DOCS / "tasks.md").read_text(encoding="utf-8")


def test_the_formats_of_the_command_line_page(printed: list[str]) -> None:
    *_, here = printed
    assert f"\n{here}\n```" in (DOCS / "command-line.md").read_text(encoding="utf-8")
