"""MobileBERT students: what they take from the teacher, and what they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from edgebert.models import Context, Student, get_family
from edgebert.models.mobilebert import MobileBert
from edgebert.models.teacher import Teacher, featurizer_for, load_encoder, load_tokenizer
from edgebert.recipe import parse
from edgebert.tasks.heads import Head
from edgebert_runtime.errors import UsageError

HEADS = (Head("logits", 3, "classes"),)
SIZES = {"hidden": 32, "bottleneck": 16, "embedding": 16, "feedforward": 32, "heads": 2, "layers": 2}


@pytest.fixture(scope="module")
def teacher(tiny_encoder: Path) -> Teacher:
    torch.manual_seed(3)
    return Teacher(load_encoder(tiny_encoder), HEADS).eval()


def build(
    tiny_encoder: Path,
    teacher: Teacher,
    pair: bool = False,
    max_length: int = 20,
    heads: tuple[Head, ...] = HEADS,
    **options: Any,
) -> Student:
    reader = featurizer_for(load_tokenizer(tiny_encoder), 32, pair)
    family = get_family("mobilebert-mini")
    context = Context(teacher, reader, heads, pair, max_length, lambda: iter(()))
    torch.manual_seed(4)
    return family.build(parse(family.options, {**SIZES, **options}, "student"), context)


def network_of(student: Student) -> MobileBert:
    assert isinstance(student.module, MobileBert)
    return student.module


@torch.no_grad()
def test_start_gives_back_the_teachers_word_vectors_up_to_the_svd_error(tiny_encoder: Path, teacher: Teacher) -> None:
    """Through the middle third of the trigram, row by row, and no better rank-16 table exists (Eckart-Young)."""
    network = network_of(build(tiny_encoder, teacher))
    table = teacher.base.embeddings.word_embeddings.weight
    embeddings = network.embeddings
    middle = embeddings.trigram.weight[:, 16:32]
    again = embeddings.words.weight @ middle.T + embeddings.trigram.bias
    singular = torch.linalg.svdvals(table - table.mean(0))
    best = singular[16:].pow(2).sum()
    error = (again[1:] - table[1:]).pow(2).sum()  # row 0 is padding and stays zero
    assert error <= best * 1.001
    assert error >= best * 0.9
    assert not embeddings.trigram.weight[:, :16].any() and not embeddings.trigram.weight[:, 32:].any()
    assert not embeddings.words.weight[0].any()


@torch.no_grad()
def test_with_a_table_as_wide_as_the_teachers_the_start_is_exact(tiny_encoder: Path, teacher: Teacher) -> None:
    """Then only the layer norm, frozen at an average, separates the two embedding outputs."""
    network = network_of(build(tiny_encoder, teacher, embedding=32))
    student = build(tiny_encoder, teacher, embedding=32).featurizer
    (item,) = student(["a cat near the old house"])
    ids = torch.from_numpy(item["input_ids"]).long().unsqueeze(0)
    embeddings, source = network.embeddings, teacher.base.embeddings
    raw = (
        source.word_embeddings(ids)
        + source.position_embeddings.weight[: ids.shape[1]]
        + source.token_type_embeddings.weight[0]
    )
    zeros = torch.zeros_like(embeddings.words(ids))
    ours = embeddings.trigram(torch.cat([zeros, embeddings.words(ids), zeros], dim=2))
    ours = ours + embeddings.positions.weight[: ids.shape[1]] + embeddings.token_types.weight[0]
    assert torch.allclose(ours, raw, atol=1e-4)
    wanted, got = source.LayerNorm(raw).flatten(), network.embeddings(ids, None).flatten()
    assert torch.corrcoef(torch.stack([wanted, got]))[0, 1] > 0.9


def test_each_head_is_copied_where_sizes_agree(tiny_encoder: Path) -> None:
    heads = (Head("intent", 3, "classes"), Head("slots", 5, "classes", per_token=True))
    teacher = Teacher(load_encoder(tiny_encoder), heads)
    same = network_of(build(tiny_encoder, teacher, heads=heads))
    for head in heads:
        assert torch.equal(same.state_dict()[f"heads.{head.name}.weight"], teacher.heads[head.name].weight)
    other = network_of(build(tiny_encoder, teacher, heads=heads, hidden=24))
    assert other.state_dict()["heads.slots.weight"].shape == (5, 24)
    vector = (Head("vector", 32, "vector"),)  # the teacher has no layer for it, the student has
    alone = network_of(build(tiny_encoder, Teacher(load_encoder(tiny_encoder), vector), heads=vector))
    assert alone.state_dict()["heads.vector.weight"].shape == (32, 32)


def test_a_tied_head_starts_as_the_started_word_table(tiny_encoder: Path) -> None:
    encoder = load_encoder(tiny_encoder)
    heads = (Head("logits", encoder.config.vocab_size, "classes", per_token=True, tied=True),)
    network = network_of(build(tiny_encoder, Teacher(encoder, heads), heads=heads))
    state = network.state_dict()
    assert torch.equal(state["heads.logits.words.weight"], network.embeddings.words.weight)
    assert network.embeddings.words.weight.std() > 0.1  # it is the teacher's, not a random start
    with torch.no_grad():
        network.embeddings.words.weight += 1
    assert not torch.equal(state["heads.logits.words.weight"], network.embeddings.words.weight)  # learned apart


@torch.no_grad()
def test_a_started_student_reads_padded_and_unpadded_text_alike(tiny_encoder: Path, teacher: Teacher) -> None:
    student = build(tiny_encoder, teacher)
    network = network_of(student).eval()
    torch.nn.init.normal_(network.embeddings.trigram.weight, std=0.2)  # as after training
    (item,) = student.featurizer(["a dog again !"])
    ids = torch.from_numpy(item["input_ids"]).long().unsqueeze(0)
    mask, pad = torch.ones_like(ids), torch.zeros(1, 3, dtype=torch.int64)
    padded = network(torch.cat([ids, pad], 1), torch.cat([mask, pad], 1))["logits"]
    assert torch.allclose(network(ids, mask)["logits"], padded, atol=1e-5)


@torch.no_grad()
def test_a_teacher_table_padded_to_a_round_number_still_starts_the_student(
    tiny_encoder: Path, teacher: Teacher
) -> None:
    whole = network_of(build(tiny_encoder, teacher)).embeddings.words.weight.clone()
    wide = Teacher(load_encoder(tiny_encoder), HEADS)
    wide.base.resize_token_embeddings(320, mean_resizing=False)
    padded = network_of(build(tiny_encoder, wide)).embeddings.words.weight
    assert torch.allclose(padded, whole)


def test_start_from_teacher_false_leaves_random_rows(tiny_encoder: Path, teacher: Teacher) -> None:
    network = network_of(build(tiny_encoder, teacher, start_from_teacher=False))
    assert network.embeddings.trigram.weight[:, :16].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bottleneck": 15, "heads": 2}, "bottleneck 15 is not a multiple of heads 2"),
        ({"max_length": 600}, "over the network's 512 positions"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(
    tiny_encoder: Path, teacher: Teacher, options: dict[str, int], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        build(tiny_encoder, teacher, **options)


def test_config_rebuilds_the_network(tiny_encoder: Path, teacher: Teacher) -> None:
    import json

    student = build(tiny_encoder, teacher, pair=True)
    config = json.loads(json.dumps(student.config))
    again = get_family("mobilebert-mini").load(config, student.featurizer, HEADS)
    again.load_state_dict(student.module.state_dict())
    assert [spec.name for spec in student.featurizer.inputs] == ["input_ids", "attention_mask", "token_type_ids"]


def test_an_unknown_student_is_answered_with_the_closest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'mobilebert-mini'"):
        get_family("mobilbert-mini")
