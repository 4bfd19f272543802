"""Cascades on SST-2 and Banking77: accuracy on test and mean latency against the large model alone.

    python benchmarks/cascade.py --out runs/benchmark [--data sst2 banking77]

The small model is the n-gram student (native, int8). The large ones are MobileBERT-mini, where benchmarks/recipes has
a recipe for it, and the teacher itself, both as int8 ONNX. Reads the shared datasets (EDGEBERT_SHARED, or ../shared
beside the checkout); what it trains is shared with benchmarks/students.py. The threshold is the fastest for which dev
lets expect no loss: 0.2 points are left to chance, which is as large on sets of this size. Accuracies and the share
asked again are of test. Latency: the mean over 300 test texts, one a call, one thread, everything from text to answer,
all arms in turn in one process. Writes cascade.md and cascade.json into --out.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from students import HERE, SHARED, bundle, distil, machine, teach

import edgebert
from edgebert.console import note
from edgebert.data import Columns, load_evaluation
from edgebert.provenance import versions
from edgebert.tasks import get_task
from edgebert_runtime import EdgeModel

DATA = ("sst2", "banking77")
TEXTS, ROUNDS = 300, 3


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark"))
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    arguments = parser.parse_args()
    rows = [row for name in arguments.data for row in run(name, arguments.out)]
    facts = {"rows": rows, "machine": machine(), "versions": versions(), "date": time.strftime("%Y-%m-%d")}
    (arguments.out / "cascade.json").write_text(json.dumps(facts, indent=1))
    text = markdown(rows, facts)
    (arguments.out / "cascade.md").write_text(text)
    print(text)


def run(data: str, out: Path) -> list[dict[str, Any]]:
    """Make and measure the cascades of one dataset."""
    folder = out / data
    teacher = teach(data, out)
    small = bundle(distil(data, "ngram", teacher, folder / "ngram"), folder / "small.edgebert", "native", "int8")
    large = {"teacher": bundle(teacher, folder / "large-teacher.edgebert", "onnx", "int8")}
    if (HERE / "recipes" / f"{data}-mobilebert-mini.yaml").is_file():
        mini = distil(data, "mobilebert-mini", teacher, folder / "mobilebert-mini")
        large["mobilebert-mini"] = bundle(mini, folder / "large-mini.edgebert", "onnx", "int8")
    rows = []
    for name, big in large.items():
        both = folder / f"cascade-{name}.edgebert"
        edgebert.cascade(small, big, data=SHARED / "data" / data, max_drop=0.0, out=both)
        rows.append({"data": data, "large": name, **measure({"small": small, "big": big, "both": both}, data)})
    return rows


def measure(bundles: Mapping[str, Path], data: str) -> dict[str, Any]:
    """Accuracy of each on test, mean ms a text, and the share of test that the large model answered."""
    test, _ = load_evaluation(SHARED / "data" / data, Columns(), get_task("classification"))
    texts = [row.text for row in test]
    models = {name: EdgeModel.load(path) for name, path in bundles.items()}
    found: dict[str, Any] = {}
    for name, model in models.items():
        answers = model.predict(texts)
        found[name] = float(np.mean([answer.label == row.gold for answer, row in zip(answers, test, strict=True)]))
        found[f"{name}_mb"] = bundles[name].stat().st_size / 1e6
        if name == "small":
            sure = np.array([answer.probability for answer in answers])
    found["threshold"] = models["both"].manifest.cascade["threshold"]  # type: ignore[index]
    found["asked"] = float(np.mean(sure < found["threshold"]))
    times: dict[str, list[float]] = {name: [] for name in models}
    for round in range(ROUNDS + 1):
        for text in texts[:: max(1, len(texts) // TEXTS)]:
            for name, model in models.items():
                start = time.perf_counter()
                model.predict(text)
                if round:  # the first round warms up
                    times[name].append((time.perf_counter() - start) * 1e3)
    for model in models.values():
        model.close()
    return found | {f"{name}_ms": float(np.mean(values)) for name, values in times.items()}


def markdown(rows: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> str:
    """The table and what it was measured with."""
    lines = [
        "| data | large model | small | large | cascade | lost | asked | small ms | large ms | both ms | faster |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['data']} | {row['large']} | {row['small']:.4f} | {row['big']:.4f} | {row['both']:.4f} "
            f"| {row['big'] - row['both']:.4f} | {row['asked']:.1%} | {row['small_ms']:.3f} "
            f"| {row['big_ms']:.3f} | {row['both_ms']:.3f} | {row['big_ms'] / row['both_ms']:.1f}x |"
        )
    tools = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return "\n".join([*lines, "", f"{facts['date']}, {facts['machine']}; {tools}.", ""])


if __name__ == "__main__":
    note("cascades: " + ", ".join(DATA))
    main()
