"""`edgebert quickstart`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgebert.cli.base import Command, clean_stdout
from edgebert.cli.options import PATH, given


@click.command("quickstart", cls=Command, resumable=True, short_help="From text to bundles, in ten minutes.")
@click.option("--out", type=PATH, metavar="DIR", help="Where everything is written. Default: edgebert-quickstart.")
def command(**options: Any) -> None:
    """Train a teacher and both students on the voice-assistant set that comes with EdgeBERT, export int8 bundles in
    every format, and compare them.

    \b
    Example:
      edgebert quickstart --out /tmp/quickstart

    The last line on stdout is the folder.
    """
    import edgebert

    with clean_stdout():
        folder: Path = edgebert.quickstart(**given(options))
    click.echo(folder)
