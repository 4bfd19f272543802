"""ONNX Runtime: graphs with dynamic batch and length, int64 ids."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgebert_runtime.engines import batch_shape, check_output_names, checked_outputs, failure
from edgebert_runtime.errors import BundleError, EdgeBertError, require
from edgebert_runtime.outputs import GraphSpec

_NAME = "ONNX Runtime"
_DTYPES: dict[str, np.dtype[Any]] = {"tensor(int64)": np.dtype(np.int64), "tensor(int32)": np.dtype(np.int32)}


class OnnxEngine:
    """A graph in ONNX Runtime's CPU provider. Runs of several threads go on in parallel."""

    package = "onnxruntime"

    def __init__(self, model: bytes | Path, graph: GraphSpec, threads: int) -> None:
        """See `Engine`."""
        runtime = require("onnxruntime", "onnx")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is raised; warnings about optimisations help nobody here
        # Without VNNI an x86 processor adds up products of int8 in 16 bits, which overflow: answers of other models.
        # This takes wider sums there, and changes nothing on the others.
        options.add_session_config_entry("session.x64quantprecision", "1")
        if not isinstance(model, Path):
            # Bytes have no folder, so weights in other files would be looked for in the working directory: a bundle
            # could have a file outside itself read. Below a device there is nothing to find.
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
        source = str(model) if isinstance(model, Path) else model
        try:
            session = runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exception classes share no base but Exception
            raise failure(_NAME, f"{runtime.__version__} refuses the graph", error) from error
        self._session: Any = session
        self._graph = graph
        self._dtypes = _input_dtypes(session, [spec.name for spec in graph.inputs])
        check_output_names([node.name for node in session.get_outputs()], graph, _NAME)
        self._names = [spec.name for spec in graph.outputs]

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `Engine`."""
        session = self._session  # a copy of the reference: `close` in another thread then waits for this run
        if session is None:
            raise EdgeBertError("this model is closed; load it again")
        feed = {name: np.ascontiguousarray(batch[name], dtype=dtype) for name, dtype in self._dtypes.items()}
        try:
            values = session.run(self._names, feed)
        except Exception as error:
            raise failure(_NAME, "could not run the graph", error) from error
        named = dict(zip(self._names, values, strict=True))
        return checked_outputs(named, *batch_shape(batch, self._graph), self._graph, _NAME)

    def close(self) -> None:
        """See `Engine`."""
        self._session = None


def _input_dtypes(session: Any, names: Sequence[str]) -> dict[str, np.dtype[Any]]:
    """What each input of the graph wants. An exporter may have dropped an input that changes nothing."""
    dtypes: dict[str, np.dtype[Any]] = {}
    for node in session.get_inputs():
        if node.name not in names or node.type not in _DTYPES:
            raise BundleError(
                f"{_NAME}: the graph has the input {node.name!r} of {node.type}, but must take int ids "
                f"named {', '.join(names)}"
            )
        dtypes[node.name] = _DTYPES[node.type]
    return dtypes
