"""Exporters print from Python and from native code; both are swallowed, and shown when they fail."""

from __future__ import annotations

import logging
import os
import sys
import warnings

import pytest

from edgebert_converters.quiet import quiet
from edgebert_runtime.errors import ExportError, UsageError


def chatter(count: int = 1) -> None:
    for number in range(count):
        print(f"python stdout {number}")
        print(f"python stderr {number}", file=sys.stderr)
        os.write(1, f"native stdout {number}\n".encode())
        os.write(2, f"native stderr {number}\n".encode())
    warnings.warn("a warning", stacklevel=1)
    logging.getLogger("some.exporter").warning("a log line")


def test_nothing_is_shown_when_all_goes_well(capfd: pytest.CaptureFixture[str]) -> None:
    print("before")
    with quiet("work"):
        chatter()
    print("after")
    assert capfd.readouterr() == ("before\nafter\n", "")


def test_a_failure_shows_the_tail(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ExportError) as caught, quiet("work"):
        chatter(20)
        raise ValueError("first line\nsecond line")
    message = str(caught.value)
    assert message.startswith("work failed: ValueError: first line\n")
    assert "second line" not in message
    assert "native stderr 19" in message and "native stderr 3\n" not in message
    assert capfd.readouterr() == ("", "")
    print("still works")
    assert capfd.readouterr().out == "still works\n"


def test_our_own_errors_pass_unchanged() -> None:
    with pytest.raises(UsageError, match=r"^mine$"), quiet("work"):
        raise UsageError("mine")


def test_an_interrupt_is_not_an_export_error() -> None:
    with pytest.raises(KeyboardInterrupt), quiet("work"):
        raise KeyboardInterrupt
