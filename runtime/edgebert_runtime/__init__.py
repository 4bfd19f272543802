"""EdgeBERT on the device: open a bundle, ask it, measure it. No torch, no transformers.

    import edgebert_runtime as edgebert

    with edgebert.EdgeModel.load("intents.edgebert") as model:
        print(model.predict(["turn on the lights"])[0].label)

Everything is loaded on first use, so importing this package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgebert_runtime import errors
    from edgebert_runtime.bundle import Bundle, Manifest, open_bundle
    from edgebert_runtime.decode.classification import Prediction
    from edgebert_runtime.decode.embedding import Embedding
    from edgebert_runtime.decode.intent_slots import Understanding
    from edgebert_runtime.decode.multi_label import MultiLabel
    from edgebert_runtime.decode.question_answering import FoundAnswer
    from edgebert_runtime.decode.regression import Score
    from edgebert_runtime.decode.spans import Span
    from edgebert_runtime.decode.token_classification import Tagging
    from edgebert_runtime.model import EdgeModel, SelfTest
    from edgebert_runtime.profile import Profile, profile

    __version__: str

__all__ = [
    "Bundle",
    "EdgeModel",
    "Embedding",
    "FoundAnswer",
    "Manifest",
    "MultiLabel",
    "Prediction",
    "Profile",
    "Score",
    "SelfTest",
    "Span",
    "Tagging",
    "Understanding",
    "__version__",
    "errors",
    "open_bundle",
    "profile",
]

_HOMES = {
    "Bundle": "bundle",
    "EdgeModel": "model",
    "Embedding": "decode.embedding",
    "FoundAnswer": "decode.question_answering",
    "Manifest": "bundle",
    "MultiLabel": "decode.multi_label",
    "Prediction": "decode.classification",
    "Profile": "profile",
    "Score": "decode.regression",
    "SelfTest": "model",
    "Span": "decode.spans",
    "Tagging": "decode.token_classification",
    "Understanding": "decode.intent_slots",
    "open_bundle": "bundle",
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    if name == "__version__":
        return _version()
    if name in ("errors", "profile"):  # modules; `profile` can also be called
        return importlib.import_module(f"{__name__}.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("edgebert")
    except PackageNotFoundError:
        return "0+source"  # run from a source tree that is not installed
