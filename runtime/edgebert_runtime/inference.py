"""Features to outputs: check ids, group texts by length, pad, run. Shared by `EdgeModel` and by the export check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgebert_runtime.engines import Engine
from edgebert_runtime.errors import BundleError
from edgebert_runtime.features import Features, InputSpec, length_of, pad
from edgebert_runtime.outputs import GraphSpec, Outputs


def infer(engine: Engine, features: Sequence[Features], graph: GraphSpec, batch_size: int = 1) -> Outputs:
    """What the graph answers, in the order of `features`; where there is a row for each token, without the padding's.

    Texts of similar length share a batch. Batches do not change what a float model answers. A graph with dynamic
    int8 may take one activation scale for a whole batch (ONNX Runtime does), so its numbers move a little with the
    company a text has; with `batch_size=1` they never do.

    Args:
        graph: with buckets, texts are padded to the smallest that holds them, otherwise to the longest text of their
            batch. A fixed batch of 1 overrules `batch_size`.

    Raises:
        BundleError: ids outside the embedding tables, features longer than the graph takes, or a failing graph.
    """
    for item in features:
        check_features(item, graph.inputs, graph.shapes["max_length"])
    found = empty_outputs(graph, len(features))
    lengths = [pad_length(length_of(item, graph.inputs), graph.shapes) for item in features]
    for length, members in batches(lengths, graph.shapes, batch_size):
        values = engine.run(pad([features[index] for index in members], graph.inputs, length))
        for spec in graph.outputs:
            rows = found[spec.name]
            if isinstance(rows, np.ndarray):
                rows[members] = values[spec.name]
                continue
            for index, row in zip(members, values[spec.name], strict=True):
                rows[index] = row[: tokens_of(features[index], graph)].copy()  # not a view of the whole batch
    return found


def empty_outputs(graph: GraphSpec, texts: int) -> Outputs:
    """Room for the outputs of some texts: zeros [texts, width], or a list of [0, width]."""
    return {
        spec.name: [np.zeros((0, spec.width), np.float32)] * texts
        if spec.per_token
        else np.zeros((texts, spec.width), np.float32)
        for spec in graph.outputs
    }


def tokens_of(features: Features, graph: GraphSpec) -> int:
    """How many tokens a text has, which may be none."""
    first = graph.inputs[0]
    return len(features[first.name]) // first.per_length


def check_features(features: Features, inputs: Sequence[InputSpec], max_length: int) -> None:
    """Engines trust ids: some read outside the table, one aborts the process. So every id is checked here.

    Raises:
        BundleError: an input is missing, not a list of whole numbers, too long, or has an id outside [0, rows).
    """
    for spec in inputs:
        ids = features.get(spec.name)
        if ids is None or ids.ndim != 1 or ids.dtype.kind not in "iu":
            raise BundleError(f"the featurizer gave no list of ids for the input {spec.name!r}")
        most = spec.per_length * max_length
        if len(ids) > most:
            raise BundleError(f"{len(ids)} ids for {spec.name!r} are more than the {most} the graph takes")
        if len(ids) and (int(ids.min()) < 0 or int(ids.max()) >= spec.rows):
            wrong = int(ids.min()) if int(ids.min()) < 0 else int(ids.max())
            raise BundleError(f"the id {wrong} of {spec.name!r} is outside its table of {spec.rows} rows")


def pad_length(length: int, shapes: Mapping[str, Any]) -> int:
    """The length to run a text of `length` at: its bucket, or itself but not below the graph's minimum."""
    if shapes["lengths"] is None:
        return max(length, int(shapes["min_length"]))
    return int(next(bucket for bucket in shapes["lengths"] if bucket >= length))


def batches(lengths: Sequence[int], shapes: Mapping[str, Any], batch_size: int) -> list[tuple[int, list[int]]]:
    """(length, indices) of each run: short texts first, at most `batch_size` each, buckets never mixed."""
    size = 1 if shapes["batch"] == 1 else max(1, batch_size)
    order = sorted(range(len(lengths)), key=lambda index: lengths[index])
    found: list[tuple[int, list[int]]] = []
    for index in order:
        length = lengths[index]
        if found and len(found[-1][1]) < size and (shapes["lengths"] is None or found[-1][0] == length):
            found[-1] = (length, [*found[-1][1], index])
        else:
            found.append((length, [index]))
    return found
