"""The archive: what is written comes back, and nothing else than what was written is accepted."""

from __future__ import annotations

import io
import os
import random
import resource
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert_runtime.archive import ALIGNMENT, MAX_SIZE, Archive, write_archive
from edgebert_runtime.errors import BundleError, EdgeBertError

SEGMENT = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9._-]{0,20}\Z")
NAMES = st.lists(SEGMENT, min_size=1, max_size=3).map("/".join)
CONTENTS = st.one_of(st.binary(max_size=300), st.integers(0, 3 * ALIGNMENT).map(lambda size: b"\0" * size))
ENTRIES = st.dictionaries(NAMES, CONTENTS, min_size=1, max_size=6).filter(
    lambda entries: len({name.lower() for name in entries}) == len(entries)
)
SMALL = {"manifest.json": b"{}", "b/second.txt": b"two" * 100, "empty": b"", "model.onnx": bytes(range(256)) * 80}


def contents(path: Path) -> dict[str, bytes]:
    with Archive(path) as opened:
        return {name: opened.read(name) for name in opened.entries}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.edgebert"
    write_archive(path, SMALL)
    return path


@given(entries=ENTRIES)
@settings(max_examples=150)
def test_round_trip(entries: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("round") / "a.edgebert"
    write_archive(path, entries)
    assert contents(path) == entries
    with Archive(path) as opened:
        assert all(entry.offset % ALIGNMENT == 0 for entry in opened.entries.values())
    with zipfile.ZipFile(path) as other:  # an independent reader agrees, data and checksums
        assert other.testzip() is None
        assert {name: other.read(name) for name in other.namelist()} == entries


def test_same_entries_same_bytes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(SMALL["model.onnx"])
    write_archive(tmp_path / "a", SMALL)
    write_archive(tmp_path / "b", {**dict(reversed(SMALL.items())), "model.onnx": source})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert list(contents(tmp_path / "a")) == ["manifest.json", "b/second.txt", "empty", "model.onnx"]


@pytest.mark.parametrize(
    "name",
    ["../x", "a/../x", "/etc/passwd", "C:/x", "a\\b", "", "a//b", "a/", ".hid", "a/.b", "ä", "a b", "a\0b", "x" * 201],
)
def test_a_name_outside_is_refused_on_writing(name: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not allowed"):
        write_archive(tmp_path / "a", {name: b""})
    assert list(tmp_path.iterdir()) == []


def test_names_that_differ_only_in_case_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="appears twice"):
        write_archive(tmp_path / "a", {"model.onnx": b"", "Model.onnx": b""})


def test_nothing_to_write(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="at least one entry"):
        write_archive(tmp_path / "a", {})


def test_a_missing_source_leaves_the_old_file(small: Path) -> None:
    before = small.read_bytes()
    with pytest.raises(EdgeBertError, match=r"cannot read .*gone"):
        write_archive(small, {"model.onnx": small.parent / "gone"})
    assert small.read_bytes() == before and list(small.parent.iterdir()) == [small]


def test_disk_full_leaves_the_old_file(small: Path) -> None:
    """A real failing write: the kernel refuses to let the file grow."""
    before = small.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
        with pytest.raises(EdgeBertError, match=r"cannot write .*Nothing was changed"):
            write_archive(small, {"model.onnx": b"x" * 1_000_000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert small.read_bytes() == before and list(small.parent.iterdir()) == [small]


def test_over_four_gib_is_refused(tmp_path: Path) -> None:
    huge = tmp_path / "huge"
    with open(huge, "wb") as handle:
        handle.truncate(MAX_SIZE)  # sparse: takes no space
    with pytest.raises(BundleError, match="at most 4 GiB"):
        write_archive(tmp_path / "a", {"model.onnx": huge})
    assert not (tmp_path / "a").exists()


def test_every_truncation_is_found(small: Path) -> None:
    data = small.read_bytes()
    with Archive(small) as opened:
        borders = [entry.offset for entry in opened.entries.values()]
    sizes = {0, 1, 21, 22, 29, 30, len(data) - 1, len(data) - 21, len(data) - 22, len(data) - 23, len(data) - 100}
    sizes |= {border + step for border in borders for step in (-1, 0, 1)} | set(range(0, len(data), 1009))
    for size in sorted(size for size in sizes if 0 <= size < len(data)):
        small.write_bytes(data[:size])
        with pytest.raises(BundleError, match=r"small\.edgebert"):
            Archive(small)


@pytest.mark.parametrize("added", [b"\0", b"PK\5\6" + b"\0" * 18, b"x" * 5000])
def test_bytes_before_or_after_are_found(small: Path, added: bytes) -> None:
    data = small.read_bytes()
    for changed in (data + added, added + data):
        small.write_bytes(changed)
        with pytest.raises(BundleError):
            Archive(small)


def patched(path: Path, change: Callable[[bytearray], None]) -> Path:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    return path


def directory_start(data: bytes | bytearray) -> int:
    return int.from_bytes(data[-6:-2], "little")


@pytest.mark.parametrize(
    ("field", "reason"),
    [(-6, "does not fit"), (-10, "does not fit"), (-14, "end record is damaged"), (-12, "claims 65535 entries")],
)
def test_absurd_numbers_in_the_end_record(small: Path, field: int, reason: str) -> None:
    def change(data: bytearray) -> None:
        width = 2 if field in (-14, -12) else 4
        start = len(data) + field
        data[start : start + width] = b"\xff" * width

    with pytest.raises(BundleError, match=reason):
        Archive(patched(small, change))


@pytest.mark.parametrize("at", [20, 24])
def test_a_huge_claimed_size_reads_nothing(small: Path, at: int) -> None:
    def change(data: bytearray) -> None:
        start = directory_start(data)
        data[start + at : start + at + 4] = (4_000_000_000).to_bytes(4, "little")

    with pytest.raises(BundleError, match=r"claims 4000000000 bytes|directory is damaged"):
        Archive(patched(small, change))


def rename(old: bytes, new: bytes) -> Callable[[bytearray], None]:
    """Rename an entry in both its headers, as an attacker would."""

    def change(data: bytearray) -> None:
        assert len(old) == len(new) and data.count(old) == 2
        data[:] = data.replace(old, new)

    return change


NAMES_OUTSIDE = [b"../../secret", b"/etc/secrets", b"b/../../ecre", b"b\\second.txt", b"b/second\0txt"]


@pytest.mark.parametrize("name", NAMES_OUTSIDE)
def test_a_path_outside_is_refused(small: Path, name: bytes) -> None:
    with pytest.raises(BundleError, match="is not allowed"):
        Archive(patched(small, rename(b"b/second.txt", name)))


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_archive(path, {"aa": b"1", "ab": b"2"})
    with pytest.raises(BundleError, match="'aa' appears twice"):
        Archive(patched(path, rename(b"ab", b"aa")))


def test_another_tools_zip_is_refused(tmp_path: Path) -> None:
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        path = tmp_path / "other.zip"
        with zipfile.ZipFile(path, "w", compression) as made:
            for name, data in SMALL.items():
                made.writestr(name, data)
        with pytest.raises(BundleError, match=r"another tool|more than the file holds"):
            Archive(path)


def test_a_polyglot_prefix_is_refused(small: Path) -> None:
    """A ZIP read from its end may hide anything in front; this reader allows nothing there."""
    made = io.BytesIO(b"#!/bin/sh\n" + small.read_bytes())
    small.write_bytes(made.getvalue())
    with pytest.raises(BundleError):
        Archive(small)


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "empty"), (b"hello", "not a bundle"), (b"hello" * 1000, "not a bundle")]
)
def test_not_an_archive(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "x.edgebert"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=rf"x\.edgebert: it is {reason}"):
        Archive(path)


def test_missing_folder_pipe_and_impossible_names(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such file"):
        Archive(tmp_path / "missing.edgebert")
    with pytest.raises(BundleError, match="is a folder"):
        Archive(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BundleError, match="not a regular file"):
        Archive(tmp_path / "pipe")
    with pytest.raises(BundleError, match="cannot read"):
        Archive("a\0b")
    with pytest.raises(BundleError, match="cannot read"):
        Archive(tmp_path / ("x" * 300))


def test_a_file_that_shrinks_while_open(small: Path) -> None:
    with Archive(small) as opened:
        os.truncate(small, 100)
        with pytest.raises(BundleError, match="became shorter"):
            opened.read("model.onnx")


def test_unknown_entry_and_use_after_close(small: Path) -> None:
    opened = Archive(small)
    with pytest.raises(BundleError, match="holds no 'nothing'"):
        opened.read("nothing")
    opened.close()
    opened.close()
    with pytest.raises(BundleError, match="is closed"):
        opened.read("model.onnx")


def test_fuzz(small: Path) -> None:
    """Any change gives BundleError, never another exception, never other contents than were written."""
    generator = random.Random(3)
    data = small.read_bytes()
    start = directory_start(data)
    for _ in range(1500):
        damaged = bytearray(data)
        for _ in range(generator.randint(1, 4)):
            low = start if generator.random() < 0.6 else 0
            at = generator.randrange(low, len(damaged))
            kind = generator.randrange(4)
            if kind == 0:
                damaged[at] = generator.randrange(256)
            elif kind == 1:
                damaged[at : at + 4] = generator.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"PK\1\2", b"\0\0\0\x80"])
            elif kind == 2:
                del damaged[at : at + generator.randint(1, 40)]
            else:
                damaged[at:at] = generator.randbytes(generator.randint(1, 40))
        small.write_bytes(damaged)
        try:
            found = contents(small)
        except BundleError:
            continue
        assert found == SMALL and bytes(damaged) == data
