"""How good the n-gram student is on six tasks: its teacher, the student in fp32 and as a native int8 bundle, and peers.

    python benchmarks/ngram_quality.py --out runs/benchmark [--tasks trec6 banking77 ...] [--peers]

Test accuracy. Teacher and student are trained as students.py does it (and reused from its folder); fastText, model2vec
and TF-IDF learn from the labels alone (see peers.py). Settings are chosen on dev; test is read once, here. Everything
trained stays in --out. Writes quality.md and quality.json there.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from peers import Split, fasttext, model2vec, tfidf
from students import SHARED, TASKS, bundle, distil, machine, teach

import edgebert
from edgebert.console import note
from edgebert.data import Columns, Row, load_splits
from edgebert.provenance import versions
from edgebert.tasks import get_task


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark"))
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--peers", action="store_true", help="fastText, model2vec and TF-IDF too")
    arguments = parser.parse_args()
    rows = [measure(task, arguments.out / task, arguments.peers) for task in arguments.tasks]
    facts = {"rows": rows, "machine": machine(), "versions": versions(), "date": time.strftime("%Y-%m-%d")}
    (arguments.out / "quality.json").write_text(json.dumps(facts, indent=1))
    text = markdown(rows, facts)
    (arguments.out / "quality.md").write_text(text)
    print(text)


def measure(task: str, out: Path, peers: bool) -> dict[str, Any]:
    """Everything of one task."""
    data = SHARED / "data" / task
    teacher = teach(task, out.parent)
    run = distil(task, "ngram", teacher, out / "ngram")
    path = bundle(run, out / "ngram-native-int8.edgebert", "native", "int8")
    row: dict[str, Any] = {
        "task": task,
        "teacher": json.loads((teacher / "run.json").read_text())["metrics"]["test"]["accuracy"],
        "fp32": edgebert.evaluate(run, data=data)["accuracy"],
    }
    found = edgebert.evaluate(path, data=data)
    row |= {"n": found["n"], "native": found["accuracy"], "size": path.stat().st_size}
    row["retention"] = row["native"] / row["teacher"]
    if peers:
        splits = load_splits(data, None, None, None, Columns(), get_task("classification"))
        train, dev, test = (plain(rows) for rows in (splits.train, splits.dev, splits.test))
        for peer in (fasttext(train, dev), model2vec(train, dev, teacher), tfidf(train, dev)):
            note(f"{task}: {peer.name}, {peer.setting}, {peer.size / 1e6:.1f} MB")
            row[peer.name] = peer.accuracy(test)
    return row


def plain(rows: list[Row]) -> Split:
    """Texts and labels of a split."""
    return Split([str(row.text) for row in rows], [str(row.gold) for row in rows])


def markdown(rows: list[dict[str, Any]], facts: dict[str, Any]) -> str:
    """The table and what it was measured with."""
    names = [name for name in ("fastText", "model2vec + LR", "TF-IDF + LR") if name in rows[0]]
    lines = [
        "| data | test texts | teacher | n-gram fp32 | native int8 | retention | MB |"
        + "".join(f" {n} |" for n in names),
        "|---|---|---|---|---|---|---|" + "---|" * len(names),
    ]
    for row in rows:
        peers = "".join(f" {row[name]:.4f} |" for name in names)
        lines.append(
            f"| {row['task']} | {row['n']} | {row['teacher']:.4f} | {row['fp32']:.4f} | {row['native']:.4f} "
            f"| {row['retention']:.3f} | {row['size'] / 1e6:.1f} |{peers}"
        )
    mean = sum(row["retention"] for row in rows) / len(rows)
    tools = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return "\n".join([*lines, "", f"Mean retention {mean:.3f}. {facts['date']}, {facts['machine']}; {tools}.", ""])


if __name__ == "__main__":
    main()
