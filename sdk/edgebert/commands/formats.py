"""`edgebert formats`: what can be exported, and whether this installation can do and run it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """One cell of the matrix: a student in a format and precision.

    Attributes:
        suffix: of the model's file inside the bundle.
        targets: the devices that take this format.
        converts: whether everything an export needs is installed here.
        runs: whether the engine that runs it is installed here.
        install: the command that installs what is missing, or "".
    """

    student: str
    format: str
    precision: str
    suffix: str
    targets: tuple[str, ...]
    converts: bool
    runs: bool
    install: str


def formats() -> list[Format]:
    """The matrix of student, format and precision. Imports no exporter, no engine and no torch."""
    from edgebert.extras import install_command, version
    from edgebert.models import STUDENTS
    from edgebert_converters.base import CONVERTERS, converter
    from edgebert_converters.targets import TARGETS
    from edgebert_runtime.engines import ENGINES
    from edgebert_runtime.errors import resolve

    cells = []
    for student in STUDENTS:
        for name in CONVERTERS:
            made = converter(name)
            if made.featurizers is not None and student not in made.featurizers:
                continue  # made for other students (the n-gram student's featurizer is named like the student)
            converts = all(_installed(package) for package in ("torch", *made.packages))
            runs = version(resolve(ENGINES[name]).package) is not None  # type: ignore[attr-defined]
            needed = f"train,{name}" if made.packages else "train"  # the core comes with every installation
            extra = "" if converts and runs else needed
            targets = tuple(target for target, known in TARGETS.items() if name in known.formats)
            for precision in made.precisions:
                cells.append(
                    Format(
                        student,
                        name,
                        str(precision),
                        made.suffix,
                        targets,
                        converts,
                        runs,
                        install_command(extra) if extra else "",
                    )
                )
    return cells


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
