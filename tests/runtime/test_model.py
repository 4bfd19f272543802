"""EdgeModel over real graphs: answers, self-test, threads, and what happens to wrong input."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import runtime_graphs as graphs
from runtime_helpers import entries, write_small

from edgebert_runtime import EdgeModel, Prediction
from edgebert_runtime.archive import Archive
from edgebert_runtime.bundle import write_bundle_file
from edgebert_runtime.decode import DECODERS, Asked, Decoder, Piece
from edgebert_runtime.errors import BundleError, DataError, EdgeBertError, UsageError
from edgebert_runtime.golden import vector as golden_vector
from edgebert_runtime.manifest import Manifest, parse_json
from edgebert_runtime.outputs import Outputs, outputs_of

KINDS = ["onnx", "tflite", "executorch", "ngram", "executorch-int8", "native"]
TAGGERS = ["onnx-tags", "tflite-tags", "executorch-tags"]
MANY = [f"{text} {index}" for index in range(7) for text in graphs.TEXTS]


def altered(source: Path, target: Path, changes: dict[str, Any] | None = None, **files: bytes) -> Path:
    """A bundle with other files or manifest fields, checksums made right again. A dot in a name is written "__"."""
    with Archive(source) as opened:
        found: dict[str, bytes | Path] = {name: opened.read(name) for name in opened.entries}
    data = parse_json(bytes(found.pop("manifest.json")), "it") | (changes or {})  # type: ignore[arg-type]
    found |= {name.replace("__", "."): content for name, content in files.items()}
    write_bundle_file(target, Manifest.from_json(data), found)
    return target


@pytest.mark.parametrize("kind", KINDS + TAGGERS)
def test_the_self_test_passes(tiny: Any, kind: str) -> None:
    """The golden numbers are torch's, so this also says that every engine computes what torch does."""
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
        assert isinstance(prediction, Prediction) and prediction.label == vector["answer"]["label"]
        assert prediction.probability == pytest.approx(vector["answer"]["probability"], abs=1e-5)
        assert list(prediction.probabilities) == list(graphs.LABELS)
        assert sum(prediction.probabilities.values()) == pytest.approx(1.0)
        assert prediction.probability == prediction.probabilities[prediction.label]


def test_many_texts_in_any_batch_size(bundle_path: Path) -> None:
    with EdgeModel.load(bundle_path) as model:
        alone = np.concatenate([model.logits(text) for text in MANY])
        for batch_size in (1, 5, 1000):
            np.testing.assert_allclose(model.logits(MANY, batch_size), alone, atol=1e-5)
        assert [p.label for p in model.predict(iter(MANY))] == [model.labels[i] for i in alone.argmax(1)]  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", TAGGERS)
def test_outputs_of_texts_and_of_tokens(tiny: Any, kind: str) -> None:
    """Each text has as many rows as tokens, whatever its company; an output with labels decides `labels`."""
    with EdgeModel.load(tiny(kind)) as model:
        counts = [len(item["input_ids"]) for item in model.featurize(model.ask(MANY))]
        assert model.labels == graphs.LABELS and len(set(counts)) > 3
        alone = [model.outputs(text) for text in MANY]
        for batch_size in (1, 5, 1000):
            together = model.outputs(MANY, batch_size)
            assert list(together) == ["logits", "tags"] and len(together["tags"]) == len(MANY)
            for index, (count, single) in enumerate(zip(counts, alone, strict=True)):
                assert together["tags"][index].shape == (count, 2)
                np.testing.assert_allclose(together["tags"][index], single["tags"][0], atol=1e-5)
                np.testing.assert_allclose(together["logits"][index], single["logits"][0], atol=1e-5)
        none = model.outputs([])
        assert none["logits"].shape == (0, 3) and none["tags"] == [] and model.predict([]) == []  # type: ignore[union-attr]
        with pytest.raises(UsageError, match=r"a classification model has more than one row of logits .* `outputs`"):
            model.logits("a")


def test_the_stages_are_predict(bundle_path: Path) -> None:
    with EdgeModel.load(bundle_path) as model:
        asked = model.ask(MANY)
        features = model.featurize(asked)
        assert len(features) == len(MANY) and asked.texts == MANY and asked.labels == {"logits": graphs.LABELS}
        outputs = model.infer(asked, features, batch_size=32)
        assert model.decode(asked, outputs) == model.predict(MANY)
        assert model.reads_text == (model.manifest.format == "native")


def test_threshold(bundle_path: Path, tmp_path: Path) -> None:
    with EdgeModel.load(bundle_path) as model:
        sure = [prediction.sure for prediction in model.predict(MANY)]
        probabilities = [prediction.probability for prediction in model.predict(MANY)]
        middle = sorted(probabilities)[len(MANY) // 2]
        found = model.predict(MANY, threshold=middle)
    assert all(sure) and {prediction.sure for prediction in found} == {True, False}
    assert [prediction.sure for prediction in found] == [value >= middle for value in probabilities]
    path = altered(bundle_path, tmp_path / "a", {"settings": {"threshold": middle, "temperature": {"logits": 2.0}}})
    with EdgeModel.load(path) as model:  # the bundle's own, and milder probabilities
        milder = model.predict(MANY)
        assert [prediction.sure for prediction in milder] == [one.probability >= middle for one in milder]
        assert all(one.probability < value for one, value in zip(milder, probabilities, strict=True))
        assert all(prediction.sure for prediction in model.predict(MANY, threshold=0))
        for wrong in (1.5, -1, float("nan"), "0.5", True):
            with pytest.raises(UsageError, match="must be a probability"):
                model.predict("a", threshold=wrong)  # type: ignore[arg-type]


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
    for call in (
        lambda: model.predict("a"),
        lambda: model.logits([]),
        lambda: model.outputs("a"),
        lambda: model.ask([]),
    ):
        with pytest.raises(EdgeBertError, match=r"the model .* is closed; load it again"):
            call()
    assert model.labels == graphs.LABELS  # what the bundle said stays readable


def golden_lines(path: Path) -> list[dict[str, Any]]:
    with Archive(path) as opened:
        return [json.loads(line) for line in opened.read("golden.jsonl").splitlines()]


def with_golden(source: Path, target: Path, lines: list[dict[str, Any]], **files: bytes) -> EdgeModel:
    golden = b"".join(graphs.to_line(line) for line in lines)
    return EdgeModel.load(altered(source, target, golden__jsonl=golden, **files))


OTHERS = {
    "logits": "logits differ by 0.01, allowed 0.000",
    "tags": "tags differ by 0.01, allowed 0.000",
    "ids": "other ids for 'input_ids'",
    "text": "other ids for 'input_ids'",
    "label": "the answer: 'label' is ",
    "sure": "the answer: 'sure' is true, not false",
    "probability": "the answer: 'probability' is ",
}


@pytest.mark.parametrize("what", OTHERS)
def test_the_self_test_finds_a_difference(tiny: Any, tmp_path: Path, what: str) -> None:
    lines = golden_lines(tiny("onnx-tags"))
    line = lines[3]
    if what in ("logits", "tags"):
        line["pieces"][0]["outputs"][what]["values"][1] += 0.01
    elif what == "ids":
        line["pieces"][0]["ids"]["input_ids"][1] += 1
    elif what == "text":
        line["text"] = "play music please"
    elif what == "label":
        line["answer"]["label"] = next(label for label in graphs.LABELS if label != line["answer"]["label"])
    elif what == "sure":
        line["answer"]["sure"] = False
    else:
        line["answer"]["probability"] -= 0.01
    with with_golden(tiny("onnx-tags"), tmp_path / "a", lines) as model:
        found = model.self_test()
        assert not found.passed and found.checked == len(lines)
        assert len(found.failures) == (2 if what == "text" else 1)  # a text of another length has another mask too
        assert found.failures[-1].startswith(f"vector 4: {OTHERS[what]}")
        assert model.self_test(tolerance=0.05).passed == (what in ("logits", "tags", "probability"))


def test_a_tie_may_fall_either_way(tiny: Any, tmp_path: Path) -> None:
    """The two best logits as good as equal: rounding decides, and the self-test does not mind: the margin says so."""
    lines = golden_lines(tiny("onnx"))
    answer = lines[0]["answer"]
    answer["label"] = next(label for label in graphs.LABELS if label != answer["label"])
    for margin, passes in ((0.0, True), (9e-5, True), (0.01, False), (None, False)):
        lines[0]["margin"] = margin
        with with_golden(tiny("onnx"), tmp_path / "a", lines) as model:
            assert model.self_test().passed == passes
            assert model.self_test(tolerance=0.05).passed == (margin is not None)


@pytest.mark.parametrize("columns", [(0, 1), (0, 2), (1, 2)])
def test_swapped_weights_do_not_pass(tiny: Any, tmp_path: Path, columns: tuple[int, int]) -> None:
    """Two columns of the head exchanged: the graph is as good as before, and every answer is another's."""
    onnx = pytest.importorskip("onnx")
    with Archive(tiny("onnx")) as opened:
        graph = onnx.load_model_from_string(opened.read("model.onnx"))
    swapped = 0
    for tensor in graph.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor).copy()
        if 3 in values.shape:
            axis = values.shape.index(3)
            order = np.arange(3)
            order[list(columns)] = order[list(reversed(columns))]
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.take(values, order, axis), tensor.name))
            swapped += 1
    assert swapped == 2  # weight and bias
    lines = golden_lines(tiny("onnx"))
    with with_golden(tiny("onnx"), tmp_path / "a", lines, model__onnx=graph.SerializeToString()) as model:
        for tolerance in (1e-4, 0.05):
            found = model.self_test(tolerance)
            assert not found.passed and any("logits differ" in failure for failure in found.failures)
        assert any("'label' is" in failure for failure in found.failures)


# ---- a task that reads parts of a text, and one that answers with vectors


class Parts(NamedTuple):
    """How many tokens each part of a text has, and the largest tag in all of them."""

    tokens: list[int]
    largest: float
    owner: int

    def to_json(self) -> dict[str, Any]:
        return self._asdict()


def cut_parts(texts: Sequence[Any], featurizer: Any, settings: Mapping[str, Any]) -> list[Piece]:
    separator = settings["separator"]
    return [Piece(part, owner, 0) for owner, text in enumerate(texts) for part in text.split(separator)]


def decode_parts(outputs: Outputs, asked: Asked) -> list[Parts]:
    assert asked.pieces is not None and len(outputs["tags"]) == len(asked.pieces)
    found = []
    for owner in range(len(asked.texts)):
        tags = [rows for piece, rows in zip(asked.pieces, outputs["tags"], strict=True) if piece.owner == owner]
        found.append(Parts([len(rows) for rows in tags], float(max(rows.max() for rows in tags)), owner))
    return found


PARTS = Decoder({"tags": True}, decode_parts, lambda outputs, asked: [None] * len(asked.texts), cut_parts)


@pytest.fixture
def parts(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle of the task "parts", which cuts texts at a "|"; its golden vectors are its own."""
    monkeypatch.setitem(DECODERS, "parts", f"{__name__}:PARTS")
    changes = {"task": "parts", "settings": {"separator": "|"}}
    texts = ["play music|turn on the lights", "", "||what is", "the weather"]
    with EdgeModel.load(altered(tiny("onnx-tags"), tmp_path / "raw", changes)) as model:
        lines = []
        for text in texts:
            asked = model.ask(text)
            features = model.featurize(asked)
            outputs = model.infer(asked, features, batch_size=1)
            items = [(item, outputs_of(outputs, index)) for index, item in enumerate(features)]
            lines.append(golden_vector(text, items, model.decode(asked, outputs)[0], None, model.manifest.input_specs))
    golden = b"".join(map(graphs.to_line, lines))
    return altered(tiny("onnx-tags"), tmp_path / "parts.edgebert", changes, golden__jsonl=golden)


def test_a_task_that_reads_parts(parts: Path) -> None:
    with EdgeModel.load(parts) as model:
        first, second, third = model.predict(["play music|turn on the lights", "", "a|b|c"], batch_size=2)
        assert first.tokens == [4, 6] and second.tokens == [2] and third.tokens == [3, 3, 3]
        assert [answer.owner for answer in (first, second, third)] == [0, 1, 2]
        assert len(model.outputs("a|b|c")["logits"]) == 3
        found = model.self_test()
        assert found.passed and found.checked == 4
        with pytest.raises(DataError, match="takes one text, not a pair"):  # before it is cut
            model.predict(("a", "b"))
        with pytest.raises(UsageError, match="parts have no probability"):
            model.predict("a", threshold=0.5)


def test_other_parts_are_found(parts: Path, tmp_path: Path) -> None:
    with EdgeModel.load(altered(parts, tmp_path / "b", {"settings": {"separator": "#"}})) as model:
        assert "vector 1: the text is read in 1 parts, not 2" in model.self_test().failures


def test_a_task_says_which_outputs_it_needs(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DECODERS, "parts", f"{__name__}:PARTS")
    with pytest.raises(BundleError, match="its task parts needs an output 'tags' with a row for each token"):
        altered(tiny("onnx"), tmp_path / "a", {"task": "parts"})


def test_embed(tiny: Any, tmp_path: Path) -> None:
    outputs = [{"name": "vector", "dtype": "float32", "shape": ["batch", 3], "labels": []}]
    path = altered(tiny("native"), tmp_path / "a", {"task": "embedding", "outputs": outputs})
    with EdgeModel.load(path) as model, EdgeModel.load(tiny("native")) as same:
        found = model.embed(MANY)
        logits = same.logits(MANY)
        np.testing.assert_allclose(found, logits / np.linalg.norm(logits, axis=1, keepdims=True), rtol=1e-6)
        assert found.dtype == np.float32 and model.embed("a").shape == (1, 3)
        assert model.embed([]).shape == (0, 3) and model.labels == ()
        with pytest.raises(UsageError, match="this model does classification, not embedding: call `predict`"):
            same.embed("a")


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
    outputs = [{"name": "logits", "dtype": "float32", "shape": ["batch", 2], "labels": ["one", "two"]}]
    path = altered(tiny("onnx"), tmp_path / "a", {"outputs": outputs})
    reason = r"gave 'logits' in the shape \[1, 3\], but the manifest says \[1, 2\]"
    with EdgeModel.load(path) as model, pytest.raises(BundleError, match=reason):
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
