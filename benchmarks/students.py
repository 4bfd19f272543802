"""Teacher, students and bundles on SST-2 and TREC-6: accuracy, retention, size, and latency against the teacher.

    python benchmarks/students.py --out runs/benchmark [--tasks trec6 sst2]

Reads the shared datasets (EDGEBERT_SHARED, or ../shared beside the checkout). Everything it trains stays in --out and
is reused by the next call. Latency: one text, one thread, tokenization included, all arms in turn in one process; the
ratio is that of the medians against the teacher in ONNX Runtime fp32. Writes results.md and results.json into --out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import edgebert
from edgebert.console import note, table
from edgebert.data import Columns, load_evaluation
from edgebert.provenance import versions
from edgebert.tasks import get_task
from edgebert_runtime import EdgeModel

HERE = Path(__file__).resolve().parent
SHARED = Path(os.environ.get("EDGEBERT_SHARED") or HERE.parents[1] / "shared")
ROUNDS, TEXTS = 5, 60

# What each task trains with; the students' settings are the recipes beside this file.
TASKS: dict[str, dict[str, Any]] = {
    "trec6": {
        "teacher": {"epochs": 5, "batch_size": 32, "learning_rate": 1e-4, "max_length": 64},
        "unlabelled": ["squad_v1.1/train.jsonl.gz"],
        "column": "question",
    },
    "sst2": {
        "start": "imdb_128",
        "teacher": {"epochs": 2, "batch_size": 64, "learning_rate": 8e-5, "max_length": 64},
        "unlabelled": ["unlabelled/movie_review_sentences.jsonl.gz"],
        "column": "text",
    },
    "ag_news_10k": {
        "teacher": {"epochs": 3, "batch_size": 32, "learning_rate": 1e-4, "max_length": 96},
        "unlabelled": ["unlabelled/wiki_paragraphs.jsonl.gz", "unlabelled/brown_sentences.jsonl.gz"],
        "column": "text",
    },
    "banking77": {
        "teacher": {"epochs": 10, "batch_size": 32, "learning_rate": 2e-4, "max_length": 64},
        "unlabelled": ["squad_v1.1/train.jsonl.gz"],
        "column": "question",
    },
    "olid_offensive": {
        "teacher": {"epochs": 3, "batch_size": 32, "learning_rate": 1e-4, "max_length": 96},
        "unlabelled": ["hate_offensive_davidson/train.jsonl.gz", "tweeteval_emotion/train.jsonl.gz"],
        "column": "text",
    },
    "imdb": {
        "start": "imdb_128",
        "teacher": {"epochs": 1, "batch_size": 32, "learning_rate": 5e-5, "max_length": 256},
        "unlabelled": ["unlabelled/imdb_unsup.jsonl.gz"],
        "column": "text",
    },
}
# Teachers that only serve as a start: short texts first, at a third of the cost of a step.
STARTS: dict[str, dict[str, Any]] = {
    "imdb_128": {
        "data": "imdb",
        "teacher": {"epochs": 1, "batch_size": 32, "learning_rate": 1e-4, "max_length": 128},
    },
}
MEASURED = ("trec6", "sst2")  # with both students and all formats; the others are for ngram_quality.py
STUDENTS = ("ngram", "mobilebert-mini")
FORMATS = {"ngram": ("native", "onnx", "tflite", "executorch"), "mobilebert-mini": ("onnx", "tflite", "executorch")}


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark"))
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(MEASURED))
    parser.add_argument("--students", nargs="+", choices=STUDENTS, default=list(STUDENTS))
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for task in arguments.tasks:
        rows += run_task(task, arguments.out / task, arguments.students)
    facts = {"rows": rows, "machine": machine(), "versions": versions(), "date": time.strftime("%Y-%m-%d")}
    (arguments.out / "results.json").write_text(json.dumps(facts, indent=1))
    text = markdown(rows, facts)
    (arguments.out / "results.md").write_text(text)
    print(text)


def run_task(task: str, out: Path, students: Sequence[str]) -> list[dict[str, Any]]:
    """Train, export and measure everything of one dataset."""
    data = SHARED / "data" / task
    teacher = teach(task, out.parent)
    bundles = {("teacher", "onnx"): bundle(teacher, out / "teacher-onnx-fp32.edgebert", "onnx", "fp32")}
    for student in students:
        run = distil(task, student, teacher, out / student)
        for format in FORMATS[student]:
            bundles[student, format] = bundle(run, out / f"{student}-{format}-int8.edgebert", format, "int8")
    torch_scores = {name: edgebert.evaluate(out / name, data=data, teacher=teacher) for name in students}
    base = edgebert.evaluate(teacher, data=data)["accuracy"]
    test, _ = load_evaluation(data, Columns(), get_task("classification"))
    latencies = measure(bundles, [row.text for row in test][:TEXTS])
    rows = []
    for (name, format), path in bundles.items():
        score = edgebert.evaluate(path, data=data)
        fp32 = base if name == "teacher" else torch_scores[name]["accuracy"]
        rows.append(
            {
                "task": task,
                "model": name,
                "format": f"{format} {'fp32' if name == 'teacher' else 'int8'}",
                "n": score["n"],
                "fp32": fp32,
                "accuracy": score["accuracy"],
                "retention": score["accuracy"] / base,
                "drop": fp32 - score["accuracy"],
                "size": path.stat().st_size,
                "ms": latencies[name, format],
                "ratio": latencies["teacher", "onnx"] / latencies[name, format],
            }
        )
    return rows


def teach(task: str, out: Path) -> Path:
    """The teacher of a task, in `out`/task/teacher; where it starts from another task's teacher, that one first."""
    plan = TASKS.get(task) or STARTS[task]
    start = teach(plan["start"], out) if "start" in plan else "minilm"
    data = SHARED / "data" / plan.get("data", task)
    return edgebert.finetune(start, out / task / "teacher", data=data, **plan["teacher"])


def distil(task: str, student: str, teacher: Path, out: Path) -> Path:
    """A student by the recipe of its task."""
    plan = TASKS[task]
    return edgebert.distill(
        HERE / "recipes" / f"{task}-{student}.yaml",
        teacher=teacher,
        student=student,
        data=SHARED / "data" / task,
        unlabelled=[SHARED / "data" / path for path in plan["unlabelled"]],
        unlabelled_column=plan["column"],
        out=out,
    )


def bundle(run: Path, path: Path, format: str, precision: str, max_drop: float = 0.02) -> Path:
    """The bundle at `path`, exported if it is not there yet."""
    if not path.is_file():
        edgebert.export(run, target="android", format=format, precision=precision, max_drop=max_drop, out=path)
    return path


def measure(bundles: Mapping[tuple[str, str], Path], texts: Sequence[Any]) -> dict[tuple[str, str], float]:
    """Median ms of one text for each bundle, arms in turn."""
    models = {key: EdgeModel.load(path) for key, path in bundles.items()}
    times: dict[tuple[str, str], list[float]] = {key: [] for key in models}
    for round in range(ROUNDS + 1):
        for key, model in models.items():
            for text in texts:
                start = time.perf_counter()
                model.predict(text)
                if round:  # the first round warms up
                    times[key].append((time.perf_counter() - start) * 1e3)
    for model in models.values():
        model.close()
    return {key: float(np.median(values)) for key, values in times.items()}


def markdown(rows: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> str:
    """The table and what it was measured with."""
    lines = [
        "| data | model | format | fp32 | bundle | retention | size MB | p50 ms | against teacher |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['task']} | {row['model']} | {row['format']} | {row['fp32']:.4f} | {row['accuracy']:.4f} "
            f"| {row['retention']:.3f} | {row['size'] / 1e6:.1f} | {row['ms']:.3f} | {row['ratio']:.1f}x |"
        )
    tools = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return "\n".join([*lines, "", f"{facts['date']}, {facts['machine']}; {tools}.", ""])


def machine() -> str:
    """Processor and cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


if __name__ == "__main__":
    note(table([[name, str(SHARED / "data" / name)] for name in TASKS], ("task", "data")))
    main()
