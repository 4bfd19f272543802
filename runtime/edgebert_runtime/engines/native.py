"""The C core, for n-gram students: text in, logits out, in one pass without Python in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from edgebert_runtime import _core
from edgebert_runtime.errors import BundleError, EdgeBertError
from edgebert_runtime.features import Text, split_texts
from edgebert_runtime.outputs import GraphSpec

FEWEST_PER_THREAD = 256  # texts; below that, starting a thread costs more than it saves


class NativeEngine:
    """See `Engine` and `TextEngine`."""

    package = "edgebert"

    def __init__(self, model: bytes | Path, graph: GraphSpec, threads: int) -> None:
        """See `Engine`."""
        content = model.read_bytes() if isinstance(model, Path) else model
        try:
            self._model: Any = _core.Model(content, _core.features())
        except ValueError as error:
            raise BundleError(f"the native core refuses the model: {error}") from error
        self._width, pair = self._model.facts()
        _check_output(graph, self._width)
        self._pair = bool(pair)
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._threads = threads

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `Engine`: this one does not read ids."""
        raise EdgeBertError("the native engine reads text, not ids")

    def read(self, texts: Sequence[Text]) -> np.ndarray:
        """See `TextEngine`."""
        model = self._model  # a copy of the reference: `close` in another thread then waits for this call
        if model is None:
            raise EdgeBertError("this model is closed; load it again")
        first, second = split_texts(texts, True) if self._pair else (texts, None)
        try:
            if self._pool is None or len(texts) < 2 * FEWEST_PER_THREAD:
                rows = model.logits(first, second)
            else:
                rows = self._read_in_parts(self._pool, model, first, second)
        except TypeError:
            split_texts(texts, self._pair)  # says so if it is a pair; looking at every text beforehand would cost more
            raise
        return np.frombuffer(rows, np.float32).reshape(len(texts), self._width)

    def _read_in_parts(
        self, pool: ThreadPoolExecutor, model: Any, texts: Sequence[Text], second: Sequence[str] | None
    ) -> bytes:
        size = max(FEWEST_PER_THREAD, -(-len(texts) // self._threads))
        parts = [slice(start, start + size) for start in range(0, len(texts), size)]
        try:
            jobs = [pool.submit(model.logits, texts[part], second and second[part]) for part in parts]
            return b"".join(job.result() for job in jobs)
        except RuntimeError as error:  # `close` in another thread came in between
            raise EdgeBertError("this model is closed; load it again") from error
        except ValueError:
            model.logits(texts, second)  # fails likewise, and its message counts the texts from the first of all
            raise

    def close(self) -> None:
        """See `Engine`."""
        self._model = None
        if self._pool is not None:
            self._pool.shutdown(wait=False)


def _check_output(graph: GraphSpec, width: int) -> None:
    """The core answers with one row a text."""
    described = [(spec.width, spec.per_token) for spec in graph.outputs]
    if described != [(width, False)]:
        names = ", ".join(
            f"{spec.name!r} with {spec.width} columns{' for each token' * spec.per_token}" for spec in graph.outputs
        )
        raise BundleError(f"the native model gives one row of {width} numbers a text, but the manifest names {names}")
