"""`edgebert distill`: a student learns to answer as its teacher does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebert.commands.finetune import check_labels, dev_check, measure, report
from edgebert.console import note
from edgebert.data import Columns, Splits, load_splits, stream_texts
from edgebert.evaluation import retention
from edgebert.provenance import provenance
from edgebert.tasks import Task, get_task
from edgebert_runtime.errors import DataError, UsageError

FEATURES = "features"  # in the run folder, while a very large corpus is trained on

if TYPE_CHECKING:
    from edgebert.distillation.batches import TrainingSet
    from edgebert.distillation.objectives import Sizes
    from edgebert.models import Student
    from edgebert.recipe import DataSection, Recipe
    from edgebert.run import Run
    from edgebert_runtime.features import Text


def distill(
    recipe: str | Path | None = None,
    *,
    teacher: str | Path | None = None,
    student: str | None = None,
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
    training |= {"max_length": max_length, "precision": precision}
    plan = _plan(
        recipe,
        {
            "teacher": teacher and str(teacher),
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
    from edgebert.distillation.objectives import make_objectives
    from edgebert.distillation.trainer import Trainer, processes
    from edgebert.models import Context, get_family
    from edgebert.recipe import TrainingSection, parse
    from edgebert.run import Description, folder_hash, load_run, write_run

    family = get_family(recipe.student.name)
    options = parse(family.options, recipe.student.options, "student")
    settings = parse(TrainingSection, {**family.training, **recipe.training}, "training")
    wanted = recipe.objectives if recipe.objectives is not None else family.objectives
    out = Path(recipe.out)
    splits = _load(recipe.data)
    pair = isinstance(splits.train[0].text, tuple)
    master = load_run(recipe.teacher, pair)
    if master.description.pair != pair:
        kinds = ("pairs of texts", "single ones") if master.description.pair else ("single texts", "pairs")
        raise UsageError(f"the teacher {recipe.teacher} reads {kinds[0]}, but the train data holds {kinds[1]}.")
    task, labels = get_task(master.description.task), master.description.labels
    gold = check_labels(task, splits, labels)
    extra = _unlabelled(recipe.data, splits)
    job = {
        "command": "distill",
        "student": {"name": recipe.student.name, **options.model_dump()},
        "teacher": folder_hash(master.folder),
        "data": splits.fingerprint,
        "unlabelled": [Path(path).name for path in recipe.data.unlabelled] + [len(extra)],
        "objectives": wanted,
        "training": settings.model_dump(),
    }
    if checkpoint.claim(out, job):
        note(f"{out} is finished already.")
        return out
    torch.manual_seed(settings.seed)  # a student starts the same way each time
    texts: list[Text] = [row.text for row in splits.train] + extra
    master.module.to(processes().device)
    context = Context(master.module, master.featurizer, len(labels), pair, settings.max_length, lambda: iter(texts))  # type: ignore[arg-type]
    student = family.build(options, context)
    note(_headline(recipe, student, splits, extra))
    objectives = make_objectives(wanted, _sizes(student.config), _teacher_sizes(master))
    needs = frozenset().union(*(objective.needs for objective in objectives.values()))  # type: ignore[arg-type]
    trainer = Trainer(
        student.module,
        student.featurizer,
        _training_set(student, master, texts, gold, needs, out / FEATURES),
        objectives,
        settings,
        out,
        dev_check(task, student.featurizer, splits.dev, labels),
        _live_teacher(master, student, needs),
    )
    if trainer.main:
        checkpoint.begin(out, job)
    state = trainer.train()
    if trainer.main:
        description = Description(
            kind="student",
            student=recipe.student.name,
            config=student.config,
            task=task.name,
            labels=labels,
            pair=pair,
            max_length=settings.max_length,
            featurizer=student.featurizer.spec(),
            metrics=_metrics(task, student, master, splits),
            provenance=provenance(job, state.seconds),
        )
        write_run(out, description, student.module.cpu(), student.featurizer, splits)
        checkpoint.remove(out)
        features.remove(out / FEATURES)
        report(description.metrics)
    return out


def _load(section: DataSection) -> Splits:
    columns = Columns(section.text_column, section.text_pair_column, section.label_column)
    return load_splits(section.path, section.train, section.dev, section.test, columns)


def _unlabelled(section: DataSection, splits: Splits) -> list[Text]:
    """The unlabelled texts, without repeats and without the texts of train, dev and test."""
    seen = {row.text for rows in (splits.train, splits.dev, splits.test) for row in rows}
    pair = isinstance(splits.train[0].text, tuple)
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


def _headline(recipe: Recipe, student: Student, splits: Splits, extra: Sequence[Text]) -> str:
    parameters = sum(p.numel() for p in student.module.parameters())
    return (
        f"distilling {recipe.student.name} ({parameters / 1e6:.1f} M parameters) from {recipe.teacher} on "
        f"{len(splits.train)} labelled and {len(extra)} unlabelled texts; dev {len(splits.dev)}"
    )


def _sizes(config: Mapping[str, Any]) -> Sizes | None:
    from edgebert.distillation.objectives import Sizes

    return Sizes(config["layers"], config["hidden"], config["heads"]) if "layers" in config else None


def _teacher_sizes(teacher: Run) -> Sizes | None:
    from edgebert.distillation.objectives import Sizes

    config = teacher.module.encoder.config  # type: ignore[union-attr]
    sizes = [getattr(config, name, None) for name in ("num_hidden_layers", "hidden_size", "num_attention_heads")]
    return None if None in sizes else Sizes(*(int(size) for size in sizes))  # type: ignore[arg-type]


def _training_set(
    student: Student, teacher: Run, texts: Sequence[Text], gold: Sequence[int], needs: frozenset[str], folder: Path
) -> TrainingSet:
    import numpy as np

    from edgebert.distillation.batches import TrainingSet
    from edgebert.distillation.features import featurize
    from edgebert.distillation.objectives import LAYERS
    from edgebert.distillation.soft_labels import cache_folder, soft_labels
    from edgebert.run import folder_hash

    labels = np.full(len(texts), -1, dtype=np.int64)
    labels[: len(gold)] = gold
    features = featurize(student.featurizer, texts, folder)
    if needs & LAYERS:
        return TrainingSet(features, labels, teacher_features=features)
    logits = None
    if "logits" in needs:
        store = cache_folder() / folder_hash(teacher.folder)[:32]
        logits = soft_labels(teacher.module, teacher.featurizer, texts, len(teacher.description.labels), store)
    return TrainingSet(features, labels, logits)


def _live_teacher(teacher: Run, student: Student, needs: frozenset[str]) -> Any:
    """The teacher, to run beside the student where stored logits do not suffice.

    Raises:
        UsageError: layers can only be compared where both read the same tokens.
    """
    from edgebert.distillation.objectives import LAYERS
    from edgebert.models.teacher import check_positions
    from edgebert_runtime.features import WordPiece

    if not needs & LAYERS:
        return None
    ours, theirs = student.featurizer, teacher.featurizer
    if not (isinstance(ours, WordPiece) and isinstance(theirs, WordPiece) and ours.vocabulary == theirs.vocabulary):
        raise UsageError("objectives that compare layers need a student and a teacher with the same vocabulary.")
    network: Any = teacher.module
    check_positions(network.encoder, ours.max_length)
    return (network.eager() if "attentions" in needs else network), ours


def _metrics(task: Task, student: Student, teacher: Run, splits: Splits) -> dict[str, Any]:
    """The student's metrics, the teacher's, and what is kept of them."""
    labels = teacher.description.labels
    found = measure(task, student.module, student.featurizer, splits, labels)
    known = dict(teacher.description.metrics)
    if teacher.description.provenance.get("job", {}).get("data") != splits.fingerprint:
        note("the teacher was measured on other data; measuring it on this")
        known = measure(task, teacher.module, teacher.featurizer, splits, labels)
    kept: dict[str, float | None] = {}
    for split in found:
        if split in known:
            kept[split] = retention(found[split][task.metric], known[split][task.metric])
            if kept[split] is not None:
                note(f"{split}: keeps {kept[split]:.1%} of the teacher's {task.metric} {known[split][task.metric]:.4f}")
    return {**found, "teacher": known, "retention": kept}
