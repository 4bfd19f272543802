"""`edgebert finetune`: a Hugging Face encoder becomes a teacher for a task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebert.console import note
from edgebert.data import Columns, Row, Splits, load_splits
from edgebert.provenance import provenance
from edgebert.tasks import Task, get_task

if TYPE_CHECKING:
    from torch import nn

    from edgebert_runtime.features import Featurizer


def finetune(
    model: str | Path,
    out: str | Path,
    *,
    data: str | Path | None = None,
    train: str | Path | None = None,
    dev: str | Path | None = None,
    test: str | Path | None = None,
    task: str = "classification",
    text_column: str | None = None,
    text_pair_column: str | None = None,
    label_column: str | None = None,
    seed: int = 0,
    epochs: int = 3,
    batch_size: int = 32,
    learning_rate: float = 5e-5,
    max_length: int = 128,
    precision: str = "auto",
) -> Path:
    """Train a classifier on top of an encoder, all of it, and write a teacher folder.

    Args:
        model: `minilm` (comes as a Python package), a Hugging Face name, or a folder; a teacher's folder is where a
            second stage of training starts.
        out: the folder to write. The same call resumes an interrupted run there.
        data, train, dev, test: see `edgebert.data.load_splits`.
        max_length: tokens read of a text.
        precision: `fp32`, `bf16`, or `auto` (bf16 where the processor has it).
    Returns:
        `out`.
    Raises:
        EdgeBertError: one of its kinds, for bad data, a bad model or a full disk.
    """
    import numpy as np
    import torch

    from edgebert.distillation import checkpoint
    from edgebert.distillation.batches import TrainingSet
    from edgebert.distillation.objectives import make_objectives
    from edgebert.distillation.trainer import Trainer
    from edgebert.models.teacher import Teacher, check_positions, featurizer_for, load_encoder, load_tokenizer
    from edgebert.recipe import TrainingSection, parse
    from edgebert.run import Description, write_run

    chosen = get_task(task)
    out = Path(out)
    values = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "max_length": max_length}
    settings = parse(TrainingSection, {**values, "precision": precision, "seed": seed}, "finetune")
    splits = load_splits(data, train, dev, test, Columns(text_column, text_pair_column, label_column))
    labels = chosen.labels_from(splits.train)
    gold = check_labels(chosen, splits, labels)
    pair = isinstance(splits.train[0].text, tuple)
    job = {
        "command": "finetune",
        "model": str(model),
        "task": task,
        "data": splits.fingerprint,
        **settings.model_dump(),
    }
    if checkpoint.claim(out, job):
        note(f"{out} is finished already.")
        return out
    torch.manual_seed(seed)  # the new head starts the same way each time
    tokenizer = load_tokenizer(model)
    network = Teacher(load_encoder(model), len(labels))
    check_positions(network.encoder, max_length)
    featurizer = featurizer_for(tokenizer, max_length, pair)
    note(f"fine-tuning {model} on {len(splits.train)} texts, {len(labels)} labels; dev {len(splits.dev)}")
    features = featurizer([row.text for row in splits.train])
    trainer = Trainer(
        network,
        featurizer,
        TrainingSet(features, np.asarray(gold, np.int64)),
        make_objectives({"hard_labels": {"weight": 1.0}}, None, None),
        settings,
        out,
        dev_check(chosen, featurizer, splits.dev, labels),
    )
    if trainer.main:
        checkpoint.begin(out, job)
    state = trainer.train()
    if trainer.main:
        description = Description(
            kind="teacher",
            student=str(model) if not Path(model).is_dir() else Path(model).name,
            config={},
            task=task,
            labels=labels,
            pair=pair,
            max_length=max_length,
            featurizer=featurizer.spec(),
            metrics=measure(chosen, network, featurizer, splits, labels),
            provenance=provenance(job, state.seconds),
        )
        write_run(out, description, network.cpu(), featurizer, splits, tokenizer)
        checkpoint.remove(out)
        report(description.metrics)
    return out


def check_labels(task: Task, splits: Splits, labels: Sequence[str]) -> list[int]:
    """Train's labels as indices in `labels`; dev's and test's are checked too, now and not after the training.

    Raises:
        DataError: a label that is not in `labels`.
    """
    for rows in (splits.dev, splits.test):
        task.encode(rows, labels)
    return task.encode(splits.train, labels)


def dev_check(task: Task, featurizer: Featurizer, dev: Sequence[Row], labels: Sequence[str]) -> Any:
    """A function from a network to its score on dev, in the task's own metric."""
    from edgebert.distillation.trainer import score_logits

    features = featurizer([row.text for row in dev])
    gold = task.encode(dev, labels)

    def check(network: nn.Module) -> float:
        return float(task.metrics(score_logits(network, featurizer, features), gold, labels)[task.metric])

    return check


def measure(
    task: Task, network: nn.Module, featurizer: Featurizer, splits: Splits, labels: Sequence[str]
) -> dict[str, Any]:
    """The task's metrics on dev and, where there is one, test."""
    from edgebert.distillation.trainer import score_logits

    result = {}
    for name, rows in (("dev", splits.dev), ("test", splits.test)):
        if rows:
            logits = score_logits(network, featurizer, featurizer([row.text for row in rows]), f"scoring {name}")
            result[name] = task.metrics(logits, task.encode(rows, labels), labels)
    return result


def report(metrics: Any) -> None:
    """Print the metrics of each split, a line each."""
    for split, numbers in metrics.items():
        if isinstance(numbers, dict) and "n" in numbers:
            shown = "  ".join(f"{k} {v:.4f}" for k, v in numbers.items() if isinstance(v, float))
            note(f"{split}: {shown}  ({numbers['n']} texts)")
