"""What is kept back while an engine loads, and what is passed on."""

from __future__ import annotations

import os
import sys

import pytest

from edgebert_runtime.engines.native_log import native_log


def test_engine_lines_are_kept_and_others_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    with native_log() as log:
        os.write(2, b"[threadpool.cpp:66] Resetting threadpool to 1 threads.\n")
        os.write(2, b"[method.cpp:12] Missing operator: [0] some::op\nINFO: Created TensorFlow Lite XNNPACK delegate\n")
        print("a user's own line", file=sys.stderr)
        os.write(2, b"\xff not text\n")
    assert log.reason() == " ([method.cpp:12] Missing operator: [0] some::op)"
    os.write(2, b"after\n")
    captured = capfd.readouterr()
    assert captured.out == "" and captured.err.splitlines()[::2] == ["a user's own line", "after"]


def test_an_exception_restores_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), native_log() as log:
        raise KeyError("x")
    assert log.reason() == "" and log.lines == []
    os.write(2, b"back\n")
    assert capfd.readouterr().err == "back\n"
