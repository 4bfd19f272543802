"""`edgebert formats`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from edgebert.cli.base import Command, print_json

if TYPE_CHECKING:
    from edgebert.commands.formats import Format


@click.command("formats", cls=Command, short_help="Which task and student goes into which format and precision.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """Show which task, student, format and precision go together, and what this installation can export and run.

    Each of them is proved by a test: trained, exported, run and measured; and replayed by the Android library on a
    desktop's JVM, with the engine where it has that one, else from the engine's stored outputs. Another precision
    of a format is no cell, and still can be exported: each export is checked on dev.

    \b
    Example:
      edgebert formats
    """
    from dataclasses import asdict

    import edgebert

    cells = edgebert.formats()
    if as_json:
        print_json({"cells": [asdict(cell) for cell in cells]})
    else:
        click.echo(_describe(cells))


def _describe(cells: Sequence[Format]) -> str:
    """The matrix, the formats, and what is missing here."""
    from edgebert.console import table

    formats = {cell.format: cell for cell in cells}
    proved: dict[tuple[str, tuple[str, ...]], dict[str, list[str]]] = {}
    for cell in cells:
        proved.setdefault((cell.task, cell.students), {}).setdefault(cell.format, []).append(cell.precision)
    rows = [
        (task, _named(students), *(" ".join(found.get(name, ("-",))) for name in formats))
        for (task, students), found in proved.items()
    ]
    several = [students for students in dict.fromkeys(cell.students for cell in cells) if len(students) > 1]
    notes = [f"{_named(students)}: {', '.join(students)}, one network in several sizes" for students in several]
    jvm = {name: sorted({cell.jvm for cell in cells if cell.format == name}) for name in formats}
    here = [
        (name, cell.suffix, ", ".join(cell.targets) or "-", ", ".join(jvm[name]), cell.converts, cell.runs)
        for name, cell in formats.items()
    ]
    missing = sorted({cell.install for cell in cells if cell.install})
    parts = [
        table(rows, ("task", "student", *formats)),
        "\n".join(notes),
        table(here, ("format", "file", "targets", "JVM replays", "export here", "run here")),
        "\n".join(f"For the missing ones: {line}" for line in missing),
    ]
    return "\n\n".join(part for part in parts if part)


def _named(students: Sequence[str]) -> str:
    """One name for students that differ in size: "mobilebert*"."""
    return students[0] if len(students) == 1 else f"{min(students, key=len)}*"
