"""Writing files so that a reader sees the old one or the new one, never half of one."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from edgebert_runtime.errors import EdgeBertError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a temporary sibling of `path` for binary writing; fsync and rename it when the block ends well.

    Raises:
        EdgeBertError: the folder cannot be written or the disk is full. What stood at `path` is untouched
            and the temporary file is gone.
    """
    path = Path(path)
    temporary = _sibling(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # O_EXCL: never another's file. Mode 0666 less the umask, as `open` would make it.
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
        _sync(path.parent)
    except OSError as error:
        raise _cannot_write(path, error, temporary) from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary sibling folder that replaces the folder `path`, all of it, when the block ends well.

    Raises:
        EdgeBertError: as `atomic_write`, or a file stands at `path`; what stood there is untouched.
    """
    path = Path(path)
    temporary = _sibling(path)
    old = temporary.with_suffix(".old")
    try:
        if path.exists() and not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "a file stands there, and a folder is to be written")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        yield temporary
        for member in temporary.rglob("*"):
            _sync(member)
        if path.exists():
            os.replace(path, old)
        try:
            os.replace(temporary, path)
        except OSError:
            if old.exists():
                os.replace(old, path)
            raise
        _sync(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise _cannot_write(path, error, temporary) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sibling(path: Path) -> Path:
    """A new hidden name beside `path`, no longer than file systems allow."""
    return path.parent / f".{path.name[:60]}.{secrets.token_hex(6)}.part"


def _sync(path: Path) -> None:
    """Ask the disk to hold `path` (a file's bytes, a folder's names) before going on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cannot_write(path: Path, error: OSError, temporary: Path) -> EdgeBertError:
    reason = error.strerror or str(error)
    advice = "Check the path and its permissions."
    if error.errno in _FULL:
        reason = "the disk is full, or a limit on file size is reached"
        advice = "Free some space, or write elsewhere."
    elif error.filename is not None and not str(error.filename).startswith((str(temporary), str(path))):
        reason += f" ({error.filename})"  # another file than the one that is written
    return EdgeBertError(f"cannot write {path}: {reason}. Nothing was changed there. {advice}")
