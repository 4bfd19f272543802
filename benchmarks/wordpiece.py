"""WordPiece: EdgeBERT's core against Hugging Face's `tokenizers`, one thread, str in and ids out.

    python benchmarks/wordpiece.py

SST-2 dev (872 sentences), one text a call and 32 a call; the arms take turns, medians count. Both give the same ids,
which is checked first.
"""

from __future__ import annotations

import gzip
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ["TOKENIZERS_PARALLELISM"] = "false"

from edgebert.console import table
from edgebert.models.teacher import load_tokenizer
from edgebert.provenance import versions
from edgebert_runtime.features import WordPiece

HERE = Path(__file__).resolve().parent
SHARED = Path(os.environ.get("EDGEBERT_SHARED") or HERE.parents[1] / "shared")
ROUNDS, MAX_LENGTH = 15, 128


def main() -> None:
    """See the module's docstring."""
    with gzip.open(SHARED / "data" / "sst2" / "dev.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [str(json.loads(line)["text"]) for line in lines]
    oracle = load_tokenizer("minilm").backend_tokenizer
    oracle.no_padding()
    oracle.enable_truncation(MAX_LENGTH)
    vocabulary = oracle.get_vocab()
    ours = WordPiece(sorted(vocabulary, key=vocabulary.__getitem__), lowercase=True, max_length=MAX_LENGTH)
    same = [item["input_ids"].tolist() for item in ours(texts)] == [item.ids for item in oracle.encode_batch(texts)]
    print(f"ids equal on {len(texts)} texts: {same}")
    core = ours._tokenizer
    arms: dict[str, Callable[[list[str]], Any]] = {
        "tokenizers": lambda batch: [item.ids for item in oracle.encode_batch_fast(batch)],
        "edgebert, a dict a text": ours,
        "edgebert, flat arrays": ours.flat,
        "edgebert, the core alone": lambda batch: core.ids(batch, None, MAX_LENGTH),
    }
    rows = []
    for size in (1, 32):
        times = measure(arms, [texts[start : start + size] for start in range(0, len(texts), size)])
        base = times["tokenizers"]
        rows += [
            [name, size, f"{value / len(texts) * 1e6:.2f}", f"{base / value:.1f}x"] for name, value in times.items()
        ]
    print(table(rows, ("arm", "texts a call", "us a text", "against tokenizers")))
    print(", ".join(f"{name} {version}" for name, version in versions().items()))


def measure(arms: dict[str, Callable[[list[str]], Any]], batches: Sequence[list[str]]) -> dict[str, float]:
    """Median seconds of one pass over all batches, arms in turn."""
    times: dict[str, list[float]] = {name: [] for name in arms}
    for round in range(ROUNDS + 1):
        for name, arm in arms.items():
            start = time.perf_counter()
            for batch in batches:
                arm(batch)
            if round:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


if __name__ == "__main__":
    main()
