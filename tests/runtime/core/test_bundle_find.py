"""eb_bundle_find: what `write_archive` writes is found, and what its own reader refuses is refused."""

from __future__ import annotations

import ctypes
import io
import random
import sys
import time
import zipfile
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from core_builds import CORE, need, run

from edgebert_runtime import archive
from edgebert_runtime.archive import ALIGNMENT, Archive, write_archive
from edgebert_runtime.errors import BundleError

OK, BAD_MODEL, BAD_ARGUMENT = 0, -1, -4
SMALL = {"manifest.json": b"{}", "b/second.txt": b"two" * 100, "empty": b"", "model.onnx": bytes(range(256)) * 80}


class Finder:
    def __init__(self, library: Path) -> None:
        self.function = ctypes.CDLL(str(library)).eb_bundle_find

    def __call__(self, data: bytes, name: str) -> tuple[int, int, int]:
        """Status, offset, size."""
        offset, size = ctypes.c_size_t(7), ctypes.c_size_t(7)
        raw = name.encode()
        status = self.function(data, ctypes.c_size_t(len(data)), raw, ctypes.byref(offset), ctypes.byref(size))
        return status, offset.value, size.value

    def accepts(self, data: bytes) -> bool:
        """Whether it takes this for a bundle at all."""
        status, offset, size = self(data, "no-such-entry")
        assert (offset, size) == (0, 0) and status in (BAD_MODEL, BAD_ARGUMENT)
        return status == BAD_ARGUMENT


@pytest.fixture(scope="module")
def find(tmp_path_factory: pytest.TempPathFactory) -> Finder:
    need("cc")
    library = tmp_path_factory.mktemp("bundle") / "bundle.so"
    flags = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-I{CORE / 'include'}")
    run("cc", *flags, CORE / "src" / "bundle.c", "-o", library)
    return Finder(library)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("small") / "small.edgebert"
    write_archive(path, SMALL)
    return path.read_bytes()


def pack(*entries: tuple[str, bytes], starts: dict[int, int] | None = None) -> bytes:
    """An archive with these entries in this order, whether allowed or not; `starts` lies about where one begins."""
    body, directory = b"", b""
    for number, (name, data) in enumerate(entries):
        start = (starts or {}).get(number, len(body))
        directory += archive._central_header(name, len(data), 1, start)
        body += archive._local_header(name, len(data), 1, len(body)) + data
    return body + directory + archive._end_record(len(entries), len(directory), len(body))


def test_finds_what_was_written(find: Finder, small: bytes, tmp_path: Path) -> None:
    path = tmp_path / "small.edgebert"
    path.write_bytes(small)
    with Archive(path) as opened:
        for name, content in SMALL.items():
            entry = opened.entries[name]
            assert find(small, name) == (OK, entry.offset, entry.size)
            assert small[entry.offset : entry.offset + entry.size] == content


def test_unknown_names(find: Finder, small: bytes) -> None:
    for name in ("", "b", "b/second.tx", "b/second.txt2", "MANIFEST.JSON", "x" * 300):
        assert find(small, name) == (BAD_ARGUMENT, 0, 0)


def test_null_arguments(find: Finder, small: bytes) -> None:
    size = ctypes.c_size_t()
    assert find.function(None, ctypes.c_size_t(0), b"a", ctypes.byref(size), ctypes.byref(size)) == BAD_ARGUMENT
    assert find.function(small, ctypes.c_size_t(9), None, ctypes.byref(size), ctypes.byref(size)) == BAD_ARGUMENT
    assert find.function(small, ctypes.c_size_t(9), b"a", None, ctypes.byref(size)) == BAD_ARGUMENT


def contents(small: bytes, find: Finder) -> set[int]:
    places = (find(small, name) for name in SMALL)
    return {place for _, offset, size in places for place in range(offset, offset + size)}


def test_every_changed_header_byte_is_noticed(find: Finder, small: bytes) -> None:
    inside, draw, damaged = contents(small, find), random.Random(3), bytearray(small)
    directory = small.index(b"PK\1\2")
    for place in range(len(small)):
        header = place not in inside
        if header and not any(small[place : place + 4]) and place < directory and draw.random() < 0.98:
            continue  # most of the zeros before the contents
        if not header and draw.random() < 0.99:
            continue
        damaged[place] ^= 1 << draw.randrange(8)
        assert find.accepts(bytes(damaged)) != header, place
        damaged[place] = small[place]


def test_truncated_or_longer(find: Finder, small: bytes) -> None:
    lengths = {*range(40), *range(len(small) - 300, len(small)), *random.Random(5).sample(range(len(small)), 200)}
    assert not any(find.accepts(small[:length]) for length in lengths)
    assert not find.accepts(small + b"\0")
    assert not find.accepts(b"\0" + small)


def test_agrees_with_the_python_reader(find: Finder, small: bytes, tmp_path: Path) -> None:
    """Several bytes changed at once, near each other or far apart: both readers accept it or neither does."""
    draw, path = random.Random(8), tmp_path / "damaged.edgebert"
    directory = small.index(b"PK\1\2")
    headers = [*range(60), *range(directory, len(small)), *range(0, len(small), 997)]
    accepted = 0
    for _ in range(250):
        damaged = bytearray(small)
        for _ in range(draw.randrange(1, 4)):
            at = draw.choice(headers)
            damaged[at] = draw.choice((damaged[at], 0, 1, 255, damaged[at] ^ 32, draw.randrange(256)))
        path.write_bytes(damaged)
        try:
            Archive(path).close()
            sound = True
        except BundleError:
            sound = False
        assert find.accepts(bytes(damaged)) == sound
        accepted += sound
    assert 0 < accepted < 250


def test_other_zip_archives_are_refused(find: Finder) -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", method) as other:
            other.writestr("manifest.json", b"{}" * 100)
        assert find(made.getvalue(), "manifest.json") == (BAD_MODEL, 0, 0)
    assert not find.accepts(b"")
    assert not find.accepts(archive._end_record(0, 0, 0))


@pytest.mark.parametrize(
    "entries",
    [
        [("a", b"1"), ("a", b"2")],
        [("b", b"1"), ("a", b"2")],
        [("a", b"1"), ("manifest.json", b"2")],
        [("manifest.json", b"1"), ("manifest.json", b"2")],
        [("../a", b"")],
        [("/a", b"")],
        [("a//b", b"")],
        [("a/", b"")],
        [("a/.b", b"")],
        [("a b", b"")],
        [("-a", b"")],
        [("", b"")],
        [("a" * 201, b"")],
    ],
)
def test_names_and_order(find: Finder, entries: list[tuple[str, bytes]]) -> None:
    assert not find.accepts(pack(*entries))


def test_allowed_names_and_order(find: Finder) -> None:
    names = ["manifest.json", "0", "A", "_a.b-c/0/x_", "a" * 200, "a.b", "a/b", "aa"]
    names = [names[0], *sorted(names[1:])]
    data = pack(*((name, name.encode()) for name in names))
    for name in names:
        status, offset, size = find(data, name)
        assert (status, data[offset : offset + size], offset % ALIGNMENT) == (OK, name.encode(), 0)


def test_entries_cannot_overlap(find: Finder) -> None:
    assert find.accepts(pack(("a", b"1"), ("b", b"2")))
    assert not find.accepts(pack(("a", b"1"), ("b", b"2"), starts={1: 0}))
    assert not find.accepts(pack(("a", b"1"), ("b", b"2"), starts={1: 0xFFFF_0000}))


def test_many_entries_take_linear_time(find: Finder) -> None:
    header = len(archive._local_header("f0000", 0, 1, 0))
    assert header == ALIGNMENT
    most = [(f"f{number:04}", b"") for number in range(archive.MAX_ENTRIES + 1)]
    body = b"".join(archive._local_header(name, 0, 1, number * ALIGNMENT) for number, (name, _) in enumerate(most))
    for count, sound in ((archive.MAX_ENTRIES, True), (archive.MAX_ENTRIES + 1, False)):
        directory = b"".join(
            archive._central_header(name, 0, 1, number * ALIGNMENT) for number, (name, _) in enumerate(most[:count])
        )
        end = count * ALIGNMENT
        data = body[:end] + directory + archive._end_record(count, len(directory), end)
        start = time.process_time()
        assert find.accepts(data) == sound
        assert time.process_time() - start < 0.5
