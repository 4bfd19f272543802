"""The file around a bundle: a ZIP archive with exactly one legal byte sequence for its contents.

Any ZIP tool can list and unpack it, but this reader is strict. From the central directory it takes only names,
sizes and CRCs, derives every other byte of every header again, and compares. So a flipped byte, a gap, a hidden
entry, a lying size or a path outside the archive is found before any of it is used.

Layout, per entry and without gaps: local header (30 bytes), name, an extra field of zeros that brings the data to
a multiple of 16 KiB (so that a phone can map it in place), the data, STORED. Then the central directory and its end
record. `manifest.json` comes first, the others in ASCII order; times are fixed. No ZIP64: 4 GiB is the limit.
"""

from __future__ import annotations

import os
import re
import stat
import struct
import threading
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from edgebert_runtime.errors import BundleError, EdgeBertError
from edgebert_runtime.files import atomic_write

ALIGNMENT = 16 * 1024
FIRST = "manifest.json"
MAX_ENTRIES = 1024
MAX_NAME = 200
MAX_SIZE = 0xFFFF_FFFF - 1  # 0xFFFFFFFF in a header means ZIP64
CHUNK = 1 << 20

# Segments start with a letter, a digit or "_", so "..", "/etc", "C:\\" and hidden files cannot be written at all.
_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_NAME = re.compile(rf"{_SEGMENT}(/{_SEGMENT})*")

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_EXTRA = struct.Struct("<HHH")
_ALIGN_ID = 0xD935  # the extra field that zipalign and apksigner keep: alignment, then zeros
_VERSION = 20
_TIME, _DATE = 0, 0x0021  # 1980-01-01 00:00:00, the first moment a ZIP knows


@dataclass(frozen=True)
class Entry:
    """One file inside an archive. `offset` is where its data starts, a multiple of 16 KiB."""

    name: str
    size: int
    crc: int
    offset: int


def check_name(name: str) -> str:
    """Return `name` if an archive may hold it.

    Raises:
        BundleError: absolute, leading outside (`..`), hidden, not plain ASCII, or too long.
    """
    if len(name) > MAX_NAME or _NAME.fullmatch(name) is None:
        raise BundleError(
            f"the entry name {name[:80]!r} is not allowed: a bundle names only files inside itself "
            f"(letters, digits, '_', '-', '.', separated by '/', at most {MAX_NAME} characters)"
        )
    return name


def _order(name: str) -> tuple[bool, str]:
    return (name != FIRST, name)


def _pad_length(end_of_name: int) -> int:
    """Length of the extra field that brings the byte after it to the alignment (at least its own 6 bytes)."""
    return _EXTRA.size + (-(end_of_name + _EXTRA.size)) % ALIGNMENT


def _local_header(name: str, size: int, crc: int, start: int) -> bytes:
    raw = name.encode("ascii")
    length = _pad_length(start + _LOCAL.size + len(raw))
    extra = _EXTRA.pack(_ALIGN_ID, length - 4, ALIGNMENT).ljust(length, b"\0")
    fixed = _LOCAL.pack(b"PK\3\4", _VERSION, 0, 0, _TIME, _DATE, crc, size, size, len(raw), length)
    return fixed + raw + extra


def _central_header(name: str, size: int, crc: int, start: int) -> bytes:
    raw = name.encode("ascii")
    fixed = _CENTRAL.pack(
        b"PK\1\2", _VERSION, _VERSION, 0, 0, _TIME, _DATE, crc, size, size, len(raw), 0, 0, 0, 0, 0, start
    )
    return fixed + raw


def _end_record(count: int, directory_size: int, directory_start: int) -> bytes:
    return _END.pack(b"PK\5\6", 0, 0, count, count, directory_size, directory_start, 0)


def _chunks(source: bytes | Path) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    try:
        with open(source, "rb") as handle:
            while chunk := handle.read(CHUNK):
                yield chunk
    except OSError as error:
        raise EdgeBertError(f"cannot read {source}: {error.strerror or error}") from error


def _rough_size(source: bytes | Path) -> int:
    """The size, before anything is read (a source that cannot be read is reported when it is)."""
    if isinstance(source, bytes):
        return len(source)
    return source.stat().st_size if source.is_file() else 0


def _measure(source: bytes | Path) -> tuple[int, int]:
    size = crc = 0
    for chunk in _chunks(source):
        size += len(chunk)
        crc = zlib.crc32(chunk, crc)
    return size, crc


def write_archive(path: str | Path, entries: Mapping[str, bytes | Path]) -> None:
    """Write `entries` (name -> contents, or a file to copy) to `path`: the same entries, the same bytes.

    Raises:
        BundleError: a name that is not allowed, two names that differ only in case, nothing to write, over 4 GiB.
        EdgeBertError: a source cannot be read, or `path` not written (what stood there is untouched).
    """
    names = sorted((check_name(name) for name in entries), key=_order)
    _check_names(names)
    if sum(_rough_size(entries[name]) for name in names) + (len(names) + 32) * ALIGNMENT > MAX_SIZE:
        raise BundleError(f"cannot write {path}: a bundle holds at most 4 GiB. Choose a smaller student.")
    measured = {name: _measure(entries[name]) for name in names}
    with atomic_write(path) as handle:
        directory = bytearray()
        start = 0
        for name in names:
            size, crc = measured[name]
            header = _local_header(name, size, crc, start)
            directory += _central_header(name, size, crc, start)
            handle.write(header)
            _copy(handle, name, entries[name], measured[name])
            start += len(header) + size
        handle.write(directory + _end_record(len(names), len(directory), start))


def _copy(handle: IO[bytes], name: str, source: bytes | Path, expected: tuple[int, int]) -> None:
    size = crc = 0
    for chunk in _chunks(source):
        handle.write(chunk)
        size += len(chunk)
        crc = zlib.crc32(chunk, crc)
    if (size, crc) != expected:
        raise EdgeBertError(f"the source of {name!r} changed while it was copied into the bundle. Try again.")


def _check_names(names: list[str]) -> None:
    if not names:
        raise BundleError("a bundle must hold at least one entry")
    if len(names) > MAX_ENTRIES:
        raise BundleError(f"{len(names)} entries are more than the {MAX_ENTRIES} a bundle may hold")
    folded = [name.lower() for name in names]
    if len(set(folded)) != len(folded):
        twice = next(name for name in names if folded.count(name.lower()) > 1)
        raise BundleError(f"the entry name {twice!r} appears twice")


class Archive:
    """A verified archive, open for reading. Safe from several threads. Close it, or use it in a `with` block."""

    def __init__(self, path: str | Path) -> None:
        """Open `path` and verify every header (the data is verified by whoever knows its checksum).

        Raises:
            BundleError: missing, not a regular file, not an archive, or not exactly as `write_archive` makes it.
        """
        self.path = Path(path)
        self._lock = threading.Lock()
        self._handle = _open_regular(self.path)
        try:
            self.size = os.fstat(self._handle.fileno()).st_size
            self.entries: dict[str, Entry] = self._read_directory()
        except BaseException:
            self._handle.close()
            raise

    def read(self, name: str) -> bytes:
        """The contents of `name`, checked against its CRC."""
        return b"".join(self.chunks(name))

    def chunks(self, name: str) -> Iterator[bytes]:
        """The contents of `name`, a MiB at a time; the CRC is checked at the end.

        Raises:
            BundleError: there is no such entry, or its contents are damaged.
        """
        if name not in self.entries:
            raise self._bad(f"it holds no {name!r}")
        entry = self.entries[name]
        crc = 0
        for start in range(0, entry.size, CHUNK):
            chunk = self._bytes_at(entry.offset + start, min(CHUNK, entry.size - start))
            crc = zlib.crc32(chunk, crc)
            yield chunk
        if crc != entry.crc:
            raise self._bad(f"the contents of {name!r} are damaged (wrong CRC)")

    def close(self) -> None:
        """Close the file. Closing twice is fine."""
        with self._lock:
            self._handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def _bad(self, reason: str) -> BundleError:
        return BundleError(f"{self.path}: {reason}. Copy or export the bundle again.")

    def _bytes_at(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes; callers have compared both numbers with the size of the file."""
        with self._lock:
            if self._handle.closed:
                raise BundleError(f"{self.path}: the bundle is closed. Open it again.")
            try:
                self._handle.seek(offset)
                data = self._handle.read(length)
            except OSError as error:
                raise BundleError(f"cannot read {self.path}: {error.strerror or error}") from error
        if len(data) != length:
            raise self._bad("the file became shorter while it was read")
        return data

    def _read_directory(self) -> dict[str, Entry]:
        if self.size < _END.size:
            raise self._bad("it is empty" if self.size == 0 else f"it is not a bundle ({self.size} bytes)")
        tail = self._bytes_at(self.size - _END.size, _END.size)
        signature, _, _, _, count, directory_size, directory_start, _ = _END.unpack(tail)
        if signature != b"PK\5\6":
            if self._bytes_at(0, 4) == b"PK\3\4":
                raise self._bad("the end of the archive is missing, so the file is truncated or damaged")
            raise self._bad("it is not a bundle (an .edgebert file is a ZIP archive written by 'edgebert export')")
        if directory_start + directory_size + _END.size != self.size:
            raise self._bad(
                f"its directory claims {directory_size} bytes at {directory_start}, which does not fit "
                f"a file of {self.size} bytes"
            )
        if not 0 < count <= MAX_ENTRIES or directory_size > count * (_CENTRAL.size + MAX_NAME):
            raise self._bad(f"its directory claims {count} entries in {directory_size} bytes")
        if tail != _end_record(count, directory_size, directory_start):
            raise self._bad("the end record is damaged")
        directory = self._bytes_at(directory_start, directory_size)
        return self._check_layout(self._parse_directory(directory, count), directory, directory_start)

    def _parse_directory(self, directory: bytes, count: int) -> list[tuple[str, int, int]]:
        """(name, size, CRC) of each entry: all that is believed, and only until it is compared."""
        found: list[tuple[str, int, int]] = []
        at = 0
        for number in range(1, count + 1):
            if at + _CENTRAL.size > len(directory):
                raise self._bad(f"its directory ends before entry {number} of {count}")
            fields = _CENTRAL.unpack_from(directory, at)
            crc, size, name_length = fields[7], fields[9], fields[10]
            raw = directory[at + _CENTRAL.size : at + _CENTRAL.size + name_length]
            if fields[0] != b"PK\1\2" or len(raw) != name_length:
                raise self._bad(f"entry {number} of its directory is damaged")
            name = raw.decode("ascii", "backslashreplace")
            try:
                found.append((check_name(name), size, crc))
            except BundleError as error:
                raise self._bad(str(error)) from None
            at += _CENTRAL.size + name_length
        return found

    def _check_layout(self, found: list[tuple[str, int, int]], directory: bytes, end: int) -> dict[str, Entry]:
        """Derive where everything must be and compare every header byte; `end` is where the directory starts."""
        names = [name for name, _, _ in found]
        try:
            _check_names(names)
        except BundleError as error:
            raise self._bad(str(error)) from None
        if names != sorted(names, key=_order):
            raise self._bad("its entries are not in order, so another tool has packed it")
        entries: dict[str, Entry] = {}
        expected = bytearray()
        start = 0
        for name, size, crc in found:
            header = _local_header(name, size, crc, start)
            if start + len(header) + size > end:
                raise self._bad(f"{name!r} claims {size} bytes, more than the file holds")
            if self._bytes_at(start, len(header)) != header:
                raise self._bad(f"the header of {name!r} is damaged or was written by another tool")
            entries[name] = Entry(name, size, crc, start + len(header))
            expected += _central_header(name, size, crc, start)
            start += len(header) + size
        if start != end:
            raise self._bad(f"{end - start} bytes before its directory belong to no entry")
        if bytes(expected) != directory:
            raise self._bad("its directory is damaged or was written by another tool")
        return entries


def _open_regular(path: Path) -> IO[bytes]:
    """Open a regular file only: a folder has no bytes, and a pipe would block for ever."""
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise BundleError(f"{path} is a folder, not a bundle. Give the .edgebert file itself.")
        if not stat.S_ISREG(mode):
            raise BundleError(f"{path} is not a regular file, so it cannot be a bundle.")
        return open(path, "rb")
    except FileNotFoundError:
        raise BundleError(f"{path}: no such file. Check the path of the bundle.") from None
    except (OSError, ValueError) as error:
        raise BundleError(f"cannot read {str(path)!r}: {getattr(error, 'strerror', None) or error}") from error
