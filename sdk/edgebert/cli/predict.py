"""`edgebert predict`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgebert.cli.base import Command, clean_stdout, print_json
from edgebert.cli.options import PATH, option, public_key_option, threshold_option

if TYPE_CHECKING:
    from edgebert_runtime.features import Text
    from edgebert_runtime.model import EdgeModel


@click.command("predict", cls=Command, short_help="Ask a bundle.")
@click.argument("bundle", type=PATH)
@click.argument("text", nargs=-1, metavar="[TEXT …]")
@option("--file", PATH, "FILE", "Texts from a file: one a line, or a data file with a text column.")
@option("--text-column", str, "NAME", "Column of the text in a data file. Found by itself if it is called text.")
@option("--text-pair-column", str, "NAME", "Column of the second text, for pairs.")
@threshold_option
@public_key_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with all predictions.")
def command(
    bundle: Path,
    text: tuple[str, ...],
    file: Path | None,
    text_column: str | None,
    text_pair_column: str | None,
    threshold: float | None,
    public_key: Path | None,
    as_json: bool,
) -> None:
    """Print the answer and the text, with tabs between, a line for each text.

    A classification's answer is the label and its probability. Reads one text a line from stdin when neither TEXT nor
    --file is given. A model of pairs takes two texts with a tab between them. Put -- before texts that begin with a
    dash.

    \b
    Examples:
      edgebert predict trec6.edgebert "How far is the moon?"
      edgebert predict trec6.edgebert --file questions.txt --threshold 0.8
      edgebert predict trec6.edgebert --file questions.txt --json > answers.json
    """
    from edgebert.commands.predict import answers
    from edgebert_runtime.errors import UsageError
    from edgebert_runtime.model import EdgeModel

    if text and file is not None:
        raise UsageError("give texts or --file, not both.")
    typing = not text and file is None and sys.stdin.isatty()
    with clean_stdout():
        model = EdgeModel.load(bundle, public_key=public_key)
    with model:
        texts = _texts(model, text, file, text_column, text_pair_column, typing)
        found = answers(model, texts, 1 if typing else 32, threshold)
        if as_json:
            with clean_stdout():
                listed = [{"text": item, "answer": answer.to_json()} for item, answer in found]
            print_json({"predictions": listed})
        else:
            for item, answer in found:
                click.echo(f"{answer.summary()}\t{_one_line(item)}")


def _texts(
    model: EdgeModel,
    text: tuple[str, ...],
    file: Path | None,
    text_column: str | None,
    text_pair_column: str | None,
    typing: bool,
) -> Iterator[Text]:
    from edgebert.commands.predict import read_file, read_stream, takes_pairs, to_text
    from edgebert.console import note

    pair = takes_pairs(model)
    if text:
        return (to_text(item, pair, f"text {number}") for number, item in enumerate(text, start=1))
    if file is not None and str(file) != "-":
        return read_file(file, pair, text_column, text_pair_column)
    if typing:
        note("Type one text a line; Ctrl-D ends.")
    return read_stream(sys.stdin.buffer, pair)


def _one_line(text: Text) -> str:
    """The text as it was given, without what would break the line or drive the terminal."""
    parts = [text] if isinstance(text, str) else list(text)
    return "\t".join("".join(char if char.isprintable() else " " for char in part) for part in parts)
