"""The BiLSTM in each format: the exported file answers as torch does, for texts of every length."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgebert.models.bilstm import BiLstm, BiLstmConfig
from edgebert.tasks.heads import Head, output_specs
from edgebert_converters.base import ExportableModel, Precision, converter
from edgebert_runtime.engines import load_engine
from edgebert_runtime.errors import BundleError
from edgebert_runtime.inference import infer
from edgebert_runtime.ngrams import Channel, build_table, ngram_hashes
from edgebert_runtime.outputs import GraphSpec
from edgebert_runtime.words import WordsFeaturizer

HEADS = (Head("slots", 5, "classes", per_token=True), Head("intent", 3, "classes"))
CHANNELS = (Channel("word_ids", "word", (1, 1), 500, 96), Channel("char_ids", "char", (3, 5), 500, 48))
TEXTS = ("Boston", "from Boston", "U2 to Denver", "what fare is cheapest", "show me all flights from Denver to NYC", "")
BUCKETS = (1, 2)  # a step of the loop takes seconds to convert
# In int8 each format keeps the recurrence and the heads in float, as ONNX does, which has one operator for an LSTM.
KEPT = ("heads.intent", "heads.slots", "layers.0.backwards.recur", "layers.0.forwards.recur")
CASES = [  # the others, of one length, are in tests/matrix
    ("onnx", "int8", 0.03),
    ("tflite", "int8", 0.03),
    ("executorch", "int8", 0.03),
    ("executorch", "int8-static", 0.03),
]


@pytest.fixture(scope="module")
def model() -> ExportableModel:
    words = " ".join(f"word{number}" for number in range(60))  # tables large enough for int8 rows
    hashes = [np.unique(ngram_hashes(channel, [*TEXTS, words], 99)[0]) for channel in CHANNELS]
    featurizer = WordsFeaturizer(CHANNELS, build_table(CHANNELS, hashes, BUCKETS[-1]), BUCKETS[-1])
    rows = [spec.rows for spec in featurizer.inputs]
    torch.manual_seed(0)
    network = BiLstm(BiLstmConfig(*rows, word_width=96, character_width=48, hidden=24), HEADS).eval()
    with torch.no_grad():
        for head in network.heads.values():
            head.weight *= 10  # type: ignore[operator]
    return ExportableModel(
        name="tagger",
        task="intent-slots",
        student="bilstm",
        module=network,
        featurizer=featurizer,
        buckets=BUCKETS,
        outputs=output_specs(HEADS, {}),
        asked=TEXTS,
        pieces=TEXTS,
        score=lambda _: 1.0,
        agree=lambda *_: 1.0,
        settings=lambda _: {},
        calibration_texts=TEXTS,
    )


@pytest.mark.parametrize(("format", "precision", "within"), CASES)
def test_a_file_answers_as_torch(
    model: ExportableModel,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    format: str,
    precision: str,
    within: float,
) -> None:
    artifact = converter(format).convert(model, Precision(precision), tmp_path)
    assert artifact.shapes["lengths"] == (None if format == "onnx" else list(BUCKETS))
    assert artifact.kept == (KEPT[:2] if format == "onnx" else KEPT)
    features = model.featurizer(TEXTS)
    graph = GraphSpec(model.featurizer.inputs, model.outputs, artifact.shapes)
    engine = load_engine(format, artifact.path, graph)
    capfd.readouterr()
    found = infer(engine, features, graph, batch_size=1 if format != "onnx" else 3)
    assert "Expected shape" not in capfd.readouterr().err
    for index, item in enumerate(features):
        count = max(1, len(item["word_ids"]))  # a text without words is one of padding
        padded = (np.resize(ids, 12 * count if name == "char_ids" else count) for name, ids in item.items())
        with torch.no_grad():
            expected = model.module(*(torch.from_numpy(ids).long()[None] for ids in padded))
        assert np.abs(found["intent"][index] - expected["intent"][0].numpy()).max() <= within
        assert found["slots"][index].shape == (len(item["word_ids"]), 5)
        slots = expected["slots"][0].numpy()[: len(item["word_ids"])]
        assert np.abs(found["slots"][index] - slots).max(initial=0) <= within
    spread = np.concatenate([*map(np.ravel, found["slots"]), np.ravel(found["intent"])])
    assert spread.std() > 0.1  # numbers large enough for the bounds to mean something
    engine.close()
    if format == "executorch":
        with pytest.raises(BundleError, match=r"the program has no method 'seq9', only \['seq1', 'seq2'\]"):
            load_engine(format, artifact.path, replace(graph, shapes={**graph.shapes, "lengths": [1, 9]}))
