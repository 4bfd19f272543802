"""The MobileBERT students as families: three sizes, started from the teacher's embeddings (brief 05b)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

import torch
from pydantic import Field

from edgebert.models import Context, Family, Student
from edgebert.models.mobilebert import PRESETS, MobileBert, MobileBertConfig
from edgebert.models.teacher import Teacher
from edgebert.recipe import Section
from edgebert_runtime.errors import UsageError
from edgebert_runtime.features import Featurizer, WordPiece

# The trigram looks at both neighbours; exporters specialise a shorter sequence.
MIN_LENGTH = 3


class Options(Section):
    """What a recipe may say under `student`: any size left out is the preset's."""

    hidden: int | None = Field(None, ge=8)
    bottleneck: int | None = Field(None, ge=8)
    embedding: int | None = Field(None, ge=8)
    feedforward: int | None = Field(None, ge=8)
    feedforwards: int | None = Field(None, ge=1)
    heads: int | None = Field(None, ge=1)
    layers: int | None = Field(None, ge=1)
    attention_dropout: float | None = Field(None, ge=0, lt=1)
    start_from_teacher: bool = True


def build(preset: MobileBertConfig, options: Options, context: Context) -> Student:
    """A fresh network with the teacher's vocabulary, and its embeddings where sizes allow.

    Raises:
        UsageError: sizes that do not fit each other, or a teacher without a WordPiece vocabulary.
    """
    reader = context.reader
    if not isinstance(reader, WordPiece):
        raise UsageError("a mobilebert student needs a teacher with a WordPiece vocabulary; take --student ngram.")
    wanted = options.model_dump(exclude_none=True, exclude={"start_from_teacher"})
    config = replace(preset, vocabulary=len(reader.vocabulary), **wanted)
    if config.bottleneck % config.heads:
        raise UsageError(f"student: bottleneck {config.bottleneck} is not a multiple of heads {config.heads}.")
    if context.max_length > config.positions:
        raise UsageError(
            f"training.max_length {context.max_length} is over the network's {config.positions} positions."
        )
    featurizer = WordPiece(
        reader.vocabulary, reader.lowercase, context.max_length, context.pair, MIN_LENGTH, reader.strip_accents
    )
    network = MobileBert(config, context.classes)
    if options.start_from_teacher:
        start_embeddings(network, context.teacher)
    return Student(network, featurizer, asdict(config))


def load(config: Mapping[str, Any], featurizer: Featurizer, classes: int) -> MobileBert:
    """See `Family.load`."""
    known = {field.name for field in fields(MobileBertConfig)}
    return MobileBert(MobileBertConfig(**{k: v for k, v in config.items() if k in known}), classes)


@torch.no_grad()
def start_embeddings(network: MobileBert, teacher: Teacher) -> None:
    """Copy what the teacher knows of words.

    Its word table is cut to the student's width by a truncated SVD; the trigram's middle third starts as the way back,
    its bias as the mean word. Positions, token types and (where widths agree) the classifier are copied. The NoNorm
    takes the teacher's layer norm with its variance frozen at the vocabulary's average.
    """
    source = getattr(teacher.base, "embeddings", None)
    table = getattr(getattr(source, "word_embeddings", None), "weight", None)
    ours = network.embeddings
    words = ours.words.weight.shape[0]
    if source is None or table is None or table.shape[0] < words:
        return
    table = table[:words]  # some tables are padded to a round number of rows
    narrow, wide = ours.words.weight.shape[1], min(table.shape[1], network.config.hidden)
    mean = table.mean(0)
    centred = table - mean
    # Eigenvectors of the small Gram matrix are the right singular vectors of the table.
    _, basis = torch.linalg.eigh(centred.T @ centred)
    basis = basis[:, -min(narrow, basis.shape[1]) :]
    ours.words.weight.zero_()
    ours.words.weight[:, : basis.shape[1]] = centred @ basis
    ours.words.weight[0] = 0.0  # padding: the last word must see the same neighbour with padding and without
    ours.trigram.weight.zero_()
    ours.trigram.weight[:wide, narrow : narrow + basis.shape[1]] = basis[:wide]
    ours.trigram.bias[:wide] = mean[:wide]
    for name, target in (("position_embeddings", ours.positions), ("token_type_embeddings", ours.token_types)):
        given = getattr(getattr(source, name, None), "weight", None)
        if given is not None:
            rows = min(len(given), len(target.weight))
            target.weight[:rows, :wide] = given[:rows, :wide]
    norm = getattr(source, "LayerNorm", None)
    if norm is not None:
        centre, spread = table.mean(), table.std(dim=1).mean()
        ours.norm.weight[:wide] = norm.weight[:wide] / spread
        ours.norm.bias[:wide] = norm.bias[:wide] - norm.weight[:wide] * centre / spread
    if teacher.classifier is not None and teacher.classifier.weight.shape == network.classifier.weight.shape:
        network.classifier.load_state_dict(teacher.classifier.state_dict())


def _family(name: str, **training: Any) -> Family:
    preset = PRESETS[name]
    return Family(
        options=Options,
        build=lambda options, context: build(preset, options, context),
        load=load,
        training={"epochs": 3, "batch_size": 64, "max_length": 128, **training},
        objectives={
            "logits": {"weight": 0.7, "temperature": 2.0},
            "hard_labels": {"weight": 0.3},
            "feature_maps": {"weight": 1.0},
        },
        buckets=(32, 64, 128, 256, 512),
    )


MINI = _family("mobilebert-mini", learning_rate=7e-4)
TINY = _family("mobilebert-tiny", learning_rate=3e-4)
BASE = _family("mobilebert", learning_rate=3e-4)
