"""The check must see a wrong export: here exported files are damaged on purpose."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from converter_models import DEV, GOLD, assert_export_matches, logits_of
from onnx import numpy_helper
from tagging_models import WORDS, best
from torch import nn

from edgebert_converters.base import Artifact, ExportableModel, Precision, converter
from edgebert_converters.verify import awkward_texts, reference, torch_outputs, verify
from edgebert_runtime.errors import ExportError
from edgebert_runtime.features import Features, InputSpec, Text, length_of
from edgebert_runtime.outputs import OutputSpec


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
    assert known.metric == pytest.approx(float((np.stack(best(known.answers["logits"])) == GOLD).mean()))
    item = known.features[5]
    with torch.no_grad():
        alone = model.module(*(torch.from_numpy(item[spec.name][None]).long() for spec in model.featurizer.inputs))
    np.testing.assert_allclose(known.outputs["logits"][5], alone["logits"][0].numpy(), atol=1e-4)


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
    with pytest.raises(ExportError, match=r"does not compute what torch computes: logits differ by 0\.5"):
        verify(wrong, replace(model, score=lambda outputs: 1.0))


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

    with pytest.raises(ExportError, match=r"the module gives 'logits' of shape \(\d+, 2\), not \(\d+, 3\)"):
        reference(replace(models["encoder"], module=Module(2, 1.0)))
    with pytest.raises(ExportError, match="not finite"):
        reference(replace(models["encoder"], module=Module(3, float("nan"))))
    with pytest.raises(ExportError, match=r"gives the outputs \['logits'\], not \['intent', 'slots'\]"):
        reference(replace(models["understanding"], module=Module(3, 1.0)))
    with pytest.raises(ExportError, match=r"'logits' of shape \(\d+, 4\), not \(\d+, \d+, 4\)"):
        reference(replace(models["tagger"], module=Module(4, 1.0)))


def test_texts_of_other_lengths_in_a_batch_do_not_change_torch(models) -> None:
    model = models["encoder"]
    features = model.featurizer(["light", "please play the song in the kitchen today !"])
    together = np.asarray(torch_outputs(model, features)["logits"])
    apart = np.concatenate([torch_outputs(model, [item])["logits"] for item in features])
    np.testing.assert_allclose(together, apart, atol=1e-4)


def test_batches_are_checked_too(models, convert) -> None:
    assert convert("encoder", "onnx", "int8").precision is Precision.INT8
    found = verify(convert("encoder", "onnx", "int8"), models["encoder"])
    assert found.texts == len(DEV) + len(awkward_texts(models["encoder"]))


# ---- answers for each token


def test_awkward_texts_are_cut_as_the_task_reads_them(models) -> None:
    model = models["tagger"]
    known = reference(model)
    assert known.dev == len(model.pieces) > len(model.asked) == len(DEV)
    read = known.texts[known.dev :]
    assert len(read) > len(awkward_texts(model)) and max(len(text.split()) for text in read) == WORDS
    assert "".join(read).replace(" ", "") == "".join(awkward_texts(model)).replace(" ", "")
    tokens = [len(item["input_ids"]) for item in known.features]
    assert [len(rows) for rows in known.outputs["logits"]] == tokens


@pytest.mark.parametrize("output", ["intent", "slots"])
def test_each_output_is_compared(models, convert, tmp_path: Path, output: str) -> None:
    model = models["understanding"]
    # The other output is so large that a share of the largest number of all would let the damage pass.
    loud = copy.deepcopy(model.module)
    other = next(name for name in loud.heads if name != output)
    with torch.no_grad():
        loud.heads[other].weight.mul_(1e4)
        loud.heads[other].bias.mul_(1e4)
    model = replace(model, module=loud)
    artifact = converter("onnx").convert(model, Precision.FP32, tmp_path)
    assert verify(artifact, model).metric == reference(model).metric
    wrong = damaged(artifact, tmp_path, f"heads.{output}.bias", lambda bias: bias + 0.5)
    with pytest.raises(ExportError, match=rf"{output} differ by 0\.5"):
        verify(wrong, model)


def test_a_wrong_tag_is_a_drop(models, convert, tmp_path: Path) -> None:
    model = models["understanding"]
    wrong = damaged(
        convert("understanding", "onnx", "int8"),
        tmp_path,
        "heads.slots.bias",
        lambda bias: bias + np.float32([0, 99, 0, 0]),
    )
    found = verify(wrong, model)
    assert found.drop > 0.3 and found.agreement < 0.7
    answers = found.answers["slots"]
    assert len(answers) == len(model.pieces) and all((tags == 1).all() for tags in best(answers))


class Words:
    """One id for each word: an empty text has none."""

    inputs = (InputSpec("word_ids", 1, 50),)
    max_length, min_length, pair = 16, 1, False

    def __call__(self, texts: Sequence[Text]) -> list[Features]:
        return [{"word_ids": np.array([1 + len(word) % 49 for word in text.split()], np.int32)[:16]} for text in texts]  # type: ignore[union-attr]


class WordTagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 4)
        self.heads = nn.ModuleDict({"logits": nn.Linear(4, 3)})

    def forward(self, ids: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": self.heads["logits"](self.table(ids))}


def test_a_text_of_no_tokens_is_nothing_to_compare(models, tmp_path: Path) -> None:
    torch.manual_seed(0)
    outputs = (OutputSpec("logits", 3, True, ("a", "b", "c")),)
    model: ExportableModel = replace(
        models["encoder"],
        module=WordTagger().eval(),
        featurizer=Words(),
        outputs=outputs,
        asked=("", "a bc"),
        pieces=("", "a bc"),
    )
    model = replace(model, score=lambda answers: 1.0, agree=lambda first, second: 1.0)
    known = reference(model)
    assert [len(rows) for rows in known.outputs["logits"][:4]] == [0, 2, 0, 0]
    found = verify(converter("onnx").convert(model, Precision.FP32, tmp_path), model, known)
    assert found.max_difference < 1e-5 and len(found.answers["logits"][0]) == 0


def test_scores_alone_are_verified(models, convert) -> None:
    """What decides a metric is the model's own business: here how far its answers are from torch's."""
    model = models["encoder"]
    exact = logits_of(model, DEV)
    near = replace(model, score=lambda outputs: 1 - float(np.abs(outputs["logits"] - exact).max()))
    found = verify(convert("encoder", "onnx", "int8"), near)
    assert found.float_metric > 0.999 and 0 < found.drop <= found.max_difference + 1e-3
    assert_export_matches(model, convert("encoder", "onnx", "int8"))
