"""Bundles with real graphs, built once a session."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # pytest's importlib mode puts no folder of tests on the path

import runtime_graphs as graphs

# Tests that start a Python process need the packages there too, also where they are not installed.
_TREE = Path(__file__).resolve().parents[2]
os.environ["PYTHONPATH"] = os.pathsep.join(
    [*(str(_TREE / name) for name in ("sdk", "converters", "runtime")), os.environ.get("PYTHONPATH", "")]
).rstrip(os.pathsep)

FORMATS = ("onnx", "tflite", "executorch")
NEEDS = {
    "onnx": ("torch", "onnx", "onnxscript", "onnxruntime"),
    "tflite": ("torch", "litert_torch", "ai_edge_litert"),
    "executorch": ("torch", "executorch.exir"),
}


class Tiny:
    """Builds each tiny bundle on first use."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self._made: dict[str, Path] = {}

    def __call__(self, kind: str) -> Path:
        """`kind` is a format (WordPiece, float), "ngram" (ONNX) or "executorch-int8" (int8 embedding rows)."""
        format = {"ngram": "onnx", "executorch-int8": "executorch"}.get(kind, kind)
        for package in NEEDS[format]:
            pytest.importorskip(package)
        if kind not in self._made:
            featurizer = graphs.ngrams() if kind == "ngram" else graphs.wordpiece()
            folder = self._factory.mktemp(kind)
            self._made[kind] = graphs.write_bundle(folder, format, featurizer, int8_rows=kind == "executorch-int8")
        return self._made[kind]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return Tiny(tmp_path_factory)


@pytest.fixture(params=FORMATS)
def bundle_path(request: pytest.FixtureRequest, tiny: Tiny) -> Path:
    """One bundle of each format."""
    return tiny(request.param)
