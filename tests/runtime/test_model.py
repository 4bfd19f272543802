"""EdgeModel over real graphs: answers, self-test, threads, and what happens to wrong input."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import runtime_graphs as graphs
from runtime_helpers import entries, write_small

from edgebert_runtime import EdgeModel, Prediction
from edgebert_runtime.archive import Archive
from edgebert_runtime.bundle import write_bundle_file
from edgebert_runtime.errors import BundleError, DataError, EdgeBertError, UsageError
from edgebert_runtime.manifest import Manifest, parse_json

KINDS = ["onnx", "tflite", "executorch", "ngram", "executorch-int8", "native"]
MANY = [f"{text} {index}" for index in range(7) for text in graphs.TEXTS]


def altered(source: Path, target: Path, changes: dict[str, Any] | None = None, **files: bytes) -> Path:
    """A bundle with other files or manifest fields, checksums made right again. A dot in a name is written "__"."""
    with Archive(source) as opened:
        found: dict[str, bytes | Path] = {name: opened.read(name) for name in opened.entries}
    data = parse_json(bytes(found.pop("manifest.json")), "it") | (changes or {})  # type: ignore[arg-type]
    found |= {name.replace("__", "."): content for name, content in files.items()}
    write_bundle_file(target, Manifest.from_json(data), found)
    return target


@pytest.mark.parametrize("kind", KINDS)
def test_the_self_test_passes(tiny: Any, kind: str) -> None:
    """The golden logits are torch's, so this also says that every engine computes what torch does."""
    with EdgeModel.load(tiny(kind)) as model:
        found = model.self_test()
    assert found.passed and found.checked == len(graphs.TEXTS) and found.failures == ()
    assert 0 <= found.max_difference < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_predictions(tiny: Any, kind: str) -> None:
    with EdgeModel.load(tiny(kind)) as model:
        assert model.labels == graphs.LABELS and model.manifest.name.startswith("tiny")
        golden = model.bundle.golden()
        found = model.predict([vector["text"] for vector in golden])
        logits = model.logits([vector["text"] for vector in golden])
    assert logits.shape == (len(golden), 3) and logits.dtype == np.float32
    for prediction, vector in zip(found, golden, strict=True):
        assert isinstance(prediction, Prediction) and prediction.label == vector["label"]
        assert prediction.probability == pytest.approx(vector["probability"], abs=1e-5)
        assert list(prediction.probabilities) == list(graphs.LABELS)
        assert sum(prediction.probabilities.values()) == pytest.approx(1.0)
        assert prediction.probability == prediction.probabilities[prediction.label]


def test_many_texts_in_any_batch_size(bundle_path: Path) -> None:
    with EdgeModel.load(bundle_path) as model:
        alone = np.concatenate([model.logits(text) for text in MANY])
        for batch_size in (1, 5, 1000):
            np.testing.assert_allclose(model.logits(MANY, batch_size), alone, atol=1e-5)
        assert [p.label for p in model.predict(iter(MANY))] == [model.labels[i] for i in alone.argmax(1)]  # type: ignore[arg-type]


def test_a_single_text_and_none(bundle_path: Path) -> None:
    with EdgeModel.load(bundle_path) as model:
        assert model.predict("play music") == model.predict(["play music"])
        assert model.predict([]) == [] and model.logits([]).shape == (0, 3)
        assert len(model.predict("")) == 1


ODD = ["x" * 100_000, "play " * 20_000, "\0\x01\u200b\ufeff", "👩‍👩‍👧" * 500, "\u0301" * 300, " \t\n"]


@pytest.mark.parametrize("text", ODD)
def test_odd_texts_have_an_answer(tiny: Any, text: str) -> None:
    for kind in ("onnx", "tflite", "executorch", "ngram", "native"):
        with EdgeModel.load(tiny(kind)) as model:
            (found,) = model.predict(text)
            assert found.label in graphs.LABELS and 0 < found.probability <= 1


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ([1], "text 1 must be a text or a pair of texts, not int"),
        (["a", None], "text 2 must be a text or a pair of texts, not NoneType"),
        (["a", b"b"], "text 2 must be .* not bytes"),
        (b"bytes", "not bytes"),
        (3, "not int"),
        (None, "not NoneType"),
        ({"text": "a"}, "not dict"),
        (("a", "b", "c"), "a tuple is one pair of texts; give several texts as a list"),
        ([("a", "b", "c")], "text 1 must be a text or a pair of texts, not tuple"),
        (["a", "\ud800"], "text 2 is not valid Unicode"),
        (("a", "b"), "takes one text"),
    ],
)
def test_what_is_not_a_text_is_named(tiny: Any, texts: Any, reason: str) -> None:
    with EdgeModel.load(tiny("onnx")) as model, pytest.raises(DataError, match=reason):
        model.predict(texts)


@pytest.mark.parametrize("batch_size", [0, -3, 1.5, True, None])
def test_wrong_batch_size(tiny: Any, batch_size: Any) -> None:
    with EdgeModel.load(tiny("onnx")) as model, pytest.raises(UsageError, match="batch_size must be a whole number"):
        model.predict("a", batch_size=batch_size)


@pytest.mark.parametrize("kind", KINDS)
def test_eight_threads_get_the_same_answers(tiny: Any, kind: str) -> None:
    wrong: list[object] = []
    with EdgeModel.load(tiny(kind)) as model:
        expected = {text: model.logits(text)[0] for text in MANY}
        start = threading.Barrier(8)

        def work(offset: int) -> None:
            try:
                start.wait()
                for index in range(120):
                    text = MANY[(offset * 5 + index) % len(MANY)]
                    if not np.array_equal(model.logits(text)[0], expected[text]):
                        wrong.append(text)
            except Exception as error:
                wrong.append(error)

        threads = [threading.Thread(target=work, args=(offset,)) for offset in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_closing_while_others_run(bundle_path: Path) -> None:
    """No crash: each call either answers rightly or says that the model is closed."""
    model = EdgeModel.load(bundle_path)
    expected = model.logits("play music")[0]
    answers, others = [], []
    running = threading.Barrier(5)

    def work() -> None:
        running.wait()
        try:
            for _ in range(100_000):
                answers.append(bool(np.array_equal(model.logits("play music")[0], expected)))
        except Exception as error:
            others.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    running.wait()
    model.close()
    for thread in threads:
        thread.join()
    assert all(answers) and len(others) == 4
    assert all(isinstance(error, EdgeBertError) and "closed" in str(error) for error in others)


def test_two_models_at_once(bundle_path: Path) -> None:
    with EdgeModel.load(bundle_path) as first, EdgeModel.load(bundle_path, threads=2) as second:
        np.testing.assert_allclose(first.logits(MANY), second.logits(MANY), atol=1e-6)
        first.close()
        assert second.self_test().passed


def test_after_close(bundle_path: Path) -> None:
    model = EdgeModel.load(bundle_path)
    model.close()
    model.close()
    for call in (lambda: model.predict("a"), lambda: model.logits([]), lambda: model.infer([])):
        with pytest.raises(EdgeBertError, match=r"the model .* is closed; load it again"):
            call()
    assert model.labels == graphs.LABELS  # what the bundle said stays readable


def golden_lines(path: Path) -> list[dict[str, Any]]:
    with Archive(path) as opened:
        return [json.loads(line) for line in opened.read("golden.jsonl").splitlines()]


@pytest.mark.parametrize("what", ["logits", "ids", "label", "text"])
def test_the_self_test_finds_a_difference(tiny: Any, tmp_path: Path, what: str) -> None:
    lines = golden_lines(tiny("onnx"))
    if what == "logits":
        lines[3]["logits"][1] += 0.01
    elif what == "ids":
        lines[3]["ids"]["input_ids"][1] += 1
    elif what == "text":
        lines[3]["text"] = "play music please"
    else:
        lines[3]["label"] = next(label for label in graphs.LABELS if label != lines[3]["label"])
    golden = b"".join(graphs.to_line(line) for line in lines)
    with EdgeModel.load(altered(tiny("onnx"), tmp_path / "a", golden__jsonl=golden)) as model:
        found = model.self_test()
        assert not found.passed and found.checked == len(lines)
        assert all(failure.startswith("vector 4: ") for failure in found.failures)
        assert {"logits": "logits differ by 0.01", "ids": "other ids", "label": "the label is", "text": "other ids"}[
            what
        ] in found.failures[0]
        assert model.self_test(tolerance=0.05).passed == (what == "logits")


def test_a_tie_may_fall_either_way(tiny: Any, tmp_path: Path) -> None:
    """Two equal best logits: rounding decides, and the self-test does not mind."""
    lines = golden_lines(tiny("onnx"))
    logits = lines[0]["logits"]
    second = sorted(range(3), key=lambda index: -logits[index])[1]
    logits[second] = max(logits)
    lines[0]["label"] = graphs.LABELS[second]
    golden = b"".join(graphs.to_line(line) for line in lines)
    with EdgeModel.load(altered(tiny("onnx"), tmp_path / "a", golden__jsonl=golden)) as model:
        failures = model.self_test().failures
    assert failures and all("logits differ" in failure for failure in failures)  # the label is no failure


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"engine": "onx"}, r"unknown engine 'onx'\. Did you mean 'onnx'"),
        ({"engine": "tflite"}, "the tflite engine cannot run a bundle of format onnx"),
        ({"engine": "tflite-runtime"}, "silently wrong logits"),
        ({"threads": 0}, "threads must be"),
    ],
)
def test_wrong_options(tiny: Any, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        EdgeModel.load(tiny("onnx"), **options)
    with EdgeModel.load(tiny("onnx"), engine="onnx") as model:
        assert model.self_test().passed


def feature_spec(**changes: Any) -> dict[str, Any]:
    return {"featurizer": graphs.wordpiece().spec() | changes}


REQUIRED = {"package": "onnxruntime", "made_with": {"onnxruntime": "0.0.1"}}
NEWER = {"requires": REQUIRED | {"minimum": "99.0"}}


@pytest.mark.parametrize(
    ("changes", "files", "reason"),
    [
        ({"format": "coreml"}, {}, "its format 'coreml' is unknown to this EdgeBERT; upgrade"),
        ({"task": "parsing"}, {}, "its task 'parsing' is unknown to this EdgeBERT; upgrade"),
        (NEWER, {}, "needs onnxruntime 99.0 or newer, installed is .*upgrade with"),
        (feature_spec(type="bpe"), {}, "featurizer type 'bpe' is unknown"),
        (feature_spec(vocab="tokenizer/other.txt"), {}, "holds no 'tokenizer/other.txt'"),
        (feature_spec(vocab="../../etc/passwd"), {}, "holds no '../../etc/passwd'"),
        (feature_spec(max_length=16), {}, "the featurizer cuts texts at 16, but the graph takes 32"),
        (feature_spec(max_length=-5), {}, "featurizer"),
        (feature_spec(max_length="many"), {}, "the wordpiece featurizer cannot be read"),
        (feature_spec(pair=True), {}, "the featurizer makes the inputs"),
        ({}, {"tokenizer/vocab__txt": b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n"}, "the featurizer makes the inputs"),
        ({}, {"tokenizer/vocab__txt": b"\xff\xfe\n"}, "the wordpiece featurizer cannot be read"),
        ({}, {"tokenizer/vocab__txt": b"a\nb\n"}, r"no \[PAD\] entry"),
        ({"requires": REQUIRED}, {"model__onnx": b"nonsense"}, r"refuses .*made with onnxruntime 0\.0\.1"),
        ({"requires": {}}, {"model__onnx": b""}, "ONNX Runtime .* refuses the graph"),
    ],
)
def test_a_bundle_that_cannot_run(
    tiny: Any, tmp_path: Path, changes: dict[str, Any], files: dict[str, bytes], reason: str
) -> None:
    path = altered(tiny("onnx"), tmp_path / "bad.edgebert", changes, **files)
    with pytest.raises(BundleError, match=reason) as caught:
        EdgeModel.load(path)
    assert str(caught.value).startswith(f"{path}: ") and str(caught.value).count(str(path)) == 1
    assert "\n" not in str(caught.value)


def test_labels_and_logits_must_agree(tiny: Any, tmp_path: Path) -> None:
    path = altered(tiny("onnx"), tmp_path / "a", {"labels": ["one", "two"]})
    with EdgeModel.load(path) as model, pytest.raises(BundleError, match="gives 3 logits for 2 labels"):
        model.predict("a")


def test_a_damaged_bundle_never_loads(tiny: Any, tmp_path: Path) -> None:
    data = bytearray(tiny("onnx").read_bytes())
    data[data.index(b"lights")] ^= 1
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(BundleError):
        EdgeModel.load(tmp_path / "a")
    with pytest.raises(BundleError, match=r"ONNX Runtime|featurizer|wordpiece"):
        EdgeModel.load(write_small(tmp_path / "b", entries()))


def test_the_file_is_free_after_a_failed_load(tiny: Any, tmp_path: Path) -> None:
    path = altered(tiny("onnx"), tmp_path / "a", {"task": "parsing"})
    before = set(Path("/proc/self/fd").iterdir())
    for _ in range(3):
        with pytest.raises(BundleError):
            EdgeModel.load(path)
    assert len(set(Path("/proc/self/fd").iterdir())) <= len(before)


QUIET = "import sys; from edgebert_runtime import EdgeModel; print(EdgeModel.load(sys.argv[1]).predict('hi')[0].label)"


def test_engines_print_nothing(bundle_path: Path) -> None:
    """Their banners would stand between a user and the answer."""
    done = subprocess.run([sys.executable, "-c", QUIET, str(bundle_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in graphs.LABELS and done.stderr == ""
