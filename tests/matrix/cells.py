"""The cells of the matrix task x student x format x precision, taken from what the code says that it can do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from edgebert.commands.formats import PROVED, same_network
from edgebert.models import STUDENTS, get_family
from edgebert.tasks import TASKS, get_task
from edgebert_converters.base import CONVERTERS, converter
from edgebert_runtime.files import atomic_write

# Where the bundles are left; the Kotlin tests read them there.
BUNDLES = Path(__file__).resolve().parents[2] / "build" / "matrix"
# Proved for each task; it goes through all that an export does, and it is what people take.
ALWAYS = "int8"
# The others are proved of these two alone, an answer for a text and one for each word: a converter meets nothing else
# of a task. And not of an exporter that takes longer than the others, so many times.
THOROUGH = ("classification", "token-classification")
SLOW = {"executorch": 3}
# Where the columns of each task's heads change places: in every kind of network, in each task once.
SWAPPED = {
    "classification": "ngram",
    "regression": "ngram",
    "multi-label": "ngram",
    "embedding": "ngram",
    "token-classification": "bilstm",
    "intent-slots": "mobilebert-mini",
    "question-answering": "bert-3",
    "masked-lm": "bert-3",
}


class Cell(NamedTuple):
    """One thing to prove."""

    task: str
    student: str
    format: str
    precision: str

    def __str__(self) -> str:
        return "-".join(self)


def cells(student: str) -> list[Cell]:
    """The cells of a student, those of one task side by side."""
    return [
        Cell(task, student, format, str(precision))
        for task in TASKS
        if get_task(task).needs <= get_family(student).gives
        for format in CONVERTERS
        if (held := converter(format).featurizers) is None or student in held  # a featurizer is named like its student
        for precision in converter(format).precisions
        if precision == ALWAYS or (task in THOROUGH and format not in SLOW)
    ]


def daily(student: str) -> list[Cell]:
    """Those of them that `make test` proves; `make matrix` proves all, which takes three times as long.

    In them each task, student, format and precision meets each other one that it has a cell with.
    """
    return [cell for cell in cells(student) if cell in _meeting()]


@cache
def _meeting() -> frozenset[Cell]:
    """Few cells in which all pairs are, and those of `swapped`."""
    every = [cell for student in students() for cell in cells(student)]
    chosen = [cell for student in students() for cell in swapped(student)]
    missing = {pair for cell in every for pair in _pairs(cell)} - {pair for cell in chosen for pair in _pairs(cell)}

    def worth(cell: Cell) -> float:
        return len(_pairs(cell) & missing) / (SLOW.get(cell.format, 1) if cell.student != "ngram" else 1)

    while missing:
        chosen.append(max(every, key=worth))
        missing -= _pairs(chosen[-1])
    return frozenset(chosen)


def _pairs(cell: Cell) -> set[tuple[tuple[int, str], ...]]:
    return set(combinations(enumerate(cell), 2))


def swapped(student: str) -> list[Cell]:
    """The cells of the tasks that `SWAPPED` gives to this student, each in the format that is exported soonest."""
    format = "native" if student == "ngram" else "onnx"
    return [cell for cell in cells(student) if SWAPPED[cell.task] == student and cell[2:] == (format, ALWAYS)]


def students() -> list[str]:
    """Of students that differ in their sizes alone the first."""
    return [student for student in STUDENTS if same_network(student)[0] == student]


# ---- sdk/edgebert/proved.json


def read_list() -> list[Cell]:
    """The cells that are listed as proved."""
    return list(read_jvm())


def read_jvm() -> dict[Cell, str]:
    """The listed cells, and how the JVM replayed each: by its "engine", "decode" alone; "" is not yet."""
    entries = json.loads(PROVED.read_text(encoding="utf-8")) if PROVED.is_file() else []
    return {Cell(*(entry[name] for name in Cell._fields)): entry["jvm"] for entry in entries}


def write_list(student: str, cells: Sequence[Cell]) -> None:
    """List these cells of a student, and those of the others as they were."""
    known = read_jvm()
    tasks, names, formats = list(TASKS), students(), list(CONVERTERS)
    every = [*cells, *(cell for cell in known if cell.student != student)]
    # Cells that this code does not know any more are gone.
    every = [cell for cell in every if cell.task in tasks and cell.student in names and cell.format in formats]
    every.sort(key=lambda cell: (tasks.index(cell.task), names.index(cell.student), formats.index(cell.format)))
    _write({cell: known.get(cell, "") for cell in every})


def write_jvm(replayed: Mapping[str, str]) -> None:
    """Note how the JVM replayed each cell, by its name."""
    _write({cell: replayed.get(str(cell), "") for cell in read_list()})


def _write(cells: Mapping[Cell, str]) -> None:
    """One cell a line."""
    lines = [json.dumps({**cell._asdict(), "jvm": jvm}) for cell, jvm in cells.items()]
    with atomic_write(PROVED) as handle:
        handle.write(("[\n" + ",\n".join(lines) + "\n]\n").encode())
