"""`edgebert cascade`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgebert.cli.base import Command, clean_stdout
from edgebert.cli.options import PATH, column_options, given, option


@click.command("cascade", cls=Command, short_help="Put two bundles into one: the large one is asked only when needed.")
@click.argument("small", type=PATH)
@click.argument("big", type=PATH)
@option("--data", str, "DIR", "Folder with dev, or with train of which a tenth is held out; or a dataset's name.")
@option("--train", PATH, "FILE", "Training file, of which a tenth is held out, in place of --data.")
@option("--dev", PATH, "FILE", "Development file.")
@column_options
@option("--max-drop", float, "F", "Accuracy that may be lost against BIG. Default: 0.002.")
@option("--accuracy", float, "F", "Accuracy that is wanted, instead.")
@option("--latency", float, "MS", "Mean time of a text that is wanted, as measured here, instead.")
@click.option("--out", required=True, type=PATH, metavar="FILE", help="The bundle.")
def command(**options: Any) -> None:
    """Make a bundle that answers with SMALL and asks BIG where SMALL is not sure.

    The threshold is chosen on dev: the fastest of which enough accuracy can be expected. What each gives is printed.

    \b
    Example:
      edgebert cascade ngram.edgebert mobilebert.edgebert --data data/sst2 --out sst2.edgebert
    """
    import edgebert

    with clean_stdout():
        written: Path = edgebert.cascade(**given(options))
    click.echo(written)
