"""`edgebert quickstart`: the whole road once, on the voice-assistant set that comes with the package."""

from __future__ import annotations

import time
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from edgebert.commands.distill import distill
from edgebert.commands.evaluate import evaluate
from edgebert.commands.export import export
from edgebert.commands.finetune import finetune
from edgebert.commands.profile import profile
from edgebert.console import duration, note, table
from edgebert_runtime.files import atomic_write

SPLITS = ("train", "dev", "test")
# Short utterances: 32 tokens hold the longest, and every export is quicker for it.
MAX_LENGTH = 32
# Small batches: with two thousand texts, it is the number of steps that counts.
TEACHER: dict[str, Any] = {"epochs": 6, "batch_size": 16, "learning_rate": 2e-4}
STUDENTS: dict[str, dict[str, Any]] = {
    "ngram": {"epochs": 15, "batch_size": 32},
    "mobilebert-mini": {"epochs": 8, "batch_size": 16, "learning_rate": 5e-4},
}


def quickstart(out: str | Path = "edgebert-quickstart") -> Path:
    """Teacher, both students, int8 bundles in every format, and one table; about eight minutes on two cores.

    Run again after an interruption, it goes on where it stopped.

    Returns:
        `out`, which holds data/, teacher/, one folder a student, and bundles/.
    Raises:
        EdgeBertError: as the commands it calls.
    """
    out = Path(out)
    began = time.monotonic()
    data = copy_data(out / "data")
    note("1/4 teacher: fine-tuning MiniLM")
    teacher = finetune("minilm", out / "teacher", data=data, max_length=MAX_LENGTH, **TEACHER)
    runs = {}
    for name, settings in STUDENTS.items():
        note(f"2/4 student: distilling {name}")
        runs[name] = distill(
            teacher=teacher, student=name, data=data, out=out / name, max_length=MAX_LENGTH, **settings
        )
    reference = _bundles(teacher, out / "bundles" / "teacher", format="onnx", precision="fp32")
    bundles = {
        name: _bundles(run, out / "bundles" / name, format="all", precision="int8") for name, run in runs.items()
    }
    note("4/4 measuring")
    rows = [_measure("teacher", reference[0], data, None)]
    rows += [_measure(name, path, data, rows[0]) for name, paths in bundles.items() for path in paths]
    note()
    note(_table(rows))
    note(_farewell(out, bundles["ngram"][0], time.monotonic() - began))
    return out


def copy_data(folder: Path) -> Path:
    """Put the embedded dataset into `folder`, where the person can read it and use it by hand."""
    for split in SPLITS:
        with as_file(files("edgebert.quickstart") / "data" / f"{split}.jsonl") as source:
            content = source.read_bytes()
        target = folder / f"{split}.jsonl"
        if not target.is_file() or target.read_bytes() != content:
            with atomic_write(target) as handle:
                handle.write(content)
    return folder


def _bundles(run: Path, folder: Path, format: str, precision: str) -> list[Path]:
    """The bundles of a run; those of an earlier call are kept."""
    if folder.is_dir() and (found := sorted(folder.glob("*.edgebert"))):
        return found
    note(f"3/4 exporting {run.name} ({precision})")
    target = folder if format == "all" else folder / f"{run.name}-{format}.edgebert"
    return export(run, target="android", format=format, precision=precision, max_drop=0.03, out=target)


def _measure(name: str, bundle: Path, data: Path, teacher: dict[str, Any] | None) -> dict[str, Any]:
    scores = evaluate(bundle, data=data)
    timing = profile(bundle)
    facts = timing.to_json()
    latency = facts["stages"]["total"]["p50"]
    return {
        "model": name,
        "format": f"{facts['bundle']['format']} {facts['bundle']['precision']}",
        "accuracy": scores["accuracy"],
        "retention": scores["accuracy"] / (teacher["accuracy"] if teacher else scores["accuracy"]),
        "size": bundle.stat().st_size / 1e6,
        "latency": latency,
        "faster": (teacher["latency"] if teacher else latency) / latency,
    }


def _table(rows: list[dict[str, Any]]) -> str:
    header = ("model", "format", "accuracy", "retention", "size MB", "p50 ms", "against teacher")
    return table(
        [
            (
                row["model"],
                row["format"],
                f"{row['accuracy']:.3f}",
                f"{row['retention']:.3f}",
                f"{row['size']:.1f}",
                f"{row['latency']:.3f}",
                f"{row['faster']:.1f}x",
            )
            for row in rows
        ],
        header,
    )


def _farewell(out: Path, bundle: Path, seconds: float) -> str:
    return (
        f"\nDone in {duration(seconds)}. Accuracy on the test split; latency is one text, one thread, tokenization "
        f"included, on this machine.\n\nUse a bundle:\n"
        f'  edgebert predict {bundle} "wake me up at seven tomorrow"\n'
        f"  edgebert inspect {bundle}\n"
        f"  edgebert profile {bundle}\n\n"
        f"The same with your own data (a folder with train, dev and test files):\n"
        f"  edgebert finetune --model minilm --data {out / 'data'} --out teacher\n"
        f"  edgebert distill --teacher teacher --student ngram --data {out / 'data'} --out student\n"
        f"  edgebert export student --target android --out student.edgebert"
    )
