"""Both student families through all real exporters, in every precision the format has."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from converter_models import BUCKETS, MAX_LENGTH, assert_export_matches
from torch import nn

from edgebert_converters import graph
from edgebert_converters.base import CONVERTERS, ExportableModel, Precision, converter
from edgebert_converters.verify import engine_for, torch_outputs
from edgebert_runtime.errors import ExportError, UsageError
from edgebert_runtime.inference import infer

# Formats of graphs, which hold any model; the native one has a file of its own besides: test_native.py.
FORMATS = tuple(name for name in CONVERTERS if converter(name).featurizers is None)
CASES = [
    (name, format, precision)
    for format in CONVERTERS
    for name in (("encoder", "ngram") if format in FORMATS else ("ngram",))
    for precision in converter(format).precisions
    # Its linears are small heads: static int8 is the same file. Half precision of it is in tests/matrix.
    if not (name == "ngram" and precision in (Precision.INT8_STATIC, Precision.FP16))
]
CASES += [("tagger", format, Precision.INT8) for format in FORMATS]
CASES += [("tagger", "executorch", Precision.INT8_STATIC)]  # tests/matrix has those of the other formats
CASES += [("understanding", format, precision) for format in FORMATS for precision in (Precision.FP32, Precision.INT8)]


@pytest.mark.parametrize(("name", "format", "precision"), CASES)
def test_export_matches_torch(models, convert, name: str, format: str, precision: Precision) -> None:
    artifact = convert(name, format, precision)
    assert artifact.size == artifact.path.stat().st_size
    assert artifact.requires["made_with"][artifact.requires["package"]]
    assert_export_matches(models[name], artifact)
    assert convert.printed[name, format, str(precision)] == ""


@pytest.mark.parametrize("name", ["encoder", "ngram"])
@pytest.mark.parametrize("format", FORMATS)
def test_int8_embeddings_take_one_byte_a_weight(models, convert, name: str, format: str) -> None:
    model = models[name]
    small, large = convert(name, format, "int8"), convert(name, format, "fp32")
    content, float_content = small.path.read_bytes(), large.path.read_bytes()
    tables = [
        child.weight.detach()
        for child in model.module.modules()
        if isinstance(child, nn.Embedding) and child.weight.numel() >= 10_000
    ]
    assert tables
    for table in tables:
        rows, scale = graph.quantize_rows(table)
        assert rows.numpy().tobytes() in content  # the rows stand in the file as they are, one byte each
        assert scale.numpy().tobytes() in content
        assert table.numpy().tobytes() in float_content
        assert table.numpy().tobytes() not in content
    saved = sum(3 * table.numel() - 4 * len(table) for table in tables)
    assert large.size - small.size > 0.9 * saved


@pytest.mark.parametrize("name", ["encoder", "ngram", "understanding"])
@pytest.mark.parametrize("format", FORMATS)
def test_every_length_up_to_the_longest_runs(models, convert, name: str, format: str) -> None:
    model, artifact = models[name], convert(name, format, "fp32")
    inputs = model.featurizer.inputs
    rng = np.random.default_rng(0)
    features = [
        {
            spec.name: (
                np.ones(spec.per_length * length, np.int32)
                if spec.name == "attention_mask"
                else rng.integers(1, spec.rows, spec.per_length * length).astype(np.int32)
            )
            for spec in inputs
        }
        for length in range(1, MAX_LENGTH + 1)
    ]
    engine = engine_for(artifact, model)
    try:
        found = infer(engine, features, model.graph(artifact.shapes), 1)
        together = infer(engine, features, model.graph(artifact.shapes), 5)
    finally:
        engine.close()
    expected = torch_outputs(model, features)
    for spec in model.outputs:
        for row, other, wanted in zip(found[spec.name], together[spec.name], expected[spec.name], strict=True):
            np.testing.assert_allclose(row, wanted, atol=1e-3)
            np.testing.assert_allclose(other, wanted, atol=1e-3)
    tokens = [spec.name for spec in model.outputs if spec.per_token]
    assert tokens == (["slots"] if name == "understanding" else [])
    assert all([len(row) for row in found[output]] == list(range(1, MAX_LENGTH + 1)) for output in tokens)


def test_shapes_say_what_each_format_takes(convert) -> None:
    assert convert("encoder", "onnx", "fp32").shapes == {
        "batch": None,
        "lengths": None,
        "min_length": 3,
        "max_length": MAX_LENGTH,
    }
    assert convert("encoder", "tflite", "fp32").shapes["lengths"] == list(BUCKETS)
    assert convert("encoder", "tflite", "fp32").shapes["batch"] == 1
    assert convert("ngram", "executorch", "fp32").shapes["lengths"] is None
    assert convert("ngram", "executorch", "fp32").shapes["batch"] == 1


@pytest.mark.parametrize("format", FORMATS)
def test_kept_layers_stay_float(models, convert, format: str) -> None:
    model = models["encoder"]
    artifact = convert("encoder", format, "int8", "up")
    assert {"up", "classifier"} <= set(artifact.kept)  # the classifier sees one vector a text: always float
    assert "down" not in artifact.kept
    content, plain = artifact.path.read_bytes(), convert("encoder", format, "int8").path.read_bytes()

    def stored(layer: nn.Linear, content: bytes) -> bool:
        """Whether the float weights stand in the file, in either orientation."""
        weight = layer.weight.detach()
        return any(matrix.contiguous().numpy().tobytes() in content for matrix in (weight, weight.t()))

    assert stored(model.module.up, content)
    assert not stored(model.module.down, content)
    assert not stored(model.module.up, plain)
    assert stored(model.module.classifier, plain)
    assert_export_matches(model, artifact)


@pytest.mark.parametrize("format", FORMATS)
def test_heads_over_tokens_stay_float(models, convert, format: str) -> None:
    model, artifact = models["understanding"], convert("understanding", format, "int8")
    assert {"heads.intent", "heads.slots"} == {name for name in artifact.kept if name != "positions"}
    content = artifact.path.read_bytes()
    for head in model.module.heads.values():
        weight = head.weight.detach()
        assert any(matrix.contiguous().numpy().tobytes() in content for matrix in (weight, weight.t()))


class Normed(nn.Module):
    """A tagger with a layer norm in front of its head."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.heads = inner.heads  # named before `inner` is, which has it too
        self.inner = inner
        self.norm = nn.LayerNorm(32)
        nn.init.normal_(self.norm.weight, 1.0, 0.3)

    def forward(self, *inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": self.heads["logits"](self.norm(self.inner.states(*inputs)))}  # type: ignore[operator, index]


def test_tflite_knows_a_head_that_the_norm_before_it_is_merged_into(models, tmp_path: Path) -> None:
    from dataclasses import replace

    torch.manual_seed(3)
    module = Normed(models["tagger"].module).eval()
    artifact = converter("tflite").convert(replace(models["tagger"], module=module), Precision.INT8, tmp_path)
    assert "heads.logits" in artifact.kept
    merged = (module.heads["logits"].weight * module.norm.weight).detach().numpy()
    content = artifact.path.read_bytes()
    assert merged.tobytes() in content and module.heads["logits"].weight.detach().numpy().tobytes() not in content


class Recurrent(nn.Module):
    """Cannot be exported itself; `unrolled` can."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def unrolled(self) -> nn.Module:
        return self.inner

    def forward(self, *inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        if int(inputs[0].sum()) % 2:
            return {"logits": self.inner(*inputs)["logits"] + 0}
        outputs: dict[str, torch.Tensor] = self.inner(*inputs)
        return outputs


def test_a_network_is_unrolled_where_it_must_be(models, tmp_path: Path) -> None:
    from dataclasses import replace

    model = replace(models["encoder"], module=Recurrent(models["encoder"].module).eval())
    artifact = converter("tflite").convert(model, Precision.INT8, tmp_path)
    assert artifact.kept[:1] == ("classifier",)  # names are those of the unrolled network
    assert_export_matches(model, artifact)


def test_onnx_takes_the_network_as_it_is(models, tmp_path: Path) -> None:
    from dataclasses import replace

    model = replace(models["encoder"], name="looped", module=Recurrent(models["encoder"].module).eval())
    with pytest.raises(ExportError, match="onnx export of looped failed"):
        converter("onnx").convert(model, Precision.FP32, tmp_path)


def test_onnx_holds_nothing_of_this_machine(convert) -> None:
    content = convert("encoder", "onnx", "int8").path.read_bytes()
    assert str(Path.home()).encode() not in content
    assert b"site-packages" not in content
    assert b".py" not in content


def test_onnx_multiplies_int8(convert) -> None:
    import onnx

    kinds = [node.op_type for node in onnx.load(convert("encoder", "onnx", "int8").path).graph.node]
    assert kinds.count("MatMulInteger") == 6  # query, key, value, out, up, down
    assert kinds.count("MatMul") == 3  # two of attention (no constant weights), and the classifier, kept in float
    kept = [node.op_type for node in onnx.load(convert("encoder", "onnx", "int8", "up").path).graph.node]
    assert kept.count("MatMulInteger") == 5


def test_executorch_delegates_and_says_so(convert) -> None:
    for name, most in (("ngram", 3), ("encoder", 8)):
        convert(name, "executorch", "fp32")
        log = convert.logged[name, "executorch", "fp32"]
        found = re.search(r"(\d+) nodes in (\d+) XNNPACK subgraphs", log)
        assert found and int(found[1]) >= 5 and int(found[2]) <= most, log


def test_a_model_is_not_changed_by_its_export(models, convert) -> None:
    model = models["encoder"]
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    graph.prepare(model, Precision.INT8, frozenset())
    convert("encoder", "onnx", "int8")
    after = model.module.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_impossible_conversions_are_refused(models, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"executorch has no precision fp16\. It has: fp32, int8, int8-static"):
        converter("executorch").convert(models["encoder"], Precision.FP16, tmp_path)
    with pytest.raises(ExportError, match="no module named 'upp'"):
        converter("onnx").convert(models["encoder"], Precision.INT8, tmp_path, frozenset({"upp"}))
    with pytest.raises(UsageError, match=r"unknown format 'tflit'\. Did you mean 'tflite'"):
        converter("tflit")
    assert list(tmp_path.iterdir()) == []


def test_static_int8_needs_calibration_texts(models, tmp_path: Path) -> None:
    from dataclasses import replace

    bare = replace(models["encoder"], calibration_texts=())
    with pytest.raises(ExportError, match="needs calibration texts"):
        converter("onnx").convert(bare, Precision.INT8_STATIC, tmp_path)


class Loops(nn.Module):
    """Cannot be exported: what it computes depends on the values of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5000, 4)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        if int(ids.sum()) % 2:
            ids = ids + 1
        return {"logits": self.table(ids).sum(1)[:, :3]}


@pytest.mark.parametrize("format", FORMATS)
def test_a_failing_exporter_is_one_error_with_its_reason(models, tmp_path: Path, format: str) -> None:
    from dataclasses import replace

    broken: ExportableModel = replace(models["encoder"], name="broken", module=Loops().eval())
    with pytest.raises(ExportError, match=rf"{format} export of broken failed: \w+"):
        converter(format).convert(broken, Precision.FP32, tmp_path)
