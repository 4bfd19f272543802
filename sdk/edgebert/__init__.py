"""EdgeBERT: text in, answer out, on a phone, from a model distilled on a workstation.

Each command of `edgebert` is one function here, of the same name and with the same arguments:

>>> import edgebert                                                             # doctest: +SKIP
>>> teacher = edgebert.finetune("minilm", "runs/teacher", data="data/trec6")    # doctest: +SKIP
>>> student = edgebert.distill(teacher=teacher, student="ngram", data="data/trec6", out="runs/ngram")  # doctest: +SKIP
>>> edgebert.export(student, target="android", out="trec6.edgebert")            # doctest: +SKIP
>>> edgebert.predict("trec6.edgebert", "How far is the moon?")                  # doctest: +SKIP

Importing this package imports nothing heavy: a function is loaded when it is first named.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgebert.commands.cascade import cascade as cascade
    from edgebert.commands.distill import distill as distill
    from edgebert.commands.doctor import doctor as doctor
    from edgebert.commands.evaluate import evaluate as evaluate
    from edgebert.commands.export import export as export
    from edgebert.commands.finetune import finetune as finetune
    from edgebert.commands.formats import formats as formats
    from edgebert.commands.inspect import inspect as inspect
    from edgebert.commands.predict import predict as predict
    from edgebert.commands.profile import profile as profile
    from edgebert.commands.quickstart import quickstart as quickstart
    from edgebert.commands.sign import sign as sign
    from edgebert_runtime.model import EdgeModel as EdgeModel

__version__ = "0.1.0"

__all__ = [
    "EdgeModel",
    "cascade",
    "distill",
    "doctor",
    "evaluate",
    "export",
    "finetune",
    "formats",
    "inspect",
    "predict",
    "profile",
    "quickstart",
    "sign",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'edgebert' has no attribute {name!r}")
    from edgebert_runtime.errors import resolve

    value = resolve("edgebert_runtime.model:EdgeModel" if name == "EdgeModel" else f"edgebert.commands.{name}:{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """Keeps the public names: importing the folder `quickstart/` must not put a module where the function is."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
