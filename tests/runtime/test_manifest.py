"""manifest.json: every field has a type, and a wrong one is named."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime_helpers import manifest

from edgebert_runtime.bundle import Manifest, TensorInfo, output_tensors
from edgebert_runtime.errors import BundleError
from edgebert_runtime.manifest import MAX_SETTINGS, parse_json, to_bytes
from edgebert_runtime.outputs import OutputSpec

GOOD: dict[str, Any] = {
    **manifest().to_json(),
    "files": {"golden.jsonl": {"sha256": "0" * 64, "size": 3}, "model.onnx": {"sha256": "f" * 64, "size": 4}},
}


def test_round_trip() -> None:
    read = Manifest.from_json(parse_json(to_bytes(GOOD), "it"))
    assert read.to_json() == GOOD
    assert read.labels == ("no", "yes") and read.input_specs[0].rows == 10 and read.shapes.lengths is None
    assert read.settings == {} and read.cascade is None


def test_outputs_of_both_kinds() -> None:
    specs = (OutputSpec("hidden", 5, True), OutputSpec("logits", 2, False, ("no", "yes")), OutputSpec("tags", 1, True))
    for batch in (None, 1):
        made = manifest(outputs=output_tensors(specs, batch))
        data = made.to_json()
        assert data["outputs"][0]["shape"] == [batch or "batch", "length", 5] and data["outputs"][0]["labels"] == []
        read = Manifest.from_json(data)
        assert read.output_specs == specs and read.labels == ("no", "yes")
        assert read.graph.outputs == specs and read.graph.inputs == read.input_specs
        assert read.graph.shapes == {"batch": None, "lengths": None, "min_length": 1, "max_length": 8}


def test_no_labels_at_all() -> None:
    assert manifest(task="later", outputs=(TensorInfo("vector", "float32", ("batch", 9)),)).labels == ()


def test_it_is_frozen() -> None:
    with pytest.raises(AttributeError):
        manifest().name = "other"  # type: ignore[misc]


def replaced(path: str, value: object) -> dict[str, Any]:
    """GOOD with one value changed; `path` such as "inputs.0.rows"."""
    data: Any = copy.deepcopy(GOOD)
    inner, keys = data, path.split("/")
    for key in keys[:-1]:
        inner = inner[int(key) if isinstance(inner, list) else key]
    inner[int(keys[-1]) if isinstance(inner, list) else keys[-1]] = value
    return dict(data)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("schema_version", 0, "schema_version must be a whole number"),
        ("schema_version", "1", "schema_version must be a whole number"),
        ("schema_version", True, "schema_version must be a whole number"),
        ("schema_version", None, "not null"),
        ("name", "", "name must be 1 to 200 printable characters"),
        ("name", "a\x1b[31mb", "name must be"),
        ("name", 3, "name must be a text"),
        ("task", "two words", "task must be a short plain name"),
        ("outputs/0/labels", "yes", r"outputs\[0\].labels must be a list"),
        ("outputs/0/labels", ["a", "a"], r"outputs\[0\].labels must be different texts"),
        ("outputs/0/labels", ["a", 1], r"labels\[1\] must be a text"),
        ("outputs/0/labels", ["a", "\ud800"], r"labels\[1\] must be valid Unicode"),
        ("outputs/0/labels", ["a", "b", "c"], r"outputs\[0\].labels must be empty, or 2 texts"),
        ("outputs/0/labels", [], "its output 'logits' has no labels, and its task needs them"),
        ("labels", ["no", "yes"], "unknown field 'labels'"),
        ("settings", [], "settings must be a JSON object"),
        ("settings", None, "settings must be a JSON object"),
        ("settings", {"long": "x" * MAX_SETTINGS}, "settings must be a JSON object of at most 1048576 bytes"),
        ("settings", {"threshold": 1.2}, "settings.threshold must be a number from 0 to 1, not 1.2"),
        ("settings", {"threshold": "high"}, "settings.threshold must be a number from 0 to 1"),
        ("settings", {"threshold": True}, "settings.threshold must be a number from 0 to 1"),
        ("settings", {"temperature": 2.0}, "settings.temperature must be a JSON object, not 2.0"),
        ("settings", {"temperature": [1]}, "settings.temperature must be a JSON object"),
        ("settings", {"temperature": {"logits": 0}}, "settings.temperature.logits must be a number from 0.001 to 1000"),
        ("settings", {"temperature": {"logits": -1.5}}, "settings.temperature.logits must be"),
        ("settings", {"temperature": {"logits": 10**400}}, "settings.temperature.logits must be"),
        ("settings", {"temperature": {"logits": float("inf")}}, "settings.temperature.logits must be"),
        ("settings", {"temperature": {"logits": float("nan")}}, "settings.temperature.logits must be"),
        ("settings", {"temperature": {"logits": {}}}, "settings.temperature.logits must be"),
        ("cascade", {"stages": []}, "cascade lacks the field 'threshold'"),
        ("max_length", 0, "max_length must be a whole number from 1"),
        ("max_length", 1.5, "max_length must be a whole number"),
        ("max_length", 1 << 40, "max_length must be a whole number"),
        ("max_length", 9, "shapes.max_length must be max_length"),
        ("student", None, "student must be a short plain name"),
        ("format", "../x", "format must be a short plain name"),
        ("precision", ["int8"], "precision must be"),
        ("inputs", {}, "inputs must be a list"),
        ("inputs", [], "inputs must be at least one tensor"),
        ("inputs", [GOOD["inputs"][0]] * 2, "no name twice"),
        ("inputs/0/name", "a b", r"inputs\[0\].name must be"),
        ("inputs/0/dtype", 64, r"inputs\[0\].dtype must be"),
        ("inputs/0/shape", ["batch", -1], r"inputs\[0\].shape\[1\] must be a whole number"),
        ("inputs/0/shape", ["batch", None], r"inputs\[0\].shape\[1\] must be a whole number"),
        ("inputs/0/shape", ["a;b"], r"inputs\[0\].shape\[0\] must be a short plain name"),
        ("inputs/0/per_length", 0, r"inputs\[0\].per_length must be"),
        ("inputs/0/rows", 0, r"inputs\[0\].rows must be"),
        ("inputs/0/rows", (1 << 31) + 1, r"inputs\[0\].rows must be"),
        ("outputs", [], "outputs must be at least one tensor"),
        ("outputs", [GOOD["outputs"][0]] * 2, "in alphabetical order, no name twice"),
        ("outputs", [GOOD["outputs"][0], GOOD["outputs"][0] | {"name": "later"}], "in alphabetical order"),
        ("outputs/0/name", "scores", "its task classification needs an output 'logits' with one row a text"),
        ("outputs/0/shape", ["batch", "length", 2], "its task classification needs an output 'logits' with one row a"),
        ("outputs/0/rows", 3, r"outputs\[0\] has an unknown field 'rows'"),
        ("outputs/0/dtype", "int8", r"outputs\[0\].dtype must be float32"),
        ("outputs/0/shape", [], r"outputs\[0\].shape must be \[\"batch\", WIDTH\] or"),
        ("outputs/0/shape", [2], r"outputs\[0\].shape must be"),
        ("outputs/0/shape", ["batch", "width"], r"outputs\[0\].shape must be"),
        ("outputs/0/shape", [2, 2], r"outputs\[0\].shape must be"),
        ("outputs/0/shape", ["length", "batch", 2], r"outputs\[0\].shape must be"),
        ("outputs/0/shape", ["batch", "length", 1, 2], r"outputs\[0\].shape must be"),
        ("outputs/0/shape", ["batch", (1 << 20) + 1], r"outputs\[0\].shape\[1\] must be a whole number from 1"),
        ("inputs/0/labels", [], r"inputs\[0\] has an unknown field 'labels'"),
        ("shapes", [], "shapes must be a JSON object"),
        ("shapes/batch", 2, "shapes.batch must be null or 1"),
        ("shapes/batch", True, "shapes.batch must be null or 1"),
        ("shapes/batch", 1.5, "shapes.batch must be null or 1"),
        ("shapes/lengths", [], "ascending lengths"),
        ("shapes/lengths", [8, 4], "ascending lengths"),
        ("shapes/lengths", [4, 4, 8], "ascending lengths"),
        ("shapes/lengths", [2, 4], "end with max_length"),
        ("shapes/lengths", [0, 8], r"shapes.lengths\[0\]"),
        ("shapes/lengths", [4, "8"], r"shapes.lengths\[1\]"),
        ("shapes/min_length", 9, "shapes.min_length must be"),
        ("shapes/more", 9, "unknown field 'more'"),
        ("featurizer", "wordpiece", "featurizer must be a JSON object"),
        ("featurizer", {}, "featurizer.type must be a text"),
        ("files", [], "files must be a JSON object"),
        ("files/model.onnx", 3, "must be a JSON object"),
        ("files/model.onnx/sha256", "0" * 63, "64 lower-case hex digits"),
        ("files/model.onnx/sha256", "F" * 64, "64 lower-case hex digits"),
        ("files/model.onnx/size", -1, "size must be a whole number"),
        ("files/model.onnx/size", 1 << 60, "size must be a whole number"),
        ("metrics", 1, "metrics must be a JSON object"),
        ("provenance", None, "provenance must be a JSON object"),
        ("created", "yesterday", "created must be an ISO 8601 time"),
        ("created", 0, "created must be a text"),
        ("requires", "onnxruntime", "requires must be a JSON object"),
        ("requires/package", 1, "requires.package must be a text"),
        ("requires/minimum", 1.2, "requires.minimum must be a text"),
        ("requires/made_with", "1.0", "requires.made_with must be a JSON object"),
        ("requires/made_with", {"onnxruntime": 1}, r"requires.made_with\['onnxruntime'\] must be a text"),
        ("surprise", 1, "unknown field 'surprise'"),
    ],
)
def test_a_wrong_field_is_named(path: str, value: object, reason: str) -> None:
    with pytest.raises(BundleError, match=reason):
        Manifest.from_json(replaced(path, value))


@pytest.mark.parametrize("key", sorted(GOOD))
def test_a_missing_field_is_named(key: str) -> None:
    with pytest.raises(BundleError, match=key):
        Manifest.from_json({name: value for name, value in GOOD.items() if name != key})


@pytest.mark.parametrize("value", [None, [], "text", 3, True])
def test_not_an_object(value: object) -> None:
    with pytest.raises(BundleError, match="the manifest must be a JSON object"):
        Manifest.from_json(value)


def test_a_newer_schema_is_named_before_anything_else() -> None:
    with pytest.raises(BundleError, match=r"made by a newer EdgeBERT .*upgrade"):
        Manifest.from_json({"schema_version": 3, "all": "different"})


def test_an_older_schema_is_to_be_exported_again() -> None:
    with pytest.raises(BundleError, match=r"made by an older EdgeBERT \(bundle schema 1\); export it again"):
        Manifest.from_json({**GOOD, "schema_version": 1, "labels": ["no", "yes"]})


def test_an_unknown_task_may_have_any_outputs_and_settings() -> None:
    """`inspect` shows it; `EdgeModel.load` says that it takes a newer EdgeBERT."""
    data = {**GOOD, "task": "later", "settings": {"temperature": "warm"}}
    assert Manifest.from_json(data).task == "later"


def test_a_constructed_manifest_is_checked_when_written() -> None:
    with pytest.raises(BundleError, match="outputs must be"):
        manifest(outputs=()).to_json()
    with pytest.raises(BundleError, match=r"settings.threshold must be"):
        manifest(settings={"threshold": 2}).to_json()
    with pytest.raises(BundleError, match="cannot be written as JSON"):
        manifest(metrics={"accuracy": float("nan")}).to_json()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"a": 1, "a": 2}', "a key appears twice"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b"[" * 200_000, "nested too deeply|not valid JSON"),
        (b"\xff{}", "not valid JSON"),
        (b'{"a": "\\ud800"}', "not valid JSON"),
        (b"1" * 5000, "not valid JSON"),
    ],
)
def test_bad_json(data: bytes, reason: str) -> None:
    with pytest.raises(BundleError, match=f"^it (is|has).*({reason})"):
        parse_json(data, "it")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PATHS = st.sampled_from(
    [*GOOD, "inputs/0", "outputs/0", *(f"inputs/0/{key}" for key in GOOD["inputs"][0]), "files/model.onnx"]
    + [f"outputs/0/{key}" for key in GOOD["outputs"][0]]
    + [f"shapes/{key}" for key in GOOD["shapes"]]
)


@given(path=PATHS, value=JSON)
@settings(max_examples=400)
def test_any_value_anywhere_is_accepted_or_named(path: str, value: object) -> None:
    data = replaced(path, value)
    try:
        read = Manifest.from_json(data)
    except BundleError as error:
        assert "\n" not in str(error) and len(str(error)) < 500
    else:
        assert read.to_json() == data
