"""Native bundles of tasks other than classification, with random numbers: a score, labels, a vector."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path += [str(Path(__file__).resolve().parents[2] / name) for name in ("runtime", "runtime/core")]

import numpy as np
import reference_model
import runtime_graphs as graphs

from edgebert_runtime import golden
from edgebert_runtime.bundle import Shapes, output_tensors
from edgebert_runtime.decode import ask, get_decoder
from edgebert_runtime.outputs import OutputSpec, outputs_of

TASKS: dict[str, tuple[OutputSpec, dict[str, Any]]] = {
    "regression": (OutputSpec("score", 1), {"scale": 1.5, "shift": 3.0}),
    "multi-label": (graphs.LOGITS, {"thresholds": [0.3, 0.5, 0.7]}),
    "embedding": (OutputSpec("vector", 5), {}),
}


def write_native_task(folder: Path, task: str) -> Path:
    """A bundle whose test vectors are the reference's numbers, decoded by Python."""
    spec, settings = TASKS[task]
    featurizer = graphs.ngrams((1, 1))
    sizes = reference_model.Sizes(spec.width, 32, (32, 64), 0, 8, fold=1)
    content = reference_model.write(sizes, reference_model.random_sections(sizes, featurizer.table, seed=6))
    known = reference_model.Model(content)
    outputs = {spec.name: np.stack([known.logits(text, None) for text in graphs.TEXTS])}
    vectors = _vectors(task, spec, settings, featurizer, outputs)
    made = replace(
        graphs.manifest("native", featurizer, Shapes(None, None, 1, graphs.MAX_LENGTH), "int8", (spec,)),
        name=f"tiny-{task}",
        task=task,
        settings=settings,
        featurizer={**featurizer.spec(), "table": "model.ebnn"},
        outputs=output_tensors((spec,)),
    )
    return graphs.bundled(folder, made, {"model.ebnn": content}, vectors)


def _vectors(
    task: str, spec: OutputSpec, settings: Mapping[str, Any], featurizer: Any, outputs: dict[str, Any]
) -> list[dict[str, Any]]:
    decoder = get_decoder(task)
    asked = ask(decoder, graphs.TEXTS, featurizer, {spec.name: spec.labels}, settings)
    found = zip(graphs.TEXTS, decoder.decode(outputs, asked), decoder.margins(outputs, asked), strict=True)
    return [
        golden.vector(text, [(featurizer([text])[0], outputs_of(outputs, index))], answer, margin, featurizer.inputs)
        for index, (text, answer, margin) in enumerate(found)
    ]
