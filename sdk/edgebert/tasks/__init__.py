"""What is asked of a model. A new task is a new file here, one line in `TASKS`, and a decoder in the runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from edgebert_runtime.errors import choose, resolve

if TYPE_CHECKING:
    from edgebert.data.columns import Columns
    from edgebert.tasks.base import Task

# Task name -> "module:object", loaded when it is asked for. A task is guessed in this order.
TASKS: dict[str, str] = {
    "intent-slots": "edgebert.tasks.intent_slots:INTENT_SLOTS",
    "token-classification": "edgebert.tasks.token_classification:TOKEN_CLASSIFICATION",
    "question-answering": "edgebert.tasks.question_answering:QUESTION_ANSWERING",
    "multi-label": "edgebert.tasks.multi_label:MULTI_LABEL",
    "regression": "edgebert.tasks.regression:REGRESSION",
    "classification": "edgebert.tasks.classification:CLASSIFICATION",
    "embedding": "edgebert.tasks.embedding:EMBEDDING",
    "masked-lm": "edgebert.tasks.masked_lm:MASKED_LM",
}


def get_task(name: str) -> Task:
    """The task called `name`.

    Raises:
        UsageError: there is none; the message lists those there are.
    """
    return cast("Task", resolve(TASKS[choose("task", name, TASKS)]))


def guess_task(records: Sequence[Mapping[str, object]], columns: Columns) -> tuple[Task, str]:
    """The first task that recognises the first records of train, and why; classification where none does."""
    for name in TASKS:
        task = get_task(name)
        if reason := task.recognises(records, columns):
            return task, reason
    return get_task("classification"), ""
