"""The student `bert-3`: three layers of a BERT teacher, its word table made narrower (brief 05b, last rows).

It is twice the work of MobileBERT-mini for a word, and starts with all that its layers know. So it is the student for
tasks with few examples or with pairs, where a network that starts anew learns little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from pydantic import Field

from edgebert.models import Context, Family, Student
from edgebert.models.bert import Bert, BertConfig
from edgebert.models.encoder import narrowed, start_from, start_heads
from edgebert.models.teacher import Teacher
from edgebert.recipe import Section
from edgebert.tasks.heads import Head
from edgebert_runtime.errors import UsageError
from edgebert_runtime.features import Featurizer, WordPiece

# Where a block's weights stand in a Hugging Face BERT layer.
PLACES = {
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attended": "attention.output.dense",
    "attended_norm": "attention.output.LayerNorm",
    "inner": "intermediate.dense",
    "outer": "output.dense",
    "outer_norm": "output.LayerNorm",
}


class Options(Section):
    """What a recipe may say under `student` for `bert-3`: which layers, and how wide the word table is."""

    layers: int | tuple[int, ...] = Field(
        3, description="how many of the teacher's layers, evenly from first to last; or which ones, counted from 0"
    )
    embedding: int = Field(128, ge=8, description="width of the word table; the teacher's own at most")
    dropout: float = Field(0.1, ge=0, lt=1)
    start_from: str | None = Field(None, description="a run of a student with these sizes: its weights, but the heads")


def build(options: Options, context: Context) -> Student:
    """A network of the teacher's own layers, with its vocabulary.

    Raises:
        UsageError: layers that the teacher has not, or a teacher that is no BERT with a WordPiece vocabulary.
        EdgeBertError: there is no run to start from, or it is damaged.
    """
    teacher, reader = context.teacher, context.reader
    sizes = teacher.encoder.config
    if not isinstance(reader, WordPiece) or sizes.model_type != "bert":
        raise UsageError("the student bert-3 is cut out of a BERT, and this teacher is none; take another student.")
    if sizes.hidden_act != "gelu" or getattr(sizes, "position_embedding_type", None) not in (None, "absolute"):
        raise UsageError(
            f"the student bert-3 knows the activation 'gelu' with absolute positions, and this teacher has "
            f"{sizes.hidden_act!r} with {getattr(sizes, 'position_embedding_type', 'absolute')} ones; take another."
        )
    if context.max_length > sizes.max_position_embeddings:
        raise UsageError(
            f"training.max_length {context.max_length} is over the teacher's {sizes.max_position_embeddings} positions."
        )
    layers = choose_layers(options.layers, sizes.num_hidden_layers)
    config = BertConfig(
        vocabulary=len(reader.vocabulary),
        hidden=sizes.hidden_size,
        embedding=min(options.embedding, sizes.hidden_size),
        feedforward=sizes.intermediate_size,
        heads=sizes.num_attention_heads,
        layers=len(layers),
        positions=sizes.max_position_embeddings,
        token_types=sizes.type_vocab_size,
        epsilon=sizes.layer_norm_eps,
        dropout=options.dropout,
    )
    featurizer = WordPiece(
        reader.vocabulary,
        reader.lowercase,
        context.max_length,
        context.pair,
        strip_accents=reader.strip_accents,
    )
    network = Bert(config, context.heads)
    if options.start_from is not None:
        start_from(network, featurizer, options.start_from, "bert-3")
    else:
        start_layers(network, teacher, layers)
    return Student(network, featurizer, asdict(config))


def choose_layers(wanted: int | Sequence[int], count: int) -> tuple[int, ...]:
    """The teacher's layers to keep, from 0.

    Raises:
        UsageError: there are not so many, or they are out of order.
    """
    if isinstance(wanted, int):
        if not 1 <= wanted <= count:
            raise UsageError(f"student.layers {wanted}: the teacher has {count}; give a number from 1 to {count}.")
        step = (count - 1) / max(1, wanted - 1)
        return tuple(round(index * step) for index in range(wanted))
    chosen = tuple(wanted)
    if not chosen or list(chosen) != sorted(set(chosen)) or not set(chosen) <= set(range(count)):
        raise UsageError(
            f"student.layers {list(chosen)}: give some of the teacher's layers 0 to {count - 1}, in rising order."
        )
    return chosen


@torch.no_grad()
def start_layers(network: Bert, teacher: Teacher, layers: Sequence[int]) -> None:
    """Copy the chosen layers, the positions and the token types, and the word table in fewer columns."""
    source, ours = teacher.base.embeddings, network.embeddings
    rows, basis, mean = narrowed(source.word_embeddings.weight[: len(ours.words.weight)], network.config.embedding)
    ours.words.weight.copy_(rows)
    ours.widen.weight.copy_(basis)
    ours.widen.bias.copy_(mean)
    ours.positions.weight.copy_(source.position_embeddings.weight)
    ours.token_types.weight.copy_(source.token_type_embeddings.weight)
    ours.norm.load_state_dict(source.LayerNorm.state_dict())
    for block, index in zip(network.blocks, layers, strict=True):
        for name, place in PLACES.items():
            given = teacher.base.encoder.layer[index].get_submodule(place)
            block.get_submodule(name).load_state_dict(given.state_dict())
    start_heads(network, teacher.heads)


def load(config: Mapping[str, Any], featurizer: Featurizer, heads: Sequence[Head]) -> Bert:
    """See `Family.load`."""
    return Bert(BertConfig(**config), heads)


FAMILY = Family(
    options=Options,
    build=build,
    load=load,
    gives=frozenset({"text", "tokens", "pairs", "vocabulary"}),
    training={"epochs": 3, "batch_size": 32, "learning_rate": 1e-4, "max_length": 128},
    objectives={"logits": {"weight": 0.7, "temperature": 2.0}, "hard_labels": {"weight": 0.3}},
)
