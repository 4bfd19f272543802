"""The profile: real measurements of a real bundle, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgebert_runtime
from edgebert_runtime.errors import BundleError, UsageError
from edgebert_runtime.profile import STAGES, Profile, _peak_rss_mib, _stage, profile


@pytest.fixture(scope="module")
def measured(tiny: Any) -> Profile:
    return profile(tiny("onnx"), threads=2, runs=40)


def test_what_is_in_it(measured: Profile, tiny: Any) -> None:
    assert measured.schema == 1 and measured.engine == "onnx" and measured.threads == 2 and measured.runs == 40
    assert measured.warmup_runs >= 18 and measured.cold_load_ms > 1 and measured.first_prediction_ms > 0
    assert set(measured.stages) == set(STAGES)
    for stage in measured.stages.values():
        assert 0 < stage.p50 <= stage.p90 <= stage.p99 and stage.mean > 0
    total = measured.stages["total"].mean
    parts = sum(measured.stages[name].mean for name in STAGES[:3])
    assert parts == pytest.approx(total, rel=0.01)
    assert measured.sentences_per_second == pytest.approx(1000 / total)
    assert measured.bundle["size_bytes"] == tiny("onnx").stat().st_size and measured.bundle["precision"] == "fp32"
    assert 0 < measured.bundle["model_bytes"] < measured.bundle["size_bytes"]
    assert measured.texts["count"] == 6 and 2 <= measured.texts["mean_length"] <= 32
    assert {"edgebert", "python", "numpy", "onnxruntime"} <= measured.versions.keys()
    assert measured.machine["cores"] >= 1 and measured.machine["processor"]


def test_json_round_trip(measured: Profile) -> None:
    text = json.dumps(measured.to_json(), allow_nan=False)
    assert Profile.from_json(json.loads(text)) == measured


def test_memory_is_of_the_bundle_not_of_the_caller(measured: Profile, tiny: Any) -> None:
    """The caller of this test has torch loaded and 400 MiB more; a process that it starts has not."""
    ballast = np.ones(400 << 17)
    again = profile(tiny("onnx"), runs=5, warmup=0)
    assert ballast[0] == 1.0 and _peak_rss_mib() > 500
    assert again.warmup_runs == 0
    for found in (measured, again):
        assert 10 < found.base_rss_mib < found.peak_rss_mib < 250


def test_percentiles_interpolate() -> None:
    stage = _stage(np.array([1.0, 2.0, 3.0, 4.0]))
    assert (stage.mean, stage.p50) == (2.5, 2.5)
    assert stage.p90 == pytest.approx(3.7) and stage.p99 == pytest.approx(3.97)


def test_errors_cross_the_process(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"missing\.edgebert: no such file"):
        profile(tmp_path / "missing.edgebert")
    with pytest.raises(UsageError, match="threads must be"):
        profile(tmp_path, threads=0)


@pytest.mark.parametrize("options", [{"runs": 0}, {"runs": 1.5}, {"warmup": -1}, {"runs": True}])
def test_wrong_numbers(tiny: Any, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="must be a whole number from"):
        profile(tiny("onnx"), **options)


def test_as_a_command(tiny: Any, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgebert_runtime.profile", "--runs", "3", "--warmup", "1"]
    done = subprocess.run([*command, str(tiny("ngram"))], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["schema"] == 1 and done.stderr == ""
    failed = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True)
    assert failed.returncode == 1 and failed.stdout == "" and "is a folder" in failed.stderr


def test_the_working_directory_is_not_trusted(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file named like a package, in the folder a user happens to be in, is not run."""
    for name in ("numpy", "onnxruntime", "json", "edgebert_runtime"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(77)")
    path = tiny("onnx")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH")
    assert profile(path, runs=2, warmup=0).runs == 2


@pytest.mark.parametrize("kind", ["tflite", "executorch", "native", "onnx-tags"])
def test_other_engines(tiny: Any, kind: str) -> None:
    found = profile(tiny(kind), runs=5, warmup=2)
    format = kind.split("-")[0]
    assert found.engine == format and found.bundle["format"] == format and found.stages["decode"].p50 > 0
    assert found.stages["infer"].p50 >= 0 and found.stages["tokenize"].p50 > 0  # of a native model, infer is the rest
    assert found.bundle["labels"] == 3 and found.bundle["task"] == "classification"


def test_module_and_function_are_one_name(tiny: Any) -> None:
    assert edgebert_runtime.profile is sys.modules["edgebert_runtime.profile"]
    found = edgebert_runtime.profile(tiny("onnx"), runs=2, warmup=0)
    assert isinstance(found, edgebert_runtime.Profile)
