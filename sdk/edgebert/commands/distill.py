"""`edgebert distill`: a student learns to answer as its teacher does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebert.commands.scoring import (
    FEATURES,
    Scoring,
    check_labels,
    check_whole_words,
    pick_metric,
    reads_pairs,
    report,
)
from edgebert.console import note
from edgebert.data import Columns, Splits, load_splits, stream_texts
from edgebert.evaluation import retention
from edgebert.models import STUDENTS, get_family
from edgebert.provenance import provenance
from edgebert.tasks import get_task
from edgebert.tasks.base import Settings, Task
from edgebert_runtime.errors import DataError, UsageError

if TYPE_CHECKING:
    from torch import nn

    from edgebert.data import Row
    from edgebert.distillation.batches import TrainingSet
    from edgebert.distillation.objectives import Sizes
    from edgebert.models import Family, Student
    from edgebert.recipe import DataSection, Recipe
    from edgebert.run import Run
    from edgebert_runtime.features import Featurizer, Text
    from edgebert_runtime.outputs import Outputs


def distill(
    recipe: str | Path | None = None,
    *,
    teacher: str | Path | None = None,
    student: str | None = None,
    task: str | None = None,
    metric: str | None = None,
    data: str | Path | None = None,
    train: str | Path | None = None,
    dev: str | Path | None = None,
    test: str | Path | None = None,
    unlabelled: Sequence[str | Path] = (),
    unlabelled_column: str | None = None,
    text_column: str | None = None,
    text_pair_column: str | None = None,
    label_column: str | None = None,
    out: str | Path | None = None,
    seed: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    max_length: int | None = None,
    precision: str | None = None,
    whole_word: bool | None = None,
) -> Path:
    """Train a student from a teacher on labelled and unlabelled text, and write a run folder.

    A recipe holds every setting (see `edgebert.recipe`); what is given here counts more than what stands there. The
    same call resumes an interrupted run.

    Returns:
        The run folder.
    Raises:
        EdgeBertError: one of its kinds, for a bad recipe, bad data, a bad teacher or a full disk.
    """
    section = {"path": data, "train": train, "dev": dev, "test": test, "unlabelled_column": unlabelled_column}
    section |= {"text_column": text_column, "text_pair_column": text_pair_column, "label_column": label_column}
    training: dict[str, Any] = {
        "seed": seed,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
    }
    training |= {"max_length": max_length, "precision": precision, "whole_word": whole_word}
    plan = _plan(
        recipe,
        {
            "teacher": teacher and str(teacher),
            "task": task,
            "metric": metric,
            "student": {"name": student} if student else None,
            "data": {k: v if v is None else str(v) for k, v in section.items()}
            | {"unlabelled": tuple(str(path) for path in unlabelled)},
            "training": training,
            "out": out and str(out),
        },
    )
    return _distill(plan)


def _plan(recipe: str | Path | None, flags: Mapping[str, Any]) -> Recipe:
    from edgebert.recipe import Recipe, load_yaml, merge, parse

    values = merge(load_yaml(recipe) if recipe else {}, flags)
    for name in ("teacher", "student", "out"):
        if name not in values:
            raise UsageError(f"--{name} is missing: give it here or as {name!r} in a recipe.")
    values.setdefault("data", {})
    return parse(Recipe, values, str(recipe or "distill"))


def _distill(recipe: Recipe) -> Path:
    import torch

    from edgebert.distillation import checkpoint, features
    from edgebert.distillation.align import by_tokens
    from edgebert.distillation.objectives import make_objectives
    from edgebert.distillation.trainer import Trainer, processes
    from edgebert.models import Context
    from edgebert.recipe import TrainingSection, parse
    from edgebert.run import Description, folder_hash, load_run, task_of, write_run

    family = get_family(recipe.student.name)
    options = parse(family.options, recipe.student.options, "student")
    settings = parse(TrainingSection, {**family.training, **recipe.training}, "training")
    wanted = recipe.objectives if recipe.objectives is not None else family.objectives
    out = Path(recipe.out)
    task = get_task(task_of(recipe.teacher, recipe.task))
    check_family(recipe.student.name, family, task)
    check_whole_words(task, settings.whole_word)
    splits = _load(recipe.data, task)
    pair = reads_pairs(task, splits.train)
    master = load_run(recipe.teacher, pair)
    described = master.description
    if described.pair != pair:
        kinds = ("pairs of texts", "single ones") if described.pair else ("single texts", "pairs")
        raise UsageError(f"the teacher {recipe.teacher} reads {kinds[0]}, but the train data holds {kinds[1]}.")
    if "max_length" not in recipe.training:
        length = task.max_length or settings.max_length
        if by_tokens(described.heads):
            length = min(length, described.max_length)
        settings = settings.model_copy(update={"max_length": length})
    check_labels(task, splits, described.labels)
    metric = pick_metric(task, described.settings, recipe.metric or described.metric)
    extra = _unlabelled(recipe.data, task, splits)
    job = {
        "command": "distill",
        "student": {"name": recipe.student.name, **options.model_dump()},
        "teacher": folder_hash(master.folder),
        "task": task.name,
        "metric": metric,
        "data": splits.fingerprint,
        "unlabelled": [Path(path).name for path in recipe.data.unlabelled] + [len(extra)],
        "objectives": wanted,
        "training": settings.model_dump(),
    }
    if checkpoint.claim(out, job):
        note(f"{out} is finished already.")
        return out
    torch.manual_seed(settings.seed)  # a student starts the same way each time
    master.module.to(processes().device)
    splits = _taught(task, master, splits, metric)
    context = Context(
        master.module,  # type: ignore[arg-type]
        master.featurizer,
        described.heads,
        pair,
        settings.max_length,
        lambda: chain(task.texts(splits.train), extra),
    )
    student = family.build(options, context)
    note(_headline(recipe, student, splits, extra, task.labelled))
    scoring = Scoring(task, student.featurizer, described.labels, described.settings, metric)
    objectives = make_objectives(wanted, _sizes(student.config), _teacher_sizes(master), scoring.heads)
    needs = frozenset().union(*(objective.needs for objective in objectives.values()))  # type: ignore[arg-type]
    learn = partial(scoring.lessons, splits.train, extra, out / FEATURES, settings.whole_word)
    lessons, beside = _teaching(scoring, master, learn, needs)
    trainer = Trainer(
        student.module,
        student.featurizer,
        scoring.heads,
        lessons,
        objectives,
        settings,
        out,
        scoring.dev_check(splits.dev),
        beside,
    )
    if trainer.main:
        checkpoint.begin(out, job)
    state = trainer.train()
    if trainer.main:
        fitted, metrics = _metrics(scoring, student, master, splits)
        description = Description(
            kind="student",
            student=recipe.student.name,
            config=student.config,
            task=task.name,
            labels=described.labels,
            heads=scoring.heads,
            settings=fitted,
            metric=metric,
            pair=pair,
            max_length=settings.max_length,
            featurizer=student.featurizer.spec(),
            metrics=metrics,
            provenance=provenance(job, state.seconds),
        )
        write_run(out, description, student.module.cpu(), student.featurizer, splits)
        checkpoint.remove(out)
        features.remove(out / FEATURES)
        report(metrics, metric)
    return out


def check_family(name: str, family: Family, task: Task) -> None:
    """Raise UsageError where this kind of student cannot answer what the task asks."""
    if missing := sorted(task.needs - family.gives):
        able = ", ".join(other for other in STUDENTS if task.needs <= get_family(other).gives)
        raise UsageError(
            f"the task {task.name} needs {_NEEDS[missing[0]]}, which the student {name!r} does not give; "
            f"take --student {able}."
        )


_NEEDS = {
    "text": "an answer for the text",
    "tokens": "an answer for each word",
    "pairs": "a network that reads two texts",
    "vocabulary": "an answer for each word of the vocabulary",
}


def _load(section: DataSection, task: Task) -> Splits:
    columns = Columns(section.text_column, section.text_pair_column, section.label_column)
    return load_splits(section.path, section.train, section.dev, section.test, columns, task)


def _taught(task: Task, teacher: Run, splits: Splits, metric: str) -> Splits:
    """The splits with what the teacher must say about dev and test, where the rows themselves do not."""
    described = teacher.description
    scoring = Scoring(task, teacher.featurizer, described.labels, described.settings, metric)

    def answer(rows: Sequence[Row]) -> Outputs:
        return scoring.answers(teacher.module, rows, "asking the teacher")[0]

    return dataclasses.replace(splits, dev=task.taught(splits.dev, answer), test=task.taught(splits.test, answer))


def _unlabelled(section: DataSection, task: Task, splits: Splits) -> list[Text]:
    """The unlabelled texts, without repeats and without the texts of train, dev and test.

    Raises:
        UsageError: train itself is unlabelled.
        DataError: pairs and single texts are mixed, or a file is bad.
    """
    if not section.unlabelled:
        return []
    if not task.labelled:
        raise UsageError(f"{task.name} learns from text alone: give all of it as train, and leave out --unlabelled.")
    seen = {text for rows in (splits.train, splits.dev, splits.test) for text in task.texts(rows)}
    pair = reads_pairs(task, splits.train)
    texts: list[Text] = []
    for path in section.unlabelled:
        for text in islice(stream_texts(path, section.unlabelled_column), section.unlabelled_limit):
            if isinstance(text, tuple) != pair:
                kinds = ("pairs", "single texts") if pair else ("single texts", "pairs")
                raise DataError(f"{path}: the train data holds {kinds[0]}, but this file holds {kinds[1]}.")
            if text not in seen:
                seen.add(text)
                texts.append(text)
    return texts


def _headline(recipe: Recipe, student: Student, splits: Splits, extra: Sequence[Text], labelled: bool) -> str:
    parameters = sum(p.numel() for p in student.module.parameters())
    texts = (
        f"{len(splits.train)} labelled and {len(extra)} unlabelled texts" if labelled else f"{len(splits.train)} texts"
    )
    return (
        f"distilling {recipe.student.name} ({parameters / 1e6:.1f} M parameters) from {recipe.teacher} on "
        f"{texts}; dev {len(splits.dev)}"
    )


def _sizes(config: Mapping[str, Any]) -> Sizes | None:
    from edgebert.distillation.objectives import Sizes

    return Sizes(config["layers"], config["hidden"], config["heads"]) if "heads" in config else None


def _teacher_sizes(teacher: Run) -> Sizes | None:
    from edgebert.distillation.objectives import Sizes

    config = teacher.module.encoder.config  # type: ignore[union-attr]
    sizes = [getattr(config, name, None) for name in ("num_hidden_layers", "hidden_size", "num_attention_heads")]
    return None if None in sizes else Sizes(*(int(size) for size in sizes))  # type: ignore[arg-type]


def _teaching(
    scoring: Scoring, teacher: Run, learn: Callable[[], tuple[TrainingSet, Sequence[Text]]], needs: frozenset[str]
) -> tuple[TrainingSet, tuple[nn.Module, Featurizer] | None]:
    """What the student learns from, and the teacher where it must run beside it.

    Args:
        learn: see `Scoring.lessons`.
    Raises:
        UsageError: teacher and student must read the same tokens, and do not.
    """
    from edgebert.distillation.align import Units, check_tokens, same_tokens
    from edgebert.distillation.objectives import LAYERS
    from edgebert.distillation.soft_labels import cache_folder, soft_labels
    from edgebert.run import folder_hash

    ours, theirs = scoring.featurizer, teacher.featurizer
    if "logits" in needs:
        check_tokens(scoring.task.name, scoring.heads, ours, theirs)
    lessons, texts = learn()
    by_word = any(head.per_token and head.kind == "classes" and not head.tied for head in scoring.heads)
    units = Units(ours, texts) if by_word else None
    if needs & LAYERS:
        return dataclasses.replace(lessons, units=units), _beside(teacher, ours, "attentions" in needs)
    if "logits" not in needs:
        return lessons, None
    store = cache_folder() / folder_hash(teacher.folder)[:32]
    soft = soft_labels(teacher.module, theirs, scoring.heads, texts, store, ours)
    if soft is not None:
        return dataclasses.replace(lessons, soft=soft), None
    if same_tokens(ours, theirs):
        return dataclasses.replace(lessons, units=units), (teacher.module, ours)
    if any(head.per_token for head in scoring.heads):
        raise UsageError("the teacher's answers do not fit on the disk, and its tokens are others; free some space.")
    return dataclasses.replace(lessons, teacher_features=theirs(texts)), (teacher.module, theirs)


def _beside(teacher: Run, ours: Featurizer, attentions: bool) -> tuple[nn.Module, Featurizer]:
    """The teacher as it runs beside the student, reading the student's ids.

    Raises:
        UsageError: layers can only be compared where both read the same tokens.
    """
    from edgebert.models.teacher import check_positions
    from edgebert_runtime.features import WordPiece

    theirs, network = teacher.featurizer, teacher.module
    if not (isinstance(ours, WordPiece) and isinstance(theirs, WordPiece) and ours.vocabulary == theirs.vocabulary):
        raise UsageError("objectives that compare layers need a student and a teacher with the same vocabulary.")
    check_positions(network.encoder, ours.max_length)
    return (network.eager() if attentions else network), ours  # type: ignore[operator]


def _metrics(scoring: Scoring, student: Student, teacher: Run, splits: Splits) -> tuple[Settings, dict[str, Any]]:
    """The student's settings and metrics, the teacher's metrics, and what is kept of them."""
    metric = scoring.metric
    settings, found = scoring.measure(student.module, splits)
    known = dict(teacher.description.metrics)
    same = teacher.description.provenance.get("job", {}).get("data") == splits.fingerprint
    if not same or metric not in known.get("dev", {}):
        note("measuring the teacher on this data")
        known = dataclasses.replace(scoring, featurizer=teacher.featurizer).measure(teacher.module, splits)[1]
    kept: dict[str, float | None] = {}
    for split in found:
        if split in known:
            kept[split] = retention(found[split][metric], known[split][metric])
            if kept[split] is not None:
                note(f"{split}: keeps {kept[split]:.1%} of the teacher's {metric} {known[split][metric]:.4f}")
    return settings, {**found, "teacher": known, "retention": kept}
