"""Writing files so that a reader sees the old one or the new one, never half of one."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from edgebert_runtime.errors import EdgeBertError


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a temporary sibling of `path` for binary writing; fsync and rename it when the block ends well.

    Raises:
        EdgeBertError: the folder cannot be written or the disk is full. What stood at `path` is untouched
            and the temporary file is gone.
    """
    path = Path(path)
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        with os.fdopen(descriptor, "wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes 0600, which surprises whoever shares the file
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise EdgeBertError(f"cannot write {path}: {error.strerror or error}. Nothing was changed there.") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary sibling folder that replaces `path` when the block ends well.

    Raises:
        EdgeBertError: as `atomic_write`; what stood at `path` is untouched.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
        yield temporary
        temporary.chmod(0o755)
        if path.exists():
            old = temporary.with_suffix(".old")
            os.replace(path, old)
            os.replace(temporary, path)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise EdgeBertError(f"cannot write {path}: {error.strerror or error}. Nothing was changed there.") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
