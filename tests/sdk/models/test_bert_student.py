"""The student of the teacher's own layers: what it takes over, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import BertConfig, BertModel

from edgebert.models import Context, Student, get_family
from edgebert.models.bert import Bert
from edgebert.models.bert_student import choose_layers
from edgebert.models.teacher import Teacher, featurizer_for, load_encoder, load_tokenizer
from edgebert.recipe import parse
from edgebert.tasks.heads import Head
from edgebert_runtime.errors import UsageError

HEADS = (Head("intent", 3, "classes"), Head("slots", 5, "classes", per_token=True))
TEXTS = ["a cat near the old house", "a dog again !"]


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of four layers with the words of the tiny one."""
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(3)
    given = load_encoder(tiny_encoder).config.to_dict()
    sizes = {**given, "num_hidden_layers": 4, "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4}
    model = BertModel(BertConfig(**sizes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)  # norms of 1 and biases of 0 would hide a mistake
    model.save_pretrained(folder)
    load_tokenizer(tiny_encoder).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def teacher(encoder: Path) -> Teacher:
    return Teacher(load_encoder(encoder), HEADS).eval()


def build(
    encoder: Path, teacher: Teacher, pair: bool = False, max_length: int = 20, reader: Any = None, **options: Any
) -> Student:
    reader = reader or featurizer_for(load_tokenizer(encoder), 32, pair)
    family = get_family("bert-3")
    context = Context(teacher, reader, HEADS, pair, max_length, lambda: iter(()))
    return family.build(parse(family.options, options, "student"), context)


@torch.no_grad()
@pytest.mark.parametrize("pair", [False, True])
def test_with_all_layers_and_the_whole_table_it_answers_as_the_teacher(
    encoder: Path, teacher: Teacher, pair: bool
) -> None:
    """Hugging Face's BERT is the oracle: hidden states, attention maps and heads, beside padding and for pairs."""
    student = build(encoder, teacher, pair, layers=4, embedding=32)
    items = student.featurizer([("a cat", "the old house"), ("a dog", "again !")] if pair else TEXTS)
    batch = [
        pad_sequence([torch.from_numpy(item[spec.name]).long() for item in items], batch_first=True)
        for spec in student.featurizer.inputs
    ]
    theirs = teacher.eager().run(*batch, attentions=True)
    module: Any = student.module
    ours = module.eval().run(*batch, attentions=True)
    real = batch[1].bool()
    assert len(ours.hidden) == len(theirs.hidden) == 5 and len(ours.attentions) == 4
    for mine, wanted in zip(ours.hidden, theirs.hidden, strict=True):
        torch.testing.assert_close(mine[real], wanted[real], atol=2e-5, rtol=1e-4)
    for mine, wanted in zip(ours.attentions, theirs.attentions, strict=True):
        torch.testing.assert_close(mine, wanted, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(ours.heads["intent"], theirs.heads["intent"], atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(ours.heads["slots"][real], theirs.heads["slots"][real], atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_a_cut_teacher_answers_alike(encoder: Path) -> None:
    """Dropping layers out of the teacher itself gives the same as building the student of the others."""
    cut = load_encoder(encoder)
    teacher = Teacher(cut, HEADS).eval()
    student: Any = build(encoder, teacher, layers=[0, 3], embedding=32).module.eval()
    cut.encoder.layer = torch.nn.ModuleList([cut.encoder.layer[0], cut.encoder.layer[3]])
    ids = torch.tensor([[2, 9, 17, 8, 3]])
    wanted = teacher(ids, torch.ones_like(ids))
    torch.testing.assert_close(student(ids, torch.ones_like(ids))["intent"], wanted["intent"], atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_no_narrower_table_is_nearer_to_the_teachers(encoder: Path, teacher: Teacher) -> None:
    network = build(encoder, teacher, embedding=8).module
    assert isinstance(network, Bert)
    table = teacher.base.embeddings.word_embeddings.weight
    error = (network.embeddings.widen(network.words.weight) - table).pow(2).sum()
    best = torch.linalg.svdvals(table - table.mean(0))[8:].pow(2).sum()  # Eckart and Young
    assert best * 0.999 <= error <= best * 1.001


@pytest.mark.parametrize(
    ("wanted", "count", "kept"),
    [(3, 6, (0, 2, 5)), (1, 6, (0,)), (6, 6, (0, 1, 2, 3, 4, 5)), (4, 12, (0, 4, 7, 11)), ((1, 3), 4, (1, 3))],
)
def test_layers_are_taken_evenly_or_as_named(wanted: Any, count: int, kept: tuple[int, ...]) -> None:
    assert choose_layers(wanted, count) == kept


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 5}, "student.layers 5: the teacher has 4; give a number from 1 to 4"),
        ({"layers": 0}, "student.layers 0: the teacher has 4"),
        ({"layers": [2, 1]}, r"student.layers \[2, 1\]: give some of the teacher's layers 0 to 3, in rising order"),
        ({"layers": []}, r"student.layers \[\]: give some"),
        ({"layers": [0, 4]}, r"student.layers \[0, 4\]: give some"),
        ({"max_length": 600}, "training.max_length 600 is over the teacher's"),
        ({"start_from": "nowhere"}, "there is no run folder nowhere"),
    ],
)
def test_what_does_not_fit_is_refused(encoder: Path, teacher: Teacher, options: Any, message: str) -> None:
    with pytest.raises(Exception, match=message):
        build(encoder, teacher, **options)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model_type": "roberta"}, "is cut out of a BERT, and this teacher is none"),
        ({"hidden_act": "relu"}, "knows the activation 'gelu'"),
        ({"position_embedding_type": "relative_key"}, "absolute positions"),
    ],
)
def test_another_kind_of_teacher_is_refused(
    encoder: Path, teacher: Teacher, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], message: str
) -> None:
    for name, value in changed.items():
        monkeypatch.setattr(teacher.encoder.config, name, value, raising=False)
    with pytest.raises(UsageError, match=message):
        build(encoder, teacher)
