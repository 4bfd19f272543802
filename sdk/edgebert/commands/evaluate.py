"""`edgebert evaluate`: a run or a bundle on labelled text, alone or against a teacher."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgebert_runtime.errors import UsageError

if TYPE_CHECKING:
    from edgebert.data import Row
    from edgebert_runtime.features import Text

CHUNK = 256  # texts between two updates of the progress bar


@dataclass(frozen=True)
class Subject:
    """Something that answers: `logits` takes texts and gives float32 [n, len(labels)]."""

    path: Path
    task: str
    labels: tuple[str, ...]
    pair: bool
    logits: Callable[[Sequence[Text]], np.ndarray]


def evaluate(
    model: str | Path,
    *,
    data: str | Path,
    teacher: str | Path | None = None,
    text_column: str | None = None,
    text_pair_column: str | None = None,
    label_column: str | None = None,
) -> dict[str, Any]:
    """Score a run folder or a bundle; a bundle alone needs no torch.

    A bundle answers one text at a time, as it does on a device.

    Args:
        data: a file, or a folder (or dataset name) whose test split is taken, or else its dev split.
        teacher: a run folder (or a bundle) to compare with on the same rows.
    Returns:
        `model`, `data` (what was read), `task`, the task's metrics (`n`, `accuracy`, `macro_f1`) and, with a teacher,
        `teacher` (its own metrics), `retention`, `label_loyalty`, `probability_loyalty` and `flips`.
    Raises:
        DataError: a bad row, or a label that the model does not know.
        UsageError: the teacher answers another question.
        EdgeBertError: the run or bundle cannot be used.
    """
    from edgebert.data import Columns, load_evaluation
    from edgebert.tasks import get_task

    with subject(model) as student:
        rows, source = load_evaluation(data, Columns(text_column, text_pair_column, label_column))
        _check_rows(student, rows)
        task = get_task(student.task)
        gold = task.encode(rows, student.labels)
        texts = [row.text for row in rows]
        if teacher is None:
            logits = _answer(student, texts, "evaluating")
            return {
                "model": str(model),
                "data": source,
                "task": task.name,
                **task.metrics(logits, gold, student.labels),
            }
        with subject(teacher) as reference:
            order = _order(student, reference)
            logits = _answer(student, texts, "evaluating")
            expected = _answer(reference, texts, "asking the teacher")[:, order]
    metrics = task.metrics(logits, gold, student.labels)
    teacher_metrics = task.metrics(expected, gold, student.labels)
    return {
        "model": str(model),
        "data": source,
        "task": task.name,
        **metrics,
        "teacher": {"path": str(teacher), **teacher_metrics},
        **_compare(logits, expected, gold, metrics[task.metric], teacher_metrics[task.metric]),
    }


@contextlib.contextmanager
def subject(path: str | Path) -> Iterator[Subject]:
    """Open a run folder or a bundle.

    Raises:
        EdgeBertError: it is neither, or it is damaged.
    """
    path = Path(path)
    if path.is_dir():
        yield _from_run(path)
        return
    from edgebert.commands.predict import takes_pairs
    from edgebert_runtime.model import EdgeModel

    with EdgeModel.load(path) as model:
        yield Subject(
            path,
            model.manifest.task,
            model.labels,
            takes_pairs(model),
            lambda texts: model.logits(list(texts), batch_size=1),
        )


def _from_run(path: Path) -> Subject:
    from edgebert.run import RECORD, load_run
    from edgebert_runtime.errors import require

    if (path / RECORD).is_file() or (path / "config.json").is_file():
        require("torch", "train")  # a folder that is no run at all is refused without it
    run = load_run(path)
    from edgebert.distillation.trainer import score_logits

    def logits(texts: Sequence[Text]) -> np.ndarray:
        return np.asarray(score_logits(run.module, run.featurizer, run.featurizer(texts)))

    described = run.description
    return Subject(path, described.task, tuple(described.labels), described.pair, logits)


def _answer(student: Subject, texts: Sequence[Text], description: str) -> np.ndarray:
    """Logits, float32 [len(texts), labels], under a progress bar."""
    from edgebert.console import Progress

    found = []
    with Progress(len(texts), description) as bar:
        for start in range(0, len(texts), CHUNK):
            chunk = texts[start : start + CHUNK]
            found.append(student.logits(chunk))
            bar.update(len(chunk))
    return np.concatenate(found)


def _check_rows(student: Subject, rows: Sequence[Row]) -> None:
    if isinstance(rows[0].text, tuple) != student.pair:
        wanted = (
            "pairs of texts, and this data has single ones" if student.pair else "single texts, and this data has pairs"
        )
        raise UsageError(
            f"{rows[0].source}: {student.path} takes {wanted}. Name the columns with --text-column, --text-pair-column."
        )


def _order(student: Subject, teacher: Subject) -> list[int]:
    """For each label of the student, its place among the teacher's."""
    if student.task != teacher.task or student.pair != teacher.pair or set(student.labels) != set(teacher.labels):
        other = sorted(set(student.labels) ^ set(teacher.labels))
        detail = f"the label {other[0]!r} is known to one of them only" if other else "their tasks differ"
        raise UsageError(f"{student.path} and {teacher.path} cannot be compared: {detail}.")
    return [teacher.labels.index(label) for label in student.labels]


def _compare(
    logits: np.ndarray, expected: np.ndarray, gold: Sequence[int], score: float, teacher_score: float
) -> dict[str, Any]:
    from edgebert.evaluation import flips, label_loyalty, probability_loyalty, retention, softmax

    answers, teacher_answers = logits.argmax(axis=1), expected.argmax(axis=1)
    return {
        "retention": retention(score, teacher_score),
        "label_loyalty": label_loyalty(teacher_answers, answers),
        "probability_loyalty": probability_loyalty(softmax(expected), softmax(logits)),
        "flips": flips(teacher_answers, answers, gold).to_json(),
    }
