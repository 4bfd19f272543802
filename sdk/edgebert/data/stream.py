"""Text of any size: rows that are read again each time they are gone through, and a sample of them to hold out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from edgebert.data.readers import Row
from edgebert_runtime.errors import DataError

SAMPLE = 512  # texts at most that are held out, or taken of a dev split
SHARE = 10  # at most one in so many is held out

Key = Callable[[Row], str]


class Stream(Sequence[Row]):
    """The rows of a file or dataset, which are never all in memory.

    Args:
        read: starts a new pass over them.
        key: what a row is known by.
        without: digests of the keys that are left out.
    """

    def __init__(self, read: Callable[[], Iterator[Row]], key: Key, without: frozenset[bytes] = frozenset()) -> None:
        self._read, self._key, self._without = read, key, without
        self._count: int | None = None

    def __iter__(self) -> Iterator[Row]:
        if not self._without:
            return self._read()
        return (row for row in self._read() if _digest(self._key(row)) not in self._without)

    def __len__(self) -> int:
        if self._count is None:
            self._count = sum(1 for _ in self)
        return self._count

    def __getitem__(self, index: Any) -> Any:
        """One row, or a tuple of those of a slice that counts from the front; each time a pass up to there."""
        if isinstance(index, slice):
            return tuple(islice(self, index.start, index.stop, index.step))
        for row in islice(self, index, None):
            return row
        raise IndexError(index)

    def sample(self) -> tuple[Row, ...]:
        """At most 512 rows with keys of their own, chosen by a hash of these alone, in the order of the hashes."""
        return tuple(row for row, _ in self._lowest(SAMPLE).values())

    def hold_out(self) -> tuple[Stream, tuple[Row, ...]]:
        """The stream without a sample, and the sample: at most a tenth of the rows. Equal rows stay on one side.

        Raises:
            DataError: there is only one key.
        """
        found = self._lowest(SAMPLE)
        held: dict[bytes, tuple[Row, int]] = {}
        room = max(1, len(self) // SHARE)
        for digest, (row, times) in found.items():
            if times <= room:
                held[digest] = row, times
                room -= times
        kept = Stream(self._read, self._key, frozenset(held))
        kept._count = len(self) - sum(times for _, times in held.values())
        if not held or not kept._count:
            raise DataError(
                f"{self[0].source}: too few rows to hold a dev split out of train. Add rows, or give a dev file."
            )
        return kept, tuple(row for row, _ in held.values())

    def _lowest(self, count: int) -> dict[bytes, tuple[Row, int]]:
        """The first row of each of the `count` lowest digests, in their order, and how many rows have that one."""
        found: dict[bytes, tuple[Row, int]] = {}
        limit, rows = b"\xff" * 33, 0  # above every digest
        for row in self:
            rows += 1
            digest = _digest(self._key(row))
            if digest in found:
                found[digest] = found[digest][0], found[digest][1] + 1
            elif digest < limit:
                found[digest] = row, 1
                if len(found) > 2 * count:
                    found = dict(sorted(found.items())[:count])
                    limit = max(found)
        self._count = rows
        return dict(sorted(found.items())[:count])


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8")).digest()
