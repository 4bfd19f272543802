"""manifest.json: what a bundle says about itself. Every field is checked before anything believes it.

`Manifest.from_json` and `to_json` are inverse to each other. The parts:

    inputs    [{"name": "input_ids", "dtype": "int64", "shape": ["batch", "length"], "per_length": 1, "rows": 30522}]
    outputs   [{"name": "logits", "dtype": "float32", "shape": ["batch", 6]}]
    shapes    {"batch": null or 1, "lengths": null or [32, 64, 128], "min_length": 1, "max_length": 128}; null = dynamic
    files     {"golden.jsonl": {"sha256": 64 hex digits, "size": bytes}, ...}: every entry but the manifest itself
    requires  {"package": "onnxruntime", "made_with": {"onnxruntime": "1.31.1"}, "minimum": "1.20", ...}: the package
              that runs the graph, the versions that made it, and the oldest that runs it; each may be absent
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, TypeVar

from edgebert_runtime.errors import BundleError
from edgebert_runtime.features import InputSpec

SCHEMA_VERSION = 1
MAX_JSON = 64 << 20
MAX_LENGTH = 1 << 16
MAX_LABELS = 1 << 16
MAX_ROWS = 1 << 31  # ids are int32

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_TENSOR = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_DIMENSION = re.compile(r"[A-Za-z0-9_*+]{1,40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")

T = TypeVar("T")


@dataclass(frozen=True)
class TensorInfo:
    """One input or output of the graph. A dimension is a number, or a name where it is dynamic.

    Inputs also say `per_length` and `rows` (see `InputSpec`); for outputs both are None.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    per_length: int | None = None
    rows: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As it stands in manifest.json."""
        value: dict[str, Any] = {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}
        if self.per_length is not None:
            value |= {"per_length": self.per_length, "rows": self.rows}
        return value


@dataclass(frozen=True)
class Shapes:
    """Which batches and lengths the graph takes. `lengths` are the buckets; None means dynamic."""

    batch: int | None
    lengths: tuple[int, ...] | None
    min_length: int
    max_length: int

    def to_json(self) -> dict[str, Any]:
        """As it stands in manifest.json."""
        lengths = None if self.lengths is None else list(self.lengths)
        return {
            "batch": self.batch,
            "lengths": lengths,
            "min_length": self.min_length,
            "max_length": self.max_length,
        }

    @classmethod
    def from_json(cls, value: object) -> Shapes:
        """Checked shapes.

        Raises:
            BundleError: naming the wrong field.
        """
        data = _keys("shapes", value, {"batch", "lengths", "min_length", "max_length"})
        batch = data["batch"]
        if batch is not None and (isinstance(batch, bool) or batch != 1):
            raise _wrong("shapes.batch", "null or 1", batch)
        max_length = _int("shapes.max_length", data["max_length"], 1, MAX_LENGTH)
        min_length = _int("shapes.min_length", data["min_length"], 1, max_length)
        lengths = data["lengths"]
        if lengths is not None:
            checked = _list("shapes.lengths", lengths, lambda where, item: _int(where, item, min_length, max_length))
            if not checked or list(checked) != sorted(set(checked)) or checked[-1] != max_length:
                raise _wrong("shapes.lengths", f"ascending lengths that end with max_length ({max_length})", lengths)
            lengths = checked
        return cls(None if batch is None else 1, lengths, min_length, max_length)


@dataclass(frozen=True)
class FileInfo:
    """Checksum and size of one entry."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """What manifest.json holds. `from_json` checks every field; a constructed one is checked by `to_json`."""

    name: str
    task: str
    labels: tuple[str, ...]
    max_length: int
    student: str
    format: str
    precision: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    shapes: Shapes
    featurizer: Mapping[str, Any]
    created: str
    files: Mapping[str, FileInfo] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    requires: Mapping[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def from_json(cls, value: object) -> Manifest:
        """The manifest in a parsed manifest.json.

        Raises:
            BundleError: naming the first field that is missing, unknown, or wrong, and what it must be.
        """
        if not isinstance(value, dict):
            raise _wrong("the manifest", "a JSON object", value)
        version = value.get("schema_version")
        if isinstance(version, bool) or not isinstance(version, int) or version < 1:
            raise _wrong("schema_version", "a whole number from 1", version)
        if version > SCHEMA_VERSION:
            raise BundleError(
                f"made by a newer EdgeBERT (bundle schema {version}, this runtime reads up to {SCHEMA_VERSION}); "
                "upgrade with: pip install --upgrade edgebert"
            )
        data = _keys("the manifest", value, {item.name for item in fields(cls)})
        manifest = cls(
            name=_name("name", data["name"]),
            task=_match("task", data["task"], _WORD),
            labels=_labels(data["labels"]),
            max_length=_int("max_length", data["max_length"], 1, MAX_LENGTH),
            student=_match("student", data["student"], _WORD),
            format=_match("format", data["format"], _WORD),
            precision=_match("precision", data["precision"], _WORD),
            inputs=_list("inputs", data["inputs"], _input),
            outputs=_list("outputs", data["outputs"], _output),
            shapes=Shapes.from_json(data["shapes"]),
            featurizer=_object("featurizer", data["featurizer"]),
            created=_time("created", data["created"]),
            files=_files(data["files"]),
            metrics=_object("metrics", data["metrics"]),
            provenance=_object("provenance", data["provenance"]),
            requires=_requires(data["requires"]),
        )
        manifest._check_together()
        return manifest

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` of it is this manifest.

        Raises:
            BundleError: a field does not hold what `from_json` accepts.
        """
        value = {item.name: getattr(self, item.name) for item in fields(self)}
        value |= {
            "labels": list(self.labels),
            "inputs": [item.to_json() for item in self.inputs],
            "outputs": [item.to_json() for item in self.outputs],
            "shapes": self.shapes.to_json(),
            "files": {name: {"sha256": info.sha256, "size": info.size} for name, info in sorted(self.files.items())},
        }
        value = parse_json(to_bytes(value), "the manifest")
        Manifest.from_json(value)
        return dict(value)

    @property
    def input_specs(self) -> tuple[InputSpec, ...]:
        """The inputs as the featurizer describes them."""
        return tuple(InputSpec(item.name, item.per_length or 1, item.rows or 1) for item in self.inputs)

    def _check_together(self) -> None:
        """What no field can say alone."""
        for where, tensors in (("inputs", self.inputs), ("outputs", self.outputs)):
            names = [tensor.name for tensor in tensors]
            if not names or len(set(names)) != len(names):
                raise _wrong(where, "at least one tensor, no name twice", names)
        if "logits" not in [tensor.name for tensor in self.outputs]:
            raise _wrong("outputs", "a tensor named 'logits'", [tensor.name for tensor in self.outputs])
        if self.shapes.max_length != self.max_length:
            raise _wrong("shapes.max_length", f"max_length ({self.max_length})", self.shapes.max_length)
        if not isinstance(self.featurizer.get("type"), str):
            raise _wrong("featurizer.type", "a text", self.featurizer.get("type"))


def to_bytes(value: object) -> bytes:
    """Canonical JSON (UTF-8, sorted keys, two spaces), the same bytes for the same value.

    Raises:
        BundleError: something that JSON cannot hold, such as NaN.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True, allow_nan=False)
        return (text + "\n").encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise BundleError(f"the manifest cannot be written as JSON: {error}") from error


def parse_json(data: bytes, where: str) -> Any:
    """Parse strict JSON: UTF-8, no key twice, no NaN, no half surrogate pair.

    Raises:
        BundleError: starting with `where`.
    """
    if len(data) > MAX_JSON:
        raise BundleError(f"{where} has {len(data)} bytes; at most {MAX_JSON} are read")
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
        if b"\\u" in data:  # an escaped half of a surrogate pair is legal JSON, and cannot be printed
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        return value
    except RecursionError:
        raise BundleError(f"{where} is nested too deeply") from None
    except ValueError as error:
        raise BundleError(f"{where} is not valid JSON: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key appears twice in one object")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _wrong(where: str, expected: str, got: object) -> BundleError:
    shown = "null" if got is None else repr(got)
    return BundleError(f"{where} must be {expected}, not {shown[:80]}")


def _keys(where: str, value: object, expected: set[str]) -> dict[str, Any]:
    data = _object(where, value)
    if missing := sorted(expected - data.keys()):
        raise BundleError(f"{where} lacks the field {missing[0]!r}")
    if unknown := sorted(data.keys() - expected):
        raise BundleError(f"{where} has an unknown field {unknown[0][:80]!r}")
    return data


def _object(where: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(where, "a JSON object", value)
    return value


def _list(where: str, value: object, check: Callable[[str, object], T]) -> tuple[T, ...]:
    if not isinstance(value, list):
        raise _wrong(where, "a list", value)
    return tuple(check(f"{where}[{index}]", item) for index, item in enumerate(value))


def _int(where: str, value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise _wrong(where, f"a whole number from {low} to {high}", value)
    return value


def _match(where: str, value: object, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise _wrong(where, "a short plain name (letters, digits, '.', '_', '-')", value)
    return value


def _text(where: str, value: object) -> str:
    if not isinstance(value, str):
        raise _wrong(where, "a text", value)
    try:
        value.encode("utf-8")  # half of a surrogate pair is no text
    except UnicodeEncodeError:
        raise _wrong(where, "valid Unicode", value) from None
    return value


def _name(where: str, value: object) -> str:
    text = _text(where, value)
    if not 0 < len(text) <= 200 or not text.isprintable():
        raise _wrong(where, "1 to 200 printable characters", value)
    return text


def _labels(value: object) -> tuple[str, ...]:
    labels = _list("labels", value, _text)
    if not labels or len(labels) > MAX_LABELS or len(set(labels)) != len(labels):
        raise _wrong("labels", f"1 to {MAX_LABELS} different texts", value)
    return labels


def _dimension(where: str, value: object) -> int | str:
    if isinstance(value, str):
        return _match(where, value, _DIMENSION)
    return _int(where, value, 1, 1 << 31)


def _tensor(where: str, value: object, expected: set[str]) -> TensorInfo:
    data = _keys(where, value, expected)
    return TensorInfo(
        name=_match(f"{where}.name", data["name"], _TENSOR),
        dtype=_match(f"{where}.dtype", data["dtype"], _WORD),
        shape=_list(f"{where}.shape", data["shape"], _dimension),
        per_length=_int(f"{where}.per_length", data["per_length"], 1, MAX_LENGTH) if "per_length" in data else None,
        rows=_int(f"{where}.rows", data["rows"], 1, MAX_ROWS) if "rows" in data else None,
    )


def _input(where: str, value: object) -> TensorInfo:
    return _tensor(where, value, {"name", "dtype", "shape", "per_length", "rows"})


def _output(where: str, value: object) -> TensorInfo:
    return _tensor(where, value, {"name", "dtype", "shape"})


def _time(where: str, value: object) -> str:
    text = _text(where, value)
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise _wrong(where, "an ISO 8601 time", value) from None
    return text


def _files(value: object) -> dict[str, FileInfo]:
    files = {}
    for name, item in _object("files", value).items():
        where = f"files[{name[:80]!r}]"
        data = _keys(where, item, {"sha256", "size"})
        if not isinstance(data["sha256"], str) or _SHA256.fullmatch(data["sha256"]) is None:
            raise _wrong(f"{where}.sha256", "64 lower-case hex digits", data["sha256"])
        files[name] = FileInfo(data["sha256"], _int(f"{where}.size", data["size"], 0, 1 << 32))
    return files


def _requires(value: object) -> dict[str, Any]:
    data = _object("requires", value)
    for key in ("package", "minimum"):
        if key in data:
            _text(f"requires.{key}", data[key])
    for key, version in _object("requires.made_with", data.get("made_with", {})).items():
        _text(f"requires.made_with[{key[:80]!r}]", version)
    return data


def input_tensors(inputs: Sequence[InputSpec], dtype: str, batch: int | None = None) -> tuple[TensorInfo, ...]:
    """How a manifest names the inputs of a graph that takes `dtype` ids.

    The second dimension is "length", or "N*length" for an input with `per_length` N.
    """
    return tuple(
        TensorInfo(
            name=spec.name,
            dtype=dtype,
            shape=(batch or "batch", "length" if spec.per_length == 1 else f"{spec.per_length}*length"),
            per_length=spec.per_length,
            rows=spec.rows,
        )
        for spec in inputs
    )
