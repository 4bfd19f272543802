"""The BiLSTM student as a family: its options, its vocabulary, and word rows that start from the teacher's vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pydantic import Field

from edgebert.models import Context, Family, Student
from edgebert.models.bilstm import BiLstm, BiLstmConfig
from edgebert.models.ngram_student import count_vocabulary, find_words, start_rows
from edgebert.recipe import Section
from edgebert.tasks.heads import Head
from edgebert_runtime.errors import UsageError
from edgebert_runtime.features import Featurizer
from edgebert_runtime.ngrams import Channel, NgramFeaturizer, build_table
from edgebert_runtime.words import WordsFeaturizer

CHARACTER_ORDERS = (3, 5)
WHOLE_TEXT = 1_000_000  # a long text is read in windows, so all of its words are counted


class Options(Section):
    """What a recipe may say under `student` for `bilstm`."""

    words: int = Field(20_000, ge=1, description="most words kept")
    characters: int = Field(20_000, ge=1, description="most character n-grams kept")
    word_width: int = Field(100, ge=1)
    character_width: int = Field(64, ge=1)
    hidden: int = Field(160, ge=1, description="width of one direction")
    layers: int = Field(1, ge=1, le=4)
    dropout: float = Field(0.3, ge=0, lt=1)
    min_count: int = Field(2, ge=1, description="words and n-grams seen less often are left out")
    start_from_teacher: bool = True


def build(options: Options, context: Context) -> Student:
    """Count the vocabulary, make the network, and start the word rows from the teacher."""
    if context.pair:
        raise UsageError("the student 'bilstm' reads one text, and these are pairs; take --student mobilebert-mini.")
    channels = (
        Channel("word_ids", "word", (1, 1), options.words, options.word_width),
        Channel("char_ids", "char", CHARACTER_ORDERS, options.characters, options.character_width),
    )
    kept = count_vocabulary(channels, context.texts(), WHOLE_TEXT, options.min_count)
    table = build_table(channels, kept, context.max_length)
    featurizer = WordsFeaturizer(channels, table, context.max_length)
    words, characters, shapes = (spec.rows for spec in featurizer.inputs)
    config = BiLstmConfig(
        words=words,
        characters=characters,
        shapes=shapes,
        word_width=options.word_width,
        character_width=options.character_width,
        hidden=options.hidden,
        layers=options.layers,
        dropout=options.dropout,
    )
    network = BiLstm(config, context.heads)
    if options.start_from_teacher:
        bags = NgramFeaturizer(channels, table, context.max_length)
        start_rows(network.words, find_words(bags, 0, context.texts()), context)
    return Student(network, featurizer, asdict(config))


def load(config: Mapping[str, Any], featurizer: Featurizer, heads: Sequence[Head]) -> BiLstm:
    """See `Family.load`."""
    return BiLstm(BiLstmConfig(**config), heads)


FAMILY = Family(
    options=Options,
    build=build,
    load=load,
    gives=frozenset({"text", "tokens"}),
    training={
        "epochs": 10,
        "batch_size": 32,
        "learning_rate": 1e-3,
        "sparse_learning_rate": 0.05,
        "max_length": 64,
        "patience": 3,
    },
    objectives={"logits": {"weight": 0.7, "temperature": 2.0}, "hard_labels": {"weight": 0.3}},
    buckets=(16, 32, 64),
)
