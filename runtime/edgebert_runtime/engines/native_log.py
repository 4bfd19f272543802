"""What engines print to stderr while they load: kept back when all is well, quoted when it is not.

ExecuTorch's Python binding reports errors as codes and says the reason only on stderr; both it and LiteRT also print
lines there that tell a user nothing. Descriptor 2 belongs to the whole process, so what other threads print
meanwhile is passed on.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import IO

# "[method.cpp:123] ..." of ExecuTorch; "INFO: ..." of LiteRT, "I0000 00:00:17 file.cc:12] ..." of its logging library.
_NATIVE = re.compile(r"\[\w+\.(cpp|cc|c|h):\d+\]|(INFO|WARNING|ERROR): |[IWEF]\d{4} [\d:. ]+\S+:\d+\]")
_USELESS = re.compile(r"Resetting threadpool|cpuinfo_utils|XNNPACK delegate|INFO: ")

_DESCRIPTOR = threading.Lock()  # one redirection at a time: the descriptor is the process's


class NativeLog:
    """The lines that an engine printed; filled when the block of `native_log` ends."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def reason(self) -> str:
        """The last line that may explain a failure, in parentheses with a space before; or nothing."""
        telling = [line for line in self.lines if not _USELESS.search(line)]
        return f" ({telling[-1].strip()[:300]})" if telling else ""


@contextlib.contextmanager
def native_log() -> Iterator[NativeLog]:
    """Keep what native code prints to stderr during the block, and pass on what is not an engine's."""
    log = NativeLog()
    with _DESCRIPTOR, contextlib.ExitStack() as stack:
        try:
            caught = stack.enter_context(tempfile.TemporaryFile())
            saved = os.dup(2)
        except OSError:  # no stderr, or nowhere to write: then nothing is caught
            yield log
            return
        _flush()
        os.dup2(caught.fileno(), 2)
        try:
            yield log
        finally:
            _flush()
            os.dup2(saved, 2)
            os.close(saved)
            log.lines, others = _split(caught)
            if others:
                os.write(2, others)


def _flush() -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()


def _split(caught: IO[bytes]) -> tuple[list[str], bytes]:
    """The engines' lines, and everything else as it was."""
    caught.seek(0)
    native: list[str] = []
    others: list[bytes] = []
    for line in caught.read().splitlines(keepends=True):
        text = line.decode("utf-8", "replace")
        if _NATIVE.match(text):
            native.append(text)
        else:
            others.append(line)
    return native, b"".join(others)
