"""`edgebert finetune`."""

from __future__ import annotations

from typing import Any

import click

from edgebert.cli.base import Command, clean_stdout
from edgebert.cli.options import PATH, data_options, given, task_options, training_options


@click.command("finetune", cls=Command, resumable=True, short_help="Turn a Hugging Face encoder into a teacher.")
@click.option(
    "--model",
    required=True,
    metavar="minilm|NAME|DIR",
    help="The encoder: minilm (offline), a hub name, or a folder; a teacher's folder goes on from that teacher.",
)
@data_options
@click.option("--out", required=True, type=PATH, metavar="DIR", help="Folder of the teacher.")
@task_options("what the data looks like", "the task's own")
@training_options(
    epochs="3", batch_size="32", learning_rate="5e-05", max_length="128, for questions 384", precision="auto", seed="0"
)
def command(**options: Any) -> None:
    """Train an encoder on labelled text: the teacher.

    \b
    Example:
      edgebert finetune --model minilm --data data/trec6 --out runs/teacher

    An interrupted run goes on when the same command is run again. The last line on stdout is the folder.
    """
    import edgebert

    with clean_stdout():
        folder = edgebert.finetune(**given(options))
    click.echo(folder)
