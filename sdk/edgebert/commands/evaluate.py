"""`edgebert evaluate`: a run or a bundle on labelled text, alone or against a teacher."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebert_runtime.errors import UsageError

if TYPE_CHECKING:
    from edgebert.data import Row
    from edgebert.tasks.base import Labels, Reading, Settings, Task
    from edgebert_runtime.outputs import Outputs

CHUNK = 256  # rows between two updates of the progress bar


@dataclass(frozen=True)
class Subject:
    """Something that answers.

    Attributes:
        labels: as in `Description`.
        metric: the one that decides.
        settings: of the task.
        read: rows to what it reads of them.
        outputs: what it reads to what it answers.
    """

    path: Path
    task: Task
    labels: Labels
    settings: Settings
    metric: str
    pair: bool
    read: Callable[[Sequence[Row]], Reading]
    outputs: Callable[[Reading], Outputs]


def evaluate(
    model: str | Path,
    *,
    data: str | Path,
    teacher: str | Path | None = None,
    text_column: str | None = None,
    text_pair_column: str | None = None,
    label_column: str | None = None,
    threshold: float | None = None,
) -> dict[str, Any]:
    """Score a run folder or a bundle; a bundle alone needs no torch.

    A bundle answers one text at a time, as it does on a device.

    Args:
        data: a file, or a folder (or dataset name) whose test split is taken, or else its dev split.
        teacher: a run folder (or a bundle) to compare with on the same rows.
        threshold: count the answers whose probability reaches it (`coverage`), and how many of those are right.
    Returns:
        `model`, `data` (what was read), `task`, the task's metrics (with `n`) and, with a teacher, `teacher` (its own
        metrics), `retention`, and as far as the task has such a thing `label_loyalty`, `probability_loyalty`,
        `score_loyalty` and `flips`.
    Raises:
        DataError: a bad row, or a label that the model does not know.
        UsageError: the teacher answers another question.
        EdgeBertError: the run or bundle cannot be used.
    """
    from edgebert.data import Columns, load_evaluation

    with subject(model) as student:
        task = student.task
        rows, source = load_evaluation(data, Columns(text_column, text_pair_column, label_column), task)
        _check_rows(student, rows)
        task.check(rows, student.labels, "the data")
        about = {"model": str(model), "data": source, "task": task.name}
        outputs, reading = _answer(student, rows, "evaluating"), student.read(rows)
        metrics = task.metrics(outputs, reading)
        if threshold is not None:
            metrics |= _answered(task, outputs, reading, threshold)
        if teacher is None:
            return {**about, **metrics}
        with subject(teacher) as reference:
            _check_same(student, reference)
            expected, theirs = _answer(reference, rows, "asking the teacher"), reference.read(rows)
    teacher_metrics = task.metrics(expected, theirs)
    return {
        **about,
        **metrics,
        "teacher": {"path": str(teacher), **teacher_metrics},
        "retention": _retention(metrics[student.metric], teacher_metrics[student.metric]),
        **_compare(task, (outputs, reading), (expected, theirs)),
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
    from edgebert.tasks import get_task
    from edgebert_runtime.model import EdgeModel

    with EdgeModel.load(path) as model:
        manifest, asked = model.manifest, model.ask([])
        task = get_task(manifest.task)

        def outputs(reading: Reading) -> Outputs:
            features = () if model.reads_text else model.featurize(reading.asked)
            return model.infer(reading.asked, features, batch_size=1)

        yield Subject(
            path,
            task,
            asked.labels,
            asked.settings,
            str(manifest.metrics.get("exported", {}).get("metric") or task.metric_names(manifest.settings)[0]),
            takes_pairs(model),
            lambda rows: task.read(rows, asked.featurizer, asked.labels, asked.settings),
            outputs,
        )


def _from_run(path: Path) -> Subject:
    from edgebert.run import RECORD, load_run
    from edgebert_runtime.errors import require

    if (path / RECORD).is_file() or (path / "config.json").is_file():
        require("torch", "train")  # a folder that is no run at all is refused without it
    from edgebert.commands.scoring import Scoring
    from edgebert.tasks import get_task

    run = load_run(path)
    described = run.description
    scoring = Scoring(get_task(described.task), run.featurizer, described.labels, described.settings, described.metric)

    return Subject(
        path,
        scoring.task,
        scoring.labels,
        scoring.settings,
        scoring.metric,
        described.pair,
        scoring.read,
        lambda reading: scoring.outputs(run.module, reading.texts),
    )


def _answer(student: Subject, rows: Sequence[Row], description: str) -> Outputs:
    """What it answers about all rows, as far as the task's numbers need it, under a progress bar."""
    from edgebert.console import Progress
    from edgebert.tasks.heads import at_once
    from edgebert_runtime.outputs import join

    task = student.task
    size = at_once(task.heads(student.labels, student.settings), CHUNK)
    found = []
    with Progress(len(rows), description) as bar:
        for start in range(0, len(rows), size):
            part = student.read(rows[start : start + size])
            found.append(task.keep(student.outputs(part), part))
            bar.update(len(part.rows))
    return join(found)


def _check_rows(student: Subject, rows: Sequence[Row]) -> None:
    if isinstance(student.task.texts(rows[:1])[0], tuple) != student.pair:
        wanted = (
            "pairs of texts, and this data has single ones" if student.pair else "single texts, and this data has pairs"
        )
        raise UsageError(
            f"{rows[0].source}: {student.path} takes {wanted}. Name the columns with --text-column, --text-pair-column."
        )


def _check_same(student: Subject, teacher: Subject) -> None:
    """Raise UsageError unless both answer the same question."""
    ours, theirs = ({label for names in each.labels.values() for label in names} for each in (student, teacher))
    if student.task.name != teacher.task.name or student.pair != teacher.pair or ours != theirs:
        other = sorted(ours ^ theirs)
        detail = f"the label {other[0]!r} is known to one of them only" if other else "their tasks differ"
        raise UsageError(f"{student.path} and {teacher.path} cannot be compared: {detail}.")


def _retention(score: float, teacher_score: float) -> float | None:
    from edgebert.evaluation import retention

    return retention(score, teacher_score)


def _answered(task: Task, outputs: Outputs, reading: Reading, threshold: float) -> dict[str, Any]:
    """The share of rows that are answered at this threshold, and how many of those are right.

    Raises:
        UsageError: the task's answers have no probability, or no right and wrong.
    """
    import numpy as np

    from edgebert_runtime.decode import check_threshold, get_decoder

    check_threshold(task.name, threshold)
    settings = {**reading.asked.settings, "threshold": threshold}
    answers = get_decoder(task.name).decode(outputs, reading.asked._replace(settings=settings))
    right = task.decisions(outputs, reading).right
    sure = np.asarray([getattr(answer, "sure", None) for answer in answers])
    if right is None or None in sure:
        raise UsageError(f"--threshold: an answer of {task.name} is not one that is given or kept back as a whole.")
    sure = sure.astype(bool)
    return {"coverage": float(sure.mean()), "accuracy_of_answered": float(right[sure].mean()) if sure.any() else None}


def _compare(task: Task, ours: tuple[Outputs, Reading], theirs: tuple[Outputs, Reading]) -> dict[str, Any]:
    """What the student copies of its teacher, as far as the task's answers allow."""
    import numpy as np

    from edgebert.evaluation import flips, label_loyalty, probability_loyalty
    from edgebert.evaluation.scores import pearson

    student, teacher = task.decisions(*ours), task.decisions(*theirs)
    found: dict[str, Any] = {}
    if student.answers is not None and teacher.answers is not None:
        found["label_loyalty"] = label_loyalty(teacher.answers, student.answers)
    if student.probabilities is not None and teacher.probabilities is not None:
        found["probability_loyalty"] = probability_loyalty(teacher.probabilities, student.probabilities)
    if student.scores is not None and teacher.scores is not None:
        found["score_loyalty"] = pearson(teacher.scores, student.scores)
    if student.right is not None and teacher.right is not None:
        assert student.answers is not None and teacher.answers is not None
        changed = [ours != theirs for ours, theirs in zip(student.answers, teacher.answers, strict=True)]
        found["flips"] = flips(teacher.right, student.right, np.asarray(changed)).to_json()
    return found
