"""Checks of what a bundle says: each takes where it stands and what was found, and gives it back, typed.

All raise BundleError: "WHERE must be THIS, not THAT".
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from edgebert_runtime.errors import BundleError

WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
TENSOR = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
DIMENSION = re.compile(r"[A-Za-z0-9_*+]{1,40}")

T = TypeVar("T")


def wrong(where: str, expected: str, got: object) -> BundleError:
    """The error for a value that is none."""
    shown = "null" if got is None else repr(got)
    return BundleError(f"{where} must be {expected}, not {shown[:80]}")


def keys(where: str, value: object, expected: set[str]) -> dict[str, Any]:
    """An object with exactly these fields."""
    data = object_(where, value)
    if missing := sorted(expected - data.keys()):
        raise BundleError(f"{where} lacks the field {missing[0]!r}")
    if unknown := sorted(data.keys() - expected):
        raise BundleError(f"{where} has an unknown field {unknown[0][:80]!r}")
    return data


def object_(where: str, value: object, most: int | None = None) -> dict[str, Any]:
    """A JSON object, of at most `most` bytes of JSON."""
    if not isinstance(value, dict):
        raise wrong(where, "a JSON object", value)
    if most is not None and _size(value) > most:
        raise BundleError(f"{where} must be a JSON object of at most {most} bytes")
    return value


def _size(value: object) -> float:
    """Bytes of a value as JSON; infinitely many where it is nested too deeply for that."""
    try:
        return len(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except RecursionError:
        return math.inf


def list_(where: str, value: object, check: Callable[[str, object], T]) -> tuple[T, ...]:
    """A list, of which each item passes `check`."""
    if not isinstance(value, list):
        raise wrong(where, "a list", value)
    return tuple(check(f"{where}[{index}]", item) for index, item in enumerate(value))


def integer(where: str, value: object, low: int, high: int) -> int:
    """A whole number within bounds."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise wrong(where, f"a whole number from {low} to {high}", value)
    return value


def is_number(value: object) -> bool:
    """Whether this is a number that a float32 can hold: no NaN, no infinity, no integer beyond all floats."""
    return not isinstance(value, bool) and isinstance(value, (int, float)) and abs(value) < 1e30


def match(where: str, value: object, pattern: re.Pattern[str]) -> str:
    """A short plain name."""
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise wrong(where, "a short plain name (letters, digits, '.', '_', '-')", value)
    return value


def text(where: str, value: object) -> str:
    """A text that is valid Unicode."""
    if not isinstance(value, str):
        raise wrong(where, "a text", value)
    try:
        value.encode("utf-8")  # half of a surrogate pair is no text
    except UnicodeEncodeError:
        raise wrong(where, "valid Unicode", value) from None
    return value


def name(where: str, value: object) -> str:
    """A name that can be shown."""
    found = text(where, value)
    if not 0 < len(found) <= 200 or not found.isprintable():
        raise wrong(where, "1 to 200 printable characters", value)
    return found


def time(where: str, value: object) -> str:
    """A time as ISO 8601 writes it."""
    found = text(where, value)
    try:
        datetime.fromisoformat(found)
    except ValueError:
        raise wrong(where, "an ISO 8601 time", value) from None
    return found


def dimension(where: str, value: object) -> int | str:
    """A dimension of a tensor: a number, or a name where it is dynamic."""
    if isinstance(value, str):
        return match(where, value, DIMENSION)
    return integer(where, value, 1, 1 << 31)
