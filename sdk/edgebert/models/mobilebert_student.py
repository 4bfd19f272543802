"""The MobileBERT students as families: three sizes, started from the teacher's embeddings (brief 05b)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

import torch
from pydantic import Field

from edgebert.models import Context, Family, Student
from edgebert.models.encoder import narrowed, start_from, start_heads
from edgebert.models.mobilebert import PRESETS, MobileBert, MobileBertConfig
from edgebert.models.teacher import Teacher
from edgebert.recipe import Section
from edgebert.tasks.heads import Head
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
    start_from: str | None = Field(None, description="a run of a student with these sizes: its weights, but the heads")


def build(preset: MobileBertConfig, options: Options, context: Context) -> Student:
    """A network with the teacher's vocabulary, started from another run, or from the teacher's embeddings.

    Raises:
        UsageError: sizes that do not fit each other or the run to start from, or a teacher without a WordPiece
            vocabulary.
        EdgeBertError: there is no such run, or it is damaged.
    """
    reader = context.reader
    if not isinstance(reader, WordPiece):
        other = "another teacher" if any(head.per_token for head in context.heads) else "--student ngram"
        raise UsageError(f"a mobilebert student needs a teacher with a WordPiece vocabulary; take {other}.")
    wanted = options.model_dump(exclude_none=True, exclude={"start_from_teacher", "start_from"})
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
    network = MobileBert(config, context.heads)
    if options.start_from is not None:
        start_from(network, featurizer, options.start_from, "mobilebert")
    elif options.start_from_teacher:
        start_embeddings(network, context.teacher)
    return Student(network, featurizer, asdict(config))


def load(config: Mapping[str, Any], featurizer: Featurizer, heads: Sequence[Head]) -> MobileBert:
    """See `Family.load`."""
    known = {field.name for field in fields(MobileBertConfig)}
    return MobileBert(MobileBertConfig(**{k: v for k, v in config.items() if k in known}), heads)


@torch.no_grad()
def start_embeddings(network: MobileBert, teacher: Teacher) -> None:
    """Copy what the teacher knows of words.

    Its word table is cut to the student's width by a truncated SVD; the trigram's middle third starts as the way back,
    its bias as the mean word. Positions, token types and (where sizes agree) the heads are copied. The NoNorm takes
    the teacher's layer norm with its variance frozen at the vocabulary's average.
    """
    source = getattr(teacher.base, "embeddings", None)
    table = getattr(getattr(source, "word_embeddings", None), "weight", None)
    ours = network.embeddings
    words = ours.words.weight.shape[0]
    if source is None or table is None or table.shape[0] < words:
        return
    table = table[:words]  # some tables are padded to a round number of rows
    narrow, wide = ours.words.weight.shape[1], min(table.shape[1], network.config.hidden)
    rows, basis, mean = narrowed(table, narrow)
    ours.words.weight.zero_()
    ours.words.weight[:, : basis.shape[1]] = rows
    ours.words.weight[0] = 0.0  # padding: the last word must see the same neighbour with padding and without
    ours.trigram.weight.zero_()
    ours.trigram.weight[:wide, narrow : narrow + basis.shape[1]] = basis[:wide]
    ours.trigram.bias[:wide] = mean[:wide]
    for name, target in (("position_embeddings", ours.positions), ("token_type_embeddings", ours.token_types)):
        given = getattr(getattr(source, name, None), "weight", None)
        if given is not None:
            count = min(len(given), len(target.weight))
            target.weight[:count, :wide] = given[:count, :wide]
    norm = getattr(source, "LayerNorm", None)
    if norm is not None:
        centre, spread = table.mean(), table.std(dim=1).mean()
        ours.norm.weight[:wide] = norm.weight[:wide] / spread
        ours.norm.bias[:wide] = norm.bias[:wide] - norm.weight[:wide] * centre / spread
    start_heads(network, teacher.heads)


def _family(name: str, **training: Any) -> Family:
    preset = PRESETS[name]
    return Family(
        options=Options,
        build=lambda options, context: build(preset, options, context),
        load=load,
        gives=frozenset({"text", "tokens", "pairs", "vocabulary"}),
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
