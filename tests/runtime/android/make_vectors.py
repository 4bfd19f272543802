"""Writes what the JVM tests of the Android library read: bundles, and what the Python runtime makes of them.

    python make_vectors.py FOLDER

The Python runtime is the reference: its answers, its errors and its verdicts on JSON are what the library must give.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path += [
    str(Path(__file__).resolve().parents[3] / name)
    for name in ("tests/runtime", "tests/runtime/core", "tests/matrix", "runtime", "converters", "sdk")
]

import numpy as np
import runtime_graphs as graphs
from cells import BUNDLES, daily, read_list, students
from damaged_vectors import damaged, made, refused_models, self_tests
from decode_vectors import decode_vectors, span_vectors, words_vectors
from native_tasks import TASKS, write_native_task

from edgebert_runtime.archive import Archive, write_archive
from edgebert_runtime.bundle import open_bundle, write_bundle_file
from edgebert_runtime.errors import BundleError
from edgebert_runtime.manifest import parse_json, to_bytes
from edgebert_runtime.model import EdgeModel
from edgebert_runtime.signing import sign

STRANGE = ("İstanbul", "ﬁne", "中国", "don't", "ΣΑΣ", "👋🏽", "é")
WORDS = [*(word.removeprefix("##") for word in graphs.VOCABULARY[5:]), *STRANGE]


def texts() -> list[str]:
    """Texts of every length, with what tokenizers stumble over."""
    draw = random.Random(5)
    found = [*graphs.TEXTS, "\t", "[SEP] [MASK]", "x\u0301 \u200b\ufffd \x00 \u2028", "a" * 300, "한국어 " * 20]
    return found + [" ".join(draw.choices(WORDS, k=draw.randrange(1, 45))) for _ in range(120)]


def answers(path: Path, asked: list[Any]) -> dict[str, Any]:
    """Ids, outputs, labels and probabilities of these texts."""
    with EdgeModel.load(path) as model:
        wanted = model.ask(asked)
        features = model.featurize(wanted)
        outputs = model.infer(wanted, features, batch_size=1)
        predictions = model.decode(wanted, outputs)
        return {
            "file": str(path),
            "texts": [list(text) if isinstance(text, tuple) else text for text in asked],
            "ids": [{name: ids.tolist() for name, ids in item.items()} for item in features],
            "logits": np.asarray(outputs["logits"], np.float64).tolist(),
            "tags": [np.asarray(rows, np.float64).tolist() for rows in outputs.get("tags", [])],
            "labels": [prediction.label for prediction in predictions],
            "probabilities": [list(prediction.probabilities.values()) for prediction in predictions],
        }


def bundles(folder: Path) -> dict[str, Any]:
    """Native ones for the core alone, ONNX ones where torch can make them."""
    single: list[Any] = texts()
    pairs: list[Any] = list(zip(single, reversed(single), strict=True))
    found = {
        "native": answers(graphs.write_native(made(folder / "native")), single),
        "native-pair": answers(graphs.write_native(made(folder / "native-pair"), pair=True), pairs),
    }
    for name, featurizer in (("onnx", graphs.wordpiece()), ("ngram-onnx", graphs.ngrams())):
        tags = name == "onnx"
        found[name] = answers(graphs.write_bundle(made(folder / name), "onnx", featurizer, tags=tags), single)
    native, onnx = Path(found["native"]["file"]), Path(found["ngram-onnx"]["file"])
    found["cascade"] = answers(cascade(made(folder / "cascade"), native, onnx, single), single)
    return found


def cascade(folder: Path, first: Path, second: Path, asked: list[Any]) -> Path:
    """Both bundles in one; the second one is asked about half of the texts."""
    with EdgeModel.load(first) as model:
        sure = sorted({answer.probability for answer in model.predict(asked)})
        inner = {f"first/{name}": model.bundle.read(name) for name in model.bundle.names}
    middle = max(range(len(sure) // 3, 2 * len(sure) // 3), key=lambda index: sure[index] - sure[index - 1])
    threshold = (sure[middle] + sure[middle - 1]) / 2
    with open_bundle(second) as opened:
        entries: dict[str, Any] = {name: opened.read(name) for name in opened.manifest.files} | inner
        manifest = replace(opened.manifest, cascade={"threshold": threshold})
    path = folder / "cascade.edgebert"
    write_bundle_file(path, manifest, entries)
    with EdgeModel.load(path) as model:
        lines = [json.dumps(vector) + "\n" for vector in model.record(asked[:20])]
    write_bundle_file(path, manifest, entries | {"golden.jsonl": "".join(lines).encode()})
    return path


JSON = [
    *('{"a": [1, -2.5e3, true, false, null, "x\\u00e9\\n"], "b": {}}', "[]", "1", '"\\ud83d\\ude00"', " \n[1 ,\t2]\r"),
    *(
        "",
        "nul",
        "tru",
        "[1,]",
        "[1",
        '{"a"}',
        '{"a":}',
        '{"a":1,}',
        "{1:2}",
        '{"a":1,"a":2}',
        '{"a":1 "b":2}',
        "[1 2]",
    ),
    *(
        '"abc',
        '"a\nb"',
        '"\\x"',
        '"\\u12"',
        '"\\u12g4"',
        '{"a" 1}',
        "[" * 5000,
        "\ufeff1",
        "[\n\n  x]",
        '{"é👋": x}',
        "[1] 2",
    ),
    *("01", "-", "-a", "1.", ".5", "1e", "+1", "NaN", "-Infinity", "1E400", "-0", "123456789012345678901234567890"),
]


def json_verdicts() -> list[dict[str, Any]]:
    """Texts, and the error or the value written again."""
    found = []
    for text in JSON:
        try:
            value = parse_json(text.encode("utf-8"), "it")
            found.append({"json": text, "error": "", "again": json.dumps(value, ensure_ascii=False)})
        except BundleError as error:
            found.append({"json": text, "error": str(error), "again": ""})
    return found


def statistics() -> list[dict[str, Any]]:
    """Samples and what numpy says of them."""
    found = []
    for count in (1, 2, 7, 200):
        samples = np.random.default_rng(count).exponential(size=count)
        percentiles = np.percentile(samples, (50, 90, 95, 99)).tolist()
        found.append({"samples": samples.tolist(), "mean": float(samples.mean()), "percentiles": percentiles})
    return found


def signed(folder: Path, source: Path) -> dict[str, str]:
    """A signed bundle, its key, another key, and the bundle with the signature of another manifest."""
    for name in ("key", "other"):
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", made(folder) / f"{name}.pem")
        openssl("ec", "-in", folder / f"{name}.pem", "-pubout", "-outform", "DER", "-out", folder / f"{name}.der")
    with Archive(source) as opened:
        entries: dict[str, Any] = {name: opened.read(name) for name in opened.entries}
    signature = sign(entries["manifest.json"], folder / "key.pem")
    write_archive(folder / "signed.edgebert", entries | {"signature": signature})
    write_archive(folder / "nonsense.edgebert", entries | {"signature": b"nonsense"})
    renamed = to_bytes(json.loads(entries["manifest.json"]) | {"name": "another"})
    write_archive(folder / "another.edgebert", entries | {"manifest.json": renamed, "signature": signature})
    return {"folder": str(folder), "unsigned": str(source)}


def openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


def tasks(folder: Path) -> dict[str, Any]:
    """Native bundles of other tasks, and Python's answers."""
    found = {}
    for task in TASKS:
        path = write_native_task(made(folder), task)
        with EdgeModel.load(path) as model:
            answers = [answer.to_json() for answer in model.predict(list(graphs.TEXTS))]
        found[task] = {"file": str(path), "texts": graphs.TEXTS, "answers": answers}
    return found


def matrix() -> dict[str, Any]:
    """Where tests/matrix leaves its bundles, the names of all that there may be, and of those that there must be."""
    needed = [str(cell) for student in students() for cell in daily(student)]
    return {"folder": str(BUNDLES), "cells": [str(cell) for cell in read_list()], "needed": needed}


def main(folder: Path) -> None:
    folder = folder.resolve()
    found = bundles(folder)
    native = Path(found["native"]["file"])
    value = {
        "bundles": found,
        "damaged": damaged(folder / "damaged"),
        "refused": refused_models(folder / "refused", native),
        "self_tests": self_tests(folder / "self_tests", native),
        "tasks": tasks(folder / "tasks"),
        "json": json_verdicts(),
        "statistics": statistics(),
        "signed": signed(folder / "signed", native),
        "decode": decode_vectors(folder),
        "spans": span_vectors(folder),
        "words": words_vectors(folder),
        "matrix": matrix(),
    }
    (folder / "vectors.json").write_text(json.dumps(value, ensure_ascii=False), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
