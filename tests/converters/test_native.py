"""The native format from end to end: what the file holds, that it answers as torch, and the bundles around it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from converter_models import CHANNELS, DEV, LABELS, MAX_LENGTH, logits_of, make_texts, ngram
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert.tasks.heads import Head
from edgebert_converters.base import ExportableModel, Precision, converter
from edgebert_converters.ladder import export_model
from edgebert_converters.native import BITS, encode, pack, quantize_columns
from edgebert_converters.targets import TARGETS
from edgebert_converters.verify import reference, verify
from edgebert_runtime import _core
from edgebert_runtime.archive import Archive
from edgebert_runtime.bundle import Manifest, open_bundle, write_bundle_file
from edgebert_runtime.errors import BundleError, EdgeBertError, ExportError
from edgebert_runtime.features import Text
from edgebert_runtime.manifest import parse_json
from edgebert_runtime.model import EdgeModel
from edgebert_runtime.ngrams import Channel, table_of
from edgebert_runtime.outputs import OutputSpec

NATIVE = converter("native")
SINGLE, GRAMS, CHARACTERS = CHANNELS
# Chunks of the core hold 64 words; the featurizer here reads more than three of them.
LONG = 200


def quiet(line: str) -> None:
    """Swallows what an export prints."""


def answered(model: ExportableModel, texts: tuple[Text, ...], bits: int = 8, kernels: int = 0) -> np.ndarray:
    """What the core answers, in the native format."""
    content = encode(model.module, model.featurizer, model.outputs[0].width, bits)  # type: ignore[arg-type]
    opened = _core.Model(content, kernels)
    first = [text[0] if isinstance(text, tuple) else text for text in texts]
    second = [text[1] for text in texts if isinstance(text, tuple)] or None
    return np.frombuffer(opened.logits(first, second), np.float32).reshape(len(texts), -1)


def shaped(channels: tuple[Channel, ...], **options: object) -> ExportableModel:
    return ngram(channels, **options)  # type: ignore[arg-type]


def with_width(channel: Channel, width: int) -> Channel:
    return replace(channel, width=width)


# ---- against torch

SHAPES: dict[str, Callable[[], ExportableModel]] = {
    "as it comes": ngram,
    "odd widths": lambda: shaped((with_width(SINGLE, 50), with_width(GRAMS, 33), with_width(CHARACTERS, 1))),
    "even widths": lambda: shaped((with_width(SINGLE, 64), with_width(GRAMS, 32), with_width(CHARACTERS, 96))),
    "no hidden layer": lambda: shaped(CHANNELS, hidden=0),
    "an odd hidden layer": lambda: shaped(CHANNELS, hidden=45),
    "mean": lambda: shaped(CHANNELS, pooling="mean"),
    "mean, no hidden layer": lambda: shaped(CHANNELS, pooling="mean", hidden=0),
    "pairs": lambda: shaped(CHANNELS, pair=True),
    "pairs, no hidden layer": lambda: shaped((SINGLE, with_width(GRAMS, 20)), pair=True, hidden=0),
    "words alone": lambda: shaped((SINGLE,)),
    "characters alone": lambda: shaped((with_width(CHARACTERS, 40),)),
    "no single words": lambda: shaped((with_width(GRAMS, 40), with_width(CHARACTERS, 40))),
    "four channels": lambda: shaped((*CHANNELS, Channel("more_ids", "char", (2, 2), 900, 24))),
}


@pytest.mark.parametrize("name", SHAPES)
def test_int8_is_as_good_as_torch(name: str) -> None:
    model = SHAPES[name]()
    known = reference(model)
    found, expected = answered(model, known.texts), logits_of(model, known.texts)
    largest = float(np.abs(expected).max())
    np.testing.assert_allclose(found, expected, atol=0.05 * largest)
    assert np.abs(found - expected).mean() < 0.01 * largest
    assert (found.argmax(1) == expected.argmax(1)).mean() > 0.95
    assert known.metric > 0.8 and abs(model.score({"logits": found[: known.dev]}) - known.metric) <= 0.025
    for kernels in {bit & _core.features() for bit in (1, 2, 4, 8)}:
        np.testing.assert_array_equal(answered(model, known.texts, 8, kernels), found)


@pytest.mark.parametrize("name", SHAPES)
def test_int4_is_rougher_but_no_guess(name: str) -> None:
    model = SHAPES[name]()
    texts = reference(model).texts
    found, expected = answered(model, texts, bits=4), logits_of(model, texts)
    assert np.abs(found - expected).mean() < 0.2 * float(np.abs(expected).max())
    assert (found.argmax(1) == expected.argmax(1)).mean() > 0.75
    assert np.abs(found - expected).mean() > np.abs(answered(model, texts) - expected).mean()


@pytest.mark.parametrize("bits", [8, 4])
def test_rows_of_few_levels_lose_nothing(bits: int) -> None:
    """With numbers that the format holds exactly, what is left is the rounding of activations: 1 in 16383."""
    model = ngram(hidden=0)
    most = 127 if bits == 8 else 7
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for table in model.module.tables:  # type: ignore[union-attr]
            whole = torch.randint(-most, most + 1, table.weight.shape, generator=generator)
            whole[1], whole[2], whole[0] = most, -most, 0
            table.weight.copy_(whole * 2.0**-5)
        layer = model.module.linear
        whole = torch.randint(-127, 128, layer.weight.shape, generator=generator)  # type: ignore[arg-type]
        whole[:, 0] = 127
        layer.weight.copy_(whole * 2.0**-7)  # type: ignore[union-attr, operator]
    # Texts with unknown words alone: nothing is folded, so no sum is rounded a second time.
    texts = tuple(f"{text}zz lampx " for text in DEV) if bits == 4 else DEV
    model = replace(model, module=unfolded(model))
    expected = logits_of(model, texts)
    np.testing.assert_allclose(answered(model, texts, bits), expected, atol=3e-4 * float(np.abs(expected).max()))


def unfolded(model: ExportableModel) -> torch.nn.Module:
    """The same network, its words not spelled."""
    import copy

    module = copy.deepcopy(model.module)
    module.config = replace(module.config, single=None, spelled=())  # type: ignore[arg-type]
    return module


def test_folded_words_answer_as_their_characters() -> None:
    """To the rounding of the folded rows; for words that are known and for those that are not."""
    model = ngram(hidden=0)
    texts = (*DEV, "lamp lamppost LAMP unlamped", "rainy raining rain", "qqq", "", "music " * 40)
    plain = answered(replace(model, module=unfolded(model)), texts)
    folded = answered(model, texts)
    largest = float(np.abs(plain).max())
    np.testing.assert_allclose(folded, plain, atol=0.02 * largest)
    assert not np.array_equal(folded, plain)


@pytest.mark.parametrize("words", [1, 16, 62, 63, 64, 65, 66, 127, 128, 129, 130, 199, 200, 201, 500])
def test_texts_of_any_length(long_model: ExportableModel, words: int) -> None:
    """Borders of chunks, and the longest length, where torch cuts, too."""
    words_, _ = make_texts(200, seed=9)
    text = " ".join(" ".join(words_).split()[:words])
    texts = (text, text.upper(), f"{text} unknownword", f"zz {text}")
    expected = logits_of(long_model, texts)
    found = answered(long_model, texts)
    # The same few words over and over: the rounding errors of their rows add up as the rows do.
    np.testing.assert_allclose(found, expected, atol=0.1 * max(2.0, float(np.abs(expected).max())))
    longer = answered(long_model, (f"{text} storm storm rain",))
    assert np.array_equal(longer, found[:1]) == (words >= LONG)


@pytest.fixture(scope="module")
def long_model() -> ExportableModel:
    """One that reads more words of a text than a chunk of the core holds."""
    from edgebert_runtime.ngrams import NgramFeaturizer

    model = ngram()
    table = bytearray(model.featurizer.table)  # type: ignore[attr-defined]
    struct.pack_into("<I", table, 12, LONG)
    return replace(model, featurizer=NgramFeaturizer(CHANNELS, bytes(table), LONG), buckets=(LONG,))


@settings(max_examples=40)
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=50), min_size=1, max_size=4))
def test_any_text(long_model: ExportableModel, texts: list[str]) -> None:
    expected = logits_of(long_model, texts)
    found = answered(long_model, tuple(texts))
    np.testing.assert_allclose(found, expected, atol=0.1 * max(2.0, float(np.abs(expected).max())))


def test_an_empty_text_leaves_the_bias(long_model: ExportableModel) -> None:
    bias = long_model.module.linear.bias.detach().numpy()  # type: ignore[union-attr, operator]
    hidden = long_model.module.hidden.bias.detach().clamp(min=0)  # type: ignore[union-attr, operator]
    expected = bias + (long_model.module.output.weight.detach() @ hidden).numpy()  # type: ignore[union-attr, operator]
    np.testing.assert_allclose(answered(long_model, ("", " \n", "qqqq")), [expected] * 3, atol=0.02)


def scores() -> ExportableModel:
    """The network with one number a text, as of a regression, under another name."""
    model = ngram()
    module: Any = model.module
    for name in ("linear", "output"):
        layer = getattr(module, name)
        one = torch.nn.Linear(layer.in_features, 1, bias=layer.bias is not None)
        one.load_state_dict({key: value[:1] for key, value in layer.state_dict().items()})
        setattr(module, name, one)
    module.head = Head("score", 1, "number")
    return replace(
        model,
        outputs=(OutputSpec("score", 1),),
        score=lambda outputs: float(np.isfinite(outputs["score"]).all()),
        agree=lambda first, second: float((np.abs(first["score"] - second["score"]) < 0.5).mean()),  # type: ignore[operator]
    )


def test_one_number_a_text(tmp_path: Path) -> None:
    model = scores()
    found = verify(NATIVE.convert(model, Precision.INT8, tmp_path), model)
    assert found.answers["score"].shape == (len(DEV), 1)  # type: ignore[union-attr]
    assert found.agreement == 1.0 and 0 < found.max_difference < 0.3
    np.testing.assert_allclose(found.answers["score"], logits_of(ngram(), DEV)[:, :1], atol=0.3)


@pytest.mark.parametrize("outputs", [(OutputSpec("logits", 3, True),), (OutputSpec("a", 3), OutputSpec("logits", 3))])
def test_other_outputs_are_refused(models, tmp_path: Path, outputs: tuple[OutputSpec, ...]) -> None:
    with pytest.raises(ExportError, match="the native format holds one answer a text"):
        NATIVE.convert(replace(models["ngram"], outputs=outputs), Precision.INT8, tmp_path)
    assert list(tmp_path.iterdir()) == []


# ---- the file


@settings(max_examples=80)
@given(st.integers(0, 30), st.integers(1, 70), st.sampled_from([8, 4]), st.integers(0, 99), st.floats(1e-6, 1e6))
def test_columns_are_rounded_to_half_a_step(rows: int, width: int, bits: int, seed: int, size: float) -> None:
    values = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32) * np.float32(size)
    # Columns of very different size: one scale for all would lose most of them.
    values *= np.logspace(-3, 3, width, dtype=np.float32)
    values[:, 0] = 0
    whole, scales = quantize_columns(values, bits)
    assert whole.dtype == np.int8 and scales.dtype == np.float32 and (scales > 0).all()
    lowest, highest = (-127, 127) if bits == 8 else (-8, 7)
    assert whole.min(initial=0) >= lowest and whole.max(initial=0) <= highest
    wrong = np.abs(whole * scales - values)
    inside = np.abs(values) <= scales * highest * 1.0001
    assert (wrong <= 0.501 * scales)[inside].all()
    assert bits == 4 or inside.all()
    assert (~inside).sum(axis=0).max(initial=0) <= 1 + 0.005 * rows  # what four bits cut off


@pytest.mark.parametrize("bits", [8, 4])
def test_columns_of_zeros_and_of_next_to_nothing(bits: int) -> None:
    values = np.zeros((1000, 4), np.float32)
    values[3, 1] = -0.5  # rows that no training text touched are zero; the one that was counts
    values[:, 2] = 1e-45
    values[5, 3] = 3e38
    whole, scales = quantize_columns(values, bits)
    assert np.isfinite(scales).all() and (scales > 0).all()
    assert (whole * scales)[3, 1] == pytest.approx(-0.5) and (whole * scales)[5, 3] == pytest.approx(3e38)
    assert not whole[:, 0].any() and np.count_nonzero(whole[:, [1, 3]]) == 2


@pytest.mark.parametrize("rows", [0, 1, 3])
@pytest.mark.parametrize("width", [32, 96])
def test_four_bits_lie_in_blocks_of_32(rows: int, width: int) -> None:
    numbers = np.random.default_rng(rows).integers(-8, 8, (rows, width)).astype(np.int8)
    content = np.frombuffer(pack(numbers, 4), np.uint8).reshape(rows, width // 2)
    for row in range(rows):
        for block in range(0, width, 32):
            for place in range(16):
                byte = int(content[row, block // 2 + place])
                low, high = numbers[row, block + place], numbers[row, block + 16 + place]
                assert byte == (int(low) & 15) | (int(high) & 15) << 4
    assert pack(numbers, 8) == numbers.tobytes()


def test_a_row_takes_a_byte_or_half_a_byte_a_number(convert) -> None:
    sizes = [convert("ngram", "native", precision).path.stat().st_size for precision in ("int8", "int4")]
    model = ngram()
    table = len(model.featurizer.table)  # type: ignore[attr-defined]
    words, grams, characters = (rows - 1 for rows in model.featurizer.rows)  # type: ignore[attr-defined]
    numbers = words * 64 + grams * 32 + characters * 32 + words * 32  # the last: folded rows
    layers = (3 + 256) * 128 + 3 * 256
    for size, bits in zip(sizes, (8, 4), strict=True):
        assert 0 < size - (numbers * bits // 8 + table + layers + words) < 8000


def test_the_same_model_gives_the_same_bytes() -> None:
    first, second = (encode(model.module, model.featurizer, 3, 8) for model in (ngram(), ngram()))  # type: ignore[arg-type]
    assert first == second


def test_a_model_is_not_changed_by_its_export(models, tmp_path: Path) -> None:
    model = models["ngram"]
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    for precision in NATIVE.precisions:
        NATIVE.convert(model, precision, tmp_path)
    after = model.module.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_the_artifact_says_what_it_is(convert) -> None:
    artifact = convert("ngram", "native", "int8")
    assert artifact.path.name == "model.ebnn" and artifact.size == artifact.path.stat().st_size
    assert artifact.shapes == {"batch": None, "lengths": None, "min_length": 1, "max_length": MAX_LENGTH}
    assert artifact.requires["package"] == "edgebert" and artifact.requires["made_with"]["edgebert"]
    assert artifact.featurizer is not None and artifact.featurizer["table"] == "model.ebnn"
    assert convert.printed["ngram", "native", "int8"] == ""


@pytest.mark.parametrize("precision", [p for p in Precision if p not in NATIVE.precisions])
def test_a_precision_that_it_has_not(models, tmp_path: Path, precision: Precision) -> None:
    with pytest.raises(ExportError, match=rf"native has no precision {precision}\. It has: int8, int4"):
        NATIVE.convert(models["ngram"], precision, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_sentence(models, tmp_path: Path) -> None:
    with pytest.raises(EdgeBertError, match=r"cannot write .*model\.ebnn: No such file or directory"):
        NATIVE.convert(models["ngram"], Precision.INT8, tmp_path / "not there")


def test_a_damaged_file_is_refused_by_the_check(models, convert, tmp_path: Path) -> None:
    good = convert("ngram", "native", "int8")
    for place in (0, 30, 4000, -1):
        content = bytearray(good.path.read_bytes())
        content[place] ^= 1
        path = tmp_path / "model.ebnn"
        path.write_bytes(content)
        with pytest.raises(ExportError, match="the exported native file does not run: the native core refuses"):
            verify(replace(good, path=path), models["ngram"])


# ---- bundles


@pytest.fixture(scope="module")
def bundle(models, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An int8 bundle of the n-gram model."""
    path = tmp_path_factory.mktemp("native") / "ngram.edgebert"
    (made,) = export_model(models["ngram"], "linux", "native", "int8", out=path, log=quiet)
    assert made.format == "native" and made.precision is Precision.INT8 and made.path == path
    return path


def test_the_bundle_holds_its_vocabulary_once(models, bundle: Path) -> None:
    with open_bundle(bundle) as opened:
        assert set(opened.manifest.files) == {"model.ebnn", "golden.jsonl", "MODEL_CARD.md"}
        assert opened.manifest.featurizer["table"] == "model.ebnn"
        assert table_of(opened.read("model.ebnn")) == models["ngram"].featurizer.table
        assert opened.manifest.format == "native" and opened.manifest.inputs[0].dtype == "int32"


def test_it_answers_as_torch(models, bundle: Path) -> None:
    model = models["ngram"]
    expected = logits_of(model, DEV)
    with EdgeModel.load(bundle) as loaded:
        found = loaded.self_test(tolerance=0.0)
        assert found.passed and found.checked == 24 and found.max_difference == 0.0
        np.testing.assert_allclose(loaded.logits(list(DEV)), expected, atol=0.3)
        answers = loaded.predict(list(DEV))
        assert [answer.label for answer in answers] == [LABELS[index] for index in expected.argmax(1)]
        assert loaded.predict(DEV[0]) == answers[:1]


def test_ids_are_those_of_the_onnx_bundle(models, bundle: Path, tmp_path: Path) -> None:
    other = tmp_path / "onnx.edgebert"
    export_model(models["ngram"], "linux", "onnx", "int8", out=other, log=quiet)
    texts = [*DEV, "", "Play the SONG, naïve 北京 😀 don't", "lamp " * 100]
    with EdgeModel.load(bundle) as native, EdgeModel.load(other) as onnx:
        asked = native.ask(texts)
        for first, second in zip(native.featurize(asked), onnx.featurize(asked), strict=True):
            assert {k: v.tolist() for k, v in first.items()} == {k: v.tolist() for k, v in second.items()}
        np.testing.assert_allclose(native.logits(texts), onnx.logits(texts), atol=0.3)


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_pairs_from_end_to_end(precision: str, tmp_path: Path) -> None:
    model = ngram(pair=True)
    out = tmp_path / "pair.edgebert"
    (made,) = export_model(model, "android", "native", precision, max_drop=0.1, out=out, log=quiet)
    assert str(made.precision) == precision and made.verification.agreement > 0.9
    with EdgeModel.load(out) as loaded:
        assert loaded.self_test(tolerance=0.0).passed
        assert len(loaded.manifest.inputs) == 6
        first, other = loaded.predict([(DEV[0], DEV[0]), (DEV[0], DEV[1])])
        assert first.label in LABELS and first.probabilities != other.probabilities
        with pytest.raises(EdgeBertError, match="takes pairs of texts"):
            loaded.predict(DEV[0])


def test_auto_takes_it_for_an_ngram_student(models, tmp_path: Path) -> None:
    """It was made for them: nothing else is tried."""
    for target in ("linux", "android"):
        lines: list[str] = []
        (made,) = export_model(models["ngram"], target, out=tmp_path / "x.edgebert", log=lines.append)
        assert made.format == "native" and made.precision is Precision.INT8
        assert not any(name in "\n".join(lines) for name in ("onnx", "tflite", "executorch"))


def test_auto_tries_the_others_when_it_is_not_good_enough(
    models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TARGETS, "linux", replace(TARGETS["linux"], formats=("native", "onnx")))
    model = models["ngram"]
    exact = logits_of(model, DEV)
    strict = replace(model, score=lambda outputs: float(abs(outputs["logits"] - exact).max() < 1e-3))
    lines: list[str] = []
    (made,) = export_model(strict, "linux", "auto", out=tmp_path / "x.edgebert", log=lines.append)
    assert made.format == "onnx" and made.precision is Precision.FP32
    # No layer of a native model is ever in float, so there is nothing between int8 and the other formats.
    (tried,) = [line for line in lines if line.startswith("native: int8")]
    assert "loses 1.0000" in tried


def test_it_is_refused_for_a_transformer(models, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="native: it holds ngram students, and encoder is none"):
        export_model(models["encoder"], "linux", "native", out=tmp_path / "x.edgebert", log=quiet)
    assert list(tmp_path.iterdir()) == []


def test_auto_says_nothing_of_it_for_a_transformer(models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TARGETS, "android", replace(TARGETS["android"], formats=("native", "onnx")))
    lines: list[str] = []
    (made,) = export_model(models["encoder"], "android", "auto", "fp16", out=tmp_path / "x.edgebert", log=lines.append)
    assert made.format != "native" and "native" not in "\n".join(lines)


def test_int4_is_never_chosen_unasked(models, tmp_path: Path) -> None:
    """It loses more; where the budget asks for it, the ladder tries it."""
    (made,) = export_model(models["ngram"], "linux", "native", "auto", out=tmp_path / "x.edgebert", log=quiet)
    assert made.precision is Precision.INT8
    out = tmp_path / "y.edgebert"
    (small,) = export_model(models["ngram"], "linux", "native", "int4", max_drop=0.1, out=out, log=quiet)
    assert small.precision is Precision.INT4 and small.size < made.size
    assert set(BITS) == set(NATIVE.precisions)


def altered(source: Path, target: Path, content: bytes) -> Path:
    """The bundle with another model, checksums made right again."""
    with Archive(source) as opened:
        found: dict[str, bytes | Path] = {name: opened.read(name) for name in opened.entries}
    manifest = Manifest.from_json(parse_json(bytes(found.pop("manifest.json")), "it"))  # type: ignore[arg-type]
    write_bundle_file(target, manifest, {**found, "model.ebnn": content})
    return target


@pytest.mark.parametrize("damage", ["bit", "half", "empty", "another version", "another vocabulary"])
def test_damage_is_one_sentence(bundle: Path, tmp_path: Path, damage: str) -> None:
    with open_bundle(bundle) as opened:
        content = opened.read("model.ebnn")
    flipped = bytearray(content)
    flipped[-300] ^= 64
    other = ngram((SINGLE, GRAMS, replace(CHARACTERS, orders=(2, 4))))
    bad = {
        "bit": bytes(flipped),
        "half": content[: len(content) // 2],
        "empty": b"",
        "another version": content[:4] + struct.pack("<I", 9) + content[8:],
        "another vocabulary": encode(other.module, other.featurizer, 3, 8),  # type: ignore[arg-type]
    }
    path = altered(bundle, tmp_path / "bad.edgebert", bad[damage])
    with pytest.raises(BundleError) as caught:
        EdgeModel.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message and len(message) < 300
    raw = bytearray(bundle.read_bytes())  # and without a checksum made right, the bundle's own check says it
    raw[len(raw) // 2] ^= 1
    (tmp_path / "raw.edgebert").write_bytes(raw)
    with pytest.raises(BundleError, match=r"raw\.edgebert"):
        EdgeModel.load(tmp_path / "raw.edgebert")


def test_a_student_of_another_family_is_refused(models: dict[str, ExportableModel], tmp_path: Path) -> None:
    other = next(model for name, model in models.items() if "ngram" not in name)
    with pytest.raises(ExportError, match="for n-gram students"):
        NATIVE.convert(other, Precision.INT8, tmp_path)
    assert not list(tmp_path.iterdir())
