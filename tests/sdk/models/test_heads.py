"""Heads: what each reads, what it is called, and where a tied one starts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgebert.models.heads import Heads
from edgebert.models.outputs import masked_mean
from edgebert.tasks.heads import Head

INTENT, SLOTS = Head("intent", 3, "classes"), Head("slots", 5, "classes", per_token=True)
WORDS = Head("logits", 9, "classes", per_token=True, tied=True)
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])


def states() -> torch.Tensor:
    return torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(1))


def test_a_text_head_reads_the_masked_mean_and_a_token_head_each_state() -> None:
    heads = Heads((SLOTS, INTENT), 6).eval()
    answers = heads(states(), MASK)
    assert list(answers) == ["intent", "slots"] and heads.specs == (INTENT, SLOTS)
    weights = heads.state_dict()
    mean = masked_mean(states(), MASK)
    assert torch.allclose(answers["intent"], mean @ weights["intent.weight"].T + weights["intent.bias"], atol=1e-6)
    expected = states() @ weights["slots.weight"].T + weights["slots.bias"]
    assert answers["slots"].shape == (2, 4, 5) and torch.allclose(answers["slots"], expected, atol=1e-6)


def test_dropout_stands_in_front_of_each_head_while_training() -> None:
    heads = Heads((INTENT, SLOTS), 6, dropout=0.5)
    torch.manual_seed(1)
    first, second = heads.train()(states(), MASK), heads(states(), MASK)
    assert all(not torch.equal(first[name], second[name]) for name in first)
    first, second = heads.eval()(states(), MASK), heads(states(), MASK)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_tied_head_goes_by_way_of_the_word_table_and_leaves_it_alone() -> None:
    table = nn.Embedding(9, 4)
    heads = Heads((WORDS,), 6, table)
    narrow, words = heads["logits"].narrow, heads["logits"].words
    assert torch.equal(words.weight, table.weight) and words.weight is not table.weight
    answer = heads(states(), MASK)["logits"]
    assert torch.allclose(answer, narrow(states()) @ table.weight.T + words.bias, atol=1e-5)
    with torch.no_grad():
        table.weight.add_(1)
    assert not torch.equal(words.weight, table.weight)
    heads.start(table)
    assert torch.equal(words.weight, table.weight)


def test_a_table_of_another_height_starts_the_rows_that_there_are() -> None:
    for rows in (7, 12):
        table = nn.Embedding(rows, 4)
        words = Heads((WORDS,), 6, table)["logits"].words
        both = min(rows, 9)
        assert words.weight.shape == (9, 4) and torch.equal(words.weight[:both], table.weight[:both])


def test_an_encoders_own_vectors_have_no_layer() -> None:
    heads = Heads((Head("vector", 6, "vector"),), 6, own_vectors=True)
    assert not list(heads.parameters())
    assert torch.equal(heads(states(), MASK)["vector"], masked_mean(states(), MASK))
    with pytest.raises(ValueError, match="have 6 numbers, not 4"):
        Heads((Head("vector", 4, "vector"),), 6, own_vectors=True)


def test_a_tied_head_needs_a_table() -> None:
    with pytest.raises(ValueError, match="'logits' is tied to the word table, and there is none"):
        Heads((WORDS,), 6)
