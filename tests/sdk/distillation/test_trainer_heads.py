"""The training loop on heads of each kind: what is scored, learned, drawn, and asked of a teacher beside it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgebert.distillation.align import Units
from edgebert.distillation.batches import TrainingSet, collate, collate_targets
from edgebert.distillation.losses import hard_loss
from edgebert.distillation.objectives import make_objectives
from edgebert.distillation.soft_labels import soft_labels
from edgebert.distillation.trainer import Trainer, score
from edgebert.models.mobilebert import MobileBert, MobileBertConfig
from edgebert.recipe import TrainingSection
from edgebert.tasks.base import Target
from edgebert.tasks.heads import Head
from edgebert_runtime.features import Features, WordPiece
from edgebert_runtime.units import units

WORDS = [f"w{n}" for n in range(20)]
READER = WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS, "##x"], True, 24, min_length=3)
SMALL = MobileBertConfig(
    vocabulary=25, hidden=16, bottleneck=8, embedding=8, feedforward=16, feedforwards=1, heads=2, layers=1, positions=24
)
GENERATOR = np.random.default_rng(3)
TEXTS = [" ".join(GENERATOR.choice([*WORDS, "w1x"], GENERATOR.integers(1, 9))) for _ in range(60)]
FEATURES = READER(TEXTS)

INTENT, TAGS = Head("intent", 3, "classes"), Head("tags", 4, "classes", per_token=True)
HEADS = {
    "classes": INTENT,
    "tags": TAGS,
    "flags": Head("flags", 2, "flags"),
    "number": Head("score", 1, "number"),
    "positions": Head("place", 2, "positions", per_token=True),
}


def network(*heads: Head, seed: int = 1) -> MobileBert:
    torch.manual_seed(seed)
    made = MobileBert(SMALL, heads)
    with torch.no_grad():  # answers that differ from the start: a few steps are enough
        for weights in made.parameters():
            if weights.dim() == 2:
                weights.mul_(10)
    return made


def gold(head: Head, ids: np.ndarray) -> np.ndarray:
    """Something that the words of a text decide."""
    if head.kind == "positions":
        return np.array([ids.argmax(), ids.argmin()])
    if head.per_token:
        return np.where((ids > 3) & (ids < 24), ids % 4, -1)
    return {"classes": ids[1] % 3, "flags": ids[1:3] % 2 * 1.0, "number": np.array([ids[1] / 12 - 1])}[head.kind]


def targets(*heads: Head) -> list[Target]:
    return [{head.name: np.asarray(gold(head, item["input_ids"])) for head in heads} for item in FEATURES]


def train(
    out: Path, made: MobileBert, heads: tuple[Head, ...], data: TrainingSet, objectives: Any, **more: Any
) -> list[dict[str, Any]]:
    """Train; the lines of metrics.jsonl. Every check is better than the last."""
    out.mkdir(exist_ok=True)
    scores = iter(range(1000))
    check = more.pop("check", lambda _: float(next(scores)))
    teacher = more.pop("teacher", None)
    settings = {"epochs": 2, "batch_size": 10, "learning_rate": 3e-3, "precision": "fp32", **more}
    made_objectives = make_objectives(objectives, None, None, heads)
    Trainer(made, READER, heads, data, made_objectives, TrainingSection(**settings), out, check, teacher).train()
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_scores_are_cut_to_each_texts_tokens_and_stand_in_its_place() -> None:
    made = network(TAGS, INTENT)
    outputs = score(made, READER, (TAGS, INTENT), FEATURES)
    assert list(outputs) == ["intent", "tags"] and made.training
    assert isinstance(outputs["intent"], np.ndarray) and outputs["intent"].shape == (60, 3)
    made.eval()
    for row, item in enumerate(FEATURES):
        ids = torch.from_numpy(np.stack([item["input_ids"]])).long()
        with torch.no_grad():
            alone = made(ids, torch.ones_like(ids))
        assert outputs["tags"][row].shape == (ids.shape[1], 4) and outputs["tags"][row].dtype == np.float32
        assert np.allclose(outputs["tags"][row], alone["tags"][0].numpy(), atol=1e-5)
        assert np.allclose(outputs["intent"][row], alone["intent"][0].numpy(), atol=1e-5)


def test_no_texts_have_no_scores() -> None:
    outputs = score(network(TAGS, INTENT), READER, (TAGS, INTENT), [])
    assert outputs["tags"] == [] and np.shape(outputs["intent"]) == (0, 3)


@pytest.mark.parametrize("kind", HEADS)
def test_each_kind_learns_from_gold(tmp_path: Path, kind: str) -> None:
    head = HEADS[kind]
    data = TrainingSet(FEATURES, targets(head))
    made = network(head)
    before = cost(head, made)
    train(tmp_path, made, (head,), data, {"hard_labels": {"weight": 1}}, epochs=12, learning_rate=1e-2)
    assert cost(head, made) < 0.75 * before


def cost(head: Head, made: MobileBert) -> float:
    """The loss on all texts."""
    inputs = collate(FEATURES, READER.inputs)
    wanted = collate_targets(targets(head), (head,), inputs[0].shape[1])
    with torch.no_grad():
        return hard_loss(head, made.eval()(*inputs)[head.name], wanted[head.name], inputs[1]).item()


@pytest.mark.parametrize("kind", [*HEADS, "vector"])
def test_each_kind_learns_from_a_stored_teacher(tmp_path: Path, kind: str) -> None:
    head = HEADS.get(kind, Head("vector", 8, "vector"))
    teacher = network(head, seed=2)
    soft = soft_labels(teacher, READER, (head,), TEXTS, tmp_path / "store", READER)
    data = TrainingSet(FEATURES, [{}] * len(TEXTS), soft)
    before = score(teacher, READER, (head,), FEATURES)[head.name]
    made = network(head)
    first = distance(head, score(made, READER, (head,), FEATURES)[head.name], before)
    train(tmp_path / "run", made, (head,), data, {"logits": {"weight": 1, "temperature": 1}}, epochs=12)
    last = distance(head, score(made, READER, (head,), FEATURES)[head.name], before)
    assert last < 0.7 * first


def distance(head: Head, ours: Any, theirs: Any) -> float:
    """How far two networks' answers are apart; of softmax and vectors only what has a meaning is compared."""
    total = 0.0
    for item, one, other in zip(TEXTS, ours, theirs, strict=True):
        if head.kind == "vector":
            total += 1 - one @ other / np.linalg.norm(one) / np.linalg.norm(other)
            continue
        if head.kind == "classes" and head.per_token:
            begins = units(READER.spans(item))
            one, other = one[begins], other[begins]
        if head.kind in ("classes", "positions"):
            axis = 0 if head.kind == "positions" else -1
            one, other = one - one.mean(axis, keepdims=True), other - other.mean(axis, keepdims=True)
        total += float(np.abs(one - other).mean())
    return total


def test_two_heads_learn_side_by_side(tmp_path: Path) -> None:
    heads = (TAGS, INTENT)
    made = network(*heads)
    before = score(made, READER, heads, FEATURES)
    train(tmp_path, made, heads, TrainingSet(FEATURES, targets(*heads)), {"hard_labels": {"weight": 1}}, epochs=12)
    after = score(made, READER, heads, FEATURES)

    def right(outputs: Any, name: str) -> float:
        hits = [np.argmax(o, -1) == t[name] for o, t in zip(outputs[name], targets(*heads), strict=True)]
        return float(np.mean(np.concatenate([np.ravel(hit) for hit in hits])))

    assert right(after, "intent") > right(before, "intent") and right(after, "tags") > right(before, "tags") + 0.2


def test_the_first_check_is_kept_however_bad(tmp_path: Path) -> None:
    data = TrainingSet(FEATURES, targets(INTENT))
    lines = train(tmp_path, network(INTENT), (INTENT,), data, {"hard_labels": {}}, check=lambda _: -1.0)
    assert lines[0]["dev"] == -1.0


def test_a_live_teacher_says_what_a_stored_one_says(tmp_path: Path) -> None:
    """At the words alone: of the tokens between them and of [CLS] a teacher of tags has learned nothing."""
    heads = (INTENT, TAGS)
    teacher = network(*heads, seed=2)
    soft = soft_labels(teacher, READER, heads, TEXTS, tmp_path / "store", READER)
    none: list[Target] = [{}] * len(TEXTS)
    losses = {}
    sets = {
        "stored": TrainingSet(FEATURES, none, soft),
        "live": TrainingSet(FEATURES, none, units=Units(READER, TEXTS)),
        "with features of its own": TrainingSet(FEATURES, none, None, READER(TEXTS), Units(READER, TEXTS)),
        "everywhere": TrainingSet(FEATURES, none),
    }
    for name, data in sets.items():
        beside = None if name == "stored" else (teacher, READER)
        lines = train(tmp_path / name, network(*heads), heads, data, {"logits": {}}, teacher=beside, epochs=1)
        losses[name] = lines[0]["loss"]
    assert losses["live"] == losses["with features of its own"] == pytest.approx(losses["stored"], rel=1e-2)
    assert losses["everywhere"] != pytest.approx(losses["stored"], rel=5e-2)


class Masking(TrainingSet):
    """Hides a token of each text, another one each time it is drawn; what stood there is to be found."""

    def draw(self, indices: np.ndarray, step: int, seed: int) -> tuple[list[Features], list[Target]]:
        features, found = [], []
        for index in indices:
            item = self.features[index]
            ids = item["input_ids"].copy()
            place = np.random.default_rng((seed, step, int(index))).integers(1, len(ids) - 1)
            labels = np.full(len(ids), -1)
            labels[place], ids[place] = ids[place], 1
            features.append({**item, "input_ids": ids})
            found.append({"logits": labels})
        return features, found


MASKED = (Head("logits", 25, "classes", per_token=True, tied=True),)


class Watching(MobileBert):
    """A teacher that notes what it reads, and breaks after `limit` batches."""

    limit = 10**9

    def run(self, *inputs: torch.Tensor, attentions: bool = False) -> Any:  # type: ignore[override]
        self.seen: list[torch.Tensor]
        self.seen.append(inputs[0])
        if len(self.seen) > self.limit:
            raise KeyboardInterrupt
        return super().run(*inputs, attentions=attentions)


def watching(limit: int = 10**9) -> Watching:
    torch.manual_seed(2)
    made = Watching(SMALL, MASKED)
    made.seen, made.limit = [], limit
    return made


def test_a_set_that_draws_anew_each_time_resumes_as_it_was(tmp_path: Path) -> None:
    data = Masking(FEATURES, [{}] * len(TEXTS))
    objectives = {"hard_labels": {"weight": 0.5}, "logits": {"weight": 0.5}}
    settings: dict[str, Any] = {"epochs": 3, "checkpoint_seconds": 0, "seed": 4, "patience": 100}
    whole, teacher = network(*MASKED), watching()
    lines = train(tmp_path / "whole", whole, MASKED, data, objectives, teacher=(teacher, READER), **settings)
    assert all(math.isfinite(line["loss"]) for line in lines) and len(lines) == 3
    # The teacher reads what was drawn: one hidden token a text, others in the next epoch.
    hidden = [int((ids == 1).sum()) for ids in teacher.seen]
    assert sum(hidden) == 3 * len(TEXTS)
    resumed, broken = network(*MASKED), watching(limit=8)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken", resumed, MASKED, data, objectives, teacher=(broken, READER), **settings)
    resumed, again = network(*MASKED, seed=9), watching()
    train(tmp_path / "broken", resumed, MASKED, data, objectives, teacher=(again, READER), **settings)
    assert len(again.seen) == len(teacher.seen) - 8
    assert all(torch.equal(one, other) for one, other in zip(teacher.seen[8:], again.seen, strict=True))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
