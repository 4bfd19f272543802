"""Write a bundle: the exported file, the tokenizer, test vectors, a model card and the manifest."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from edgebert_converters.base import Artifact, ExportableModel
from edgebert_converters.card import model_card
from edgebert_converters.verify import Verification, awkward_texts, engine_for, run
from edgebert_runtime.bundle import write_bundle_file
from edgebert_runtime.decode import get_decoder
from edgebert_runtime.errors import ExportError
from edgebert_runtime.features import Text
from edgebert_runtime.golden import vector
from edgebert_runtime.manifest import Manifest, Shapes, TensorInfo, input_tensors
from edgebert_runtime.outputs import OutputSpec, outputs_of

GOLDEN_DEV = 16  # test vectors taken from the dev texts; the awkward texts come on top
ID_TYPES = {"onnx": "int64", "tflite": "int32", "executorch": "int64", "native": "int32"}


def write_bundle(
    artifact: Artifact,
    verification: Verification,
    model: ExportableModel,
    path: Path,
    created: str | None = None,
) -> Path:
    """Write the bundle; the same inputs give the same bytes, but for `created`.

    Args:
        created: ISO 8601 time; now by default.
    Raises:
        ExportError: the exported file cannot compute its test vectors.
        EdgeBertError: `path` cannot be written; what stood there is untouched.
    """
    created = created or datetime.now(UTC).isoformat(timespec="seconds")
    settings = plain(model.settings(verification.answers))
    calibration = settings.pop("calibration", None)
    exported = _exported(artifact, verification, model) | ({"calibration": calibration} if calibration else {})
    manifest = Manifest(
        name=model.name,
        task=model.task,
        max_length=model.featurizer.max_length,
        student=re.sub(r"[^A-Za-z0-9._-]+", "-", model.student),
        format=artifact.format,
        precision=str(artifact.precision),
        inputs=input_tensors(model.featurizer.inputs, ID_TYPES[artifact.format], artifact.shapes["batch"]),
        outputs=tuple(_output(spec, artifact.shapes["batch"]) for spec in model.outputs),
        shapes=Shapes.from_json(dict(artifact.shapes)),
        featurizer=dict(artifact.featurizer or model.featurizer.spec()),
        created=created,
        settings=settings,
        metrics={**plain(model.metrics), "exported": exported},
        provenance={**plain(model.provenance), "kept_float": list(artifact.kept)},
        requires=dict(artifact.requires),
    )
    entries: dict[str, bytes | Path] = {
        artifact.path.name: artifact.path,
        "golden.jsonl": golden(artifact, model, settings),
        **({} if artifact.featurizer else model.featurizer.files()),
    }
    sizes = {name: len(entry) if isinstance(entry, bytes) else entry.stat().st_size for name, entry in entries.items()}
    entries["MODEL_CARD.md"] = model_card(model, artifact, exported, sizes, created).encode("utf-8")
    write_bundle_file(path, manifest, entries)
    return path


def _exported(artifact: Artifact, verification: Verification, model: ExportableModel) -> dict[str, Any]:
    return {
        "metric": model.metric,
        model.metric: verification.metric,
        f"float_{model.metric}": verification.float_metric,
        "drop": verification.drop,
        "agreement": verification.agreement,
        "max_difference": verification.max_difference,
        "dev_texts": len(model.asked),
        "model_bytes": artifact.size,
    }


def _output(spec: OutputSpec, batch: int | None) -> TensorInfo:
    """How a manifest names an output of a graph."""
    rows = ("length",) if spec.per_token else ()
    return TensorInfo(spec.name, "float32", (batch or "batch", *rows, spec.width), labels=spec.labels)


def golden(artifact: Artifact, model: ExportableModel, settings: Mapping[str, Any]) -> bytes:
    """The test vectors, JSON lines, computed by the exported file in its own engine, one text at a time.

    Args:
        settings: the decoder's, as in the manifest.

    Raises:
        ExportError: the engine fails.
    """
    decoder, inputs = get_decoder(model.task), model.featurizer.inputs
    asked = model.ask(golden_texts(model), settings)
    features = model.featurizer(asked.read)
    engine = engine_for(artifact, model)
    try:
        outputs = run(engine, artifact, model, asked.read, features)
    finally:
        engine.close()
    items: list[list[Any]] = [[] for _ in asked.texts]
    owners = range(len(features)) if asked.pieces is None else [piece.owner for piece in asked.pieces]
    for index, owner in enumerate(owners):
        items[owner].append((features[index], outputs_of(outputs, index)))
    answers, margins = decoder.decode(outputs, asked), decoder.margins(outputs, asked)
    vectors = [vector(*each, inputs) for each in zip(asked.texts, items, answers, margins, strict=True)]
    return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in vectors).encode("utf-8")


def golden_texts(model: ExportableModel) -> list[Text]:
    """16 dev texts, evenly spread (repeated if there are fewer), then the awkward ones."""
    count = len(model.asked)
    chosen = [model.asked[index * count // GOLDEN_DEV] for index in range(GOLDEN_DEV)]
    return [*chosen, *awkward_texts(model)]


def plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """A copy that JSON can hold: paths and numpy numbers become text and plain numbers.

    Raises:
        ExportError: a value of a type that has no plain form.
    """

    def convert(item: object) -> object:
        if isinstance(item, np.generic):
            return item.item()
        if isinstance(item, np.ndarray):
            return item.tolist()
        if isinstance(item, Path):
            return str(item)
        if isinstance(item, (tuple, set, frozenset)):
            return sorted(item) if isinstance(item, (set, frozenset)) else list(item)
        raise TypeError(f"{type(item).__name__} has no JSON form")

    try:
        copied: dict[str, Any] = json.loads(json.dumps(dict(value), default=convert, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ExportError(
            f"the metrics, settings or provenance of the model cannot be written as JSON: {error}"
        ) from error
    return copied
