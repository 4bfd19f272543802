"""What is asked of a model. A new task is a new file here and one line in `TASKS`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, cast

import numpy as np

from edgebert.data.readers import Row
from edgebert_runtime.errors import choose, resolve

# Task name -> "module:object", loaded when it is asked for.
TASKS: dict[str, str] = {
    "classification": "edgebert.tasks.classification:CLASSIFICATION",
}


class Task(Protocol):
    """What the rest of the workstation needs to know of a task."""

    @property
    def name(self) -> str:
        """The key in `TASKS`, and "task" in a manifest."""

    @property
    def metric(self) -> str:
        """The key of `metrics` that decides: early stopping, retention, `--max-drop`. Higher is better, 0..1."""

    def labels_from(self, rows: Iterable[Row]) -> tuple[str, ...]:
        """The labels that train data holds, in the order of the logits."""

    def encode(self, rows: Iterable[Row], labels: Sequence[str]) -> list[int]:
        """The label of each row as an index in `labels`."""

    def metrics(self, logits: np.ndarray, gold: Sequence[int] | np.ndarray, labels: Sequence[str]) -> dict[str, Any]:
        """Logits [n, len(labels)] and gold indices [n] -> the task's numbers, ready for JSON."""


def get_task(name: str) -> Task:
    """The task called `name`.

    Raises:
        UsageError: there is none; the message lists those there are.
    """
    return cast(Task, resolve(TASKS[choose("task", name, TASKS)]))
