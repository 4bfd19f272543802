"""Soft labels on disk: folders of a few thousand texts, read row by row where a batch asks for them.

STORE/v2/<max_length>/<shard>/keys.npy       uint8 [n, 16], a digest of each text
                              <head>.head.npy   float32 [n, width]; of a per-token head float16 [tokens, width]
                              units.npy      int64 [n + 1], where each text's words begin in the arrays of such heads
                              spans.npy      int32 [units, 3], half, start and end of each word in code points
                              tokens.npy     int64 [n + 1], the same for heads that answer for every token

A shard is renamed into its place when it is whole. Nothing is held open or in memory but the digests' order: ten
million texts are thousands of files, more than a process may map.
"""

from __future__ import annotations

import hashlib
import io
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edgebert.tasks.heads import Head
from edgebert_runtime.errors import EdgeBertError
from edgebert_runtime.files import atomic_folder

DIGEST = 16
KEY = f"S{DIGEST}"  # an array of digests, one number each: compared byte by byte
LARGEST = float(np.finfo(np.float16).max)
KEYS, SPANS = "keys", "spans"
UNITS, TOKENS = "units", "tokens"  # what the rows of a per-token head stand for, and the name of their offsets


class Answer(NamedTuple):
    """What a teacher says of one text.

    Attributes:
        spans: int32 [units, 3], half, start and end of each of its words; None where no head speaks of words.
        heads: float32 [width], [units, width] or (heads of kind `positions`) [tokens, width].
    """

    spans: np.ndarray | None
    heads: Mapping[str, np.ndarray]


def rows_of(head: Head) -> str:
    """What a row of this head stands for: `UNITS`, `TOKENS`, or "" for a whole text."""
    if not head.per_token:
        return ""
    return TOKENS if head.kind == "positions" else UNITS


def write_shard(folder: Path, heads: Sequence[Head], keys: np.ndarray, answers: Sequence[Answer]) -> None:
    """Write the answers to the texts with these digests, uint8 [n, 16], as one shard.

    Raises:
        EdgeBertError: the disk is full.
    """
    arrays: dict[str, np.ndarray] = {KEYS: keys}
    for head in heads:
        values = [answer.heads[head.name] for answer in answers]
        rows = rows_of(head)
        if rows:
            arrays[f"{head.name}.head"] = np.concatenate(values).clip(-LARGEST, LARGEST).astype(np.float16)
            arrays[rows] = np.cumsum([0, *map(len, values)], dtype=np.int64)
        else:
            arrays[f"{head.name}.head"] = np.stack(values).astype(np.float32)
    spans = [answer.spans for answer in answers if answer.spans is not None]
    if spans:
        arrays[SPANS] = np.concatenate(spans)
    name = hashlib.blake2b(keys.tobytes(), digest_size=8).hexdigest()
    with atomic_folder(folder / name) as temporary:
        for array, content in arrays.items():
            # By way of memory: numpy, cut off by a full disk, does not say why.
            buffer = io.BytesIO()
            np.save(buffer, content)
            (temporary / f"{array}.npy").write_bytes(buffer.getbuffer())


class Store:
    """The shards in a folder, and which text is where.

    Raises:
        EdgeBertError: a shard that cannot be read, with what to do.
    """

    def __init__(self, folder: Path, heads: Sequence[Head]) -> None:
        self.shards = [_Shard(path, heads) for path in sorted(folder.glob("[!.]*")) if path.is_dir()]
        self.starts = np.cumsum([0, *(len(shard) for shard in self.shards)]).tolist()
        keys = [shard.arrays[KEYS].rows(0, len(shard)) for shard in self.shards]
        flat = np.concatenate(keys or [np.zeros((0, DIGEST), np.uint8)]).view(KEY).ravel()
        self._order = np.argsort(flat, kind="stable")
        self._keys = flat[self._order]

    def find(self, keys: np.ndarray) -> np.ndarray:
        """The place of each text, by its digest uint8 [n, 16]; int64 [n], -1 where the store lacks it."""
        wanted = np.ascontiguousarray(keys).view(KEY).ravel()
        if not len(self._keys):
            return np.full(len(wanted), -1, np.int64)
        found = np.searchsorted(self._keys, wanted).clip(max=len(self._keys) - 1)
        return np.where(self._keys[found] == wanted, self._order[found], -1)

    def read(self, place: int) -> Answer:
        """The answer at a place."""
        shard = bisect_right(self.starts, place) - 1
        return self.shards[shard].read(place - self.starts[shard])


class _Shard:
    """One folder: its arrays are checked here, and read later."""

    def __init__(self, path: Path, heads: Sequence[Head]) -> None:
        self.heads = heads
        kinds = {rows_of(head) for head in heads}
        names = [KEYS, *(f"{head.name}.head" for head in heads), *sorted(kinds - {""}), *([SPANS] * (UNITS in kinds))]
        try:
            self.arrays = {name: _Array(path / f"{name}.npy") for name in names}
            self._check()
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise EdgeBertError(
                f"the soft-label shard {path} is damaged ({reason}); delete it and run again."
            ) from error

    def _check(self) -> None:
        count = len(self)
        expected: dict[str, tuple[int, ...]] = {KEYS: (count, DIGEST)}
        counts = {"": count}
        for rows in {rows_of(head) for head in self.heads} - {""}:
            expected[rows] = (count + 1,)
            counts[rows] = int(self.arrays[rows].rows(count, count + 1)[0])
        if UNITS in counts:
            expected[SPANS] = (counts[UNITS], 3)
        for head in self.heads:
            expected[f"{head.name}.head"] = (counts[rows_of(head)], head.width)
        for name, shape in expected.items():
            if self.arrays[name].shape != shape:
                raise ValueError(f"{name}.npy has the shape {self.arrays[name].shape} and not {shape}")

    def __len__(self) -> int:
        return self.arrays[KEYS].shape[0]

    def read(self, row: int) -> Answer:
        places = {"": (row, row + 1)}
        for rows in (UNITS, TOKENS):
            if rows in self.arrays:
                start, stop = self.arrays[rows].rows(row, row + 2).tolist()
                places[rows] = (start, stop)
        values = {}
        for head in self.heads:
            rows = rows_of(head)
            found = self.arrays[f"{head.name}.head"].rows(*places[rows]).astype(np.float32)
            values[head.name] = found if rows else found[0]
        return Answer(self.arrays[SPANS].rows(*places[UNITS]) if UNITS in places else None, values)


class _Array:
    """A .npy file of which single rows are read.

    Raises:
        ValueError, OSError: it is none, or cut off.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with open(path, "rb") as file:
            np.lib.format.read_magic(file)
            self.shape, _, self.dtype = np.lib.format.read_array_header_1_0(file)
            self._begin = file.tell()
        self._row = prod(self.shape[1:]) * self.dtype.itemsize
        wanted = self._begin + self.shape[0] * self._row
        if path.stat().st_size != wanted:
            raise ValueError(f"{path.name} has {path.stat().st_size} bytes and not {wanted}")

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows `start` to `stop`."""
        with open(self.path, "rb", buffering=0) as file:
            file.seek(self._begin + start * self._row)
            content = file.read((stop - start) * self._row)
        return np.frombuffer(content, self.dtype).reshape(stop - start, *self.shape[1:])
