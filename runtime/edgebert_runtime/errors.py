"""The error family of EdgeBERT.

Each message says what happened, which value or file it concerns, and what to do about it. The command line
prints it as one line and exits with `exit_code`; the Python API raises it.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class EdgeBertError(Exception):
    """Something that the person at the keyboard can understand and mend."""

    exit_code = 1


class UsageError(EdgeBertError):
    """A wrong option, name or combination of options."""

    exit_code = 2


class DataError(EdgeBertError):
    """A dataset that cannot be used: the message names the file and the line or column."""


class BundleError(EdgeBertError):
    """A bundle that is damaged, unsafe or made for another runtime."""


class MissingExtraError(EdgeBertError):
    """An optional dependency is not installed: the message holds the install command."""


class ExportError(EdgeBertError):
    """A conversion that failed, or one whose result is not good, small or fast enough."""


def choose(kind: str, name: str, known: Iterable[str]) -> str:
    """Return `name` if it is one of `known`.

    Raises:
        UsageError: naming the known ones and, where one is near, the closest match.
    """
    names = [str(item) for item in known]  # members of an enum too
    if name in names:
        return name
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise UsageError(f"unknown {kind} {name!r}.{hint} Known: {', '.join(names)}.")


def require(module: str, extra: str) -> ModuleType:
    """Import `module`, which the extra `extra` installs.

    Raises:
        MissingExtraError: with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # A dependency of ours that misses one of its own must not be reported as ours.
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingExtraError(
            f"this needs the Python package {module.split('.')[0]!r}, which is not installed. "
            f'Install it with: pip install "edgebert[{extra}]"'
        ) from error


def resolve(path: str) -> object:
    """Import what `"package.module:name"` points to: the one way our lists of things are loaded."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
