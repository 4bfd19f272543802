"""The BiLSTM student: its vocabulary, its rows that start from the teacher, and that a run folder brings it back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgebert.models import Context, Student, get_family
from edgebert.models.bilstm import BiLstm
from edgebert.models.ngram_student import count_vocabulary
from edgebert.models.teacher import Teacher, featurizer_for, load_encoder, load_tokenizer
from edgebert.recipe import parse
from edgebert.tasks.heads import Head
from edgebert_runtime.errors import UsageError
from edgebert_runtime.features import load_featurizer, pad
from edgebert_runtime.ngrams import Channel, build_table
from edgebert_runtime.words import WordsFeaturizer

HEADS = (Head("intent", 2, "classes"), Head("slots", 3, "classes", per_token=True))
TEXTS = ("a cat is here", "the Dog is not here !", "no bird near the river", "a cat again " + "and again " * 20)


@pytest.fixture(scope="module")
def context(tiny_encoder: Path) -> Context:
    torch.manual_seed(1)
    teacher = Teacher(load_encoder(tiny_encoder), HEADS)
    reader = featurizer_for(load_tokenizer(tiny_encoder), 16, False)
    return Context(teacher, reader, HEADS, False, 8, lambda: iter(TEXTS))


def build(context: Context, **options: object) -> Student:
    family = get_family("bilstm")
    torch.manual_seed(5)
    return family.build(parse(family.options, {"min_count": 1, **options}, "student"), context)


def answer(student: Student, text: str) -> dict[str, torch.Tensor]:
    features = student.featurizer([text])
    batch = pad(features, student.featurizer.inputs, len(features[0]["word_ids"]))
    with torch.no_grad():
        found: dict[str, torch.Tensor] = student.module.eval()(
            *(torch.from_numpy(batch[spec.name]).long() for spec in student.featurizer.inputs)
        )
    return found


def test_its_vocabulary_is_counted_over_whole_texts(context: Context) -> None:
    """A long text is read in windows, so its last words are known too, though none is read at once."""
    student = build(context)
    channels = (Channel("word_ids", "word", (1, 1), 20_000, 100), Channel("char_ids", "char", (3, 5), 20_000, 64))
    table = build_table(channels, count_vocabulary(channels, TEXTS, 1_000, 1), 8)
    assert isinstance(student.featurizer, WordsFeaturizer) and student.featurizer.table == table
    assert student.featurizer.max_length == 8
    unknown = student.featurizer.unknown
    (features,) = student.featurizer(["And dog zebra"])
    assert features["word_ids"][2] == unknown and unknown not in features["word_ids"][:2]


def test_it_answers_for_each_word_and_for_the_text(context: Context) -> None:
    found = answer(build(context), "the cat is not here")
    assert found["slots"].shape == (1, 5, 3) and found["intent"].shape == (1, 2)
    assert get_family("bilstm").gives == {"text", "tokens"}


def test_the_same_seed_builds_the_same_student(context: Context) -> None:
    first, second = (build(context).module.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_words_start_from_the_teacher(context: Context) -> None:
    """In as many columns as the teacher is wide; the others, and the unknown word's row, start at random."""
    width = context.teacher.encoder.config.hidden_size
    networks = [build(context, start_from_teacher=start, word_width=width + 3).module for start in (True, False)]
    assert all(isinstance(network, BiLstm) for network in networks)
    started, fresh = (network.words.weight for network in networks)
    assert not started[0].any() and torch.equal(started[:, width:], fresh[:, width:])
    assert (started[1:-1, :width] != fresh[1:-1, :width]).all() and torch.equal(started[-1], fresh[-1])


def test_it_comes_back_from_a_run_folder(context: Context) -> None:
    student = build(context, layers=2, hidden=12, word_width=9, character_width=7)
    featurizer = load_featurizer(student.featurizer.spec(), student.featurizer.files().__getitem__)
    network = get_family("bilstm").load(json.loads(json.dumps(student.config)), featurizer, HEADS)
    network.load_state_dict(student.module.state_dict())
    assert isinstance(network, BiLstm) and len(network.layers) == 2
    again = Student(network, featurizer, student.config)
    for text in ("a cat", "zebra ! Dog"):
        expected = answer(student, text)
        assert all(torch.equal(found, expected[name]) for name, found in answer(again, text).items())


def test_case_tells_two_texts_apart(context: Context) -> None:
    """The tables are of lower-cased words; the shapes are not."""
    student = build(context)
    lower, upper = (answer(student, text)["slots"].numpy() for text in ("the dog", "the Dog"))
    assert not np.allclose(lower[0, 1], upper[0, 1])


def test_pairs_are_refused(context: Context) -> None:
    with pytest.raises(UsageError, match="reads one text, and these are pairs; take --student mobilebert-mini"):
        build(replace(context, pair=True))
