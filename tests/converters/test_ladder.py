"""Exports from end to end: what passes, what climbs, what fails, and that a failure leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from converter_models import DEV, logits_of

from edgebert_converters import base
from edgebert_converters.base import Precision
from edgebert_converters.ladder import export_model
from edgebert_converters.targets import TARGETS, formats_for
from edgebert_runtime.errors import EdgeBertError, ExportError, MissingExtraError, UsageError
from edgebert_runtime.model import EdgeModel


class Log(list[str]):
    """Collects what an export prints."""

    def __call__(self, line: str) -> None:
        self.append(line)

    @property
    def text(self) -> str:
        return "\n".join(self)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Path]:
    """A folder in which the test must leave nothing."""
    yield tmp_path
    assert list(tmp_path.iterdir()) == []


def test_one_format_one_precision(models, tmp_path: Path, log: Log) -> None:
    out = tmp_path / "new folder" / "x.edgebert"
    (made,) = export_model(models["ngram"], "android", "onnx", "int8", out=out, log=log)
    assert made.path == out and made.format == "onnx" and made.precision is Precision.INT8
    assert made.size == out.stat().st_size and made.latency_ms is None
    assert [item.name for item in out.parent.iterdir()] == ["x.edgebert"]
    with EdgeModel.load(out) as loaded:
        assert loaded.self_test().passed


def test_explicit_precision_never_climbs(models, empty: Path, log: Log) -> None:
    with pytest.raises(ExportError) as caught:
        export_model(models["outlier"], "linux", "onnx", "int8", max_drop=0.05, out=empty / "x.edgebert", log=log)
    message = str(caught.value)
    assert "the best export (onnx, int8) has accuracy 0." in message
    assert "below the 0.9250 of torch; allowed are 0.0500" in message
    assert "--precision auto" in message


def test_auto_keeps_the_sensitive_layer_in_float(models, tmp_path: Path, log: Log) -> None:
    out = tmp_path / "x.edgebert"
    (made,) = export_model(models["outlier"], "linux", "onnx", "auto", max_drop=0.05, out=out, log=log)
    assert made.precision is Precision.INT8
    assert "read" in made.kept and "up" not in made.kept
    assert made.verification.drop <= 0.05
    lines = [line for line in log if line.startswith("onnx: int8")]
    assert len(lines) == 2 and "loses 0." in lines[0] and lines[1].endswith("passed")
    assert "in float: read" in log.text
    with EdgeModel.load(out) as loaded:
        assert loaded.manifest.provenance["kept_float"] == ["classifier", "read"]


def test_auto_ends_in_float_when_nothing_less_is_good_enough(models, tmp_path: Path, log: Log) -> None:
    """A score that only exact logits satisfy: int8 fails with any layers kept, fp16 fails, fp32 passes."""
    model = models["encoder"]
    exact = logits_of(model, DEV)
    strict = replace(model, score=lambda outputs: float(abs(outputs["logits"] - exact).max() < 1e-3))
    (made,) = export_model(strict, "linux", "onnx", "auto", out=tmp_path / "x.edgebert", log=log)
    assert made.precision is Precision.FP32
    tried = [line.split()[1] for line in log if line.startswith("onnx: ") and "bytes" not in line]
    assert tried[-2:] == ["fp16", "fp32"]


def test_impossible_budget(models, empty: Path, log: Log) -> None:
    with pytest.raises(ExportError) as caught:
        export_model(models["ngram"], "linux", "onnx", max_size=1000, out=empty / "new" / "x.edgebert", log=log)
    message = str(caught.value)
    assert "no bundle fits 1,000 bytes. The smallest reached is" in message
    assert "(onnx, int8)" in message
    assert len([line for line in log if "more than 1,000" in line]) == 1  # larger rungs are not tried


def test_a_budget_that_just_fits(models, tmp_path: Path, log: Log) -> None:
    out = tmp_path / "x.edgebert"
    size = export_model(models["ngram"], "linux", "onnx", "int8", out=out, log=log)[0].size
    before = out.read_bytes()
    # A model card has its numbers, so the limit is not exact to the byte; the archive is.
    assert export_model(models["ngram"], "linux", "onnx", "int8", size, out=out, log=log)[0].size == size
    kept = out.read_bytes()
    assert len(before) == len(kept)
    with pytest.raises(ExportError):
        export_model(models["ngram"], "linux", "onnx", "int8", size - 1, out=out, log=log)
    assert out.read_bytes() == kept  # what stood there is untouched


def test_all_writes_one_bundle_a_format(models, tmp_path: Path, log: Log) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    model = replace(models["ngram"], name="my model/1")
    made = export_model(model, "android", "all", "int8", out=tmp_path, log=log)
    assert [item.format for item in made] == list(TARGETS["android"].formats)
    assert {item.name for item in tmp_path.iterdir()} == {"mine.txt"} | {
        f"my-model-1-{format}.edgebert" for format in ("native", "onnx", "tflite", "executorch")
    }
    answers = []
    for item in made:
        with EdgeModel.load(item.path) as loaded:
            assert loaded.self_test().passed
            answers.append([answer.label for answer in loaded.predict(list(DEV))])
    assert len(answers) == 4 and all(answer == answers[0] for answer in answers)


def test_auto_takes_the_fastest_that_passes(models, tmp_path: Path, log: Log) -> None:
    out = tmp_path / "x.edgebert"
    (made,) = export_model(models["encoder"], "android", "auto", "int8", out=out, log=log)
    times = {line.split()[0]: float(line.split(" ms")[0].split()[-1]) for line in log if " ms " in line}
    assert set(times) == {"onnx", "tflite", "executorch"}
    assert made.format == min(times, key=lambda name: times[name])
    assert made.latency_ms == pytest.approx(times[made.format], abs=0.001)
    with EdgeModel.load(out) as loaded:
        assert loaded.manifest.format == made.format


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "androit"}, "unknown target 'androit'. Did you mean 'android'"),
        ({"format": "onxx"}, "unknown format 'onxx'. Did you mean 'onnx'"),
        ({"precision": "int3"}, "unknown precision 'int3'"),
    ],
)
def test_unknown_names(models, empty: Path, arguments: dict[str, str], message: str) -> None:
    values = {"target": "android", "format": "onnx", "precision": "int8"} | arguments
    with pytest.raises(UsageError, match=message):
        export_model(models["ngram"], **values, out=empty / "x.edgebert")


def test_out_must_be_of_the_right_kind(models, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        export_model(models["ngram"], "linux", "onnx", out=tmp_path)
    (tmp_path / "file").write_text("keep")
    with pytest.raises(UsageError, match="is a file"):
        export_model(models["ngram"], "linux", "all", out=tmp_path / "file")
    with pytest.raises(EdgeBertError):
        export_model(models["ngram"], "linux", "onnx", out=tmp_path / "file" / "x.edgebert")
    assert (tmp_path / "file").read_text() == "keep"


def test_a_missing_package(models, empty: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in base.CONVERTERS:
        monkeypatch.setitem(base.CONVERTERS, name, "converter_models:Absent")
    with pytest.raises(MissingExtraError, match=r'pip install "edgebert\[onnx\]"'):
        export_model(models["ngram"], "linux", "onnx", out=empty / "x.edgebert", log=log)
    assert log == []
    with pytest.raises(MissingExtraError, match="no_such_package"):
        export_model(models["ngram"], "linux", "all", out=empty / "folder", log=log)
    assert log.text.count("skipped") == len(TARGETS["linux"].formats)


def test_a_missing_package_is_skipped_by_auto(
    models, tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tflite", "executorch"):
        monkeypatch.setitem(base.CONVERTERS, name, "converter_models:Absent")
    (made,) = export_model(models["encoder"], "linux", "auto", out=tmp_path / "x.edgebert", log=log)
    assert made.format == "onnx"
    skipped = [line for line in log if line.startswith("skipped")]
    assert len(skipped) == 2 and all("'edgebert_no_such_package' is not installed" in line for line in skipped)


def test_a_format_without_the_precision_is_skipped_or_refused(models, tmp_path: Path, log: Log) -> None:
    with pytest.raises(UsageError, match="executorch: it has no precision fp16, only fp32, int8, int8-static"):
        export_model(models["ngram"], "linux", "executorch", "fp16", out=tmp_path / "x.edgebert", log=log)
    assert list(tmp_path.iterdir()) == []


def test_targets() -> None:
    assert formats_for("android", "auto")[:2] == ("native", "tflite")
    assert formats_for("linux", "all")[:2] == ("native", "onnx")
    assert formats_for("linux", "onnx") == ("onnx",)
    for target in TARGETS.values():
        assert set(target.formats) <= set(base.CONVERTERS)
