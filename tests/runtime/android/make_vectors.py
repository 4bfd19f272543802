"""Writes what the JVM tests of the Android library read: bundles, and what the Python runtime makes of them.

    python make_vectors.py FOLDER

The Python runtime is the reference: its answers, its errors and its verdicts on JSON are what the library must give.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path += [
    str(Path(__file__).resolve().parents[3] / name) for name in ("tests/runtime", "tests/runtime/core", "runtime")
]

import numpy as np
import runtime_graphs as graphs
import runtime_helpers as helpers

from edgebert_runtime.archive import Archive, write_archive
from edgebert_runtime.bundle import open_bundle
from edgebert_runtime.errors import BundleError, EdgeBertError
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
    """Ids, logits, labels and probabilities of these texts."""
    with EdgeModel.load(path) as model:
        features = model.featurize(asked)
        logits = model.logits(asked, batch_size=1)
        predictions = model.decode(logits)
        return {
            "file": str(path),
            "texts": [list(text) if isinstance(text, tuple) else text for text in asked],
            "ids": [{name: ids.tolist() for name, ids in item.items()} for item in features],
            "logits": logits.astype(np.float64).tolist(),
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
        found[name] = answers(graphs.write_bundle(made(folder / name), "onnx", featurizer), single)
    return found


def made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def rewritten(source: Path, path: Path, changes: Mapping[str, Any], **contents: bytes | None) -> Path:
    """The bundle with other fields in its manifest and other entries, headers and CRCs made right again."""
    names = {"golden": "golden.jsonl", "model": "model.onnx", "manifest": "manifest.json"}
    with Archive(source) as opened:
        entries: dict[str, Any] = {name: opened.read(name) for name in opened.entries}
    entries["manifest.json"] = to_bytes(json.loads(entries["manifest.json"]) | dict(changes))
    for key, content in contents.items():
        name = names.get(key, key)
        if content is None:
            del entries[name]
        else:
            entries[name] = content
    write_archive(path, entries)
    return path


MANIFEST_CHANGES: list[dict[str, Any]] = [
    {"labels": "yes"},
    {"labels": []},
    {"labels": ["a", "a"]},
    {"labels": ["it's", 5]},
    {"name": ""},
    {"name": "a\u202eb"},
    {"name": "x" * 300},
    {"task": "../x"},
    {"max_length": 0},
    {"max_length": True},
    {"max_length": 1.5},
    {"max_length": 10**30},
    {"max_length": 7},
    {"format": None},
    {"inputs": []},
    {"inputs": [{"name": "ids", "dtype": "int64", "shape": ["batch", -1], "per_length": 1, "rows": 10}]},
    {"inputs": [{"name": "ids", "dtype": "int64", "shape": [], "per_length": 1}]},
    {"inputs": [{"name": "0", "dtype": "int64", "shape": [], "per_length": 1, "rows": 3}]},
    {"outputs": [{"name": "other", "dtype": "float32", "shape": []}]},
    {"outputs": [{"name": "logits", "dtype": "float32", "shape": [], "x": 1}]},
    {"shapes": {"batch": 2, "lengths": None, "min_length": 1, "max_length": 8}},
    {"shapes": {"batch": 1, "lengths": [8, 4], "min_length": 1, "max_length": 8}},
    {"shapes": {"batch": 1, "lengths": [4, 6], "min_length": 1, "max_length": 8}},
    {"shapes": {"batch": None, "lengths": None, "min_length": 9, "max_length": 8}},
    {"shapes": [1.0, "two", {"k": None}]},
    {"featurizer": {"kind": 1}},
    {"created": "yesterday"},
    {"created": "2026-13-01"},
    {"files": {"model.onnx": {"sha256": "ABC", "size": 1}}},
    {"files": {"../../etc/passwd": {"sha256": "0" * 64, "size": 1}}},
    {"requires": {"package": 3}},
    {"requires": {"made_with": {"x": []}}},
    {"surprise": 1},
    {"schema_version": 2},
    {"schema_version": "1"},
]
ENTRY_CHANGES: list[dict[str, bytes | None]] = [
    {"golden": None},
    {"model": None},
    {"extra": b"x"},
    {"manifest": None},
    {"manifest": b"{"},
    {"manifest": b'{"a": 1, "a": 2}'},
    {"manifest": b"[" * 5000},
    {"model": b"not a grapH"},
    {"model": b"not a graph "},
]
GOLDEN_CHANGES: list[dict[str, Any]] = [
    {"text": 3},
    {"text": ["a"]},
    {"ids": {"ids": [10]}},
    {"ids": {"ids": [1] * 9}},
    {"ids": {"ids": [1.0]}},
    {"ids": {}},
    {"logits": [1.0]},
    {"logits": [1.0, 1e300]},
    {"label": "maybe"},
    {"probability": 1.5},
    {"more": 1},
]


def damaged(folder: Path) -> list[dict[str, str]]:
    """Bundles that are refused, and the sentence that Python says."""
    whole = helpers.write_small(made(folder) / "small.edgebert")
    data = whole.read_bytes()
    made_ = [whole]
    for number, change in enumerate(MANIFEST_CHANGES):
        made_.append(rewritten(whole, folder / f"manifest{number}.edgebert", change))
    for number, contents in enumerate(ENTRY_CHANGES):
        made_.append(rewritten(whole, folder / f"entry{number}.edgebert", {}, **contents))
    for number, vector in enumerate(GOLDEN_CHANGES):
        lines = helpers.golden_bytes(helpers.GOLDEN_LINE, helpers.GOLDEN_LINE | vector)
        path = folder / f"golden{number}.edgebert"
        made_.append(helpers.write_small(path, {"golden.jsonl": lines, "model.onnx": b"x"}))
    raw = {
        "empty": b"",
        "text": b"text,label\n",
        "pickle": b"\x08\x07\x12\x07pytorch" * 50,
        "zip": b"PK\3\4" + b"x" * 3000,
        "outside": data.replace(b"golden.jsonl", b"../../golden"),
        "unprintable": data.replace(b"golden.jsonl", b"golden.js\xff\x01l"),
        "twice": data.replace(b"golden.jsonl", b"MODEL.onnx.x")[:-30],
    }
    draw = random.Random(3)
    raw |= {f"cut{size}": data[:size] for size in [30, 1000, *(len(data) - draw.randrange(1, 400) for _ in range(12))]}
    directory = data.index(b"PK\1\2")
    for at in [*draw.sample(range(directory), 40), *range(directory, len(data), 3)]:
        raw[f"flip{at}"] = data[:at] + bytes([data[at] ^ (1 << draw.randrange(8))]) + data[at + 1 :]
    for name, content in raw.items():
        path = folder / f"{name}.edgebert"
        path.write_bytes(content)
        made_.append(path)
    return [{"file": str(path), "error": refusal(path)} for path in made_] + [
        {"file": str(path), "error": refusal(path)} for path in (folder / "missing.edgebert", folder)
    ]


def refusal(path: Path) -> str:
    """What Python says of a bundle; "" when all is well."""
    try:
        with open_bundle(path) as bundle:
            bundle.golden()
    except BundleError as error:
        return str(error)
    return ""


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


def refused_models(folder: Path, native: Path) -> list[dict[str, str]]:
    """Sound bundles that no model can be made of, and what Python says."""
    spec = json.loads(rewritten_manifest(native))["featurizer"]
    changes: list[dict[str, Any]] = [
        {"task": "tagging"},
        {"format": "tflite3"},
        {"featurizer": spec | {"type": "sentencepiece"}},
        {"featurizer": {key: value for key, value in spec.items() if key != "channels"}},
        {"featurizer": spec | {"max_length": 31}},
        {"featurizer": spec | {"channels": spec["channels"][:1]}},
        {"featurizer": spec | {"pair": True}},
    ]
    found = []
    for number, change in enumerate(changes):
        path = rewritten(native, made(folder) / f"{number}.edgebert", change)
        try:
            EdgeModel.load(path).close()
        except EdgeBertError as error:
            found.append({"file": str(path), "error": str(error)})
    return found


def rewritten_manifest(path: Path) -> bytes:
    with Archive(path) as opened:
        return opened.read("manifest.json")


def main(folder: Path) -> None:
    folder = folder.resolve()
    found = bundles(folder)
    native = Path(found["native"]["file"])
    value = {
        "bundles": found,
        "damaged": damaged(folder / "damaged"),
        "refused": refused_models(folder / "refused", native),
        "json": json_verdicts(),
        "statistics": statistics(),
        "signed": signed(folder / "signed", native),
    }
    (folder / "vectors.json").write_text(json.dumps(value, ensure_ascii=False), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
