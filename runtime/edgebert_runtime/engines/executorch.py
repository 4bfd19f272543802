"""ExecuTorch: int64 ids and outputs by position, one dynamic dimension at most, a file that must have a path.

A program has one method, `forward`, for any length, or a method `seqN` for each of the lengths that its bundle names.

Its Python binding takes torch tensors, so torch is imported when the first graph is loaded (seconds and some
hundred MB on a workstation; on a phone there is no Python). Native messages go to stderr; Python sees error codes.
"""

from __future__ import annotations

import importlib
import os
import tempfile
import threading
import warnings
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgebert_runtime.engines import batch_shape, checked_outputs, failure
from edgebert_runtime.engines.native_log import native_log
from edgebert_runtime.errors import BundleError, EdgeBertError, require
from edgebert_runtime.outputs import GraphSpec

_NAME = "ExecuTorch"

# The one piece of module-level state in this package: ExecuTorch has one thread pool for the whole process, and
# resizing it while a graph runs in another engine is a crash. So all engines share this lock.
_PROCESS_POOL = threading.Lock()


class ExecuTorchEngine:
    """A program in ExecuTorch with XNNPACK. Runs wait for each other, over all ExecuTorch engines of the process.

    The number of threads is one for the process too: the engine loaded last decides.
    """

    package = "executorch"

    def __init__(self, model: bytes | Path, graph: GraphSpec, threads: int) -> None:
        """See `Engine`. Bytes are written to a private temporary file, which `close` removes."""
        require("executorch", "executorch")
        require("torch", "executorch")
        import torch

        self._from_numpy = torch.from_numpy
        self._graph = graph
        self._module: Any = None
        path = model if isinstance(model, Path) else _private_file(model)
        # Also runs when a forgotten engine is collected and when the process ends.
        self._remove = weakref.finalize(self, _unlink, None if path is model else path)
        log = None
        try:
            with _PROCESS_POOL, native_log() as log:
                library = _library()
                library._unsafe_reset_threadpool(threads)
                # From bytes it would keep a pointer into a buffer that nobody keeps.
                self._module = library._load_for_executorch(str(path))
                for method in self._methods():
                    _check_method(self._module, method, graph)
                self._try()
        except EdgeBertError:
            self.close()
            raise
        except Exception as error:
            self.close()
            raise failure(_NAME, "refuses the program", error, log.reason() if log else "") from error

    def _methods(self) -> dict[str, int]:
        """The methods that the program must have, each with a length that it takes."""
        shapes = self._graph.shapes
        return {self._method(length): length for length in shapes["lengths"] or [shapes["min_length"]]}

    def _method(self, length: int) -> str:
        return "forward" if self._graph.shapes["lengths"] is None else f"seq{length}"

    def _try(self) -> None:
        """Run one text of padding: what is missing (an operator, say) shows here, where the log is read."""
        method, length = next(iter(self._methods().items()))
        ids = [np.zeros((1, spec.per_length * length), dtype=np.int64) for spec in self._graph.inputs]
        self._module.run_method(method, tuple(self._from_numpy(item) for item in ids))

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `Engine`."""
        tensors = [self._from_numpy(batch[spec.name].astype(np.int64)) for spec in self._graph.inputs]
        rows, length = batch_shape(batch, self._graph)
        with _PROCESS_POOL:
            if self._module is None:
                raise EdgeBertError("this model is closed; load it again")
            try:
                found = self._module.run_method(self._method(length), tuple(tensors))
                values = {spec.name: value.numpy() for spec, value in zip(self._graph.outputs, found, strict=True)}
            except Exception as error:
                raise failure(_NAME, "could not run the program", error) from error
            return checked_outputs(values, rows, length, self._graph, _NAME)

    def close(self) -> None:
        """See `Engine`."""
        with _PROCESS_POOL:
            self._module = None
        self._remove()


def _unlink(path: Path | None) -> None:
    if path is not None:
        path.unlink(missing_ok=True)


def _library() -> Any:
    """The binding (torch is loaded already, which it needs).

    The documented module, `portable_lib`, imports the whole exporter for the sake of one warning, three times the
    import time of torch. The extension module that it re-exports is enough; where that has another name, take the
    slow way.
    """
    try:
        library: Any = importlib.import_module("executorch.extension.pybindings._C")
    except ImportError:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it calls itself experimental
            library = require("executorch.extension.pybindings.portable_lib", "executorch")
    require("executorch.kernels.quantized", "executorch")  # registers the int8 embedding operators
    return library


def _private_file(model: bytes) -> Path:
    """Write the program where only this user can read or change it."""
    try:
        descriptor, name = tempfile.mkstemp(prefix="edgebert-", suffix=".pte")
    except OSError as error:
        raise EdgeBertError(f"cannot make a temporary file for ExecuTorch: {error.strerror or error}") from error
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(model)
    except OSError as error:
        os.unlink(name)
        raise EdgeBertError(f"cannot write {name} ({len(model)} bytes): {error.strerror or error}") from error
    return Path(name)


def _check_method(module: Any, name: str, graph: GraphSpec) -> None:
    """The program must have the method, with one tensor per input and per output, in order."""
    if name not in (found := sorted(module.method_names())):
        raise BundleError(f"{_NAME}: the program has no method {name!r}, only {found}")
    meta = module.method_meta(name)
    takes, gives = meta.num_inputs(), meta.num_outputs()
    if takes != len(graph.inputs):
        raise BundleError(f"{_NAME}: the program takes {takes} inputs, but the manifest names {len(graph.inputs)}")
    if gives != len(graph.outputs):
        raise BundleError(f"{_NAME}: the program gives {gives} outputs, but the manifest names {len(graph.outputs)}")
