"""Bundles that are damaged, or that say something else than they do, and Python's sentence about each."""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

import runtime_helpers as helpers

from edgebert_runtime.archive import Archive, write_archive
from edgebert_runtime.bundle import open_bundle
from edgebert_runtime.errors import BundleError, EdgeBertError
from edgebert_runtime.manifest import to_bytes
from edgebert_runtime.model import EdgeModel


def made(folder: Path) -> Path:
    """The folder, made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def rewritten(source: Path, path: Path, changes: Mapping[str, Any], **contents: bytes | None) -> Path:
    """The bundle with other fields in its manifest and other entries; headers, CRCs and golden's SHA-256 made right."""
    names = {"golden": "golden.jsonl", "model": "model.onnx", "manifest": "manifest.json"}
    with Archive(source) as opened:
        entries: dict[str, Any] = {name: opened.read(name) for name in opened.entries}
    manifest = json.loads(entries["manifest.json"]) | dict(changes)
    if golden := contents.get("golden"):
        manifest["files"]["golden.jsonl"] = {"sha256": hashlib.sha256(golden).hexdigest(), "size": len(golden)}
    entries["manifest.json"] = to_bytes(manifest)
    for key, content in contents.items():
        name = names.get(key, key)
        if content is None:
            del entries[name]
        else:
            entries[name] = content
    write_archive(path, entries)
    return path


LOGITS = {"name": "logits", "dtype": "float32", "shape": ["batch", 2], "labels": ["no", "yes"]}
OUTPUT_CHANGES: list[dict[str, Any]] = [
    {"name": "other"},
    {"dtype": "int32"},
    {"x": 1},
    {"shape": []},
    {"shape": ["batch", "wide"]},
    {"shape": ["rows", 2]},
    {"shape": [2, 2]},
    {"shape": ["batch", "length", 2]},
    {"shape": ["batch", 1 << 21]},
    {"labels": "yes"},
    {"labels": []},
    {"labels": ["a", "a"]},
    {"labels": ["a", "b", "c"]},
    {"labels": ["it's", 5]},
]
MANIFEST_CHANGES: list[dict[str, Any]] = [
    {"labels": []},
    *({"outputs": [LOGITS | change]} for change in OUTPUT_CHANGES),
    {"outputs": [LOGITS, LOGITS]},
    {"outputs": [LOGITS | {"name": "tags", "labels": []}, LOGITS]},
    {"outputs": []},
    {"settings": []},
    {"settings": {"temperature": 2}},
    {"settings": {"temperature": {"logits": 0}}},
    {"settings": {"temperature": {"logits": "hot"}}},
    {"settings": {"threshold": 1.5}},
    {"settings": {"threshold": True}},
    {"settings": {"temperature": None, "other": [1]}},
    {"task": "multi-label", "settings": {"thresholds": [0.5, 2]}},
    {"task": "multi-label", "settings": {"thresholds": [0.5]}},
    {"task": "multi-label", "settings": {"thresholds": {}}},
    {"task": "regression"},
    {"task": "regression", "outputs": [LOGITS | {"name": "score"}], "settings": {"scale": 0}},
    {"task": "token-classification"},
    {"task": "question-answering", "outputs": [LOGITS | {"shape": ["batch", "length", 3], "labels": []}]},
    {"cascade": {"threshold": 0.5}},
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
    {"schema_version": 3},
    {"schema_version": 1},
    {"schema_version": "2"},
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
GOLDEN_IDS: list[Any] = [{"ids": [10]}, {"ids": [1] * 9}, {"ids": [1.0]}, {"ids": "1"}, {}]
GOLDEN_OUTPUTS: list[Any] = [
    {},
    [],
    {"logits": [1, 2]},
    {"logits": {"values": [1, 2]}},
    {"logits": {"shape": [3], "values": [1, 2, 3]}},
    {"logits": {"shape": [2.5], "values": [1, 2]}},
    {"logits": {"shape": [2], "values": [1]}},
    {"logits": {"shape": [2], "values": [1, "2"]}},
    {"logits": {"shape": [2], "values": [1, 1e300]}},
    {"logits": {"shape": [2], "values": [1, False]}},
    {"logits": {"shape": [2], "values": [1, 2], "more": 0}},
]
GOLDEN_CHANGES: list[dict[str, Any]] = [
    {"text": 3},
    {"text": ["a"]},
    {"pieces": []},
    {"pieces": {}},
    {"pieces": [[]]},
    {"pieces": [{"ids": {"ids": [1]}}]},
    *({"pieces": [helpers.GOLDEN_PIECE | {"ids": ids}]} for ids in GOLDEN_IDS),
    *({"pieces": [helpers.GOLDEN_PIECE | {"outputs": outputs}]} for outputs in GOLDEN_OUTPUTS),
    {"answer": "no"},
    {"margin": "small"},
    {"margin": -1},
    {"margin": None},
    {"margin": True},
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


def self_tests(folder: Path, native: Path) -> list[dict[str, Any]]:
    """Bundles with another second test vector, and what Python finds wrong with it."""
    with Archive(native) as opened:
        lines = opened.read("golden.jsonl").splitlines(keepends=True)
    whole = json.loads(lines[1])
    (piece,) = whole["pieces"]
    answer, logits = whole["answer"], piece["outputs"]["logits"]["values"]
    other = next(label for label in answer["probabilities"] if label != answer["label"])
    ids = {name: values[:-1] for name, values in piece["ids"].items()}
    moved = {"logits": {"shape": [len(logits)], "values": [logits[0] + 0.125, *logits[1:]]}}
    changes: list[dict[str, Any]] = [
        {},
        {"pieces": [piece | {"ids": ids}]},
        {"pieces": [piece | {"outputs": moved}]},
        {"pieces": [piece, piece]},
        {"answer": answer | {"label": other}},
        {"answer": answer | {"label": other}, "margin": 1e-9},
        {"answer": answer | {"label": other}, "margin": None},
        {"answer": answer | {"probability": 0.25}, "margin": 1e-9},
        {"answer": answer | {"probability": answer["probability"] + 1e-5}},
        {"answer": {"label": answer["label"]}},
        {"answer": answer | {"sure": 1}},
        {"answer": answer | {"label": [{"a": None, "b": 0.5}]}},
    ]
    found = []
    for number, change in enumerate(changes):
        line = to_bytes(whole | change).replace(b"\n", b" ") + b"\n"
        path = rewritten(native, made(folder) / f"{number}.edgebert", {}, golden=b"".join([lines[0], line, *lines[2:]]))
        with EdgeModel.load(path) as model:
            report = model.self_test()
        failures = {"failures": list(report.failures), "max_difference": report.max_difference}
        found.append({"file": str(path), **failures})
    return found


def rewritten_manifest(path: Path) -> bytes:
    with Archive(path) as opened:
        return opened.read("manifest.json")
