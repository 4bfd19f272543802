"""What a person sees while a command works: notes, progress and plain tables.

Everything here writes to stderr (results belong to stdout) and needs nothing but the standard library.
"""

from __future__ import annotations

import shutil
import sys
import time
import unicodedata
from collections import deque
from collections.abc import Iterable, Iterator, Sequence, Sized
from types import TracebackType
from typing import Self, TextIO, TypeVar

T = TypeVar("T")

REDRAW_SECONDS = 0.1  # on a terminal the bar is redrawn at most this often
LOG_SECONDS = 10.0  # elsewhere (a file, a CI log) one line is written this often
SPEED_SECONDS = 60.0  # the time left is told from the speed of the last minute
_CLEAR = "\r\x1b[K"


def note(message: str = "") -> None:
    """Write one line to stderr; an open progress bar moves out of its way."""
    stream = sys.stderr
    print(f"{_CLEAR if _is_terminal(stream) else ''}{message}", file=stream, flush=True)


def table(rows: Iterable[Sequence[object]], header: Sequence[str] = ()) -> str:
    """Lay `rows` out in aligned columns; a column that holds only numbers is aligned to the right.

    None becomes "-", and a float keeps four significant digits. The header is underlined. Returns the text
    without a final newline.

    Raises:
        ValueError: a row is longer or shorter than the others.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    lines = ([list(header)] if header else []) + cells
    if not lines:
        return ""
    count = len(lines[0])
    if any(len(line) != count for line in lines):
        raise ValueError(f"each row of a table needs {count} cells")
    widths = [max(_width(line[column]) for line in lines) for column in range(count)]
    right = [bool(cells) and all(_is_number(line[column]) for line in cells) for column in range(count)]
    if header:
        lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(_align(cell, width, side) for cell, width, side in zip(line, widths, right, strict=True)).rstrip()
        for line in lines
    )


def duration(seconds: float) -> str:
    """Seconds for people: 45 -> "45s", 125 -> "2m05s", 7325 -> "2h02m"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


class Progress:
    """A progress bar with the time left, as a context manager.

    On a terminal one line is redrawn; elsewhere a line is written about every ten seconds and one at the end.

    >>> with Progress(len(batches), "training") as bar:      # doctest: +SKIP
    ...     for batch in batches:
    ...         bar.update(1, loss=step(batch))

    Args:
        total: the number of steps, or None if it is not known (then there is a count and no time left).
        description: what is being done, in one or two words.
        start: the steps done before (a resumed run); they do not count in the speed.
    """

    def __init__(self, total: int | None, description: str, start: int = 0) -> None:
        self.total = total
        self.description = description
        self.done = start
        self._stream = sys.stderr
        self._terminal = _is_terminal(self._stream)
        self._numbers: dict[str, object] = {}
        self._began = time.monotonic()
        self._marks = deque([(self._began, start)])  # when so many steps were done
        self._written = self._began if not self._terminal else 0.0

    def update(self, n: int = 1, **numbers: object) -> None:
        """Count `n` more steps and show `numbers` (the last ones given stay on the line)."""
        self.done += n
        self._numbers.update(numbers)
        now = time.monotonic()
        if now - self._marks[-1][0] >= 1:
            self._marks.append((now, self.done))
            while len(self._marks) > 2 and now - self._marks[1][0] >= SPEED_SECONDS:
                self._marks.popleft()
        if now - self._written >= (REDRAW_SECONDS if self._terminal else LOG_SECONDS):
            self._written = now
            self._write(self._line(now), last=False)

    def __enter__(self) -> Self:
        if self._terminal:
            self._write(self._line(time.monotonic()), last=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The last line stays in sight, so that a log says how far it came and how long it took.
        self._write(self._line(time.monotonic(), finished=kind is None), last=True)

    def _line(self, now: float, finished: bool = False) -> str:
        elapsed = now - self._began
        parts = [self.description]
        if self.total:
            share = min(1.0, self.done / self.total)
            if self._terminal:
                filled = round(20 * share)
                parts.append(f"[{'#' * filled}{'.' * (20 - filled)}]")
            parts.append(f"{share:4.0%} {self.done}/{self.total}")
        else:
            parts.append(str(self.done))
        since, before = self._marks[0]
        steps = self.done - before
        if finished:
            parts.append(f"in {duration(elapsed)}")
        elif self.total and steps > 0:
            left = max(0, self.total - self.done) * (now - since) / steps
            parts.append(f"{duration(elapsed)} passed, {duration(left)} left")
        else:
            parts.append(f"{duration(elapsed)} passed")
        parts += [f"{name} {_cell(value)}" for name, value in self._numbers.items()]
        return "  ".join(parts)

    def _write(self, line: str, last: bool) -> None:
        if self._terminal:
            columns = shutil.get_terminal_size().columns
            self._stream.write(f"{_CLEAR}{line[: max(1, columns - 1)]}" + ("\n" if last else ""))
        else:
            self._stream.write(line + "\n")
        self._stream.flush()


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield `items` under a progress bar; `total` is their number where `len(items)` does not know it."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Progress(total, description) as bar:
        for item in items:
            yield item
            bar.update()


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # the stream is closed
        return False


def _cell(value: object) -> str:
    """One table cell: no newline or control character reaches the terminal."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if hasattr(value, "dtype") and hasattr(value, "item"):  # a number of numpy or torch
        value = value.item()
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    return "".join(char if char.isprintable() else " " for char in str(value))


def _is_number(cell: str) -> bool:
    if cell == "-":
        return True
    return cell[:1] in "+-.0123456789" and cell[-1:] in "0123456789.%x" and any(char.isdigit() for char in cell)


def _width(text: str) -> int:
    """Columns on a terminal: East Asian wide characters and emoji take two, combining marks none."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(bool(unicodedata.combining(char)) for char in text)


def _align(text: str, width: int, right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space
