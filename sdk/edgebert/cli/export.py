"""`edgebert export`."""

from __future__ import annotations

from typing import Any

import click

from edgebert.cli.base import Command, clean_stdout
from edgebert.cli.options import PATH, Size, given, threshold_option


@click.command("export", cls=Command, short_help="Write a student as a bundle for a device.")
@click.argument("run", type=PATH)
@click.option("--target", required=True, metavar="android|linux", help="The devices it is for.")
@click.option(
    "--format",
    metavar="native|onnx|tflite|executorch|auto|all",
    help="auto takes native for an n-gram student, else the fastest one measured. Default: auto.",
)
@click.option(
    "--precision", metavar="auto|fp32|fp16|int8|int8-static|int4", help="How numbers are stored. Default: auto."
)
@click.option(
    "--max-size",
    type=Size(),
    metavar="SIZE",
    help="Largest bundle, such as 8MB, 8MiB or 500KB. A native one is made to fit: fewer n-grams, narrower, int4.",
)
@click.option(
    "--max-drop",
    type=click.FloatRange(0, 1),
    metavar="F",
    help="How much of the task's metric may be lost on the dev set. Default: 0.01.",
)
@threshold_option
@click.option("--out", type=PATH, metavar="PATH", help="File of the bundle (x.edgebert); with --format all, a folder.")
def command(**options: Any) -> None:
    """Convert a student, check the converted file on the dev set, and write a bundle.

    \b
    Example:
      edgebert export runs/ngram --target android --precision int8 --max-size 8MB --out trec6.edgebert

    A file that loses more than --max-drop is not written: the next rung of the ladder is tried (layers in float,
    then fp16), and each rung is printed. The last line on stdout is the path written.
    """
    import edgebert

    with clean_stdout():
        written = edgebert.export(**given(options))
    for path in written:
        click.echo(path)
    if options["format"] == "all":
        click.echo(written[0].parent)
