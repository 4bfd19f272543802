"""The loss of each kind of head: against the plain formula, and nothing to learn where nothing is known."""

from __future__ import annotations

import math
from typing import Any, get_args

import numpy as np
import pytest
import torch

from edgebert.distillation.losses import HARD, SOFT, hard_loss, soft_loss
from edgebert.tasks.heads import Head, Kind

NAN = math.nan
LOGITS = torch.tensor([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0], [2.0, 2.0, -0.5]])
THEIRS = torch.tensor([[0.5, 1.0, -1.0], [-2.0, 1.5, 0.75], [1.0, -1.0, 3.0]])
CLASSES, FLAGS = Head("logits", 3, "classes"), Head("logits", 3, "flags")
NUMBER, VECTOR = Head("logits", 3, "number"), Head("logits", 3, "vector")
TAGS, POSITIONS = Head("logits", 3, "classes", per_token=True), Head("logits", 2, "positions", per_token=True)


def softmax(values: Any) -> np.ndarray:
    powers = np.exp(np.asarray(values, float))
    return np.asarray(powers / powers.sum())


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def entropy(wanted: float, logit: float) -> float:
    return -(wanted * math.log(sigmoid(logit)) + (1 - wanted) * math.log(1 - sigmoid(logit)))


def divergence(theirs: Any, ours: Any, temperature: float) -> float:
    p, q = softmax(np.asarray(theirs) / temperature), softmax(np.asarray(ours) / temperature)
    return float((p * np.log(p / q)).sum() * temperature**2)


def test_each_kind_has_its_losses() -> None:
    assert set(SOFT) == set(get_args(Kind))
    assert set(HARD) == set(SOFT) - {"vector"}


def test_classes_are_cross_entropy_over_the_batch() -> None:
    found = hard_loss(CLASSES, LOGITS, torch.tensor([1, -1, 2]), None).item()
    assert found == pytest.approx(-(math.log(softmax(LOGITS[0])[1]) + math.log(softmax(LOGITS[2])[2])) / 3, rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_soft_classes_are_a_divergence_over_the_batch(temperature: float) -> None:
    theirs = THEIRS.clone()
    theirs[1] = NAN
    found = soft_loss(CLASSES, LOGITS, theirs, None, temperature).item()
    expected = sum(divergence(THEIRS[row], LOGITS[row], temperature) for row in (0, 2)) / 3
    assert found == pytest.approx(expected, rel=1e-5)


def test_flags_are_binary_cross_entropy() -> None:
    gold = torch.tensor([[1.0, 0.0, 1.0], [NAN, NAN, NAN], [0.0, NAN, 1.0]])
    each = [entropy(gold[r, c].item(), LOGITS[r, c].item()) for r in range(3) for c in range(3) if gold[r, c] >= 0]
    assert len(each) == 5
    assert hard_loss(FLAGS, LOGITS, gold, None).item() == pytest.approx(sum(each) / 9, rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_soft_flags_are_binary_cross_entropy_beside_the_teachers_probability(temperature: float) -> None:
    theirs = THEIRS.clone()
    theirs[1] = NAN
    each = [
        entropy(sigmoid(THEIRS[r, c].item() / temperature), LOGITS[r, c].item() / temperature)
        for r in (0, 2)
        for c in range(3)
    ]
    found = soft_loss(FLAGS, LOGITS, theirs, None, temperature).item()
    assert found == pytest.approx(sum(each) / 9 * temperature**2, rel=1e-5)


def test_numbers_are_squared_differences() -> None:
    wanted = THEIRS.clone()
    wanted[1] = NAN
    expected = sum((LOGITS[row] - THEIRS[row]).pow(2).sum().item() for row in (0, 2)) / 3
    assert hard_loss(NUMBER, LOGITS, wanted, None).item() == pytest.approx(expected, rel=1e-5)
    assert soft_loss(NUMBER, LOGITS, wanted, None, 2.0).item() == pytest.approx(expected, rel=1e-5)


def test_vectors_are_compared_by_their_angle() -> None:
    theirs = THEIRS.clone()
    theirs[1] = NAN
    a, b = LOGITS.numpy().astype(float), THEIRS.numpy().astype(float)
    cosines = [a[r] @ b[r] / np.linalg.norm(a[r]) / np.linalg.norm(b[r]) for r in (0, 2)]
    assert soft_loss(VECTOR, LOGITS, theirs, None, 3.0).item() == pytest.approx((2 - sum(cosines)) / 3, rel=1e-5)
    assert soft_loss(VECTOR, 7 * THEIRS, THEIRS, None, 1.0).item() == pytest.approx(0, abs=1e-6)


TOKEN_MASK = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])


def tokens(width: int, seed: int) -> torch.Tensor:
    return torch.randn(2, 4, width, generator=torch.Generator().manual_seed(seed))


def test_tags_are_the_mean_over_the_labelled_tokens() -> None:
    ours = tokens(3, 1)
    gold = torch.tensor([[-1, 2, 0, -1], [-1, 1, -1, -1]])
    each = [-math.log(softmax(ours[r, t])[gold[r, t]]) for r, t in ((0, 1), (0, 2), (1, 1))]
    assert hard_loss(TAGS, ours, gold, TOKEN_MASK).item() == pytest.approx(sum(each) / 3, rel=1e-5)


def test_soft_tags_are_the_mean_over_the_tokens_that_the_teacher_speaks_of() -> None:
    ours, theirs = tokens(3, 1), tokens(3, 2)
    theirs[0, 0] = theirs[1, 0] = NAN
    each = [divergence(theirs[r, t], ours[r, t], 2.0) for r, t in ((0, 1), (0, 2), (1, 1))]
    assert soft_loss(TAGS, ours, theirs, TOKEN_MASK, 2.0).item() == pytest.approx(sum(each) / 3, rel=1e-5)


def test_positions_are_cross_entropy_over_the_real_tokens() -> None:
    ours = tokens(2, 1)
    gold = torch.tensor([[2, 0], [-1, 1]])
    expected = [-math.log(softmax(ours[0, :3, 0])[2]), -math.log(softmax(ours[0, :3, 1])[0])]
    expected += [-math.log(softmax(ours[1, :2, 1])[1])]
    assert hard_loss(POSITIONS, ours, gold, TOKEN_MASK).item() == pytest.approx(sum(expected) / 4, rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_soft_positions_are_a_divergence_over_the_real_tokens(temperature: float) -> None:
    ours, theirs = tokens(2, 1), tokens(2, 2)
    each = [
        divergence(theirs[r, :n, column], ours[r, :n, column], temperature)
        for r, n in ((0, 3), (1, 2))
        for column in range(2)
    ]
    found = soft_loss(POSITIONS, ours, theirs, TOKEN_MASK, temperature).item()
    assert found == pytest.approx(sum(each) / 4, rel=1e-4)
    theirs[TOKEN_MASK == 0] = NAN  # as soft labels from the disk are padded
    assert soft_loss(POSITIONS, ours, theirs, TOKEN_MASK, temperature).item() == pytest.approx(found, rel=1e-6)
    theirs[1] = NAN
    assert soft_loss(POSITIONS, ours, theirs, TOKEN_MASK, temperature).item() == pytest.approx(
        sum(each[:2]) / 4, rel=1e-4
    )


GOLD = {
    "tags": (TAGS, torch.tensor([[-1, 2, 0, -1], [-1, 1, -1, -1]])),
    "token flags": (Head("logits", 3, "flags", per_token=True), (tokens(3, 5) > 0).float()),
    "token numbers": (Head("logits", 3, "number", per_token=True), tokens(3, 5)),
    "positions": (POSITIONS, torch.tensor([[2, 0], [-1, 1]])),
}


@pytest.mark.parametrize("name", GOLD)
def test_padding_does_not_matter_to_what_each_token_is_asked(name: str) -> None:
    head, gold = GOLD[name]
    theirs = tokens(head.width, 4)
    losses = []
    for fill, extra in ((0.0, 0), (50.0, 0), (-50.0, 3)):
        ours = tokens(head.width, 1).masked_fill((TOKEN_MASK == 0).unsqueeze(-1), fill)
        ours = torch.nn.functional.pad(ours, (0, 0, 0, extra), value=fill).requires_grad_()
        mask = torch.nn.functional.pad(TOKEN_MASK, (0, extra))
        wider = gold
        if head.kind == "classes":
            wider = torch.nn.functional.pad(gold, (0, extra), value=-1)
        elif head.kind != "positions":  # these have one answer a text
            wider = torch.nn.functional.pad(gold, (0, 0, 0, extra), value=NAN)
        taught = torch.nn.functional.pad(theirs, (0, 0, 0, extra), value=fill)
        loss = hard_loss(head, ours, wider, mask) + soft_loss(head, ours, taught, mask, 2.0)
        loss.backward()
        assert ours.grad is not None and not ours.grad[mask == 0].any() and ours.grad[mask == 1].any()
        losses.append(loss.item())
    assert losses[0] > 0
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)


NOTHING = {
    "classes": (CLASSES, LOGITS, torch.full((3,), -1)),
    "flags": (FLAGS, LOGITS, torch.full((3, 3), NAN)),
    "number": (NUMBER, LOGITS, torch.full((3, 3), NAN)),
    "tags": (TAGS, tokens(3, 1), torch.full((2, 4), -1)),
    "positions": (POSITIONS, tokens(2, 1), torch.full((2, 2), -1)),
}


@pytest.mark.parametrize("name", NOTHING)
def test_where_nothing_is_known_nothing_is_learned(name: str) -> None:
    head, answers, gold = NOTHING[name]
    ours = answers.clone().requires_grad_()
    loss = hard_loss(head, ours, gold, TOKEN_MASK) + soft_loss(
        head, ours, torch.full_like(answers, NAN), TOKEN_MASK, 2.0
    )
    loss.backward()
    assert loss.item() == 0.0
    assert ours.grad is not None and not ours.grad.any()


@pytest.mark.parametrize("head", [CLASSES, FLAGS, NUMBER, VECTOR, TAGS, POSITIONS], ids=lambda head: head.kind)
def test_a_student_comes_to_answer_as_its_teacher(head: Head) -> None:
    """Each loss is least where both agree: for vectors up to their length, for softmax up to a constant."""
    theirs = tokens(head.width, 2) if head.per_token else THEIRS
    ours = torch.nn.Parameter(torch.full_like(theirs, 0.1))
    optimizer = torch.optim.Adam([ours], lr=0.1)
    for _ in range(400):
        loss = soft_loss(head, ours, theirs, TOKEN_MASK, 2.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    real = TOKEN_MASK.bool() if head.per_token else slice(None)
    got, wanted = ours.detach()[real], theirs[real]
    if head.kind == "vector":
        assert torch.cosine_similarity(got, wanted).min() > 0.999
    elif head.kind == "classes":
        assert torch.allclose(got.softmax(-1), wanted.softmax(-1), atol=0.01)
    elif head.kind == "positions":
        for row, mask in enumerate(TOKEN_MASK.bool()):
            assert torch.allclose(ours.detach()[row, mask].softmax(0), theirs[row, mask].softmax(0), atol=0.01)
    else:
        assert torch.allclose(got, wanted, atol=0.05)
