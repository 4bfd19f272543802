"""Models of two tasks of our own, which answer for each word and read long texts in parts; and their decoders."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from converter_models import BUCKETS, DEV, LABELS, MAX_LENGTH, TOPICS, TinyEncoder, least_squares, make_texts, wordpiece
from torch import nn

from edgebert_converters.base import ExportableModel
from edgebert_runtime.decode import Asked, Decoder, Piece
from edgebert_runtime.features import Featurizer, Text, WordPiece, pad
from edgebert_runtime.outputs import Outputs, OutputSpec

TAGS = ("O", *LABELS)
WORDS = 10  # that a piece holds: long texts are read in parts
TAGGING: dict[str, tuple[OutputSpec, ...]] = {
    "tagger": (OutputSpec("logits", len(TAGS), True, TAGS),),
    "understanding": (OutputSpec("intent", len(LABELS), False, LABELS), OutputSpec("slots", len(TAGS), True, TAGS)),
}


class TinyTagger(TinyEncoder):
    """The encoder with a head over each token and, perhaps, one over the text, named as in real networks."""

    def __init__(self, rows: int, outputs: Sequence[OutputSpec]) -> None:
        super().__init__(rows)
        del self.classifier
        self.specs = tuple(outputs)
        self.heads = nn.ModuleDict({spec.name: nn.Linear(32, spec.width) for spec in outputs})

    def head_inputs(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """What each head sees: [batch, length, width], or their masked mean [batch, width]."""
        states, weights = self.states(ids, mask), mask.to(torch.float32).unsqueeze(-1)
        mean = (states * weights).sum(1) / weights.sum(1).clamp(min=1.0)
        return {spec.name: states if spec.per_token else mean for spec in self.specs}

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:  # type: ignore[override]
        seen = self.head_inputs(input_ids, attention_mask)
        return {name: self.heads[name](values) for name, values in seen.items()}


def tags_of(text: str) -> np.ndarray:
    """The tag of each token: 0 for [CLS], [SEP] and fillers, else the topic of the word plus one."""
    topics = {word: number for number, topic in enumerate(TOPICS, start=1) for word in topic}
    return np.array([0, *(topics.get(word, 0) for word in text.split()), 0])


def tagger(name: str = "tagger") -> ExportableModel:
    """A model of a task of `TAGGING`."""
    torch.manual_seed(0)
    featurizer, outputs = wordpiece(), TAGGING[name]
    module = TinyTagger(len(featurizer.vocabulary), outputs).eval()
    _fit_heads(module, featurizer)
    pieces = tuple(piece.text for piece in cut(DEV, featurizer, {}))
    gold = {spec.name: [tags_of(text) if spec.per_token else topic_of(text) for text in pieces] for spec in outputs}
    return ExportableModel(
        name=name,
        task=f"tiny-{name}",
        student=name,
        module=module,
        featurizer=featurizer,
        buckets=BUCKETS,
        outputs=outputs,
        asked=DEV,
        pieces=pieces,
        score=lambda answers: share_right(answers, gold),
        agree=lambda first, second: share_right(first, {key: best(rows) for key, rows in second.items()}),
        settings=lambda answers: {"calibration": {"texts": len(answers[outputs[0].name])}, "words": WORDS},
        calibration_texts=make_texts(60, seed=3)[0],
    )


def topic_of(text: str) -> int:
    """The topic of a piece, -1 where it has no word of any."""
    return int(tags_of(text).max()) - 1


def best(rows: Sequence[np.ndarray] | np.ndarray) -> list[Any]:
    """The best column of each text, or of each of its tokens."""
    return [row.argmax(-1) for row in rows]


def share_right(answers: Outputs, gold: Mapping[str, Sequence[Any]]) -> float:
    """The share of right columns, of texts or of tokens, as a mean over the outputs; gold of -1 does not count."""
    shares = []
    for name, rows in answers.items():
        found, wanted = (np.concatenate([np.ravel(item) for item in columns]) for columns in (best(rows), gold[name]))
        shares.append(float((found == wanted)[wanted >= 0].mean()))
    return float(np.mean(shares))


def _fit_heads(module: TinyTagger, featurizer: WordPiece) -> None:
    texts = [piece.text for piece in cut(make_texts(1500, seed=2)[0], featurizer, {})]
    shown = featurizer(texts)
    batch = pad(shown, featurizer.inputs, MAX_LENGTH)
    mask = batch["attention_mask"]
    with torch.no_grad():
        seen = module.head_inputs(torch.from_numpy(batch["input_ids"]).long(), torch.from_numpy(mask).long())
        for spec in module.specs:
            vectors, gold = seen[spec.name].numpy(), np.array([topic_of(text) for text in texts])
            if spec.per_token:
                vectors, gold = vectors[mask > 0], np.concatenate([tags_of(text) for text in texts])
            weight, bias = least_squares(vectors[gold >= 0], gold[gold >= 0], spec.width)
            module.heads[spec.name].weight.copy_(weight)
            module.heads[spec.name].bias.copy_(bias)


def cut(texts: Sequence[Text], featurizer: Featurizer, settings: Mapping[str, Any]) -> list[Piece]:
    """Pieces of `WORDS` words."""
    pieces = []
    for owner, text in enumerate(texts):
        starts = [found.start() for found in re.finditer(r"\S+", text)][:: settings.get("words", WORDS)] or [0]  # type: ignore[arg-type]
        ends = [*starts[1:], len(text)]
        pieces += [Piece(text[start:end], owner, start) for start, end in zip(starts, ends, strict=True)]
    return pieces


class Tagged(NamedTuple):
    """The labels of a text and of its tokens, over all pieces."""

    labels: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {"labels": list(self.labels)}

    def summary(self) -> str:
        return " ".join(self.labels)


def decode(outputs: Outputs, asked: Asked) -> list[Tagged]:
    """The best labels of all outputs of all pieces of a text."""
    assert asked.pieces is not None
    found: list[list[str]] = [[] for _ in asked.texts]
    for name, rows in outputs.items():
        for piece, columns in zip(asked.pieces, best(rows), strict=True):
            found[piece.owner] += [asked.labels[name][column] for column in np.atleast_1d(columns)]
    return [Tagged(tuple(labels)) for labels in found]


def margins(outputs: Outputs, asked: Asked) -> list[float | None]:
    """Half the smallest distance of the two largest numbers of a row."""
    assert asked.pieces is not None
    least = [float("inf") for _ in asked.texts]
    for rows in outputs.values():
        for piece, row in zip(asked.pieces, rows, strict=True):
            ordered = np.sort(np.atleast_2d(row), axis=1)
            least[piece.owner] = min(least[piece.owner], float((ordered[:, -1] - ordered[:, -2]).min() / 2))
    return list(least)


TAGGER = Decoder({"logits": True}, decode, margins, cut)
UNDERSTANDING = Decoder({"intent": False, "slots": True}, decode, margins, cut)
DECODERS = {"tiny-tagger": "tagging_models:TAGGER", "tiny-understanding": "tagging_models:UNDERSTANDING"}
TAGGING_MODELS: dict[str, Callable[[], ExportableModel]] = {
    "tagger": tagger,
    "understanding": lambda: tagger("understanding"),
}
