"""`edgebert export`: a run becomes a bundle, checked and measured."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebert.commands.scoring import Scoring
from edgebert.console import note
from edgebert.run import Run, load_run
from edgebert.sizes import parse_size
from edgebert.tasks import get_task
from edgebert.tasks.heads import output_specs
from edgebert_runtime.decode import check_threshold
from edgebert_runtime.errors import UsageError

if TYPE_CHECKING:
    from edgebert_converters.base import ExportableModel


def export(
    run: str | Path,
    *,
    target: str,
    format: str = "auto",
    precision: str = "auto",
    max_size: str | int | None = None,
    max_drop: float = 0.01,
    threshold: float | None = None,
    out: str | Path | None = None,
) -> list[Path]:
    """Convert a run for a target, check the result against torch on real text and on dev, and write bundles.

    Args:
        run: a folder made by `distill` (or `finetune`: a teacher exports too).
        target: `android` or `linux`.
        format: `native` (n-gram students only, and their default), `onnx`, `tflite`, `executorch`, `all`, or `auto`
            (the fastest of those that pass, as measured here).
        precision: `fp32`, `fp16`, `int8`, `int8-static`, `int4` (native only), or `auto` (int8, and up from there
            until dev holds).
        max_size: of a bundle, in bytes or like `8MB`. A native one is made to fit: vocabulary, width and bits are
            cut in several ways, each is measured on dev, and the best is taken.
        max_drop: largest loss of the task's metric on dev, 0..1.
        threshold: answers of a lower probability are not sure ones (`predict` may say another).
        out: the bundle's path; a folder for `all`. Default: the run's name in this folder.
    Returns:
        The bundles written.
    Raises:
        EdgeBertError: one of its kinds; then nothing was written.
    """
    from edgebert_converters.ladder import export_model

    budget = parse_size(max_size) if isinstance(max_size, str) else max_size
    if not 0 <= max_drop <= 1:
        raise UsageError(f"--max-drop {max_drop} is a share of the metric between 0 and 1, such as 0.01.")
    folder = Path(run)
    loaded = load_run(folder)
    if threshold is not None:
        check_threshold(loaded.description.task, threshold)
    if out is None:
        out = Path(folder.resolve().name if format == "all" else f"{folder.resolve().name}.edgebert")
    exported = export_model(
        exportable(loaded, threshold),
        target=target,
        format=format,
        precision=precision,
        max_size=budget,
        max_drop=max_drop,
        out=out,
        log=note,
    )
    return [item.path for item in exported]


def exportable(run: Run, threshold: float | None = None) -> ExportableModel:
    """What the converters need to know of a run.

    Args:
        threshold: the bundle's own, below which an answer is kept back.
    Raises:
        UsageError: a teacher whose tokenizer no bundle can hold.
    """
    from edgebert.models import get_family
    from edgebert_converters.base import ExportableModel

    description = run.description
    if run.featurizer.spec()["type"] == "huggingface":
        raise UsageError(f"{run.folder}: only WordPiece models can be exported; distill a student from this teacher.")
    task, student = get_task(description.task), description.kind == "student"
    settings = {**description.settings, **({} if threshold is None else {"threshold": threshold})}
    scoring = Scoring(task, run.featurizer, description.labels, settings, description.metric)
    dev, sample = scoring.read(task.shortened(run.rows("dev"))), scoring.read(run.rows("sample"))
    buckets = get_family(description.student).buckets if student else (32, 64, 128, 256, 384, 512)
    longest = description.max_length
    return ExportableModel(
        name=re.sub(r"[^A-Za-z0-9._-]+", "-", run.folder.resolve().name),
        task=task.name,
        outputs=output_specs(scoring.heads, description.labels),
        student=description.student if student else f"teacher:{description.student}",
        module=run.module,
        featurizer=run.featurizer,
        buckets=(*(length for length in buckets if length < longest), longest),
        asked=tuple(dev.asked.texts),
        pieces=tuple(dev.texts),
        score=lambda outputs: float(task.metrics(outputs, dev)[scoring.metric]),
        agree=lambda ours, theirs: task.agreement(ours, theirs, dev),
        settings=lambda outputs: task.calibrate(outputs, dev),
        metric=scoring.metric,
        calibration_texts=tuple(sample.texts),
        metrics=_metrics(description.metrics, student),
        provenance=dict(description.provenance),
    )


def _metrics(metrics: Any, student: bool) -> dict[str, Any]:
    """The manifest's `metrics`: {"teacher": ..., "student": ...}; the exporter adds "exported"."""
    own = {split: numbers for split, numbers in metrics.items() if split != "teacher"}
    return {"teacher": metrics.get("teacher", {}), "student": own} if student else {"teacher": own}
