"""What runs a graph: one file per engine, loaded by name when a bundle needs it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from edgebert_runtime.errors import BundleError, UsageError, choose, resolve
from edgebert_runtime.features import Text
from edgebert_runtime.outputs import GraphSpec

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

    def __init__(self, model: bytes | Path, graph: GraphSpec, threads: int) -> None:
        """Load a graph.

        Args:
            model: the file's contents, or its path (then it can be mapped; it must outlive the engine).
            graph: its inputs stand in the order of the graph's arguments.
            threads: used inside one run.

        Raises:
            BundleError: the engine refuses the graph, or its inputs and outputs are not those described.
            MissingExtraError: the engine is not installed.
        """
        ...

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Every output, of int32 ids [batch, per_length * length] by input name: see `checked_outputs`.

        The ids must lie in [0, rows) and the shapes must be among the graph's: engines trust them.

        Raises:
            EdgeBertError: the engine is closed.
            BundleError: the graph failed, or gave something other than finite numbers of the shape described.
        """
        ...

    def close(self) -> None:
        """Free the graph. Closing twice is fine."""
        ...


@runtime_checkable
class TextEngine(Protocol):
    """An engine that reads text itself, from its first byte to the answer, in one pass; `run` is not for it."""

    def read(self, texts: Sequence[Text]) -> np.ndarray:
        """The one output of its graph, float32 [texts, width].

        Raises:
            EdgeBertError: the engine is closed.
            ValueError: a pair where the model takes one text, or the reverse; a text that is not valid Unicode.
        """
        ...


def load_engine(name: str, model: bytes | Path, graph: GraphSpec, threads: int = 1) -> Engine:
    """The engine `name` with a graph loaded.

    Raises:
        UsageError: an unknown engine, or a number of threads that makes no sense.
        BundleError, MissingExtraError: see `Engine`.
    """
    if name.replace("_", "-") == "tflite-runtime":
        raise UsageError(REFUSED_TFLITE)
    choose("engine", name, ENGINES)
    check_threads(threads)
    engine: Engine = resolve(ENGINES[name])(model, graph, threads)  # type: ignore[operator]
    return engine


def check_threads(threads: object) -> None:
    """Raise UsageError unless `threads` is a sensible number of threads."""
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS:
        raise UsageError(f"threads must be a whole number from 1 to {MAX_THREADS}, not {threads!r}")


REFUSED_TFLITE = (
    "tflite-runtime gives silently wrong logits on int8 files, so EdgeBERT does not use it; "
    'install its successor with: pip install "edgebert[tflite]"'
)


def batch_shape(batch: Mapping[str, np.ndarray], graph: GraphSpec) -> tuple[int, int]:
    """How many texts a batch holds, and at which length they are run."""
    first = graph.inputs[0]
    rows, ids = batch[first.name].shape
    return rows, ids // first.per_length


def checked_outputs(
    values: Mapping[str, Any], rows: int, length: int, graph: GraphSpec, engine: str
) -> dict[str, np.ndarray]:
    """The graph's outputs as float32 [rows, width], or [rows, length, width] where there is a row for each token.

    Args:
        values: by the names of the outputs; what else is in it is left out.

    Raises:
        BundleError: one is missing, has another shape, or holds something other than finite numbers.
    """
    checked = {}
    for name, width, per_token, _ in graph.outputs:
        if name not in values:
            raise BundleError(f"{engine}: the graph has no output named {name!r}")
        try:
            output = np.array(values[name], dtype=np.float32)  # a copy: engines reuse their buffers
        except (TypeError, ValueError):  # texts, or rows of different lengths
            raise BundleError(f"{engine}: the graph gave something other than numbers in {name!r}") from None
        expected = (rows, length, width) if per_token else (rows, width)
        if output.shape != expected:
            raise BundleError(
                f"{engine}: the graph gave {name!r} in the shape {list(output.shape)}, but the manifest says "
                f"{list(expected)}"
            )
        if not np.isfinite(output).all():
            raise BundleError(
                f"{engine}: the graph gave numbers in {name!r} that are not finite; its weights are damaged or overflow"
            )
        checked[name] = output
    return checked


def check_output_names(found: Collection[str], graph: GraphSpec, engine: str, where: str = "the graph") -> None:
    """Refuse a graph that lacks an output.

    Raises:
        BundleError: naming it.
    """
    for spec in graph.outputs:
        if spec.name not in found:
            raise BundleError(f"{engine}: {where} has no output named {spec.name!r}")


def failure(engine: str, what: str, error: BaseException, reason: str = "") -> BundleError:
    """A BundleError with the first line of an engine's own message, and what its native log adds."""
    lines = str(error).strip().splitlines()
    return BundleError(f"{engine} {what}: {(lines[0] if lines else type(error).__name__)[:300]}{reason}")
