"""The native engine: text in, the core's logits out, whatever the threads; and the bundles around it."""

from __future__ import annotations

import struct
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_model
import runtime_graphs as graphs

from edgebert_runtime import EdgeModel
from edgebert_runtime.archive import Archive
from edgebert_runtime.bundle import Manifest, open_bundle, write_bundle_file
from edgebert_runtime.engines import Engine, TextEngine, load_engine
from edgebert_runtime.engines.native import FEWEST_PER_THREAD, NativeEngine
from edgebert_runtime.errors import BundleError, DataError, EdgeBertError, UsageError
from edgebert_runtime.manifest import parse_json
from edgebert_runtime.outputs import GraphSpec, OutputSpec

MANY = [f"{text} {number}" for number in range(200) for text in graphs.TEXTS]


def content_of(path: Path) -> bytes:
    with open_bundle(path) as bundle:
        return bundle.read(bundle.model_name)


def loaded(path: Path, threads: int = 1) -> Any:
    with open_bundle(path) as bundle:
        return load_engine("native", bundle.read(bundle.model_name), bundle.manifest.graph, threads)


def altered(source: Path, target: Path, changes: dict[str, Any] | None = None, **files: bytes) -> Path:
    """A bundle with other files or manifest fields, checksums made right again. A dot in a name is written "__"."""
    with Archive(source) as opened:
        found: dict[str, bytes | Path] = {name: opened.read(name) for name in opened.entries}
    data = parse_json(bytes(found.pop("manifest.json")), "it") | (changes or {})  # type: ignore[arg-type]
    found |= {name.replace("__", "."): content for name, content in files.items()}
    write_bundle_file(target, Manifest.from_json(data), found)
    return target


# ---- the engine


def test_it_is_a_text_engine(tiny: Any) -> None:
    engine = loaded(tiny("native"))
    assert isinstance(engine, TextEngine) and isinstance(engine, NativeEngine)
    assert not isinstance(load_engine_of_ids(tiny), TextEngine)
    with pytest.raises(EdgeBertError, match="reads text, not ids"):
        engine.run({})


def load_engine_of_ids(tiny: Any) -> Engine:
    with open_bundle(tiny("onnx")) as bundle:
        return load_engine("onnx", bundle.read(bundle.model_name), bundle.manifest.graph)


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 2 * FEWEST_PER_THREAD - 1, 2 * FEWEST_PER_THREAD, 1000, 1200])
def test_any_number_of_threads_gives_the_references_bits(tiny: Any, threads: int, count: int) -> None:
    known = reference_model.Model(content_of(tiny("native")))
    engine = loaded(tiny("native"), threads)
    logits = engine.read(MANY[:count])
    assert logits.dtype == np.float32 and logits.shape == (count, 3)
    for place in {0, 1, 255, 256, 300, 511, 512, 599, 999, 1199} & set(range(count)):
        np.testing.assert_array_equal(logits[place], known.logits(MANY[place]))
    np.testing.assert_array_equal(logits, loaded(tiny("native")).read(MANY[:count]))
    engine.close()


@pytest.mark.parametrize("threads", [1, 4])
def test_pairs(tiny: Any, threads: int) -> None:
    known = reference_model.Model(content_of(tiny("native-pair")))
    pairs = list(zip(MANY, reversed(MANY), strict=True))
    logits = loaded(tiny("native-pair"), threads).read(pairs)
    assert logits.shape == (len(MANY), 3)
    for place in (0, 300, 301, 1199):
        np.testing.assert_array_equal(logits[place], known.logits(*pairs[place]))


@pytest.mark.parametrize("threads", [1, 4])
def test_one_text_for_a_pair_and_the_reverse(tiny: Any, threads: int) -> None:
    single, paired = loaded(tiny("native"), threads), loaded(tiny("native-pair"), threads)
    for many in (0, 1000):
        with pytest.raises(ValueError, match="takes one text, not a pair"):
            single.read([*["a"] * many, ("a", "b")])
        with pytest.raises(ValueError, match="takes pairs of texts"):
            paired.read([*[("a", "b")] * many, "a"])


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("place", [0, 1, 700, 1199])
def test_a_text_that_is_not_valid_unicode_is_named(tiny: Any, threads: int, place: int) -> None:
    """By its number among all texts, whichever thread met it."""
    texts = [*MANY]
    texts[place] = "\ud800"
    with pytest.raises(ValueError, match=rf"text {place + 1} is not valid Unicode"):
        loaded(tiny("native"), threads).read(texts)


def test_the_answer_is_a_copy(tiny: Any) -> None:
    engine = loaded(tiny("native"))
    first = engine.read(MANY[:2])
    kept = first.copy()
    engine.read(MANY[2:4])
    engine.close()
    np.testing.assert_array_equal(first, kept)


def test_from_a_path(tiny: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.ebnn"
    path.write_bytes(content_of(tiny("native")))
    engine = load_engine("native", path, GraphSpec((), (graphs.LOGITS,), {}))
    np.testing.assert_array_equal(engine.read(MANY[:5]), loaded(tiny("native")).read(MANY[:5]))  # type: ignore[attr-defined]
    engine.close()
    assert path.exists()


@pytest.mark.parametrize("threads", [1, 2])
def test_after_close(tiny: Any, threads: int) -> None:
    engine = loaded(tiny("native"), threads)
    engine.close()
    engine.close()
    with pytest.raises(EdgeBertError, match="is closed"):
        engine.read(["a"])


def test_a_pool_that_is_closed_in_between(tiny: Any) -> None:
    engine = loaded(tiny("native"), threads=2)
    engine._pool.shutdown()  # as `close` in another thread does, after this one looked whether the model is open
    with pytest.raises(EdgeBertError, match="is closed"):
        engine.read(MANY)


def test_closing_while_others_read_in_several_threads(tiny: Any) -> None:
    """Each call answers rightly or says that the model is closed, also where it was about to start threads."""
    for _ in range(10):
        model = EdgeModel.load(tiny("native"), threads=2)
        expected = model.logits(MANY)
        wrong: list[object] = []
        running = threading.Barrier(4)

        def work(model: EdgeModel, expected: np.ndarray, running: threading.Barrier, wrong: list[object]) -> None:
            running.wait()
            try:
                for _ in range(10_000):
                    if not np.array_equal(model.logits(MANY), expected):
                        wrong.append("other logits")
            except EdgeBertError as error:
                if "closed" not in str(error):
                    wrong.append(error)
            except Exception as error:
                wrong.append(error)

        threads = [threading.Thread(target=work, args=(model, expected, running, wrong)) for _ in range(3)]
        for thread in threads:
            thread.start()
        running.wait()
        model.close()
        for thread in threads:
            thread.join()
        assert not wrong


@pytest.mark.parametrize("damage", ["empty", "text", "half", "zeros", "bit", "version"])
def test_a_damaged_model(tiny: Any, damage: str) -> None:
    content = content_of(tiny("native"))
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 4
    bad = {
        "empty": b"",
        "text": b"this is no model at all",
        "half": content[: len(content) // 2],
        "zeros": b"\0" * 4096,
        "bit": bytes(flipped),
        "version": content[:4] + struct.pack("<I", 2) + content[8:],
    }
    with pytest.raises(BundleError, match=r"^the native core refuses the model: the file ") as caught:
        load_engine("native", bad[damage], GraphSpec((), (graphs.LOGITS,), {}))
    assert "\n" not in str(caught.value)


# ---- the bundle


def test_the_self_test_is_exact(tiny: Any) -> None:
    for kind in ("native", "native-pair"):
        with EdgeModel.load(tiny(kind)) as model:
            found = model.self_test(tolerance=0.0)
            assert found.passed and found.checked == len(graphs.TEXTS) and found.max_difference == 0.0
            assert model.reads_text


def test_ids_are_those_of_the_table_inside(tiny: Any) -> None:
    with EdgeModel.load(tiny("native")) as model:
        found = model.featurize(model.ask(list(graphs.TEXTS)))
    for features, expected in zip(found, graphs.ngrams((1, 1))(graphs.TEXTS), strict=True):
        assert {k: v.tolist() for k, v in features.items()} == {k: v.tolist() for k, v in expected.items()}


def test_it_needs_no_features(tiny: Any) -> None:
    with EdgeModel.load(tiny("native")) as model:
        asked = model.ask(MANY[:6])
        for features in ((), model.featurize(asked)):
            np.testing.assert_array_equal(model.infer(asked, features)["logits"], model.logits(MANY[:6]))
        with pytest.raises(UsageError, match="batch_size must be a whole number"):
            model.infer(asked, (), batch_size=0)


def test_wrong_texts_are_named(tiny: Any) -> None:
    with EdgeModel.load(tiny("native")) as model:
        for texts, reason in (
            ([1], "text 1 must be a text or a pair of texts, not int"),
            (("a", "b"), "takes one text, not a pair"),
            (["a", "\ud800"], "text 2 is not valid Unicode"),
            (None, "not NoneType"),
        ):
            with pytest.raises(DataError, match=reason):
                model.predict(texts)  # type: ignore[arg-type]
    with EdgeModel.load(tiny("native-pair")) as model:
        with pytest.raises(DataError, match="takes pairs of texts"):
            model.predict(["a"])
        assert len(model.predict(("a", "b"))) == 1 and len(model.predict([("a", "b"), ("", "")])) == 2


@pytest.mark.parametrize("batch_size", [0, -3, 1.5, True, None])
def test_wrong_batch_size(tiny: Any, batch_size: Any) -> None:
    with EdgeModel.load(tiny("native")) as model, pytest.raises(UsageError, match="batch_size must be a whole number"):
        model.predict("a", batch_size=batch_size)


def test_labels_and_logits_must_agree(tiny: Any, tmp_path: Path) -> None:
    outputs = [{"name": "logits", "dtype": "float32", "shape": ["batch", 2], "labels": ["one", "two"]}]
    path = altered(tiny("native"), tmp_path / "a", {"outputs": outputs})
    reason = "gives one row of 3 numbers a text, but the manifest names 'logits' with 2 columns$"
    with pytest.raises(BundleError, match=reason):
        EdgeModel.load(path)


@pytest.mark.parametrize("outputs", [(), (graphs.LOGITS._replace(per_token=True),), (graphs.LOGITS, graphs.TAGS)])
def test_outputs_that_it_does_not_give(tiny: Any, outputs: tuple[OutputSpec, ...]) -> None:
    with pytest.raises(BundleError, match="gives one row of 3 numbers a text, but the manifest names"):
        load_engine("native", content_of(tiny("native")), GraphSpec((), outputs, {}))


def test_a_damaged_bundle_is_one_sentence(tiny: Any, tmp_path: Path) -> None:
    content = bytearray(content_of(tiny("native")))
    content[-100] ^= 1
    path = altered(tiny("native"), tmp_path / "bad.edgebert", model__ebnn=bytes(content))
    with pytest.raises(BundleError, match=r"the native core refuses the model: .* damaged") as caught:
        EdgeModel.load(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    for damaged in (b"", bytes(content[:100]), b"nothing" * 100):
        path = altered(tiny("native"), tmp_path / "bad.edgebert", model__ebnn=damaged)
        with pytest.raises(BundleError, match="the ngram featurizer cannot be read"):
            EdgeModel.load(path)
    with pytest.raises(UsageError, match="the onnx engine cannot run a bundle of format native"):
        EdgeModel.load(tiny("native"), engine="onnx")
