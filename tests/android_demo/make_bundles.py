"""Small real bundles for the app's tests, each with an answer that can be told from another's.

usage: make_bundles.py FOLDER

FOLDER/assets/*.edgebert go into the app, and FOLDER/files/*.jsonl are their golden vectors; FOLDER/files/*.edgebert do
not go into it.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def main(target: Path) -> None:
    sys.path += [str(TESTS / name) for name in ("runtime", "runtime/core", "runtime/android")]
    import runtime_graphs as graphs
    from native_tasks import write_native_task

    from edgebert_runtime.bundle import open_bundle

    assets, files = target / "assets", target / "files"
    shutil.rmtree(target, ignore_errors=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for made in (assets, files):
            made.mkdir(parents=True)
        shutil.move(graphs.write_native(folder), assets / "a-native.edgebert")
        shutil.move(graphs.write_native(folder, pair=True), assets / "b-pair.edgebert")
        shutil.move(graphs.write_bundle(folder, "onnx", graphs.wordpiece()), assets / "c-onnx.edgebert")
        shutil.move(write_native_task(folder, "regression"), assets / "d-scores.edgebert")
    for bundle in assets.iterdir():
        with open_bundle(bundle) as opened:
            (files / f"{bundle.stem}.jsonl").write_bytes(opened.read("golden.jsonl"))
    shutil.copy(assets / "a-native.edgebert", files / "good.edgebert")
    damaged = bytearray((assets / "a-native.edgebert").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (files / "damaged.edgebert").write_bytes(damaged)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
