"""ExecuTorch: positional int64 ids, one dynamic dimension at most, a file that must have a path.

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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgebert_runtime.engines import checked_logits, failure
from edgebert_runtime.engines.native_log import native_log
from edgebert_runtime.errors import BundleError, EdgeBertError, require
from edgebert_runtime.features import InputSpec

_NAME = "ExecuTorch"

# The one piece of module-level state in this package: ExecuTorch has one thread pool for the whole process, and
# resizing it while a graph runs in another engine is a crash. So all engines share this lock.
_PROCESS_POOL = threading.Lock()


class ExecuTorchEngine:
    """A program in ExecuTorch with XNNPACK. Runs wait for each other, over all ExecuTorch engines of the process.

    The number of threads is one for the process too: the engine loaded last decides.
    """

    package = "executorch"

    def __init__(
        self, model: bytes | Path, inputs: Sequence[InputSpec], shapes: Mapping[str, Any], threads: int
    ) -> None:
        """See `Engine`. Bytes are written to a private temporary file, which `close` removes."""
        require("executorch", "executorch")
        require("torch", "executorch")
        import torch

        self._from_numpy = torch.from_numpy
        self._inputs = tuple(inputs)
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
                _check_method(self._module, self._inputs)
                self._try(shapes)
        except EdgeBertError:
            self.close()
            raise
        except Exception as error:
            self.close()
            raise failure(_NAME, "refuses the program", error, log.reason() if log else "") from error

    def _try(self, shapes: Mapping[str, Any]) -> None:
        """Run one text of padding: what is missing (an operator, say) shows here, where the log is read."""
        length = (shapes["lengths"] or [shapes["min_length"]])[0]
        ids = [np.zeros((1, spec.per_length * length), dtype=np.int64) for spec in self._inputs]
        self._module.run_method("forward", tuple(self._from_numpy(item) for item in ids))

    def run(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """See `Engine`."""
        tensors = [self._from_numpy(batch[spec.name].astype(np.int64)) for spec in self._inputs]
        with _PROCESS_POOL:
            if self._module is None:
                raise EdgeBertError("this model is closed; load it again")
            try:
                logits = self._module.run_method("forward", tuple(tensors))[0].numpy()
            except Exception as error:
                raise failure(_NAME, "could not run the program", error) from error
            return checked_logits(logits, len(tensors[0]), _NAME)

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


def _check_method(module: Any, inputs: Sequence[InputSpec]) -> None:
    """The program must have `forward` with one tensor per input, in order."""
    meta = module.method_meta("forward")
    if meta.num_inputs() != len(inputs):
        raise BundleError(
            f"{_NAME}: the program takes {meta.num_inputs()} inputs, but the manifest names {len(inputs)}"
        )
