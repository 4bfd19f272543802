"""A bundle: the one file that crosses from the workstation to the device (see docs/bundle.md for the format).

    with open_bundle("intents.edgebert") as bundle:
        print(bundle.manifest.labels, bundle.model_name)

`open_bundle` verifies everything before it returns: the archive, every field of the manifest, and the SHA-256 and
size of every entry. Nothing in a bundle is executed or unpacked by it.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from edgebert_runtime.archive import FIRST, Archive, write_archive
from edgebert_runtime.errors import BundleError, EdgeBertError
from edgebert_runtime.golden import check_golden
from edgebert_runtime.manifest import (
    FileInfo,
    Manifest,
    Shapes,
    TensorInfo,
    input_tensors,
    output_tensors,
    parse_json,
    to_bytes,
)
from edgebert_runtime.signing import check_signature

__all__ = [
    "Bundle",
    "FileInfo",
    "Manifest",
    "Shapes",
    "TensorInfo",
    "input_tensors",
    "open_bundle",
    "output_tensors",
    "write_bundle_file",
]

GOLDEN = "golden.jsonl"
PART = "first"  # the folder of the bundle inside a cascade
SIGNATURE = "signature"


class Bundle:
    """An open, verified bundle. Safe from several threads. Close it, or use it in a `with` block."""

    def __init__(self, archive: Archive, manifest: Manifest, folder: str = "") -> None:
        """Use `open_bundle`, which verifies; this only holds what it found.

        Args:
            folder: "first/" of the bundle inside a cascade.
        """
        self._archive, self._folder = archive, folder
        self.manifest = manifest
        self.path = archive.path
        self.size = archive.size

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all entries, the manifest first."""
        return tuple(_inside(self._archive.entries, self._folder))

    @property
    def model_name(self) -> str:
        """The entry that holds the graph, such as "model.onnx"."""
        return _model_name(self.names)

    def read(self, name: str) -> bytes:
        """The contents of one entry.

        Raises:
            BundleError: no such entry, damaged since it was opened, or the bundle is closed.
        """
        return self._archive.read(self._folder + name)

    def part(self) -> Bundle:
        """The bundle inside a cascade; it is closed together with this one.

        Raises:
            BundleError: it is damaged, or a cascade itself.
        """
        folder = f"{PART}/"
        try:
            manifest = Manifest.from_json(parse_json(self.read(folder + FIRST), FIRST))
            _check_names(manifest.files.keys(), _inside(self.names, folder))
            if manifest.cascade is not None:
                raise BundleError("it is a cascade inside a cascade, and two models are all that is read")
            for name, info in manifest.files.items():
                if info != self.manifest.files[folder + name]:
                    raise BundleError(f"the contents of {name!r} do not match the SHA-256 in its manifest")
        except BundleError as error:
            raise BundleError(f"{self.path}: {folder}: {error}") from None
        return Bundle(self._archive, manifest, folder)

    def golden(self) -> list[dict[str, Any]]:
        """The test vectors, as `edgebert_runtime.golden` describes them; a pair of texts is a tuple.

        Raises:
            BundleError: a line is not such a vector of this model.
        """
        vectors = []
        for number, line in enumerate(self.read(GOLDEN).splitlines(), start=1):
            try:
                vectors.append(check_golden(parse_json(line, "the line"), self.manifest))
            except BundleError as error:
                raise BundleError(f"{self.path}: {GOLDEN}, line {number}: {error}") from None
        if not vectors:
            raise BundleError(f"{self.path}: {GOLDEN} holds no test vector. Export the bundle again.")
        return vectors

    def close(self) -> None:
        """Close the file; `manifest` stays usable. Closing twice is fine."""
        self._archive.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()


def open_bundle(path: str | Path, public_key: str | Path | None = None) -> Bundle:
    """Open and verify a bundle.

    Args:
        public_key: a file in PEM, on P-256; then the bundle must carry its signature. A signed one is refused without.

    Raises:
        BundleError: one sentence with the file and the reason: missing, not a bundle, damaged, unsafe, or made
            by a newer EdgeBERT, wrongly signed.
        UsageError, MissingExtraError: the key, or the package that checks it, cannot be used.
    """
    archive = Archive(path)
    try:
        return _verify(archive, public_key)
    except BundleError as error:
        archive.close()
        if str(error).startswith(str(archive.path)):
            raise
        raise BundleError(f"{archive.path}: {error}") from None
    except BaseException:
        archive.close()
        raise


def write_bundle_file(path: str | Path, manifest: Manifest, entries: Mapping[str, bytes | Path]) -> None:
    """Write a bundle: `entries` (everything but the manifest), and `manifest` with `files` filled in from them.

    Raises:
        BundleError: a field or a name that `open_bundle` would refuse.
        EdgeBertError: a source cannot be read or `path` not written; what stood there is untouched.
    """
    files = {name: _file_info(source) for name, source in entries.items()}
    manifest = dataclasses.replace(manifest, files=files)
    _check_names(files.keys(), [FIRST, *entries])
    write_archive(path, {FIRST: to_bytes(manifest.to_json()), **entries})


def _file_info(source: bytes | Path) -> FileInfo:
    if isinstance(source, bytes):
        return FileInfo(hashlib.sha256(source).hexdigest(), len(source))
    try:
        with open(source, "rb") as handle:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
            return FileInfo(digest, handle.tell())
    except OSError as error:
        raise EdgeBertError(f"cannot read {source}: {error.strerror or error}") from error


def _verify(archive: Archive, public_key: str | Path | None) -> Bundle:
    if FIRST not in archive.entries:
        raise BundleError(f"it holds no {FIRST}, so it is a ZIP archive but not a bundle")
    raw = archive.read(FIRST)
    manifest = Manifest.from_json(parse_json(raw, FIRST))
    _check_names(manifest.files.keys(), archive.entries)
    check_signature(raw, archive.read(SIGNATURE) if SIGNATURE in archive.entries else None, public_key)
    for name, info in manifest.files.items():
        if archive.entries[name].size != info.size:
            raise BundleError(f"{name!r} has {archive.entries[name].size} bytes, but the manifest says {info.size}")
        digest = hashlib.sha256()
        for chunk in archive.chunks(name):
            digest.update(chunk)
        if digest.hexdigest() != info.sha256:
            raise BundleError(f"the contents of {name!r} do not match the SHA-256 in the manifest")
    bundle = Bundle(archive, manifest)
    if manifest.cascade is not None:
        bundle.part()
    return bundle


def _check_names(listed: Iterable[str], present: Iterable[str]) -> None:
    """The manifest lists every other entry, no more and no less, with a graph and golden vectors among them."""
    listed, present = set(listed), set(present) - {FIRST, SIGNATURE}
    if missing := sorted(listed - present):
        raise BundleError(f"the manifest lists {missing[0][:80]!r}, which is missing")
    if extra := sorted(present - listed):
        raise BundleError(f"it holds {extra[0]!r}, which the manifest does not list")
    _model_name(present)
    if GOLDEN not in present:
        raise BundleError(f"it holds no {GOLDEN} (the test vectors)")


def _inside(names: Iterable[str], folder: str) -> list[str]:
    """The names of what a folder holds, without the folder's own; "" for all."""
    return [name.removeprefix(folder) for name in names if name.startswith(folder)]


def _model_name(names: Iterable[str]) -> str:
    models = sorted(name for name in names if name.startswith("model.") and "/" not in name)
    if len(models) != 1:
        raise BundleError(f"it must hold exactly one entry named model.*, not {models}")
    return models[0]
