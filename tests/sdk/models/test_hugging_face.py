"""Hugging Face models with a head of their own: what their folder says they are, and the same numbers as theirs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from edgebert.models.heads import TiedHead
from edgebert.models.hugging_face import Ready, hugging_face_task
from edgebert.models.outputs import masked_mean
from edgebert.models.teacher import Teacher, load_encoder
from edgebert.tasks.heads import Head

IDS = torch.tensor([[2, 7, 9, 30, 3], [2, 8, 3, 0, 0]])
MASK = (IDS > 0).long()
NAMES = {0: "O", 1: "B-LOC", 2: "I-LOC"}
TAGS = Head("logits", 3, "classes", per_token=True)


def stored(folder: Path, kind: str, **config: Any) -> tuple[Any, Ready]:
    """A tiny random model with a head, its folder, and what the folder's config.json is taken for."""
    torch.manual_seed(2)
    sizes = {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    made = transformers.BertConfig(
        **sizes, intermediate_size=64, max_position_embeddings=64, initializer_range=0.2, **config
    )
    model = getattr(transformers, kind)(made).eval()
    model.save_pretrained(folder)
    ready = hugging_face_task(json.loads((folder / "config.json").read_text()))
    assert ready is not None
    return model, ready


def teacher(folder: Path, ready: Ready) -> Teacher:
    return Teacher(load_encoder(folder, ready.auto), ready.heads, own=True).eval()


CASES: dict[str, tuple[str, dict[str, Any], str, Head, tuple[str, ...]]] = {
    "classification": (
        "BertForSequenceClassification",
        {"id2label": NAMES},
        "classification",
        Head("logits", 3, "classes"),
        tuple(NAMES.values()),
    ),
    "labels without names": (
        "BertForSequenceClassification",
        {},
        "classification",
        Head("logits", 2, "classes"),
        ("LABEL_0", "LABEL_1"),
    ),
    "regression": ("BertForSequenceClassification", {"num_labels": 1}, "regression", Head("score", 1, "number"), ()),
    "multi-label": (
        "BertForSequenceClassification",
        {"id2label": NAMES, "problem_type": "multi_label_classification"},
        "multi-label",
        Head("logits", 3, "flags"),
        tuple(NAMES.values()),
    ),
    "tags": ("BertForTokenClassification", {"id2label": NAMES}, "token-classification", TAGS, tuple(NAMES.values())),
    "words": (
        "BertForMaskedLM",
        {},
        "masked-lm",
        Head("logits", 60, "classes", per_token=True, tied=True),
        (),
    ),
}


@torch.no_grad()
@pytest.mark.parametrize("name", CASES)
def test_the_answer_is_the_models_own(tmp_path: Path, name: str) -> None:
    kind, config, task, head, labels = CASES[name]
    model, ready = stored(tmp_path, kind, **config)
    assert (ready.task, ready.heads) == (task, (head,))
    assert ready.labels == ({head.name: labels} if labels else {})
    ours = teacher(tmp_path, ready)
    expected = model(IDS, MASK).logits
    (found,) = ours(IDS, MASK).items()
    assert found[0] == head.name and found[1].shape[-1] == head.width
    assert torch.allclose(found[1], expected, atol=1e-5)
    assert expected.std() > 0.01
    assert not list(ours.heads.parameters())


@torch.no_grad()
def test_start_and_end_are_two_columns(tmp_path: Path) -> None:
    model, ready = stored(tmp_path, "BertForQuestionAnswering")
    assert ready[:3] == ("question-answering", (Head("logits", 2, "positions", per_token=True),), {})
    expected = model(IDS, MASK)
    found = teacher(tmp_path, ready)(IDS, MASK)["logits"]
    assert torch.allclose(found[..., 0], expected.start_logits, atol=1e-5)
    assert torch.allclose(found[..., 1], expected.end_logits, atol=1e-5)
    assert not torch.allclose(found[..., 0], found[..., 1], atol=1e-2)


def test_a_bare_encoder_has_learned_no_task(tiny_encoder: Path) -> None:
    assert hugging_face_task(json.loads((tiny_encoder / "config.json").read_text())) is None
    assert hugging_face_task({}) is None


def test_labels_stand_in_the_order_of_their_numbers() -> None:
    names = {str(n): f"L{n}" for n in reversed(range(12))}
    ready = hugging_face_task({"architectures": ["XForTokenClassification"], "id2label": names})
    assert ready is not None and ready.labels["logits"] == tuple(f"L{n}" for n in range(12))


@torch.no_grad()
def test_an_embedding_teacher_is_the_bare_encoder(tiny_encoder: Path) -> None:
    encoder = load_encoder(tiny_encoder)
    ours = Teacher(encoder, (Head("vector", 32, "vector"),)).eval()
    states = encoder(input_ids=IDS, attention_mask=MASK).last_hidden_state
    assert torch.allclose(ours(IDS, MASK)["vector"], masked_mean(states, MASK), atol=1e-6)


@torch.no_grad()
def test_our_heads_on_an_encoder(tiny_encoder: Path) -> None:
    encoder = load_encoder(tiny_encoder)
    words = encoder.config.vocab_size
    heads = (TAGS, Head("intent", 2, "classes"), Head("words", words, "classes", per_token=True, tied=True))
    ours = Teacher(encoder, heads).eval()
    answers = ours(IDS, MASK)
    assert {name: tuple(answer.shape) for name, answer in answers.items()} == {
        "intent": (2, 2),
        "logits": (2, 5, 3),
        "words": (2, 5, words),
    }
    assert {"heads.intent.weight", "heads.logits.bias"} <= ours.state_dict().keys()
    tied = ours.heads["words"]
    assert isinstance(tied, TiedHead)
    assert torch.equal(tied.words.weight, encoder.get_input_embeddings().weight)
    assert not tied.words.bias.any() and 0.01 < tied.narrow.weight.std() < 0.03
