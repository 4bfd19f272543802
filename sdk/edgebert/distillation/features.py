"""The features of a training set: flat arrays, in memory or mapped from files, filled by several threads.

A Python dictionary a text costs more than the ids in it: ten million texts would take 10 GB. Here a text's features are
views, made when a batch asks for them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np

from edgebert.console import Progress
from edgebert_runtime.errors import EdgeBertError
from edgebert_runtime.features import Features, Featurizer, Flat, Text

CHUNK = 10_000  # texts that one thread takes at a time
SHOWN = 200_000  # texts from which on a progress bar is worth its line
MAPPED = 1_000_000  # texts from which on the ids lie in files


class FlatFeatures(Sequence[Features]):
    """Features of many texts.

    Args:
        flat: ids and offsets of each input.
        count: how many texts there are.
    """

    def __init__(self, flat: dict[str, Flat], count: int) -> None:
        self.flat, self._texts = flat, count

    def __len__(self) -> int:
        return self._texts

    def __getitem__(self, index: int) -> Features:  # type: ignore[override]
        if not -self._texts <= index < self._texts:
            raise IndexError(index)
        index %= self._texts
        return {name: ids[offsets[index] : offsets[index + 1]] for name, (ids, offsets) in self.flat.items()}

    def lengths(self) -> np.ndarray:
        """Ids in each text, over all inputs; int64 [n]."""
        counts = [np.diff(offsets) for _, offsets in self.flat.values()]
        return np.asarray(np.sum(counts, axis=0), dtype=np.int64)


def featurize(featurizer: Featurizer, texts: Iterable[Text], folder: Path) -> Sequence[Features]:
    """Features of `texts`, which may be a stream; from a million on, their ids lie in files in `folder` and are mapped.

    The core reads text without the GIL, so the threads run side by side. Another library's tokenizer has its own way.

    Raises:
        EdgeBertError: the disk is full.
    """
    if not hasattr(featurizer, "flat"):
        return featurizer(list(texts))
    names = [spec.name for spec in featurizer.inputs]
    sink, count = _Memory(names), 0
    known = len(texts) if isinstance(texts, Sized) else None
    chunks = _chunks(texts)
    shown = Progress(known, "reading texts") if known is None or known >= SHOWN else contextlib.nullcontext()
    with shown as bar, ThreadPoolExecutor() as pool:
        # Only a few chunks ahead of the one that is written: their results wait in memory.
        ahead = [pool.submit(featurizer.flat, chunk) for chunk in islice(chunks, 2 * (os.cpu_count() or 1))]
        while ahead:
            flat = ahead.pop(0).result()
            ahead += [pool.submit(featurizer.flat, chunk) for chunk in islice(chunks, 1)]
            sink.add(flat)
            read = len(flat[names[0]][1]) - 1
            count += read
            if count >= MAPPED and not isinstance(sink, _Files):
                sink = _Files(folder, sink)
            if bar is not None:
                bar.update(read)
    return FlatFeatures(sink.finish(), count)


def _chunks(texts: Iterable[Text]) -> Iterator[list[Text]]:
    stream = iter(texts)
    while chunk := list(islice(stream, CHUNK)):
        yield chunk


class _Memory:
    """Collects flat arrays in memory."""

    def __init__(self, names: Sequence[str]) -> None:
        self.ids: dict[str, list[np.ndarray]] = {name: [] for name in names}
        self.counts: dict[str, list[np.ndarray]] = {name: [] for name in names}

    def add(self, flat: dict[str, Flat]) -> None:
        for name, (ids, offsets) in flat.items():
            self.keep(name, ids)
            self.counts[name].append(np.diff(offsets))

    def keep(self, name: str, ids: np.ndarray) -> None:
        self.ids[name].append(ids)

    def joined(self, name: str) -> np.ndarray:
        return np.concatenate(self.ids[name]) if self.ids[name] else np.zeros(0, np.int32)

    def finish(self) -> dict[str, Flat]:
        result = {}
        for name, counts in self.counts.items():
            offsets = np.concatenate([[0], np.cumsum(np.concatenate(counts))]) if counts else np.zeros(1)
            result[name] = (self.joined(name), offsets.astype(np.int64))
        return result


class _Files(_Memory):
    """Collects the ids in files, and maps them; goes on where another sink stopped."""

    def __init__(self, folder: Path, before: _Memory) -> None:
        super().__init__(tuple(before.ids))
        self.folder, self.counts = folder, before.counts
        with _disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for name in before.ids:
                self.path(name).write_bytes(b"")
        for name in before.ids:
            for ids in before.ids[name]:
                self.keep(name, ids)

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.ids"

    def keep(self, name: str, ids: np.ndarray) -> None:
        with _disk_errors(self.folder), open(self.path(name), "ab") as file:
            ids.tofile(file)

    def joined(self, name: str) -> np.ndarray:
        path = self.path(name)
        return np.memmap(path, np.int32, "r") if path.stat().st_size else np.zeros(0, np.int32)


@contextlib.contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """What the system says of a disk, as one sentence."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise EdgeBertError(f"cannot write {folder}: {reason}. Free some space and run it again.") from error


def remove(folder: Path) -> None:
    """Delete the files that `featurize` wrote, if it did."""
    for path in folder.glob("*.ids"):
        path.unlink(missing_ok=True)
    if folder.is_dir():
        folder.rmdir()
