"""Bundles: what is written opens again, and every kind of damage gives one clear BundleError."""

from __future__ import annotations

import hashlib
import json
import os
import random
import threading
from pathlib import Path
from typing import Any

import pytest
from runtime_helpers import GOLDEN_LINE, GOLDEN_PIECE, entries, golden_bytes, manifest, write_small

from edgebert_runtime.archive import Archive, write_archive
from edgebert_runtime.bundle import open_bundle, write_bundle_file
from edgebert_runtime.errors import BundleError
from edgebert_runtime.manifest import to_bytes


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_small(tmp_path / "small.edgebert")


def one_sentence(error: pytest.ExceptionInfo[BundleError], path: Path) -> str:
    text = str(error.value)
    assert str(path) in text and text.count(str(path)) == 1 and "\n" not in text and len(text) < 600
    return text


def refused(path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        open_bundle(path)
    return one_sentence(caught, path)


def rewritten(path: Path, manifest_change: dict[str, Any] | None = None, **changed: bytes | None) -> Path:
    """The archive with other entries under the same manifest, headers and CRCs made right again."""
    with Archive(path) as opened:
        found: dict[str, bytes | Path] = {name: opened.read(name) for name in opened.entries}
    data = json.loads(bytes(found["manifest.json"]))  # type: ignore[arg-type]
    for key, value in (manifest_change or {}).items():
        data[key] = value
    found["manifest.json"] = to_bytes(data)
    for name, content in changed.items():
        key = {"golden": "golden.jsonl", "model": "model.onnx", "manifest": "manifest.json"}.get(name, name)
        if content is None:
            del found[key]
        else:
            found[key] = content
    write_archive(path, found)
    return path


def test_open(small: Path) -> None:
    with open_bundle(small) as bundle:
        assert bundle.names == ("manifest.json", "golden.jsonl", "model.onnx")
        assert bundle.model_name == "model.onnx" and bundle.read("model.onnx") == b"not a graph"
        assert bundle.size == small.stat().st_size and bundle.path == small
        assert bundle.manifest.files["model.onnx"].sha256 == hashlib.sha256(b"not a graph").hexdigest()
        assert bundle.golden() == [GOLDEN_LINE]
    with pytest.raises(BundleError, match="is closed"):
        bundle.read("model.onnx")
    assert bundle.manifest.name == "small"  # what was read stays


def test_same_input_same_bytes(tmp_path: Path, small: Path) -> None:
    assert write_small(tmp_path / "again").read_bytes() == small.read_bytes()


def test_a_model_from_a_file(tmp_path: Path) -> None:
    graph = tmp_path / "graph"
    graph.write_bytes(b"g" * 3_000_000)
    path = write_small(tmp_path / "a.edgebert", {**entries(), "model.onnx": graph, "MODEL_CARD.md": b"# card"})
    with open_bundle(path) as bundle:
        assert bundle.read("model.onnx") == b"g" * 3_000_000 and bundle.read("MODEL_CARD.md") == b"# card"


def test_one_flipped_byte_at_every_position(small: Path) -> None:
    """No byte of a bundle is unguarded: headers, padding, manifest, data, directory."""
    data = small.read_bytes()
    generator = random.Random(1)
    with open(small, "r+b", buffering=0) as handle:
        for at, byte in enumerate(data):
            os.pwrite(handle.fileno(), bytes([byte ^ (1 << generator.randrange(8))]), at)
            with pytest.raises(BundleError):
                open_bundle(small)
            os.pwrite(handle.fileno(), data[at : at + 1], at)
    open_bundle(small).close()


def test_every_truncation(small: Path) -> None:
    data = small.read_bytes()
    for size in [*range(0, len(data), 503), *range(len(data) - 250, len(data))]:
        small.write_bytes(data[:size])
        refused(small)


def test_missing_folder_and_other_files(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "missing.edgebert")
    assert "is a folder" in refused(tmp_path)
    for content in (b"", b"text,label\n", b"\x08\x07\x12\x07pytorch" * 50, b"PK\3\4" + b"x" * 3000):
        (tmp_path / "other").write_bytes(content)
        refused(tmp_path / "other")


def test_a_path_outside_itself(small: Path) -> None:
    small.write_bytes(small.read_bytes().replace(b"golden.jsonl", b"../../golden"))
    assert "not allowed: a bundle names only files inside itself" in refused(small)


def test_a_path_outside_in_the_manifest(small: Path) -> None:
    files = {"../../etc/passwd": {"sha256": "0" * 64, "size": 1}}
    assert "which is missing" in refused(rewritten(small, {"files": files}))


def test_a_huge_claimed_size(small: Path) -> None:
    with open_bundle(small) as bundle:
        files = bundle.manifest.to_json()["files"]
    files["model.onnx"]["size"] = 4_000_000_000
    assert "but the manifest says 4000000000" in refused(rewritten(small, {"files": files}))


def test_wrong_checksum(small: Path) -> None:
    assert "do not match the SHA-256" in refused(rewritten(small, model=b"not a grapH"))
    assert "but the manifest says 11" in refused(rewritten(small, model=b"not a graph "))


def test_missing_and_extra_entries(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert "lists 'golden.jsonl', which is missing" in refused(rewritten(write_small(path), golden=None))
    assert "lists 'model.onnx', which is missing" in refused(rewritten(write_small(path), model=None))
    assert "holds 'extra', which the manifest does not list" in refused(rewritten(write_small(path), extra=b"x"))
    assert "holds no manifest.json" in refused(rewritten(write_small(path), manifest=None))
    assert "give the public key" in refused(rewritten(write_small(path), signature=b"x" * 64))


def test_a_newer_schema(small: Path) -> None:
    reason = refused(rewritten(small, {"schema_version": 3, "surprise": []}))
    assert "made by a newer EdgeBERT" in reason and "upgrade" in reason


def test_wrong_manifest(small: Path) -> None:
    assert "unknown field 'labels'" in refused(rewritten(small, {"labels": ["no", "yes"]}))
    assert "an older EdgeBERT (bundle schema 1); export it again" in refused(rewritten(small, {"schema_version": 1}))
    settings = {"temperature": {"logits": None}, "threshold": -1}
    assert "settings.threshold must be a number" in refused(rewritten(write_small(small), {"settings": settings}))
    assert "manifest.json is not valid JSON" in refused(rewritten(small, manifest=b"{"))


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        ({"model.onnx": b""}, "holds no golden.jsonl"),
        ({"golden.jsonl": b""}, "exactly one entry named model"),
        ({"golden.jsonl": b"", "model.onnx": b"", "model.tflite": b""}, "exactly one entry named model"),
        ({"golden.jsonl": b"", "model.onnx": b"", "signature": b""}, "'signature', which is missing"),
        ({"golden.jsonl": b"", "model.onnx": b"", "../x": b""}, "not allowed"),
    ],
)
def test_what_would_not_open_is_not_written(tmp_path: Path, contents: dict[str, bytes], reason: str) -> None:
    with pytest.raises(BundleError, match=reason):
        write_bundle_file(tmp_path / "a", manifest(), contents)
    with pytest.raises(BundleError, match="outputs must be"):
        write_bundle_file(tmp_path / "a", manifest(outputs=()), entries())
    assert list(tmp_path.iterdir()) == []


def piece(**changes: object) -> dict[str, Any]:
    return {"pieces": [GOLDEN_PIECE | changes]}


def logits(values: list[object], shape: object = (2,)) -> dict[str, Any]:
    return piece(outputs={"logits": {"shape": shape, "values": values}})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"text": 3}, "'text' must be"),
        ({"text": ["a", "b", "c"]}, "'text' must be"),
        ({"pieces": None}, "'pieces' must be"),
        ({"pieces": []}, "'pieces' must be a list of at least one"),
        ({"pieces": [3]}, "a piece must be a JSON object"),
        ({"pieces": [GOLDEN_PIECE, {"ids": {}}]}, "a piece lacks the field 'outputs'"),
        ({"pieces": [GOLDEN_PIECE | {"more": 1}]}, "a piece has an unknown field 'more'"),
        (piece(ids=[1, 2]), "exactly the inputs ids"),
        (piece(ids={"other": [1]}), "exactly the inputs ids"),
        (piece(ids={"ids": [10]}), "whole numbers from 0 to 9"),
        (piece(ids={"ids": [-1]}), "whole numbers from 0 to 9"),
        (piece(ids={"ids": [1.0]}), "whole numbers from 0 to 9"),
        (piece(ids={"ids": [True]}), "whole numbers from 0 to 9"),
        (piece(ids={"ids": [1] * 9}), "9 ids, more than"),
        (piece(outputs=[]), "exactly the outputs logits"),
        (piece(outputs={}), "exactly the outputs logits"),
        (piece(outputs={"logits": [0.5, 1.0]}), "output 'logits' must be a JSON object"),
        (logits([1.0], [1]), r"the shape of 'logits' must be \[2\], not \[1\]"),
        (logits([1.0, 2.0], [1, 2]), r"the shape of 'logits' must be \[2\]"),
        (logits([1.0, 2.0], "2"), r"the shape of 'logits' must be \[2\]"),
        (logits([1.0]), "the values of 'logits' must be 2 numbers"),
        (logits([1.0, "2"]), "the values of 'logits' must be 2 numbers"),
        (logits([1.0, None]), "the values of 'logits' must be 2 numbers"),
        (logits([1.0, 1e999]), "not valid JSON|2 numbers"),
        (logits([1.0, 10**400]), "the values of 'logits' must be 2 numbers"),
        ({"answer": None}, "'answer' must be a JSON object"),
        ({"answer": ["no"]}, "'answer' must be a JSON object"),
        ({"margin": -0.1}, "'margin' must be null or a number from 0"),
        ({"margin": "wide"}, "'margin' must be"),
        ({"margin": False}, "'margin' must be"),
        ({"margin": 10**400}, "'margin' must be"),
        ({"more": 1}, "a test vector has an unknown field 'more'"),
    ],
)
def test_a_wrong_golden_vector_is_named(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    golden = golden_bytes(GOLDEN_LINE, GOLDEN_LINE | change)
    path = write_small(tmp_path / "a.edgebert", {**entries(), "golden.jsonl": golden})
    with open_bundle(path) as bundle, pytest.raises(BundleError, match=rf"golden\.jsonl, line 2: .*({reason})"):
        bundle.golden()


def test_golden_pairs_and_none_at_all(tmp_path: Path) -> None:
    pair = golden_bytes(GOLDEN_LINE | {"text": ["a", "b"]})
    with open_bundle(write_small(tmp_path / "a", {**entries(), "golden.jsonl": pair})) as bundle:
        assert bundle.golden()[0]["text"] == ("a", "b")
    with (
        open_bundle(write_small(tmp_path / "b", {**entries(), "golden.jsonl": b""})) as bundle,
        pytest.raises(BundleError, match="holds no test vector"),
    ):
        bundle.golden()


def test_reading_from_several_threads(tmp_path: Path) -> None:
    contents = {f"file{index}": bytes([index]) * 2_500_000 for index in range(4)}
    path = write_small(tmp_path / "a", {**entries(), **contents})
    wrong: list[str] = []

    def work(name: str) -> None:
        for _ in range(20):
            if bundle.read(name) != contents[name]:
                wrong.append(name)

    with open_bundle(path) as bundle:
        threads = [threading.Thread(target=work, args=(name,)) for name in contents for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_fuzz(small: Path) -> None:
    """Valid archives around damaged contents: BundleError or the same manifest, nothing else."""
    generator = random.Random(5)
    with Archive(small) as opened:
        contents = {name: opened.read(name) for name in opened.entries}
    good = contents["manifest.json"]
    for _ in range(600):
        damaged = bytearray(good)
        for _ in range(generator.randint(1, 3)):
            at = generator.randrange(len(damaged))
            damaged[at : at + generator.randint(0, 6)] = generator.choice(
                [b"", b"null", b"-1", b'"', b"{}", b"[", b"\xff", b"1e9", b"9" * 30, b"\\ud800"]
            )
        write_archive(small, {**contents, "manifest.json": bytes(damaged)})
        try:
            open_bundle(small).close()
        except BundleError as error:
            assert str(error).startswith(str(small)) and "\n" not in str(error)
