"""Bundles with real graphs, built once a session."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

# pytest's importlib mode puts no folder of tests on the path
sys.path += [str(Path(__file__).parent), str(Path(__file__).parent / "core")]

import runtime_graphs as graphs

# Tests that start a Python process need the packages there too, also where they are not installed.
_TREE = Path(__file__).resolve().parents[2]
os.environ["PYTHONPATH"] = os.pathsep.join(
    [*(str(_TREE / name) for name in ("sdk", "converters", "runtime")), os.environ.get("PYTHONPATH", "")]
).rstrip(os.pathsep)

FORMATS = ("onnx", "tflite", "executorch", "native")
NEEDS = {
    "onnx": ("torch", "onnx", "onnxscript", "onnxruntime"),
    "tflite": ("torch", "litert_torch", "ai_edge_litert"),
    "executorch": ("torch", "executorch.exir"),
    "native": (),
}


class Tiny:
    """Builds each tiny bundle on first use."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self._made: dict[str, Path] = {}

    def __call__(self, kind: str) -> Path:
        """`kind` is a format (WordPiece, float), "native" or "native-pair" (n-grams, int8), "ngram" (ONNX),
        "executorch-int8" (int8 embedding rows), or such as "onnx-tags" (a second output, with a row for each token)."""
        format = "onnx" if kind == "ngram" else kind.split("-")[0]
        for package in NEEDS[format]:
            pytest.importorskip(package)
        if kind not in self._made:
            folder = self._factory.mktemp(kind)
            if format == "native":
                self._made[kind] = graphs.write_native(folder, pair=kind == "native-pair")
            else:
                featurizer = graphs.ngrams() if kind == "ngram" else graphs.wordpiece()
                int8, tags = kind == "executorch-int8", kind.endswith("-tags")
                self._made[kind] = graphs.write_bundle(folder, format, featurizer, int8_rows=int8, tags=tags)
        return self._made[kind]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return Tiny(tmp_path_factory)


@pytest.fixture(params=FORMATS)
def bundle_path(request: pytest.FixtureRequest, tiny: Tiny) -> Path:
    """One bundle of each format."""
    return tiny(request.param)
