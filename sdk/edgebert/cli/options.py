"""Options that several commands share, and the types of their values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from edgebert.sizes import parse_size
from edgebert_runtime.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)


class Size(click.ParamType[int]):
    """`8MB`, `8MiB`, `500KB`: bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return parse_size(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


def given(options: dict[str, Any]) -> dict[str, Any]:
    """The options a person gave: the rest is left to the function's own defaults."""
    return {name: value for name, value in options.items() if value is not None and value != ()}


def _stack(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


column_options = _stack(
    click.option("--text-column", metavar="NAME", help="Column of the text. Found by itself if it is called text."),
    click.option("--text-pair-column", metavar="NAME", help="Column of the second text, for pairs."),
    click.option("--label-column", metavar="NAME", help="Column of the label. Found by itself if it is called label."),
)

data_options = _stack(
    click.option(
        "--data", metavar="DIR", help="Folder with train, dev (or validation) and test files, or a dataset's name."
    ),
    click.option(
        "--train", type=PATH, metavar="FILE", help="Training file (CSV, TSV, JSON lines, .gz of these, Parquet)."
    ),
    click.option(
        "--dev", type=PATH, metavar="FILE", help="Development file. Without one, a tenth of train is held out."
    ),
    click.option("--test", type=PATH, metavar="FILE", help="Test file."),
    column_options,
)


def training_options(epochs: str, batch_size: str, learning_rate: str, max_length: str, seed: str) -> Callable[[F], F]:
    """The options of a training run; the arguments say what the defaults are."""
    return _stack(
        click.option(
            "--epochs", type=click.IntRange(min=1), metavar="N", help=f"Passes over the data. Default: {epochs}."
        ),
        click.option(
            "--batch-size", type=click.IntRange(min=1), metavar="N", help=f"Texts a step. Default: {batch_size}."
        ),
        click.option(
            "--learning-rate",
            type=click.FloatRange(min=0, min_open=True),
            metavar="F",
            help=f"Peak learning rate. Default: {learning_rate}.",
        ),
        click.option(
            "--max-length",
            type=click.IntRange(min=1),
            metavar="N",
            help=f"Tokens kept of a text. Default: {max_length}.",
        ),
        click.option(
            "--seed", type=click.IntRange(min=0), metavar="N", help=f"Seed of the random numbers. Default: {seed}."
        ),
    )
