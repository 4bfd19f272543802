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
    from edgebert.commands.doctor import doctor as doctor
    from edgebert.commands.formats import formats as formats
    from edgebert.commands.inspect import inspect as inspect
    from edgebert.commands.predict import predict as predict
    from edgebert.distill.run import distill as distill
    from edgebert.evaluate.run import evaluate as evaluate
    from edgebert.export import export as export
    from edgebert.finetune import finetune as finetune
    from edgebert.quickstart.run import quickstart as quickstart
    from edgebert_runtime.model import EdgeModel as EdgeModel
    from edgebert_runtime.profile import profile as profile

__version__ = "0.1.0"

PUBLIC: dict[str, str] = {
    "quickstart": "edgebert.quickstart.run:quickstart",
    "finetune": "edgebert.finetune:finetune",
    "distill": "edgebert.distill.run:distill",
    "export": "edgebert.export:export",
    "inspect": "edgebert.commands.inspect:inspect",
    "predict": "edgebert.commands.predict:predict",
    "evaluate": "edgebert.evaluate.run:evaluate",
    "profile": "edgebert_runtime.profile:profile",
    "formats": "edgebert.commands.formats:formats",
    "doctor": "edgebert.commands.doctor:doctor",
    "EdgeModel": "edgebert_runtime.model:EdgeModel",
}

__all__ = [
    "EdgeModel",
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
]


def _lazy(name: str) -> property:
    def load(module: ModuleType) -> Any:
        from edgebert_runtime.errors import resolve

        return resolve(PUBLIC[name])

    def ignore(module: ModuleType, value: object) -> None:
        """The import machinery offers the submodule of this name: the function keeps the name."""

    return property(load, ignore)


class _Package(ModuleType):
    """This package, with the public names as properties.

    Some functions share their name with the folder that does their work (`distill`, `evaluate`, `quickstart`).
    Importing `edgebert.evaluate.metrics` would replace the function `edgebert.evaluate` by the module, and a
    module `__getattr__` (PEP 562) could not prevent it. A property does: `edgebert.evaluate` is the function, always,
    and `from edgebert.evaluate.metrics import accuracy` works as everywhere. (Only the spelling
    `import edgebert.evaluate.metrics as metrics` does not: write `from edgebert.evaluate import metrics`.)
    """

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


for _name in PUBLIC:
    setattr(_Package, _name, _lazy(_name))
del _name
sys.modules[__name__].__class__ = _Package
