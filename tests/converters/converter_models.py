"""Small real models of both student families, and the check that an exported file computes what torch computes.

Their labels and tags follow from words of the text, and their last layer is fitted to them, so that a metric means
something.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from edgebert.models.ngram import NgramConfig, NgramNet
from edgebert.models.ngram_student import find_words, spellings
from edgebert.tasks.heads import Head
from edgebert_converters.base import Artifact, ExportableModel, Precision
from edgebert_converters.onnx import OnnxConverter
from edgebert_converters.verify import Verification, largest, reference, torch_outputs, verify
from edgebert_runtime.features import Text, WordPiece, length_of, pad
from edgebert_runtime.ngrams import Channel, NgramFeaturizer, build_table, ngram_hashes
from edgebert_runtime.outputs import Outputs, OutputSpec

LABELS = ("light", "music", "weather")
TOPICS = (
    ("turn", "switch", "lamp", "light", "kitchen", "bright"),
    ("play", "song", "music", "album", "louder", "band"),
    ("rain", "snow", "sunny", "forecast", "cold", "storm"),
)
FILLERS = ("please", "the", "a", "in", "not", "now", "is", "it", "today", "!")
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *FILLERS, *(word for topic in TOPICS for word in topic)]
MAX_LENGTH = 16
BUCKETS = (8, 16)


def make_texts(count: int, seed: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Sentences of 1 to 14 words and their labels [count]."""
    random = np.random.default_rng(seed)
    gold = random.integers(0, len(TOPICS), count)
    texts = []
    for label in gold:
        length = int(random.integers(1, 14))
        words = [str(random.choice(TOPICS[label])), *random.choice(FILLERS, length - 1)]
        random.shuffle(words)
        texts.append(" ".join(words))
    return tuple(texts), gold


DEV, GOLD = make_texts(40, seed=1)


def accuracy(outputs: Outputs) -> float:
    return float((np.asarray(outputs["logits"]).argmax(1) == GOLD).mean())


def same_labels(first: Outputs, second: Outputs) -> float:
    """The share of texts with the same best label."""
    return float((np.asarray(first["logits"]).argmax(1) == np.asarray(second["logits"]).argmax(1)).mean())


def logits_of(model: ExportableModel, texts: Sequence[Text]) -> np.ndarray:
    """What torch answers: [texts, labels]."""
    return np.asarray(torch_outputs(model, model.featurizer(texts))["logits"])


class TinyEncoder(nn.Module):
    """A pre-norm-free transformer of one layer: a table of ids, sliced positions, additive mask, masked mean."""

    def __init__(self, rows: int, width: int = 32, heads: int = 2, pair: bool = False) -> None:
        super().__init__()
        self.parts = heads
        self.words = nn.Embedding(rows, width, padding_idx=0)
        self.positions = nn.Embedding(256, width)
        self.types = nn.Embedding(2, width) if pair else None
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.classifier = nn.Linear(width, len(LABELS))

    def states(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor | None = None) -> torch.Tensor:
        batch, length = ids.shape
        states = self.words(ids) + self.positions.weight[:length]
        if self.types is not None and types is not None:
            states = states + self.types(types)
        bias = ((1.0 - mask.to(states.dtype)) * -1e4)[:, None, None, :]

        def split(values: torch.Tensor) -> torch.Tensor:
            return values.view(batch, length, self.parts, -1).transpose(1, 2)

        query, key, value = (split(layer(states)) for layer in (self.query, self.key, self.value))
        attention = (query @ key.transpose(2, 3) / query.shape[-1] ** 0.5 + bias).softmax(-1)
        mixed = (attention @ value).transpose(1, 2).reshape(batch, length, -1)
        states = states + self.out(mixed)
        return states + self.down(torch.relu(self.up(states)))

    def last_vector(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor | None = None) -> torch.Tensor:
        """What the last layer sees."""
        states, weights = self.states(ids, mask, types), mask.to(torch.float32).unsqueeze(-1)
        return (states * weights).sum(1) / weights.sum(1).clamp(min=1.0)

    def set_last_layer(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        self.classifier.weight.copy_(weight)
        self.classifier.bias.copy_(bias)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        return {"logits": self.classifier(self.last_vector(input_ids, attention_mask, token_type_ids))}


class Outlier(TinyEncoder):
    """As real NoNorm networks at their worst: before the last layer a few channels are 5,000 times the others, so one
    scale for all rounds the others away. The layer that reads them ignores the large ones."""

    def __init__(self, rows: int, width: int = 32) -> None:
        super().__init__(rows, width)
        self.widen = nn.Linear(width, width + 2)
        self.read = nn.Linear(width + 2, width)
        with torch.no_grad():
            self.widen.weight[-2:] = 0
            self.widen.bias[-2:] = torch.tensor([5000.0, -5000.0])
            self.read.weight[:, -2:] = 0

    def states(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor | None = None) -> torch.Tensor:
        return self.read(self.widen(super().states(ids, mask, types)))


class TinyNgram(NgramNet):
    """The real n-gram network with random tables."""

    def __init__(self, config: NgramConfig) -> None:
        super().__init__(config, (Head("logits", len(LABELS), "classes"),))
        with torch.no_grad():
            for table in self.tables:
                table.weight[1:].normal_()

    def last_vector(self, *inputs: torch.Tensor) -> torch.Tensor:
        """What the last layers see, the linear one and the one over the hidden layer."""
        channels = len(self.tables)
        vector = self.vector(inputs[:channels])
        if self.config.pair:
            other = self.vector(inputs[channels:])
            vector = torch.cat([vector, other, vector * other, (vector - other).abs()], dim=1)
        return vector if self.hidden is None else torch.cat([vector, torch.relu(self.hidden(vector))], dim=1)

    def set_last_layer(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        width = self.linear.in_features
        self.linear.weight.copy_(weight[:, :width])
        self.linear.bias.copy_(bias)
        if self.output is not None:
            self.output.weight.copy_(weight[:, width:])


def _fit_classifier(model: ExportableModel, cutoff: float | None) -> ExportableModel:
    """Least squares for the last layer on other sentences, and logits of a trained model's size."""
    texts, gold = make_texts(1500, seed=2)
    module: Any = model.module
    shown = model.featurizer([(text, text) for text in texts] if model.featurizer.pair else texts)
    inputs = model.featurizer.inputs
    batch = pad(shown, inputs, max(length_of(item, inputs) for item in shown))
    with torch.no_grad():
        vectors = module.last_vector(*(torch.from_numpy(batch[spec.name]).long() for spec in inputs)).numpy()
        module.set_last_layer(*least_squares(vectors, gold, len(LABELS), cutoff))
    return model


def least_squares(
    vectors: np.ndarray, gold: np.ndarray, classes: int, cutoff: float | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight [classes, width] and bias of a linear layer that tells `gold` from `vectors`."""
    wanted = 8.0 * (np.eye(classes)[gold] - 1 / classes)
    weights = np.linalg.lstsq(np.c_[vectors, np.ones(len(vectors))], wanted, rcond=cutoff)[0]
    return torch.from_numpy(weights[:-1].T.copy()), torch.from_numpy(weights[-1].copy())


def _model(
    name: str, module: nn.Module, featurizer: object, dev: tuple[Text, ...] = DEV, cutoff: float | None = None
) -> ExportableModel:
    return _fit_classifier(
        ExportableModel(
            name=name,
            task="classification",
            student=name,
            module=module.eval(),
            featurizer=featurizer,  # type: ignore[arg-type]
            buckets=BUCKETS,
            outputs=(OutputSpec("logits", len(LABELS), False, LABELS),),
            asked=dev,
            pieces=dev,
            score=accuracy,
            agree=same_labels,
            settings=lambda outputs: {},
            calibration_texts=make_texts(60, seed=3)[0] if not isinstance(dev[0], tuple) else (),
            metrics={"teacher": {"test": {"accuracy": 0.97}}},
            provenance={"seed": 1},
        ),
        cutoff,
    )


def wordpiece(pair: bool = False) -> WordPiece:
    # Padded with words no text has, so that the table is most of the file, as in a real student.
    vocabulary = [*VOCABULARY, *(f"unused{number}" for number in range(4000))]
    return WordPiece(vocabulary, lowercase=True, max_length=MAX_LENGTH, pair=pair, min_length=3)


def encoder() -> ExportableModel:
    torch.manual_seed(0)
    featurizer = wordpiece()
    return _model("encoder", TinyEncoder(len(featurizer.vocabulary)), featurizer)


def outlier() -> ExportableModel:
    torch.manual_seed(0)
    featurizer = wordpiece()
    return _model("outlier", Outlier(len(featurizer.vocabulary)), featurizer)


def pair() -> ExportableModel:
    torch.manual_seed(0)
    featurizer = wordpiece(pair=True)
    texts = tuple((text, text) for text in DEV)
    return _model("pair", TinyEncoder(len(featurizer.vocabulary), pair=True), featurizer, texts)


CHANNELS = (
    Channel("word_ids", "word", (1, 1), 3000, 64),
    Channel("gram_ids", "word", (2, 4), 3000, 16),
    Channel("char_ids", "char", (3, 5), 3000, 8),
)


def ngram(
    channels: tuple[Channel, ...] = CHANNELS, hidden: int = 256, pair: bool = False, pooling: str = "sqrt"
) -> ExportableModel:
    """The first channel must be single words for the characters' rows to be folded."""
    torch.manual_seed(0)
    texts, _ = make_texts(400, seed=4)
    unused = np.random.default_rng(5).integers(0, 1 << 64, 2000, np.uint64)  # rows that no text reaches
    known = [np.unique(ngram_hashes(channel, texts, MAX_LENGTH)[0]) for channel in channels]
    kept = [np.concatenate([k, unused])[: channel.rows] for k, channel in zip(known, channels, strict=True)]
    featurizer = NgramFeaturizer(channels, build_table(channels, kept, MAX_LENGTH), MAX_LENGTH, pair)
    words = channels[0].kind == "word" and channels[0].orders == (1, 1)
    config = NgramConfig(
        rows=featurizer.rows,
        widths=tuple(channel.width for channel in channels),
        hidden=hidden,
        pair=pair,
        pooling=pooling,
        single=0 if words else None,
        spelled=tuple(n for n, channel in enumerate(channels) if channel.kind == "char") if words else (),
    )
    module = TinyNgram(config)
    if words:
        known = find_words(featurizer, 0, texts)
        for index in config.spelled:
            module.spelling(index).copy_(spellings(featurizer, known, index, featurizer.rows[0]))
    dev = tuple((text, text) for text in DEV) if pair else DEV
    # So few words span few directions of so many columns: without a cutoff, the weights on the others are huge.
    return _model("ngram", module, featurizer, dev, cutoff=0.03)


MODELS: dict[str, Callable[[], ExportableModel]] = {
    "encoder": encoder,
    "ngram": ngram,
    "pair": pair,
    "outlier": outlier,
}


class Absent(OnnxConverter):
    """ONNX, were one of its packages not installed."""

    packages = (*OnnxConverter.packages, "edgebert_no_such_package")


# Largest difference of a number, as a share of the largest.
TOLERANCE = {
    Precision.FP32: 1e-5,
    Precision.FP16: 3e-3,
    Precision.INT8: 0.05,
    Precision.INT8_STATIC: 0.1,
    Precision.INT4: 0.4,
}
AGREEMENT = {
    Precision.FP32: 1.0,
    Precision.FP16: 1.0,
    Precision.INT8: 0.95,
    Precision.INT8_STATIC: 0.9,
    Precision.INT4: 0.9,
}


def assert_export_matches(model: ExportableModel, artifact: Artifact) -> Verification:
    """The exported file answers as torch does: same decisions, numbers within the precision's tolerance."""
    known = reference(model)
    found = verify(artifact, model, known)
    assert known.metric >= 0.9, "the model under test must know its task"
    assert found.float_metric == known.metric
    most = max(largest(known.outputs, spec.name) for spec in model.outputs)
    assert found.max_difference <= TOLERANCE[artifact.precision] * most, found
    assert found.agreement >= AGREEMENT[artifact.precision], found
    assert abs(found.drop) <= 0.03, found
    return found
