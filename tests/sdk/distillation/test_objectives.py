"""Each objective: nothing to learn from an equal, the right direction, padding ignored, other widths projected."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from edgebert.distillation.objectives import OBJECTIVES, Sizes, layer_map, make_objectives
from edgebert.models.outputs import Outputs
from edgebert.tasks.heads import Head
from edgebert_runtime.errors import UsageError

SIZES = Sizes(layers=2, hidden=6, heads=2)
HEADS = (Head("logits", 3, "classes"),)
LABELS = {"logits": torch.tensor([0, 2, -1])}
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]])
LAYERED = ("feature_maps", "attention", "hidden_states", "embedding")


def outputs(seed: int, layers: int = 2, hidden: int = 6, heads: int = 2) -> Outputs:
    generator = torch.Generator().manual_seed(seed)
    states = [torch.randn(3, 4, hidden, generator=generator) for _ in range(layers + 1)]
    scores = [torch.randn(3, heads, 4, 4, generator=generator) for _ in range(layers)]
    maps = [(score - 1e4 * (1 - MASK)[:, None, None, :]).softmax(-1) for score in scores]
    return Outputs({"logits": torch.randn(3, 3, generator=generator)}, tuple(states), tuple(maps), MASK)


def made(name: str, student: Sizes = SIZES, teacher: Sizes = SIZES, **options: Any) -> Any:
    torch.manual_seed(0)
    return make_objectives({name: {"weight": 1.0, **options}}, student, teacher, HEADS)[name]


def trainable(given: Outputs) -> Outputs:
    """The same numbers as leaves that take a gradient (but for the attention maps, whose rows must stay sums of 1)."""
    return Outputs(
        {name: answer.clone().requires_grad_() for name, answer in given.heads.items()},
        tuple(state.clone().requires_grad_() for state in given.hidden),
        tuple(given.attentions),
        given.mask,
    )


@pytest.mark.parametrize("name", ["logits", *LAYERED])
def test_an_equal_student_has_nothing_to_learn(name: str) -> None:
    both = outputs(1)
    assert made(name)(both, both, LABELS).item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", ["logits", *LAYERED])
def test_a_different_student_has_something_to_learn(name: str) -> None:
    assert made(name)(outputs(1), outputs(2), LABELS).item() > 0.01


@pytest.mark.parametrize("name", ["logits", "feature_maps", "hidden_states", "embedding"])
def test_a_step_down_the_gradient_comes_closer_to_the_teacher(name: str) -> None:
    student, teacher = trainable(outputs(1)), outputs(2)
    leaves = [*student.heads.values(), *student.hidden]
    objective = made(name)
    losses = []
    for _ in range(200):
        loss = objective(student, teacher, LABELS)
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
        with torch.no_grad():
            for leaf, gradient in zip(leaves, gradients, strict=True):
                if gradient is not None:
                    leaf -= 1.0 * gradient
    assert losses[-1] < losses[0] * 0.5


def test_attention_pulls_the_students_map_towards_the_teachers() -> None:
    teacher = outputs(2)
    scores = [torch.zeros(3, 2, 4, 4, requires_grad=True) for _ in range(2)]
    bias = -1e4 * (1 - MASK)[:, None, None, :]
    optimizer = torch.optim.Adam(scores, lr=0.1)
    objective = made("attention")
    for _ in range(150):
        maps = tuple((score + bias).softmax(-1) for score in scores)
        loss = objective(Outputs(teacher.heads, teacher.hidden, maps, MASK), teacher, LABELS)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    real = MASK.bool()
    for ours, theirs in zip(maps, teacher.attentions, strict=True):
        # Real query rows only: [batch, seq, heads, seq] picked by [batch, seq].
        assert torch.allclose(ours.transpose(1, 2)[real], theirs.transpose(1, 2)[real], atol=0.02)


@pytest.mark.parametrize("name", LAYERED)
def test_padding_positions_are_ignored(name: str) -> None:
    student, teacher = outputs(1), outputs(2)
    padded = ~MASK.bool()
    noisy_hidden = tuple(torch.where(padded.unsqueeze(-1), 50.0, state) for state in student.hidden)
    rows = padded[:, None, :, None]
    noisy_maps = tuple(torch.where(rows, torch.tensor([1.0, 0, 0, 0]), maps) for maps in student.attentions)
    noisy = Outputs(student.heads, noisy_hidden, noisy_maps, MASK)
    objective = made(name)
    assert objective(noisy, teacher, LABELS).item() == pytest.approx(
        objective(student, teacher, LABELS).item(), rel=1e-6
    )


@pytest.mark.parametrize("name", ["feature_maps", "hidden_states", "embedding"])
def test_other_widths_are_projected_by_a_learned_map(name: str) -> None:
    objective = made(name, student=Sizes(2, 4, 2))
    assert sum(parameter.numel() for parameter in objective.parameters()) == 4 * 6 * (
        2 if name == "feature_maps" else 1
    )
    loss = objective(outputs(1, hidden=4), outputs(2), LABELS)
    loss.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in objective.parameters())


@pytest.mark.parametrize("name", LAYERED)
def test_equal_widths_need_no_projection(name: str) -> None:
    assert not list(made(name).parameters())


def test_other_numbers_of_heads_compare_the_mean_map() -> None:
    student, teacher = outputs(1, heads=4), outputs(2, heads=2)
    got = made("attention", student=Sizes(2, 6, 4))(student, teacher, LABELS)
    expected = []
    for ours, theirs in zip(student.attentions, teacher.attentions, strict=True):
        p, q = theirs.mean(1).numpy().astype(float), ours.mean(1).numpy().astype(float)
        total = [
            p[b, t, k] * np.log(p[b, t, k] / q[b, t, k])
            for b in range(3)
            for t in range(4)
            for k in range(4)
            if MASK[b, t] and MASK[b, k]
        ]
        expected.append(sum(total) / MASK.sum().item())
    assert got.item() == pytest.approx(np.mean(expected), rel=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_logits_are_the_plain_formula(temperature: float) -> None:
    student, teacher = outputs(1), outputs(2)

    def soft(logits: np.ndarray) -> np.ndarray:
        e = np.exp(logits / temperature)
        return np.asarray(e / e.sum(1, keepdims=True))

    p, q = soft(teacher.heads["logits"].numpy().astype(float)), soft(student.heads["logits"].numpy().astype(float))
    expected = temperature**2 * (p * np.log(p / q)).sum(1).mean()
    assert made("logits", temperature=temperature)(student, teacher, LABELS).item() == pytest.approx(expected, rel=1e-5)


def test_hard_labels_skip_unlabelled_texts_and_divide_by_the_batch() -> None:
    student = outputs(1)
    log = torch.log_softmax(student.heads["logits"], 1)
    expected = -(log[0, 0] + log[1, 2]) / 3
    assert made("hard_labels")(student, None, LABELS).item() == pytest.approx(expected.item(), rel=1e-5)
    assert made("hard_labels")(student, None, {"logits": torch.tensor([-1, -1, -1])}).item() == 0.0


def test_feature_maps_do_not_see_the_scale() -> None:
    teacher = outputs(2)
    scaled = Outputs(teacher.heads, tuple(5 * state + 3 for state in teacher.hidden), (), MASK)
    assert made("feature_maps")(scaled, teacher, LABELS).item() == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize(
    ("student", "teacher", "layers"),
    [(2, 6, [3, 6]), (6, 6, [1, 2, 3, 4, 5, 6]), (3, 12, [4, 8, 12]), (4, 2, [1, 1, 2, 2]), (1, 6, [6])],
)
def test_layers_are_matched_by_depth(student: int, teacher: int, layers: list[int]) -> None:
    assert layer_map(student, teacher) == layers


def test_weight_zero_leaves_an_objective_out() -> None:
    left = make_objectives({"logits": {"weight": 1}, "feature_maps": {"weight": 0}}, None, None, HEADS)
    assert list(left) == ["logits"]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"logit": {}}, "unknown objective 'logit'. Did you mean 'logits'"),
        ({"logits": {"temprature": 2}}, "unknown key 'temprature'. Did you mean 'temperature'"),
        ({"logits": {"temperature": 0}}, "objectives.logits: temperature = 0: .*greater than 0"),
        ({"logits": {"weight": -1}}, "weight = -1"),
        ({"logits": {"weight": float("nan")}}, "weight = nan"),
        ({"feature_maps": {}}, "'feature_maps' compares layers, and this student has none"),
        ({"logits": {"weight": 0}}, "nothing to learn"),
        ({}, "nothing to learn"),
    ],
)
def test_wrong_objectives_are_refused(wanted: dict[str, dict[str, Any]], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_objectives(wanted, None, None, HEADS)


def test_each_objective_says_what_it_needs() -> None:
    needs = {name: made(name).needs for name in OBJECTIVES}
    assert needs["hard_labels"] == frozenset() and needs["logits"] == {"logits"}
    assert needs["attention"] == {"attentions"} and needs["embedding"] == {"hidden"}


TWO = (Head("intent", 2, "classes"), Head("slots", 2, "classes", per_token=True))


def two_heads() -> tuple[Outputs, Outputs, dict[str, torch.Tensor]]:
    """Two texts of two tokens: answers, a teacher's answers, and gold."""
    mask = torch.ones(2, 2, dtype=torch.int64)
    generator = torch.Generator().manual_seed(3)

    def answers() -> Outputs:
        slots = torch.randn(2, 2, 2, generator=generator)
        return Outputs({"intent": torch.randn(2, 2, generator=generator), "slots": slots}, mask=mask)

    return answers(), answers(), {"intent": torch.tensor([0, 1]), "slots": torch.tensor([[1, -1], [0, 0]])}


@pytest.mark.parametrize("name", ["hard_labels", "logits"])
def test_the_loss_is_the_mean_over_the_heads(name: str) -> None:
    student, teacher, gold = two_heads()
    alone = [make_objectives({name: {}}, None, None, (head,))[name](student, teacher, gold).item() for head in TWO]
    both = make_objectives({name: {}}, None, None, TWO)[name](student, teacher, gold).item()
    assert both == pytest.approx(sum(alone) / 2, rel=1e-6)
    assert alone[0] != pytest.approx(alone[1], rel=1e-3)


def test_a_head_without_gold_costs_nothing() -> None:
    vector = (Head("vector", 4, "vector"),)
    answers = Outputs({"vector": torch.randn(3, 4)})
    assert make_objectives({"hard_labels": {}}, None, None, vector)["hard_labels"](answers, None, {}).item() == 0.0


def test_masked_words_are_learned_where_one_is_masked() -> None:
    head = Head("logits", 5, "classes", per_token=True, tied=True)
    generator = torch.Generator().manual_seed(1)
    ours, theirs = (torch.randn(1, 3, 5, generator=generator) for _ in range(2))
    objective = make_objectives({"logits": {"temperature": 1.0}}, None, None, (head,))["logits"]
    gold = {"logits": torch.tensor([[-1, 4, -1]])}
    mask = torch.ones(1, 3, dtype=torch.int64)
    found = objective(Outputs({"logits": ours}, mask=mask), Outputs({"logits": theirs}), gold)
    p, q = theirs[0, 1].softmax(-1), ours[0, 1].softmax(-1)
    assert found.item() == pytest.approx((p * (p / q).log()).sum().item(), rel=1e-5)
