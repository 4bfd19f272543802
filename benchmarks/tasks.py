"""Every task on real data: teacher, student and int8 bundle; metric, retention, size and latency against the teacher.

    python benchmarks/tasks.py --out runs/tasks [--data snips rte ...] [--epochs N] [--limit N]

Reads the shared datasets (EDGEBERT_SHARED, or ../shared beside the checkout). Everything it trains stays in --out and
is reused by the next call; an interrupted training goes on. Where a set has no test labels (rte, cola, squad), the
official dev set is the test set, and a tenth of train is held out as dev. SQuAD is learned from each tenth question of
train. The int8 bundle is in the format that is the fastest here of those that lose 0.005 at most on dev. Latency: one
text, one thread, everything from text to answer, all arms in turn in one process; the ratio is that of the medians
against the teacher in ONNX Runtime fp32. Writes tasks.md and tasks.json into --out.

Args:
    --epochs: train for so many, where only sizes and latencies are wanted; the table says so.
    --limit: read this many training rows of each set, for a machine without time; the table says so.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from students import SHARED, bundle, machine, measure

import edgebert
from edgebert.console import note
from edgebert.data import Columns, load_evaluation
from edgebert.provenance import versions
from edgebert.run import read_description
from edgebert.tasks import get_task
from edgebert_runtime.bundle import open_bundle

TEXTS = 60
MAX_DROP = 0.005  # what int8 may lose on dev


@dataclass(frozen=True)
class Plan:
    """How one dataset is learned.

    Attributes:
        teacher: options of `edgebert.finetune`.
        student: its name.
        training: of the student.
        options: what its recipe says under `student` beside the name.
        metric: where it is not the task's own.
        unlabelled: files of texts or pairs for the student, at most `UNLABELLED` texts of each.
        every: take each row of train whose number is a multiple of this.
    """

    teacher: Mapping[str, Any]
    student: str
    training: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    metric: str | None = None
    unlabelled: tuple[str, ...] = ()
    every: int = 1


@dataclass(frozen=True)
class Result:
    """One row of the table."""

    data: str
    task: str
    metric: str
    rows: int
    teacher: float
    student: str
    fp32: float
    format: str
    int8: float
    size: int
    ms: float
    ratio: float

    @property
    def retention(self) -> float:
        """What the bundle keeps of the teacher."""
        return self.int8 / self.teacher


OBJECTIVES = {"logits": {"weight": 0.7, "temperature": 2.0}, "hard_labels": {"weight": 0.3}}
UNLABELLED = 10_000
TWEETS = ("hate_offensive_davidson/train.jsonl.gz", "tweeteval_emotion/train.jsonl.gz")

# Two segments, few rows, rare words, or better on dev: the student that starts with the teacher's layers.
PLANS: dict[str, Plan] = {
    "atis": Plan({"epochs": 10, "learning_rate": 2e-4, "max_length": 64}, "bilstm", {"epochs": 30}),
    "snips": Plan({"epochs": 3, "learning_rate": 2e-4, "max_length": 64}, "bert-3", {"epochs": 6}),
    "ud_english_ewt_pos": Plan({"epochs": 2, "learning_rate": 2e-4, "max_length": 128}, "bilstm", {"epochs": 10}),
    "uner_en": Plan({"epochs": 2, "learning_rate": 2e-4, "max_length": 128}, "bert-3", {"epochs": 3}),
    "wnut17": Plan({"epochs": 4, "learning_rate": 2e-4, "max_length": 128}, "bert-3", {"epochs": 4}, unlabelled=TWEETS),
    "stsb": Plan({"epochs": 5, "learning_rate": 1e-4, "max_length": 96}, "bert-3", {"epochs": 5}),
    "rte": Plan({"epochs": 5, "learning_rate": 5e-5, "max_length": 192}, "bert-3", {"epochs": 5}),
    "mrpc": Plan({"epochs": 4, "learning_rate": 1e-4, "max_length": 128}, "bert-3", {"epochs": 5}),
    "cola": Plan(
        {"epochs": 4, "learning_rate": 1e-4, "max_length": 64},
        "bert-3",
        {"epochs": 6},
        {"layers": 5},
        metric="mcc",
        unlabelled=("unlabelled/brown_sentences.jsonl.gz",),
    ),
    "olid_offensive": Plan(
        {"epochs": 3, "learning_rate": 1e-4, "max_length": 96}, "mobilebert-mini", {"epochs": 3}, unlabelled=TWEETS
    ),
    "squad_v1.1": Plan(
        {"epochs": 2, "learning_rate": 2e-4, "max_length": 256}, "bert-3", {"epochs": 2}, {"layers": 5}, every=10
    ),
}


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/tasks"))
    parser.add_argument("--data", nargs="+", choices=list(PLANS), default=list(PLANS))
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--limit", type=int)
    arguments = parser.parse_args()
    results = []
    for name in arguments.data:
        note(f"== {name}")
        plan = PLANS[name]
        if arguments.epochs:
            few = {"epochs": arguments.epochs}
            plan = replace(plan, teacher={**plan.teacher, **few}, training={**plan.training, **few})
        results.append(run(name, plan, arguments.out, arguments.limit))
    facts = {"machine": machine(), "versions": versions(), "date": time.strftime("%Y-%m-%d")}
    facts |= {"epochs": arguments.epochs, "limit": arguments.limit}
    text = markdown(results, facts)
    (arguments.out / "tasks.json").write_text(json.dumps({**facts, "rows": [vars(row) for row in results]}, indent=1))
    (arguments.out / "tasks.md").write_text(text)
    print(text)


def run(name: str, plan: Plan, out: Path, limit: int | None) -> Result:
    """Train, export and measure one dataset."""
    files = splits(SHARED / "data" / name, out / name, plan.every, limit)
    options = {"batch_size": 32, "metric": plan.metric, **plan.teacher}
    teacher = edgebert.finetune("minilm", out / name / "teacher", **files, **options)
    described = read_description(teacher)
    task, metric = get_task(described.task), described.metric
    folder = edgebert.distill(
        recipe(out / name / "recipe.yaml", plan, described.max_length),
        teacher=teacher,
        **files,
        unlabelled=[SHARED / "data" / path for path in plan.unlabelled],
        out=out / name / plan.student,
    )
    exported = out / name / f"{plan.student}-int8.edgebert"
    bundle(folder, exported, "auto", "int8", MAX_DROP)
    reference = bundle(teacher, out / name / "teacher-fp32.edgebert", "onnx", "fp32")
    rows = load_evaluation(files["test"], Columns(), task)[0]
    with open_bundle(exported) as opened:
        format = opened.manifest.format
    latencies = measure({("teacher", ""): reference, ("student", ""): exported}, task.texts(rows)[:TEXTS])
    found = edgebert.evaluate(exported, data=files["test"])
    return Result(
        data=name,
        task=task.name,
        metric=metric,
        rows=found["n"],
        teacher=described.metrics["test"][metric],
        student=", ".join([plan.student, *(f"{key} {value}" for key, value in plan.options.items())]),
        fp32=read_description(folder).metrics["test"][metric],
        format=format,
        int8=found[metric],
        size=exported.stat().st_size,
        ms=latencies["student", ""],
        ratio=latencies["teacher", ""] / latencies["student", ""],
    )


def recipe(path: Path, plan: Plan, max_length: int) -> Path:
    """The student's recipe as a file (JSON is YAML)."""
    recipe = {
        "student": {"name": plan.student, **plan.options},
        "data": {"unlabelled_limit": UNLABELLED},
        "objectives": OBJECTIVES,
        "training": {"max_length": max_length, **plan.training},
    }
    path.write_text(json.dumps(recipe))
    return path


def splits(data: Path, out: Path, every: int, limit: int | None) -> dict[str, Any]:
    """Train, dev (where it is not held out of train) and test; where only some rows of train are wanted, they are
    copied."""
    files = {name: data / f"{name}.jsonl.gz" for name in ("train", "dev", "test")}
    if not files["test"].is_file():
        files["test"] = files.pop("dev")
    elif not files["dev"].is_file():
        del files["dev"]
    if limit or every > 1:
        out.mkdir(parents=True, exist_ok=True)
        few = out / "train.jsonl.gz"
        with gzip.open(files["train"], "rb") as source, gzip.GzipFile(few, "wb", mtime=0) as target:
            target.writelines(islice(source, 0, limit and limit * every, every))
        files["train"] = few
    return files


def markdown(rows: Sequence[Result], facts: Mapping[str, Any]) -> str:
    """The table and what it was measured with."""
    lines = [
        "| data | task | metric | rows | teacher | student | fp32 | int8 bundle | retention | MB | p50 ms | faster |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row.data} | {row.task} | {row.metric} | {row.rows} | {row.teacher:.4f} | {row.student} "
            f"| {row.fp32:.4f} | {row.int8:.4f} ({row.format}) | {row.retention:.3f} | {row.size / 1e6:.1f} "
            f"| {row.ms:.2f} | {row.ratio:.1f}x |"
        )
    mean = sum(row.retention for row in rows) / len(rows)
    worst = max(row.fp32 - row.int8 for row in rows)
    tools = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    less = f" Trained on the first {facts['limit']} rows." if facts["limit"] else ""
    less += f" Trained for {facts['epochs']} epochs only." if facts["epochs"] else ""
    summary = f"Mean retention {mean:.3f}; int8 loses {worst:.4f} at most.{less}"
    return "\n".join([*lines, "", f"{summary} {facts['date']}, {facts['machine']}; {tools}.", ""])


if __name__ == "__main__":
    main()
