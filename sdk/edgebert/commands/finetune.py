"""`edgebert finetune`: a Hugging Face encoder becomes a teacher for a task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgebert.commands.scoring import (
    FEATURES,
    Scoring,
    check_labels,
    check_whole_words,
    pick_metric,
    pick_task,
    reads_pairs,
    report,
)
from edgebert.console import note
from edgebert.data import Columns, load_splits
from edgebert.provenance import provenance
from edgebert.tasks.base import Labels
from edgebert_runtime.errors import UsageError


def finetune(
    model: str | Path,
    out: str | Path,
    *,
    data: str | Path | None = None,
    train: str | Path | None = None,
    dev: str | Path | None = None,
    test: str | Path | None = None,
    task: str | None = None,
    metric: str | None = None,
    text_column: str | None = None,
    text_pair_column: str | None = None,
    label_column: str | None = None,
    seed: int = 0,
    epochs: int = 3,
    batch_size: int = 32,
    learning_rate: float = 5e-5,
    max_length: int | None = None,
    precision: str = "auto",
    whole_word: bool = False,
) -> Path:
    """Train an encoder with a head for a task, all of it, and write a teacher folder.

    Args:
        model: `minilm` (comes as a Python package), a Hugging Face name, or a folder; a teacher's folder is where a
            second stage of training starts.
        out: the folder to write. The same call resumes an interrupted run there.
        data, train, dev, test: see `edgebert.data.load_splits`.
        task: a key of `edgebert.tasks.TASKS`; by default what the train data looks like, which is printed.
        metric: decides which weights are kept; one of the task's own, by default its first.
        max_length: tokens read of a text, 128 by default; of a question with its context 384.
        precision: `fp32`, `bf16`, or `auto` (bf16 where the processor has it).
        whole_word: of masked-lm: all pieces of a word are hidden, or none of them.
    Returns:
        `out`.
    Raises:
        EdgeBertError: one of its kinds, for bad data, a bad model or a full disk.
    """
    import torch

    from edgebert.distillation import checkpoint, features
    from edgebert.distillation.objectives import make_objectives
    from edgebert.distillation.trainer import Trainer
    from edgebert.models.teacher import Teacher, check_positions, featurizer_for, load_encoder, load_tokenizer
    from edgebert.recipe import TrainingSection, parse
    from edgebert.run import Description, write_run

    out = Path(out)
    values: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
    columns = Columns(text_column, text_pair_column, label_column)
    chosen, reason = pick_task(task, data, train, columns)
    max_length = (chosen.max_length or 128) if max_length is None else max_length
    values |= {"max_length": max_length, "precision": precision, "seed": seed, "whole_word": whole_word}
    training = parse(TrainingSection, values, "finetune")
    check_whole_words(chosen, whole_word)
    splits = load_splits(data, train, dev, test, columns, chosen)
    labels = chosen.labels_from(splits.train)
    check_labels(chosen, splits, labels)
    if reason:
        note(f"task: {chosen.name} ({reason}); another one is named with --task.")
    job = {
        "command": "finetune",
        "model": str(model),
        "task": chosen.name,
        "metric": metric,
        "data": splits.fingerprint,
        **training.model_dump(),
    }
    if checkpoint.claim(out, job):
        note(f"{out} is finished already.")
        return out
    tokenizer = load_tokenizer(model)
    encoder = load_encoder(model)
    check_positions(encoder, max_length)
    featurizer = featurizer_for(tokenizer, max_length, reads_pairs(chosen, splits.train))
    settings = chosen.settings(splits.train, featurizer)
    scoring = Scoring(chosen, featurizer, labels, settings, pick_metric(chosen, settings, metric))
    if any(head.kind == "vector" for head in scoring.heads):
        raise UsageError(f"{chosen.name} is learned from an encoder as it is: edgebert distill --teacher {model} …")
    torch.manual_seed(seed)  # the new head starts the same way each time
    network = Teacher(encoder, scoring.heads)
    note(f"fine-tuning {model} on {len(splits.train)} texts{_count(labels)}; dev {len(splits.dev)}")
    lessons, _ = scoring.lessons(splits.train, (), out / FEATURES, whole_word)
    trainer = Trainer(
        network,
        featurizer,
        scoring.heads,
        lessons,
        make_objectives({"hard_labels": {"weight": 1.0}}, None, None, scoring.heads),
        training,
        out,
        scoring.dev_check(splits.dev),
    )
    if trainer.main:
        checkpoint.begin(out, job)
    state = trainer.train()
    if trainer.main:
        fitted, metrics = scoring.measure(network, splits)
        description = Description(
            kind="teacher",
            student=str(model) if not Path(model).is_dir() else Path(model).name,
            config={},
            task=chosen.name,
            labels=labels,
            heads=scoring.heads,
            settings=fitted,
            metric=scoring.metric,
            pair=featurizer.pair,
            max_length=max_length,
            featurizer=featurizer.spec(),
            metrics=metrics,
            provenance=provenance(job, state.seconds),
        )
        write_run(out, description, network.cpu(), featurizer, splits, tokenizer)
        checkpoint.remove(out)
        features.remove(out / FEATURES)
        report(metrics, scoring.metric)
    return out


def _count(labels: Labels) -> str:
    """How many labels there are, for the headline: ", 6 labels"."""
    return "".join(
        f", {len(names)} {'labels' if name == 'logits' else f'{name} labels'}" for name, names in labels.items()
    )
