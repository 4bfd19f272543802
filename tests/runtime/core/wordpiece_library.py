"""WordPiece of the core for tests: the C files built by the C compiler at hand and called through ctypes.

The one place that knows how the core is reached. `EDGEBERT_CORE_FLAGS` adds compiler flags (a sanitizer, say).
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

CORE = Path(__file__).resolve().parents[3] / "runtime" / "core"
SOURCES = ("wordpiece.c", "offsets.c", "pieces.c", "normalize.c", "unicode_tables.c")
LOWERCASE, STRIP_ACCENTS = 1, 2
BYTES, CODE_POINTS, UTF16 = 0, 1, 2
BAD_ARGUMENT, SMALL_MEMORY, BAD_VOCABULARY = -4, -3, -5
ALIGNMENT = 64
TOKEN = np.dtype([("id", np.int32), ("word", np.uint32), ("start", np.uint32), ("end", np.uint32)])


def compiler() -> str | None:
    """The C compiler: $CC, or the first that is there."""
    return next((name for name in (os.environ.get("CC"), "gcc", "clang") if name and shutil.which(name)), None)


@functools.cache
def library() -> ctypes.CDLL:
    """The shared library, built once a process."""
    folder = Path(tempfile.mkdtemp(prefix="edgebert-core-"))
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", *os.environ.get("EDGEBERT_CORE_FLAGS", "").split()]
    sources = [str(CORE / "src" / name) for name in SOURCES]
    target = str(folder / "wordpiece.so")
    include = [f"-I{CORE / 'include'}", f"-I{CORE / 'src'}"]
    try:
        subprocess.run([compiler() or "cc", *flags, *include, "-shared", "-fPIC", "-o", target, *sources], check=True)
        built = ctypes.CDLL(target)
    finally:
        shutil.rmtree(folder)
    size, pointer = ctypes.c_size_t, ctypes.c_void_p
    built.eb_wordpiece_size.restype = size
    built.eb_wordpiece_size.argtypes = [ctypes.c_char_p, size]
    built.eb_wordpiece_make.argtypes = [pointer, size, ctypes.c_char_p, size, ctypes.c_uint32, pointer]
    built.eb_wordpiece_tokens.restype = built.eb_wordpiece_ids.restype = ctypes.c_int64
    built.eb_wordpiece_tokens.argtypes = [pointer, ctypes.c_char_p, size, pointer, size, ctypes.c_int]
    built.eb_wordpiece_ids.argtypes = [
        pointer, ctypes.c_char_p, size, ctypes.c_char_p, size, size, pointer, pointer, pointer,
    ]  # fmt: skip
    built.eb_offsets_convert.argtypes = [ctypes.c_char_p, size, pointer, size, ctypes.c_int]
    return built


def aligned(size: int, shift: int = 0) -> np.ndarray:
    """`size` bytes whose address is a multiple of 64, plus `shift`."""
    raw = np.full(size + 2 * ALIGNMENT, 0xAA, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT + shift
    return raw[start : start + size]


class WordPiece:
    """One vocabulary: `vocab` is the content of a vocab.txt, `flags` LOWERCASE | STRIP_ACCENTS."""

    def __init__(self, vocab: bytes, flags: int) -> None:
        size = library().eb_wordpiece_size(vocab, len(vocab))
        if not size:
            raise ValueError("not a vocabulary")
        self.memory, self._handle = aligned(size), ctypes.c_void_p()
        status = library().eb_wordpiece_make(
            self.memory.ctypes.data, size, vocab, len(vocab), flags, ctypes.byref(self._handle)
        )
        if status:
            raise ValueError(f"status {status}")
        self._room = np.zeros(1 << 10, TOKEN)

    def count(self, text: bytes, capacity: int, stop: bool) -> tuple[int, np.ndarray]:
        """What eb_wordpiece_tokens returns and writes; the tokens after `capacity` show when it writes too far."""
        tokens = np.full(capacity + 8, -1, np.int32).astype(TOKEN)
        count = library().eb_wordpiece_tokens(self._handle, text, len(text), tokens.ctypes.data, capacity, stop)
        return count, tokens

    def raw(self, text: bytes, unit: int = CODE_POINTS) -> np.ndarray:
        """All tokens of UTF-8 bytes."""
        call = library().eb_wordpiece_tokens
        count = call(self._handle, text, len(text), self._room.ctypes.data, len(self._room), 0)
        if count > len(self._room):
            self._room = np.zeros(count, TOKEN)
            call(self._handle, text, len(text), self._room.ctypes.data, count, 0)
        tokens = self._room[:count].copy()
        library().eb_offsets_convert(text, len(text), tokens.ctypes.data, count, unit)
        return tokens

    def tokens(self, text: str) -> tuple[list[int], list[int], list[tuple[int, int]]]:
        """Ids, words, and offsets in code points."""
        found = self.raw(text.encode())
        offsets = zip(found["start"].tolist(), found["end"].tolist(), strict=True)
        return found["id"].tolist(), found["word"].tolist(), list(offsets)

    def ids(
        self, texts: Sequence[str], pairs: Sequence[str] | None, max_length: int
    ) -> list[tuple[list[int], list[int]]]:
        """Ids and types of texts, or of pairs of texts."""
        ids, types = np.zeros(max_length, np.int32), np.zeros(max_length, np.int32)
        scratch = np.zeros(max_length, TOKEN)
        result = []
        for first, second in zip(texts, pairs or [None] * len(texts), strict=True):
            a, b = first.encode(), None if second is None else second.encode()
            count = library().eb_wordpiece_ids(
                self._handle, a, len(a), b, len(b or b""), max_length,
                ids.ctypes.data, types.ctypes.data, scratch.ctypes.data,
            )  # fmt: skip
            if count < 0:
                raise ValueError(f"status {count}")
            result.append((ids[:count].tolist(), types[:count].tolist()))
        return result
