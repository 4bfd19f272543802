"""`edgebert formats`: what can be exported, as tests have proved it, and what this installation can do of it."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path

# The cells that tests have proved, a JSON object each: task, student, format, precision, jvm. `make matrix` writes it.
PROVED = Path(__file__).resolve().parent.parent / "proved.json"


@dataclass(frozen=True)
class Format:
    """One cell of the matrix: a task that a student has learned, in a format and precision.

    Attributes:
        students: kinds of student that differ in their sizes alone; the first is the one that was proved.
        jvm: how the Android library replayed the cell's test vectors on a desktop's JVM: by its "engine"; or by
            "decode", all but the engine, where that is for phones only.
        suffix: of the model's file inside the bundle.
        targets: the devices that take this format.
        converts: whether everything an export needs is installed here.
        runs: whether the engine that runs it is installed here.
        install: the command that installs what is missing, or "".
    """

    task: str
    students: tuple[str, ...]
    format: str
    precision: str
    jvm: str
    suffix: str
    targets: tuple[str, ...]
    converts: bool
    runs: bool
    install: str


def formats() -> list[Format]:
    """The proved cells, by task, student, format and precision. Imports no exporter, no engine and no torch."""
    from edgebert.extras import install_command, version
    from edgebert_converters.base import CONVERTERS, converter
    from edgebert_converters.targets import TARGETS
    from edgebert_runtime.engines import ENGINES
    from edgebert_runtime.errors import resolve

    here: dict[str, tuple[str, tuple[str, ...], bool, bool, str]] = {}
    for name in CONVERTERS:
        made = converter(name)
        converts = all(_installed(package) for package in ("torch", *made.packages))
        runs = version(resolve(ENGINES[name]).package) is not None  # type: ignore[attr-defined]
        needed = f"train,{name}" if made.packages else "train"  # the core comes with every installation
        install = "" if converts and runs else install_command(needed)
        targets = tuple(target for target, known in TARGETS.items() if name in known.formats)
        here[name] = (made.suffix, targets, converts, runs, install)
    cells = json.loads(PROVED.read_text(encoding="utf-8"))
    return [
        Format(
            cell["task"],
            same_network(cell["student"]),
            cell["format"],
            cell["precision"],
            cell["jvm"],
            *here[cell["format"]],
        )
        for cell in cells
    ]


def same_network(student: str) -> tuple[str, ...]:
    """The students that are one kind of network in different sizes (they come from one module), in their order."""
    from edgebert.models import STUDENTS

    module = STUDENTS[student].partition(":")[0]
    return tuple(name for name, path in STUDENTS.items() if path.partition(":")[0] == module)


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
