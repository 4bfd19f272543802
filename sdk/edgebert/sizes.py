"""Sizes as people write them: `8MB`, `8MiB`, `500KB`."""

from __future__ import annotations

import re

from edgebert_runtime.errors import UsageError

UNITS = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
}


def parse_size(text: str | int) -> int:
    """A size in bytes: "8MB" -> 8_000_000, "8MiB" -> 8_388_608, "500 kb" -> 500_000; a bare number is bytes.

    Raises:
        UsageError: no number, an unknown unit, or nothing left of it.
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([A-Za-z]*)\s*", str(text))
    unit = (match.group(2).upper() or "B") if match else ""
    if match is None or unit not in UNITS:
        raise UsageError(f"{str(text)!r} is no size. Write a number and a unit, such as 8MB, 8MiB or 500KB.")
    size = int(float(match.group(1)) * UNITS[unit])
    if size < 1:
        raise UsageError(f"a size of {text!r} leaves room for nothing. Write one such as 8MB or 500KB.")
    return size


def show_size(size: int) -> str:
    """A size for people: 7_250_000 -> "7.25 MB"."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}" if size < 1000 * scale else f"{size / scale:.0f} {unit}"
    return f"{size} B"
