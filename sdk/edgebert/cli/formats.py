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
    rows = [
        (cell.student, cell.format, cell.precision, ", ".join(cell.targets) or "-", cell.converts, cell.runs)
        for cell in cells
    ]
    click.echo(table(rows, ("student", "format", "precision", "targets", "export here", "run here")))
    for command_line in sorted({cell.install for cell in cells if cell.install}):
        click.echo(f"\nFor the missing ones: {command_line}")
