"""`edgebert formats`."""

from __future__ import annotations

import click

from edgebert.cli.base import Command


@click.command("formats", cls=Command, short_help="Which student can be exported to which format and precision.")
def command() -> None:
    """Show the matrix of student, format and precision, and what this installation can export and run.

    \b
    Example:
      edgebert formats
    """
    import edgebert
    from edgebert.console import table

    cells = edgebert.formats()
    precisions: dict[tuple[object, ...], list[str]] = {}
    for cell in cells:  # one line for a student and format, with the precisions it can have
        key = (cell.student, cell.format, ", ".join(cell.targets) or "-", cell.converts, cell.runs)
        precisions.setdefault(key, []).append(cell.precision)
    rows = [(*key[:2], ", ".join(names), *key[2:]) for key, names in precisions.items()]
    click.echo(table(rows, ("student", "format", "precisions", "targets", "export here", "run here")))
    for command_line in sorted({cell.install for cell in cells if cell.install}):
        click.echo(f"\nFor the missing ones: {command_line}")
