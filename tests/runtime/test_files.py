"""A write that fails leaves what stood there, and nothing of its own."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edgebert_runtime.errors import EdgeBertError
from edgebert_runtime.files import atomic_folder, atomic_write

FullDisk = Callable[[str, Path], subprocess.CompletedProcess[str]]
IMPORTS = (
    "from edgebert_runtime.errors import EdgeBertError\n"
    "from edgebert_runtime.files import atomic_folder, atomic_write\n"
)
WRITES = {
    "new file": ("out", "with atomic_write('out/new.bin') as handle: handle.write(b'x' * 100_000)"),
    "old file": ("out", "with atomic_write('out/old.bin') as handle: handle.write(b'x' * 100_000)"),
    "many small writes": (
        "out",
        "with atomic_write('out/old.bin') as handle:\n for n in range(9999): handle.write(b'x' * 99)",
    ),
    "old folder": ("out", "with atomic_folder('out') as folder: (folder / 'a').write_bytes(b'x' * 100_000)"),
    "new folder": ("new", "with atomic_folder('new') as folder: (folder / 'a').write_bytes(b'x' * 100_000)"),
}


@pytest.mark.parametrize("what", WRITES)
def test_a_disk_that_fills_up(tmp_path: Path, full_disk: FullDisk, what: str) -> None:
    target, write = WRITES[what]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.bin").write_bytes(b"what stood there")
    body = "".join(f"    {line}\n" for line in write.split("\n"))
    result = full_disk(f"{IMPORTS}try:\n{body}except EdgeBertError as error: print(error)\n", tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"cannot write {target}")
    assert "the disk is full, or a limit on file size is reached" in result.stdout
    assert "Nothing was changed there" in result.stdout
    assert result.stdout.count("\n") == 1
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["out", "out/old.bin"]
    assert (tmp_path / "out" / "old.bin").read_bytes() == b"what stood there"


def test_a_write_below_the_limit_succeeds_in_the_same_process(tmp_path: Path, full_disk: FullDisk) -> None:
    """The proof that the limit above is what fails the writes."""
    code = "with atomic_write('a.bin') as handle: handle.write(b'x' * 60_000)"
    assert full_disk(IMPORTS + code, tmp_path).returncode == 0
    assert (tmp_path / "a.bin").stat().st_size == 60_000


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EDQUOT])
def test_every_kind_of_full_has_the_same_sentence(tmp_path: Path, number: int) -> None:
    with pytest.raises(EdgeBertError, match=r"cannot write .*a\.bin: the disk is full.*Free some space"):
        with atomic_write(tmp_path / "a.bin"):
            raise OSError(number, os.strerror(number))
    with pytest.raises(EdgeBertError, match=r"cannot write .*folder: the disk is full"):
        with atomic_folder(tmp_path / "folder"):
            raise OSError(number, os.strerror(number))
    assert not list(tmp_path.iterdir())


def test_the_kernel_says_enospc(tmp_path: Path) -> None:
    """/dev/full is the real thing, though it cannot hold a temporary file."""
    with pytest.raises(EdgeBertError, match="the disk is full"), atomic_write(tmp_path / "a.bin") as handle:
        handle.write(b"x")
        with open("/dev/full", "wb") as full:
            full.write(b"x")
    assert not list(tmp_path.iterdir())


def test_other_errors_pass_and_leave_nothing(tmp_path: Path) -> None:
    for opened in (atomic_write, atomic_folder):
        with pytest.raises(ZeroDivisionError), opened(tmp_path / "a"):
            raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_replacing(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.bin"
    for content in (b"one", b"two"):
        with atomic_write(path) as handle:
            handle.write(content)
            assert not path.exists() or path.read_bytes() == b"one"
        assert path.read_bytes() == content
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    assert [child.name for child in path.parent.iterdir()] == ["a.bin"]


def test_replacing_a_folder(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with atomic_folder(tmp_path / "out") as folder:
            (folder / name).write_text(name)
        assert [path.name for path in (tmp_path / "out").iterdir()] == [name]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    for opened in (atomic_write, atomic_folder):
        with pytest.raises(EdgeBertError, match=r"cannot write .*file/a: "):
            with opened(tmp_path / "file" / "a"):
                pass
    with pytest.raises(EdgeBertError, match="cannot write"), atomic_write(tmp_path):
        pass
    assert (tmp_path / "file").read_text() == "not a folder"
