"""The check must see a wrong export: here exported files are damaged on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from converter_models import DEV, GOLD
from onnx import numpy_helper
from torch import nn

from edgebert_converters.base import Artifact, Precision
from edgebert_converters.verify import awkward_texts, reference, torch_logits, verify
from edgebert_runtime.errors import ExportError
from edgebert_runtime.features import length_of


def damaged(artifact: Artifact, folder: Path, name: str, change: Callable[[np.ndarray], np.ndarray]) -> Artifact:
    """A copy of an ONNX artifact with one weight changed."""
    proto = onnx.load(artifact.path)
    weight = next(item for item in proto.graph.initializer if item.name.endswith(name))
    weight.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(weight)).copy(), weight.name))
    path = folder / "model.onnx"
    onnx.save(proto, path)
    return replace(artifact, path=path)


def test_reference_is_the_module_itself(models) -> None:
    model = models["encoder"]
    known = reference(model)
    assert known.texts[: len(DEV)] == DEV and known.dev == len(DEV)
    assert known.metric == pytest.approx(float((known.logits[: len(DEV)].argmax(1) == GOLD).mean()))
    item = known.features[5]
    with torch.no_grad():
        alone = model.module(*(torch.from_numpy(item[spec.name][None]).long() for spec in model.featurizer.inputs))
    np.testing.assert_allclose(known.logits[5], alone["logits"][0].numpy(), atol=1e-4)


@pytest.mark.parametrize("name", ["encoder", "ngram", "pair"])
def test_awkward_texts_hold_what_breaks_exports(models, name: str) -> None:
    model = models[name]
    texts = awkward_texts(model)
    lengths = [length_of(item, model.featurizer.inputs) for item in model.featurizer(texts)]
    assert max(lengths) == model.featurizer.max_length  # one is cut
    assert all(isinstance(text, tuple) for text in texts) == (name == "pair")
    halves = [half for text in texts for half in (text if isinstance(text, tuple) else (text,))]
    assert "" in halves and any("👍" in half for half in halves)


def test_a_wrong_float_graph_is_refused_whatever_the_metric_says(models, convert, tmp_path: Path) -> None:
    model = models["encoder"]
    wrong = damaged(convert("encoder", "onnx", "fp32"), tmp_path, "classifier.bias", lambda bias: bias + 0.5)
    with pytest.raises(ExportError, match=r"does not compute what torch computes: logits differ by 0.5"):
        verify(wrong, replace(model, score=lambda logits: 1.0))


def test_a_drop_of_the_metric_is_measured(models, convert, tmp_path: Path) -> None:
    model = models["encoder"]
    wrong = damaged(
        convert("encoder", "onnx", "int8"), tmp_path, "classifier.bias", lambda bias: bias + np.float32([99, 0, 0])
    )
    found = verify(wrong, model)
    assert found.metric == pytest.approx(float((GOLD == 0).mean()))
    assert found.drop == pytest.approx(found.float_metric - found.metric) and found.drop > 0.3
    assert found.agreement < 0.7 and found.max_difference > 90


def test_a_file_that_does_not_run_is_refused(models, convert, tmp_path: Path) -> None:
    good = convert("encoder", "onnx", "fp32")
    path = tmp_path / "model.onnx"
    path.write_bytes(good.path.read_bytes()[:1000])
    with pytest.raises(Exception) as caught:
        verify(replace(good, path=path), models["encoder"])
    assert type(caught.value).__module__ == "edgebert_runtime.errors"


def test_overflow_is_refused(models, convert, tmp_path: Path) -> None:
    wrong = damaged(convert("encoder", "onnx", "int8"), tmp_path, "classifier.bias", lambda bias: bias * np.inf)
    with pytest.raises(Exception, match="not finite"):
        verify(wrong, models["encoder"])


def test_a_broken_module_is_refused(models) -> None:
    class Module(nn.Module):
        def __init__(self, classes: int, value: float) -> None:
            super().__init__()
            self.classes, self.value = classes, value

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"logits": torch.full((len(ids), self.classes), self.value)}

    with pytest.raises(ExportError, match=r"logits of shape .* for 3 labels"):
        reference(replace(models["encoder"], module=Module(2, 1.0)))
    with pytest.raises(ExportError, match="not finite"):
        reference(replace(models["encoder"], module=Module(3, float("nan"))))


def test_texts_of_other_lengths_in_a_batch_do_not_change_torch(models) -> None:
    model = models["encoder"]
    features = model.featurizer(["light", "please play the song in the kitchen today !"])
    together = torch_logits(model, features)
    apart = np.concatenate([torch_logits(model, [item]) for item in features])
    np.testing.assert_allclose(together, apart, atol=1e-4)


def test_batches_are_checked_too(models, convert) -> None:
    assert convert("encoder", "onnx", "int8").precision is Precision.INT8
    found = verify(convert("encoder", "onnx", "int8"), models["encoder"])
    assert found.texts == len(DEV) + len(awkward_texts(models["encoder"]))
