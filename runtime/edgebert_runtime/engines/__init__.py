"""What runs a graph: one file per engine, loaded by name when a bundle needs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from edgebert_runtime.errors import BundleError, UsageError, choose, resolve
from edgebert_runtime.features import InputSpec, Text

# A format is one line here, one file in this folder and one file in edgebert_converters.
ENGINES: dict[str, str] = {
    "onnx": "edgebert_runtime.engines.onnx:OnnxEngine",
    "tflite": "edgebert_runtime.engines.tflite:LiteRtEngine",
    "executorch": "edgebert_runtime.engines.executorch:ExecuTorchEngine",
    "native": "edgebert_runtime.engines.native:NativeEngine",
}

MAX_THREADS = 256


class Engine(Protocol):
    """A loaded graph. Every engine may be called from several threads; one that cannot run in parallel waits."""

    package: str  # the Python distribution that runs it, as in a manifest's `requires`

    def __init__(
        self, model: bytes | Path, inputs: Sequence[InputSpec], shapes: Mapping[str, Any], threads: int
    ) -> None:
        """Load a graph.

        Args:
            model: the file's contents, or its path (then it can be mapped; it must outlive the engine).
            inputs: in the order of the graph's arguments.
            shapes: as in the manifest: "batch", "lengths", "min_length", "max_length".
            threads: used inside one run.

        Raises:
            BundleError: the engine refuses the graph, or its inputs and outputs are not those described.
            MissingExtraError: the engine is not installed.
        """
        ...

    def run(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """Logits, float32 [batch, classes], of int32 ids [batch, per_length * length] by input name.

        The ids must lie in [0, rows) and the shapes must be among `shapes`: engines trust them.

        Raises:
            EdgeBertError: the engine is closed.
            BundleError: the graph failed, or gave something other than one finite row of logits a text.
        """
        ...

    def close(self) -> None:
        """Free the graph. Closing twice is fine."""
        ...


@runtime_checkable
class TextEngine(Protocol):
    """An engine that reads text itself, from its first byte to the logits, in one pass; `run` is not for it."""

    def read(self, texts: Sequence[Text]) -> np.ndarray:
        """Logits, float32 [texts, classes].

        Raises:
            EdgeBertError: the engine is closed.
            ValueError: a pair where the model takes one text, or the reverse; a text that is not valid Unicode.
        """
        ...


def load_engine(
    name: str, model: bytes | Path, inputs: Sequence[InputSpec], shapes: Mapping[str, Any], threads: int = 1
) -> Engine:
    """The engine `name` with a graph loaded.

    Raises:
        UsageError: an unknown engine, or a number of threads that makes no sense.
        BundleError, MissingExtraError: see `Engine`.
    """
    if name.replace("_", "-") == "tflite-runtime":
        raise UsageError(REFUSED_TFLITE)
    choose("engine", name, ENGINES)
    check_threads(threads)
    engine: Engine = resolve(ENGINES[name])(model, inputs, shapes, threads)  # type: ignore[operator]
    return engine


def check_threads(threads: object) -> None:
    """Raise UsageError unless `threads` is a sensible number of threads."""
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS:
        raise UsageError(f"threads must be a whole number from 1 to {MAX_THREADS}, not {threads!r}")


REFUSED_TFLITE = (
    "tflite-runtime gives silently wrong logits on int8 files, so EdgeBERT does not use it; "
    'install its successor with: pip install "edgebert[tflite]"'
)


def checked_logits(value: Any, rows: int, engine: str) -> np.ndarray:
    """`value` as float32 [rows, classes].

    Raises:
        BundleError: another shape, or a number that is not finite.
    """
    logits = np.array(value, dtype=np.float32)  # a copy: engines reuse their buffers
    if logits.ndim != 2 or logits.shape[0] != rows:
        raise BundleError(f"{engine}: the graph gave logits of shape {logits.shape} for {rows} text(s)")
    if not np.isfinite(logits).all():
        raise BundleError(f"{engine}: the graph gave logits that are not finite; its weights are damaged or overflow")
    return logits


def failure(engine: str, what: str, error: BaseException, reason: str = "") -> BundleError:
    """A BundleError with the first line of an engine's own message, and what its native log adds."""
    lines = str(error).strip().splitlines()
    return BundleError(f"{engine} {what}: {(lines[0] if lines else type(error).__name__)[:300]}{reason}")
