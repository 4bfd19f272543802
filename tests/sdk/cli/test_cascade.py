"""`edgebert cascade`: the small model answers what it is sure of, the large one the rest."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st

import edgebert
from edgebert.commands.cascade import Point, choose, curve
from edgebert.data import Columns, load_evaluation
from edgebert.tasks import get_task
from edgebert_runtime.bundle import open_bundle, write_bundle_file
from edgebert_runtime.errors import BundleError, UsageError
from edgebert_runtime.model import EdgeModel

_SPEC = importlib.util.spec_from_file_location("cascade_bundles", Path(__file__).with_name("conftest.py"))
assert _SPEC is not None and _SPEC.loader is not None
bundles = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(bundles)

Run = Callable[..., Result]

# It is sure of `awful`, and takes `great` for a bad sign without being sure of it.
UNSURE = bundles.TABLE.copy()
UNSURE[5] = (0.4, 0.0)
ROWS = "text,label\n" + "great film,good\ngreat,good\nawful,bad\nawful film,bad\nawful plot,bad\nplot great,good\n" * 3


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Its labels stand in another order than the large model's."""
    return bundles.write_bundle(tmp_path / "small.edgebert", False, UNSURE[:, ::-1].copy(), ("good", "bad"))


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    path = tmp_path / "dev.csv"
    path.write_text(ROWS)
    return path


@pytest.fixture
def both(small: Path, bundle: Path, dev: Path, tmp_path: Path) -> Path:
    return edgebert.cascade(small, bundle, dev=dev, out=tmp_path / "both.edgebert")


def test_each_text_is_answered_by_the_model_that_is_sure(
    run: Run, small: Path, bundle: Path, dev: Path, tmp_path: Path
) -> None:
    out = tmp_path / "both.edgebert"
    result = run("cascade", small, bundle, "--dev", dev, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{out}\n" and "asked again" in result.stderr and "->" in result.stderr
    expected = {"awful": edgebert.predict(small, "awful")[0], "great": edgebert.predict(bundle, "great")[0]}
    for text, answer in expected.items():
        (found,) = edgebert.predict(out, text)
        assert found.label == answer.label
        assert found.probability == pytest.approx(answer.probability, abs=1e-6)
        assert list(found.probabilities) == ["bad", "good"]
    value = json.loads(run("evaluate", out, "--data", dev, "--json").stdout)
    assert value["accuracy"] == 1 > json.loads(run("evaluate", small, "--data", dev, "--json").stdout)["accuracy"]
    inspected = json.loads(run("inspect", out, "--json").stdout)
    assert 0.5 < inspected["cascade"]["threshold"] < 0.99
    assert inspected["metrics"]["cascade"]["share"] == pytest.approx(0.5)
    assert run("profile", out).exit_code == 0


def test_where_one_alone_gives_what_is_wanted_it_says_so(
    run: Run, small: Path, bundle: Path, dev: Path, tmp_path: Path
) -> None:
    result = run("cascade", small, bundle, "--dev", dev, "--accuracy", "0", "--out", tmp_path / "both.edgebert")
    assert result.exit_code == 0, result.stderr
    assert f"on dev {bundle} is of no use: {small} alone gives what is wanted" in result.stderr


def test_batches_and_the_self_test(both: Path) -> None:
    texts = ["great", "awful", "film", "", "great awful plot", "\U0001f642 great"] * 5
    with EdgeModel.load(both) as model:
        alone = [model.predict(text)[0] for text in texts]
        assert model.predict(texts) == alone
        assert model.logits(texts).shape == (30, 2) and model.logits([]).shape == (0, 2)
        assert model.self_test().passed and len(model.bundle.golden()) > 2


@pytest.mark.parametrize("name", ["first/golden.jsonl", "golden.jsonl"])
def test_changed_vectors_of_either_model_fail_the_self_test(both: Path, tmp_path: Path, name: str) -> None:
    with open_bundle(both) as opened:
        entries: dict[str, bytes | Path] = {entry: opened.read(entry) for entry in opened.manifest.files}
        manifest, inner = opened.manifest, json.loads(opened.read("first/manifest.json"))
    lines = [json.loads(line) for line in bytes(entries[name]).splitlines()]  # type: ignore[arg-type]
    for line in lines:
        line["pieces"][0]["outputs"]["logits"]["values"].reverse()
    changed = "".join(json.dumps(line) + "\n" for line in lines).encode()
    entries[name] = changed
    if name.startswith("first/"):
        import hashlib

        inner["files"]["golden.jsonl"] = {"sha256": hashlib.sha256(changed).hexdigest(), "size": len(changed)}
        entries["first/manifest.json"] = json.dumps(inner).encode()
    path = tmp_path / "changed.edgebert"
    write_bundle_file(path, manifest, entries)
    with EdgeModel.load(path) as model:
        found = model.self_test()
    assert not found.passed and any(name.startswith("first/") == f.startswith("first/: ") for f in found.failures)


def test_a_damaged_inner_bundle_is_named(both: Path, tmp_path: Path) -> None:
    with open_bundle(both) as opened:
        entries: dict[str, bytes | Path] = {entry: opened.read(entry) for entry in opened.manifest.files}
        manifest = opened.manifest
    path = tmp_path / "changed.edgebert"
    for name, content, message in (
        ("first/manifest.json", None, "first/manifest.json"),
        ("first/manifest.json", b"{}", "first/: schema_version must be"),
        ("first/model.onnx", b"other", "first/: the contents of 'model.onnx' do not match"),
        ("first/extra", b"", "first/: it holds 'extra', which the manifest does not list"),
    ):
        changed = {key: value for key, value in {**entries, name: content}.items() if value is not None}
        write_bundle_file(path, manifest, changed)
        with pytest.raises(BundleError, match=message) as caught:
            open_bundle(path)
        assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_what_cannot_be_joined_is_refused(
    run: Run, small: Path, bundle: Path, pair_bundle: Path, both: Path, dev: Path, tmp_path: Path
) -> None:
    other = bundles.write_bundle(tmp_path / "other.edgebert", False, labels=("bad", "fine"))
    out = tmp_path / "x.edgebert"
    for arguments, message, status in (
        ((small, other), "only one of them knows 'fine'", 2),
        ((small, pair_bundle), "only one of them reads pairs", 2),
        ((small, both), "is a cascade already", 2),
        ((small, tmp_path / "no.edgebert"), "no.edgebert", 1),
        ((small, bundle, "--max-drop", "2"), "--max-drop 2.0 is a share", 2),
        ((small, bundle, "--max-drop", "0.1", "--latency", "3"), "name one", 2),
        (
            (bundle, small, "--accuracy", "1.0", "--dev", tmp_path / "hard.csv"),
            "the best that can be expected of these two",
            2,
        ),
        ((small, bundle, "--latency", "1e-9"), "the small model alone takes", 2),
    ):
        (tmp_path / "hard.csv").write_text("text,label\nplot,bad\ngreat,good\n")
        options = () if "--dev" in arguments else ("--dev", dev)
        result = run("cascade", *arguments, *options, "--out", out)
        assert result.exit_code == status and result.stdout == "", (arguments, result.stderr)
        assert message in result.stderr.splitlines()[-1] and not out.exists()


def test_a_task_without_labels_is_refused(bundle: Path, dev: Path, tmp_path: Path) -> None:
    with open_bundle(bundle) as opened:
        manifest = dataclasses.replace(opened.manifest, cascade={"threshold": 0.5}, task="multi-label")
        with pytest.raises(BundleError, match="cascade must be null for the task multi-label"):
            manifest.to_json()
    for threshold in (1.5, True, "x", None):
        with pytest.raises(BundleError, match=r"cascade\.threshold must be a number from 0 to 1"):
            dataclasses.replace(manifest, task="classification", cascade={"threshold": threshold}).to_json()


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 9)), min_size=1, max_size=20), st.floats(0, 0.2))
def test_the_fastest_that_is_accurate_enough_is_chosen(made: list[tuple[float, float]], drop: float) -> None:
    last = max(1, len(made) - 1)
    points = [Point(0.5, place / last, 0.5, expected, ms) for place, (expected, ms) in enumerate(made)]
    best = choose(points, drop, None, None)
    good = [point for point in points if point.expected >= points[-1].expected - drop - 1e-12]
    assert best in good and best.ms == min(point.ms for point in good)
    fastest = min(points, key=lambda point: point.ms)
    assert choose(points, None, None, fastest.ms).ms <= fastest.ms
    with pytest.raises(UsageError):
        choose(points, None, 1.1, None)


def test_the_curve_goes_from_one_model_to_the_other(small: Path, bundle: Path, dev: Path) -> None:
    rows, _ = load_evaluation(dev, Columns(), get_task("classification"))
    with EdgeModel.load(small) as first, EdgeModel.load(bundle) as second:
        points, same = curve(first, second, rows), curve(second, second, rows)
    for end, path in ((points[0], small), (points[-1], bundle)):
        assert end.accuracy == pytest.approx(edgebert.evaluate(path, data=dev)["accuracy"])
    assert points[-1].expected == points[-1].accuracy == 1
    assert [point.share for point in points] == sorted(point.share for point in points)
    assert 0.5 <= points[0].expected < points[-1].expected  # they differ on half of the texts
    assert {(point.accuracy, point.expected) for point in same} == {(1.0, 1.0)}


def test_the_inner_model_is_asked_in_its_own_order(small: Path) -> None:
    with EdgeModel.load(small) as model:
        assert model.labels == ("good", "bad")
        np.testing.assert_allclose(model.logits("awful")[0], UNSURE[[2, 4, 3]].sum(0)[::-1], atol=1e-6)
