"""What the commands share: the command class, and results that keep stdout clean."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class State:
    """What the error handler must know about the command that ran (the context is gone by then)."""

    debug: bool = False
    resumable: bool = False


def _set_debug(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and isinstance(ctx.obj, State):
        ctx.obj.debug = True


def debug_option(function: F) -> F:
    """`--debug`, before or after the command's name: people add it at the end of what they ran."""
    return click.option(
        "--debug", is_flag=True, is_eager=True, expose_value=False, callback=_set_debug, help="Show tracebacks."
    )(function)


class ManyOption(click.Option):
    """An option that takes all the words behind it, up to the next option: `--unlabelled a.txt b.txt`."""


def _repeat(args: list[str], many: set[str]) -> list[str]:
    """Write `--unlabelled a b` as `--unlabelled a --unlabelled b`, which click can read.

    A word that ends in .yaml is left out of it: it is the recipe.
    """
    written: list[str] = []
    option: str | None = None
    first = False
    for word in args:
        if word.startswith("-") and word != "-":
            option, first = (word if word in many else None), True
        elif option is not None:
            if not first and not word.endswith((".yaml", ".yml")):
                written.append(option)
            first = False
        written.append(word)
    return written


class Command(click.Command):
    """A command with `--debug` and `-h`.

    Args:
        resumable: whether the same command, run again after an interruption, goes on where it stopped.
    """

    def __init__(self, *args: Any, resumable: bool = False, **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", {"help_option_names": ["-h", "--help"], "max_content_width": 110})
        super().__init__(*args, **kwargs)
        self.resumable = resumable
        debug_option(self)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        many = {name for param in self.params if isinstance(param, ManyOption) for name in param.opts}
        return super().parse_args(ctx, _repeat(args, many))

    def invoke(self, ctx: click.Context) -> None:
        if isinstance(ctx.obj, State):
            ctx.obj.resumable = self.resumable
        super().invoke(ctx)  # what a function returns is no exit status


@contextlib.contextmanager
def clean_stdout() -> Iterator[None]:
    """Send to stderr whatever libraries print to stdout inside the block, their C++ parts included.

    Exporters and engines print banners; a script that reads our stdout must not meet them.
    """
    sys.stdout.flush()
    saved = os.dup(1)
    try:
        os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _flush_c()
        os.dup2(saved, 1)
        os.close(saved)


def _flush_c() -> None:
    """Empty the C library's own buffers, which would otherwise reach the real stdout at exit."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).fflush(None)


def print_json(value: object) -> None:
    """Print one JSON object to stdout. NaN is written as null: it is no JSON."""
    import json
    import math

    def plain(item: Any) -> Any:
        if isinstance(item, dict):
            return {str(key): plain(inner) for key, inner in item.items()}
        if isinstance(item, list | tuple):
            return [plain(inner) for inner in item]
        if isinstance(item, float) and not math.isfinite(item):
            return None
        return item

    click.echo(json.dumps(plain(value), indent=2, ensure_ascii=False))
