"""LiteRT (TensorFlow Lite): int32 ids, one signature `seqN` per length N, shared weights."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from edgebert_runtime.engines import REFUSED_TFLITE, batch_shape, check_output_names, checked_outputs, failure
from edgebert_runtime.engines.native_log import native_log
from edgebert_runtime.errors import BundleError, EdgeBertError, MissingExtraError, require
from edgebert_runtime.outputs import GraphSpec

_NAME = "LiteRT"


class LiteRtEngine:
    """A graph in LiteRT. An interpreter has one set of buffers, so runs of several threads wait for each other."""

    package = "ai-edge-litert"

    def __init__(self, model: bytes | Path, graph: GraphSpec, threads: int) -> None:
        """See `Engine`. `graph.shapes["lengths"]` must name the signatures."""
        interpreter_module = _import()
        source = {"model_path": str(model)} if isinstance(model, Path) else {"model_content": model}
        log = None
        try:
            with native_log() as log:
                interpreter = interpreter_module.Interpreter(num_threads=threads, **source)
                signatures = interpreter.get_signature_list()
        except Exception as error:  # ValueError or RuntimeError, by the kind of damage
            raise failure(_NAME, "refuses the graph", error, log.reason() if log else "") from error
        self._model = model  # LiteRT points into these bytes and does not own them
        self._graph = graph
        self._lock = threading.Lock()
        self._interpreter: Any = interpreter
        self._runners: dict[int, Any] = {}
        self._wanted = _check_signatures(signatures, graph)

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `Engine`."""
        rows, length = batch_shape(batch, self._graph)
        if length not in self._wanted:
            raise BundleError(f"{_NAME}: the graph takes the lengths {sorted(self._wanted)}, not {length}")
        feed = {name: np.ascontiguousarray(batch[name], dtype=np.int32) for name in self._wanted[length]}
        with self._lock:
            if self._interpreter is None:
                raise EdgeBertError("this model is closed; load it again")
            try:
                values = self._invoke(length, feed)
            except Exception as error:
                raise failure(_NAME, "could not run the graph", error) from error
            return checked_outputs(values, rows, length, self._graph, _NAME)

    def _invoke(self, length: int, feed: Mapping[str, np.ndarray]) -> Mapping[str, Any]:
        """Buffers are allocated when a length is first used, not for all of them at the start."""
        runner = self._runners.get(length)
        if runner is not None:
            return runner(**feed)
        with native_log():  # LiteRT announces its delegate when it allocates
            runner = self._interpreter.get_signature_runner(f"seq{length}")
            values = runner(**feed)
        self._runners[length] = runner
        return values

    def close(self) -> None:
        """See `Engine`."""
        with self._lock:
            self._runners.clear()
            self._interpreter = None
            self._model = b""


def _import() -> ModuleType:
    try:
        return require("ai_edge_litert.interpreter", "tflite")
    except MissingExtraError:
        if importlib.util.find_spec("tflite_runtime") is not None:
            raise MissingExtraError(REFUSED_TFLITE) from None
        raise


def _check_signatures(
    signatures: Mapping[str, Mapping[str, Sequence[str]]], graph: GraphSpec
) -> dict[int, tuple[str, ...]]:
    """Length to the inputs that its signature takes (an exporter may have dropped one that changes nothing)."""
    if not graph.shapes["lengths"]:
        raise BundleError(f"{_NAME}: a tflite bundle must name its lengths (shapes.lengths)")
    names = [spec.name for spec in graph.inputs]
    wanted = {}
    for length in graph.shapes["lengths"]:
        signature = signatures.get(f"seq{length}")
        if signature is None:
            raise BundleError(f"{_NAME}: the graph has no signature 'seq{length}', only {sorted(signatures)}")
        if unknown := sorted(set(signature["inputs"]) - set(names)):
            raise BundleError(f"{_NAME}: the graph has an input {unknown[0]!r}; it must be one of {', '.join(names)}")
        check_output_names(signature["outputs"], graph, _NAME, f"signature 'seq{length}'")
        wanted[length] = tuple(signature["inputs"])
    return wanted
