"""A billion parameters on a workstation: trains an n-gram student of 1 M x 1000 and prints its peak memory.

    python benchmarks/ngram_billion.py --teacher runs/benchmark/sst2/teacher --out runs/billion

Reads the shared datasets (EDGEBERT_SHARED, or ../shared beside the checkout): SST-2 and its unlabelled sentences.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from pathlib import Path

import edgebert

HERE = Path(__file__).resolve().parent
SHARED = Path(os.environ.get("EDGEBERT_SHARED") or HERE.parents[1] / "shared") / "data"


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/billion"))
    arguments = parser.parse_args()
    began = time.monotonic()
    run = edgebert.distill(
        HERE / "recipes" / "ngram-billion.yaml",
        teacher=arguments.teacher,
        data=SHARED / "sst2",
        unlabelled=[SHARED / "unlabelled" / "movie_review_sentences.jsonl.gz"],
        out=arguments.out,
    )
    description = json.loads((run / "run.json").read_text())
    rows, width = description["config"]["rows"][0], description["config"]["widths"][0]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"table {rows} x {width} = {rows * width / 1e6:.0f} M parameters")
    print(f"peak memory {peak:.1f} GiB, {time.monotonic() - began:.0f} s in all")
    print(f"test accuracy {description['metrics']['test']['accuracy']:.4f} (one epoch, from zero)")


if __name__ == "__main__":
    main()
