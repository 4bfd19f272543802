"""Keep the exporters quiet: what they print is shown only when they fail."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from typing import IO

from edgebert_runtime.errors import EdgeBertError, ExportError

TAIL_LINES = 8


@contextlib.contextmanager
def quiet(what: str) -> Iterator[None]:
    """Swallow everything written to stdout and stderr, by Python and by native code, while the block runs.

    It works on file descriptors 1 and 2, so it is for the whole process: nothing else should print meanwhile.

    Args:
        what: named in the error, for example "onnx export".
    Raises:
        ExportError: the block raised something that is not ours; the message ends with the tail of the output.
    """
    with tempfile.TemporaryFile(mode="w+", buffering=1, encoding="utf-8", errors="replace") as log:
        try:
            with (
                _redirected(log.fileno()),
                contextlib.redirect_stdout(log),
                contextlib.redirect_stderr(log),
                warnings.catch_warnings(),
                _no_logging(),
            ):
                warnings.simplefilter("ignore")
                yield
        except EdgeBertError:
            raise
        except Exception as error:
            raise ExportError(f"{what} failed: {_first_line(error)}{_tail(log)}") from error


@contextlib.contextmanager
def _redirected(target: int) -> Iterator[None]:
    """Point descriptors 1 and 2 at `target`, and back."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    _flush_native()
    saved = [os.dup(1), os.dup(2)]
    try:
        os.dup2(target, 1)
        os.dup2(target, 2)
        yield
    finally:
        _flush_native()
        for number, copy in zip((1, 2), saved, strict=True):
            os.dup2(copy, number)
            os.close(copy)


def _flush_native() -> None:
    """Empty the C library's own buffers, which would otherwise reach the wrong file."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).fflush(None)


@contextlib.contextmanager
def _no_logging() -> Iterator[None]:
    """Exporters log warnings about their own internals through handlers that hold the real stderr."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


def _tail(log: IO[str]) -> str:
    log.flush()
    log.seek(0)
    lines = [line.rstrip() for line in log.read().splitlines() if line.strip()]
    return "".join(f"\n  | {line[:200]}" for line in lines[-TAIL_LINES:])
