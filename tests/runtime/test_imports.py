"""The package is light: nothing heavy is imported before it is needed."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

import pytest

import edgebert_runtime

HEAVY = ("torch", "transformers", "onnxruntime", "ai_edge_litert", "executorch", "tokenizers", "edgebert", "click")
LOADED = "import sys; print(*sorted({name.split('.')[0] for name in sys.modules}))"


def loaded_after(code: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", f"{code}\n{LOADED}"], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import edgebert_runtime",
        "from edgebert_runtime import *",
        "from edgebert_runtime import EdgeModel, open_bundle, profile, errors, __version__",
        "import edgebert_runtime.engines.onnx, edgebert_runtime.engines.tflite, edgebert_runtime.engines.executorch",
    ],
)
def test_nothing_heavy_is_imported(code: str) -> None:
    found = loaded_after(code)
    assert "edgebert_runtime" in found and not found & {*HEAVY, "edgebert_converters"}


def test_the_bare_import_does_not_even_load_numpy() -> None:
    assert "numpy" not in loaded_after("import edgebert_runtime")


@pytest.mark.parametrize(("kind", "package"), [("onnx", "onnxruntime"), ("tflite", "ai_edge_litert")])
def test_a_prediction_needs_neither_torch_nor_transformers(tiny: object, kind: str, package: str) -> None:
    path = str(tiny(kind))  # type: ignore[operator]
    found = loaded_after(f"import edgebert_runtime as e; e.EdgeModel.load({path!r}).predict('hi')")
    assert package in found and not found & {"torch", "transformers", "edgebert", "edgebert_converters"}


def test_public_names() -> None:
    assert set(edgebert_runtime.__all__) <= set(dir(edgebert_runtime))
    for name in edgebert_runtime.__all__:
        assert getattr(edgebert_runtime, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        edgebert_runtime.nothing  # noqa: B018


def test_version() -> None:
    try:
        assert edgebert_runtime.__version__ == version("edgebert")
    except PackageNotFoundError:
        assert edgebert_runtime.__version__ == "0+source"
