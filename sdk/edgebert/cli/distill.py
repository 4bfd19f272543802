"""`edgebert distill`."""

from __future__ import annotations

from typing import Any

import click

from edgebert.cli.base import Command, ManyOption, clean_stdout
from edgebert.cli.options import PATH, data_options, given, task_options, training_options
from edgebert.models import STUDENTS


@click.command("distill", cls=Command, resumable=True, short_help="Train a small student from a teacher.")
@click.argument("recipe", required=False, type=PATH, metavar="[RECIPE.yaml]")
@click.option("--teacher", type=PATH, metavar="DIR", help="The teacher's folder (from finetune).")
@click.option("--student", metavar="NAME", help=f"What kind of student: {', '.join(STUDENTS)}.")
@data_options
@click.option(
    "--unlabelled", cls=ManyOption, multiple=True, type=PATH, metavar="FILE …", help="Files of unlabelled text."
)
@click.option("--unlabelled-column", metavar="NAME", help="Column of the text in the unlabelled files.")
@click.option("--out", type=PATH, metavar="DIR", help="Folder of the student.")
@task_options("the teacher's", "the teacher's")
@training_options(
    epochs="the student's",
    batch_size="the student's",
    learning_rate="the student's",
    max_length="the student's",
    precision="the student's",
    seed="the recipe's",
)
def command(**options: Any) -> None:
    """Train a student to answer as the teacher does, on labelled and unlabelled text.

    \b
    Example:
      edgebert distill --teacher runs/teacher --student ngram --data data/trec6 --out runs/ngram

    A recipe (YAML) holds every setting; what is given here counts more than what stands there. An interrupted run
    goes on when the same command is run again. The last line on stdout is the folder.
    """
    import edgebert

    with clean_stdout():
        folder = edgebert.distill(**given(options))
    click.echo(folder)
