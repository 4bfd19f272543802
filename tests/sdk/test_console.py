"""Tables and progress."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

from edgebert import console
from edgebert.console import Progress, duration, note, progress, table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_table_aligns_columns() -> None:
    text = table([["ngram", 0.98765, 8], ["mobilebert", None, 12]], ("student", "accuracy", "MB"))
    assert text.splitlines() == [
        "student     accuracy  MB",
        "----------  --------  --",
        "ngram         0.9877   8",
        "mobilebert         -  12",
    ]


def test_table_of_wide_and_unsafe_texts() -> None:
    lines = table([["日本", "x"], ["e\u0301", "a\nb\x1b[2J"]]).splitlines()
    assert len(lines) == 2
    assert lines[0] == "日本  x" and lines[1].startswith("e\u0301     a b [2J")


def test_table_edges() -> None:
    assert table([]) == ""
    assert table([], ("a", "b")) == "a  b\n-  -"
    with pytest.raises(ValueError, match="2 cells"):
        table([[1, 2], [3]])


def test_table_numbers() -> None:
    row = [np.int64(12345), np.float32(0.5), 123456.7, 5e-05, True, False]
    assert table([row]) == "12345  0.5  123457  5e-05  yes  no"


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0s"), (59, "59s"), (125, "2m05s"), (7325, "2h02m"), (-1, "0s")])
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time that the test moves by itself."""
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    return now


def test_progress_in_a_log(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress(100, "training") as bar:
        for _ in range(100):
            clock[0] += 0.5
            bar.update(1, loss=0.25)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "training   20% 20/100  10s passed, 40s left  loss 0.25"
    assert lines[-1] == "training  100% 100/100  in 50s  loss 0.25"
    assert len(lines) == 6  # one each ten seconds and one at the end


def test_progress_that_goes_on_from_a_checkpoint(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress(100, "training", start=80) as bar:
        clock[0] += 20
        bar.update(10)  # ten steps in 20 s: the other ten take 20 s more
    assert "90/100  20s passed, 20s left" in stream.getvalue().splitlines()[0]


def test_the_time_left_follows_the_last_minute(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress(1000, "training") as bar:
        for seconds in [10] * 100 + [1] * 70:  # at first something else used the machine
            clock[0] += seconds
            bar.update()
    assert "100/1000  16m40s passed, 2h30m left" in stream.getvalue()
    assert stream.getvalue().splitlines()[-2] == "training   17% 170/1000  17m50s passed, 13m50s left"


def test_progress_on_a_terminal(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "60")
    with Progress(10, "training") as bar:
        for _ in range(10):
            clock[0] += 0.05
            bar.update()
        note("a note")
    drawn = stream.getvalue().split("\r\x1b[K")
    assert 5 <= len(drawn) <= 9  # redrawn at most each 0.1 s
    assert all(len(line) < 60 for line in drawn)
    assert "a note\n" in drawn and drawn[-1].startswith("training  [####################]  100% 10/10")


def test_progress_without_a_total_and_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    assert list(progress(iter("abc"), "reading")) == ["a", "b", "c"]
    with pytest.raises(KeyError), Progress(5, "writing") as bar:
        bar.update(2)
        raise KeyError
    first, second = stream.getvalue().splitlines()
    assert first == "reading  3  in 0s"
    assert second.startswith("writing   40% 2/5") and "in 0s" not in second


def test_progress_of_a_sized_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    assert list(progress([1, 2], "x")) == [1, 2]
    assert "100% 2/2" in stream.getvalue()
