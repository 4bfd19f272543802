"""Options that several commands share, and the types of their values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from edgebert.sizes import parse_size
from edgebert.tasks import TASKS
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


def option(name: str, kind: Any, metavar: str, text: str) -> Callable[[F], F]:
    """A click option in one line."""
    return click.option(name, type=kind, metavar=metavar, help=text)


column_options = _stack(
    option("--text-column", str, "NAME", "Column of the text. Found by itself if it is called text."),
    option("--text-pair-column", str, "NAME", "Column of the second text, for pairs."),
    option("--label-column", str, "NAME", "Column of the label. Found by itself if it is called label."),
)

threshold_option = option(
    "--threshold",
    float,
    "F",
    "Answers of a lower probability (0 to 1) are not sure: - in place of the label. Of multi-label: for each label.",
)

public_key_option = option("--public-key", PATH, "FILE", "Public key, in PEM, of a signed bundle.")

data_options = _stack(
    option("--data", str, "DIR", "Folder with train, dev (or validation) and test files, or a dataset's name."),
    option(
        "--train",
        PATH,
        "FILE",
        "Training file: CSV, TSV, JSON lines, Parquet, CoNLL, SQuAD's JSON; masked-lm: .txt.",
    ),
    option("--dev", PATH, "FILE", "Development file. Without one, a tenth of train is held out."),
    option("--test", PATH, "FILE", "Test file."),
    column_options,
)


def task_options(task: str, metric: str) -> Callable[[F], F]:
    """What is asked of the model, and how it is judged; the arguments say what the defaults are."""
    return _stack(
        option("--task", str, "NAME", f"What is asked of the model: {', '.join(TASKS)}. Default: {task}."),
        option("--metric", str, "NAME", f"The number on dev that decides, such as mcc. Default: {metric}."),
    )


def training_options(
    epochs: str, batch_size: str, learning_rate: str, max_length: str, precision: str, seed: str
) -> Callable[[F], F]:
    """The options of a training run; the arguments say what the defaults are."""
    count = click.IntRange(min=1)
    rate = click.FloatRange(min=0, min_open=True)
    return _stack(
        option("--epochs", count, "N", f"Passes over the data. Default: {epochs}."),
        option("--batch-size", count, "N", f"Texts a step. Default: {batch_size}."),
        option("--learning-rate", rate, "F", f"Peak learning rate. Default: {learning_rate}."),
        option("--max-length", count, "N", f"Tokens kept of a text. Default: {max_length}."),
        option("--precision", str, "auto|fp32|bf16", f"Numbers to train with. Default: {precision}."),
        option("--seed", click.IntRange(min=0), "N", f"Seed of the random numbers. Default: {seed}."),
        click.option("--whole-word", is_flag=True, default=None, help="Of masked-lm: hide whole words, not pieces."),
    )
