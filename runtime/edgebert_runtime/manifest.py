"""manifest.json: what a bundle says about itself. Every field is checked before anything believes it.

`Manifest.from_json` and `to_json` are inverse to each other. The parts:

    inputs    [{"name": "input_ids", "dtype": "int64", "shape": ["batch", "length"], "per_length": 1, "rows": 30522}]
    outputs   [{"name": "logits", "dtype": "float32", "shape": ["batch", 6], "labels": ["ABBR", ...]}], in alphabetical
              order; ["batch", "length", 17] has a row for each token; labels: one a column, or none at all
    shapes    {"batch": null or 1, "lengths": null or [32, 64, 128], "min_length": 1, "max_length": 128}; null = dynamic
    settings  what the task's decoder must know, such as {"temperature": {"logits": 1.31}}
    cascade   {"threshold": 0.83}: the bundle in `first/` is asked before this one, which answers where that one's
              probability is lower; null: there is none
    files     {"golden.jsonl": {"sha256": 64 hex digits, "size": bytes}, ...}: every entry but the manifest itself
    requires  {"package": "onnxruntime", "made_with": {"onnxruntime": "1.31.1"}, "minimum": "1.20", ...}: the package
              that runs the graph, the versions that made it, and the oldest that runs it; each may be absent
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any

from edgebert_runtime import checks
from edgebert_runtime.decode import DECODERS, check_task
from edgebert_runtime.errors import BundleError
from edgebert_runtime.features import InputSpec
from edgebert_runtime.outputs import GraphSpec, OutputSpec

SCHEMA_VERSION = 2
MAX_JSON = 64 << 20
MAX_SETTINGS = 1 << 20
MAX_LENGTH = 1 << 16
MAX_WIDTH = 1 << 20  # columns of an output
MAX_ROWS = 1 << 31  # ids are int32

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class TensorInfo:
    """One input or output of the graph. A dimension is a number, or a name where it is dynamic.

    Inputs also say `per_length` and `rows` (see `InputSpec`), which outputs do not have; outputs name their columns.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    per_length: int | None = None
    rows: int | None = None
    labels: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As it stands in manifest.json."""
        value: dict[str, Any] = {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}
        if self.per_length is not None:
            return value | {"per_length": self.per_length, "rows": self.rows}
        return value | {"labels": list(self.labels)}


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
        data = checks.keys("shapes", value, {"batch", "lengths", "min_length", "max_length"})
        batch = data["batch"]
        if batch is not None and (isinstance(batch, bool) or batch != 1):
            raise checks.wrong("shapes.batch", "null or 1", batch)
        max_length = checks.integer("shapes.max_length", data["max_length"], 1, MAX_LENGTH)
        min_length = checks.integer("shapes.min_length", data["min_length"], 1, max_length)
        lengths = data["lengths"]
        if lengths is not None:
            checked = checks.list_(
                "shapes.lengths", lengths, lambda where, item: checks.integer(where, item, min_length, max_length)
            )
            if not checked or list(checked) != sorted(set(checked)) or checked[-1] != max_length:
                raise checks.wrong(
                    "shapes.lengths", f"ascending lengths that end with max_length ({max_length})", lengths
                )
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
    max_length: int
    student: str
    format: str
    precision: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    shapes: Shapes
    featurizer: Mapping[str, Any]
    created: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    cascade: Mapping[str, Any] | None = None
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
            raise checks.wrong("the manifest", "a JSON object", value)
        version = value.get("schema_version")
        if isinstance(version, bool) or not isinstance(version, int) or version < 1:
            raise checks.wrong("schema_version", "a whole number from 1", version)
        if version > SCHEMA_VERSION:
            raise BundleError(
                f"made by a newer EdgeBERT (bundle schema {version}, this runtime reads up to {SCHEMA_VERSION}); "
                "upgrade with: pip install --upgrade edgebert"
            )
        if version < SCHEMA_VERSION:
            raise BundleError(f"made by an older EdgeBERT (bundle schema {version}); export it again")
        data = checks.keys("the manifest", value, {item.name for item in fields(cls)})
        manifest = cls(
            name=checks.name("name", data["name"]),
            task=checks.match("task", data["task"], checks.WORD),
            max_length=checks.integer("max_length", data["max_length"], 1, MAX_LENGTH),
            student=checks.match("student", data["student"], checks.WORD),
            format=checks.match("format", data["format"], checks.WORD),
            precision=checks.match("precision", data["precision"], checks.WORD),
            inputs=checks.list_("inputs", data["inputs"], _input),
            outputs=checks.list_("outputs", data["outputs"], _output),
            shapes=Shapes.from_json(data["shapes"]),
            featurizer=checks.object_("featurizer", data["featurizer"]),
            created=checks.time("created", data["created"]),
            settings=checks.object_("settings", data["settings"], MAX_SETTINGS),
            cascade=_cascade(data["cascade"]),
            files=_files(data["files"]),
            metrics=checks.object_("metrics", data["metrics"]),
            provenance=checks.object_("provenance", data["provenance"]),
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

    @property
    def output_specs(self) -> tuple[OutputSpec, ...]:
        """The outputs as decoders see them."""
        return tuple(
            OutputSpec(item.name, int(item.shape[-1]), len(item.shape) == 3, item.labels) for item in self.outputs
        )

    @property
    def graph(self) -> GraphSpec:
        """What goes into the graph, and what comes out."""
        return GraphSpec(self.input_specs, self.output_specs, self.shapes.to_json())

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the first output that has some."""
        return next((item.labels for item in self.outputs if item.labels), ())

    def _check_together(self) -> None:
        """What no field can say alone."""
        if self.cascade is not None and self.task != "classification":
            raise checks.wrong("cascade", f"null for the task {self.task}", self.cascade["threshold"])
        names = [tensor.name for tensor in self.inputs]
        if not names or len(set(names)) != len(names):
            raise checks.wrong("inputs", "at least one tensor, no name twice", names)
        names = [tensor.name for tensor in self.outputs]
        if not names or any(name >= after for name, after in pairwise(names)):
            raise checks.wrong("outputs", "at least one tensor, in alphabetical order, no name twice", names)
        if self.shapes.max_length != self.max_length:
            raise checks.wrong("shapes.max_length", f"max_length ({self.max_length})", self.shapes.max_length)
        if not isinstance(self.featurizer.get("type"), str):
            raise checks.wrong("featurizer.type", "a text", self.featurizer.get("type"))
        if self.task in DECODERS:  # one that is not is for a newer runtime: `EdgeModel.load` says so
            check_task(self.task, self.output_specs, self.settings)


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


def _labels(where: str, value: object) -> tuple[str, ...]:
    labels = checks.list_(where, value, checks.text)
    if len(labels) > MAX_WIDTH or len(set(labels)) != len(labels):
        raise checks.wrong(where, "different texts", value)
    return labels


def _tensor(where: str, value: object, more: set[str]) -> TensorInfo:
    data = checks.keys(where, value, {"name", "dtype", "shape", *more})
    return TensorInfo(
        name=checks.match(f"{where}.name", data["name"], checks.TENSOR),
        dtype=checks.match(f"{where}.dtype", data["dtype"], checks.WORD),
        shape=checks.list_(f"{where}.shape", data["shape"], checks.dimension),
        per_length=checks.integer(f"{where}.per_length", data["per_length"], 1, MAX_LENGTH) if "rows" in data else None,
        rows=checks.integer(f"{where}.rows", data["rows"], 1, MAX_ROWS) if "rows" in data else None,
        labels=_labels(f"{where}.labels", data["labels"]) if "labels" in data else (),
    )


def _input(where: str, value: object) -> TensorInfo:
    return _tensor(where, value, {"per_length", "rows"})


def _output(where: str, value: object) -> TensorInfo:
    found = _tensor(where, value, {"labels"})
    if found.dtype != "float32":
        raise checks.wrong(f"{where}.dtype", "float32", found.dtype)
    *rows, width = found.shape or ("none",)
    if rows not in (["batch"], [1], ["batch", "length"], [1, "length"]) or isinstance(width, str):
        raise checks.wrong(f"{where}.shape", '["batch", WIDTH] or ["batch", "length", WIDTH]', list(found.shape))
    checks.integer(f"{where}.shape[{len(rows)}]", width, 1, MAX_WIDTH)
    if found.labels and len(found.labels) != width:
        raise checks.wrong(f"{where}.labels", f"empty, or {width} texts", list(found.labels))
    return found


def _files(value: object) -> dict[str, FileInfo]:
    files = {}
    for name, item in checks.object_("files", value).items():
        where = f"files[{name[:80]!r}]"
        data = checks.keys(where, item, {"sha256", "size"})
        if not isinstance(data["sha256"], str) or _SHA256.fullmatch(data["sha256"]) is None:
            raise checks.wrong(f"{where}.sha256", "64 lower-case hex digits", data["sha256"])
        files[name] = FileInfo(data["sha256"], checks.integer(f"{where}.size", data["size"], 0, 1 << 32))
    return files


def _cascade(value: object) -> dict[str, Any] | None:
    if value is None:
        return None
    data = checks.keys("cascade", value, {"threshold"})
    if not checks.is_number(data["threshold"]) or not 0 <= data["threshold"] <= 1:
        raise checks.wrong("cascade.threshold", "a number from 0 to 1", data["threshold"])
    return data


def _requires(value: object) -> dict[str, Any]:
    data = checks.object_("requires", value)
    for key in ("package", "minimum"):
        if key in data:
            checks.text(f"requires.{key}", data[key])
    for key, version in checks.object_("requires.made_with", data.get("made_with", {})).items():
        checks.text(f"requires.made_with[{key[:80]!r}]", version)
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


def output_tensors(outputs: Sequence[OutputSpec], batch: int | None = None) -> tuple[TensorInfo, ...]:
    """How a manifest names the outputs of a graph."""
    return tuple(
        TensorInfo(
            name=spec.name,
            dtype="float32",
            shape=(batch or "batch", "length", spec.width) if spec.per_token else (batch or "batch", spec.width),
            labels=spec.labels,
        )
        for spec in outputs
    )
