"""What several runtime tests need: small bundles without a real graph, and one with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgebert_runtime.bundle import Manifest, Shapes, TensorInfo, write_bundle_file


def manifest(**changes: Any) -> Manifest:
    """A manifest of a model with two labels that takes `ids` of up to 8 numbers below 10."""
    values: dict[str, Any] = {
        "name": "small",
        "task": "classification",
        "max_length": 8,
        "student": "test",
        "format": "onnx",
        "precision": "fp32",
        "inputs": (TensorInfo("ids", "int64", ("batch", "length"), 1, 10),),
        "outputs": (TensorInfo("logits", "float32", ("batch", 2), labels=("no", "yes")),),
        "shapes": Shapes(None, None, 1, 8),
        "featurizer": {"type": "wordpiece"},
        "created": "2026-01-02T03:04:05+00:00",
        "metrics": {"student": {"accuracy": 0.5}},
        "provenance": {"seed": 1},
        "requires": {"package": "onnxruntime", "made_with": {"onnxruntime": "1.0"}},
    }
    return Manifest(**(values | changes))


GOLDEN_PIECE = {"ids": {"ids": [1, 2]}, "outputs": {"logits": {"shape": [2], "values": [0.5, -1.25]}}}
GOLDEN_LINE = {
    "text": "hi",
    "pieces": [GOLDEN_PIECE],
    "answer": {"label": "no", "probability": 0.85, "probabilities": {"no": 0.85, "yes": 0.15}, "sure": True},
    "margin": 0.875,
}


def golden_bytes(*lines: object) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in (lines or (GOLDEN_LINE,)))


def entries(**more: bytes) -> dict[str, bytes]:
    return {"golden.jsonl": golden_bytes(), "model.onnx": b"not a graph", **more}


def write_small(path: Path, contents: Mapping[str, bytes | Path] | None = None, **changes: Any) -> Path:
    """A small valid bundle (archive, manifest and golden vectors; the graph is never loaded)."""
    write_bundle_file(path, manifest(**changes), entries() if contents is None else contents)
    return path
