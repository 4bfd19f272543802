"""The soft-label store: computed once, reused, resumed, and clear about damage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgebert.distillation import soft_labels as module
from edgebert.distillation.soft_labels import digest, read_store, soft_labels
from edgebert_runtime.errors import EdgeBertError
from edgebert_runtime.features import Features, InputSpec, Text


class Letters:
    """A featurizer of letters."""

    inputs = (InputSpec("ids", 1, 130),)
    max_length, min_length, pair = 50, 1, False

    def __call__(self, texts: Sequence[Text]) -> list[Features]:
        return [{"ids": np.frombuffer(str(text).encode()[:50], np.uint8).astype(np.int32)} for text in texts]


class Counting(nn.Module):
    """A teacher that counts the texts it reads, and breaks after `limit` of them."""

    def __init__(self, limit: int = 10**9) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(130, 3)
        self.read, self.limit = 0, limit

    def forward(self, ids: torch.Tensor) -> dict[str, torch.Tensor]:
        self.read += len(ids)
        if self.read > self.limit:
            raise KeyboardInterrupt
        return {"logits": self.table(ids).sum(1)}


TEXTS = [f"text number {i}" for i in range(150)]


def test_a_second_student_does_not_run_the_teacher(tmp_path: Path) -> None:
    teacher = Counting()
    first = soft_labels(teacher, Letters(), TEXTS, 3, tmp_path)
    assert teacher.read == len(TEXTS) and first.shape == (150, 3) and first.dtype == np.float32
    teacher.read = 0
    again = soft_labels(teacher, Letters(), TEXTS[::-1], 3, tmp_path)
    assert teacher.read == 0
    assert np.array_equal(again, first[::-1])


def test_only_new_texts_are_computed_and_repeats_once(tmp_path: Path) -> None:
    teacher = Counting()
    soft_labels(teacher, Letters(), TEXTS[:10], 3, tmp_path)
    teacher.read = 0
    logits = soft_labels(teacher, Letters(), [*TEXTS[5:12], "new", "new"], 3, tmp_path)
    assert teacher.read == 3
    assert np.array_equal(logits[-1], logits[-2])
    alone = soft_labels(Counting(), Letters(), [TEXTS[11]], 3, tmp_path / "other")
    assert np.allclose(logits[6], alone[0], atol=1e-5)


def test_an_interrupted_store_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD", 20)
    monkeypatch.setattr(module, "BATCH", 10)
    broken = Counting(limit=75)
    with pytest.raises(KeyboardInterrupt):
        soft_labels(broken, Letters(), TEXTS, 3, tmp_path)
    kept = len(read_store(tmp_path, 3))
    assert kept == 60  # three full shards; the half one is lost
    teacher = Counting()
    resumed = soft_labels(teacher, Letters(), TEXTS, 3, tmp_path)
    assert teacher.read == len(TEXTS) - kept
    assert np.allclose(resumed, soft_labels(Counting(), Letters(), TEXTS, 3, tmp_path / "whole"), atol=1e-5)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "classes"])
def test_a_damaged_shard_is_named(tmp_path: Path, damage: str) -> None:
    soft_labels(Counting(), Letters(), TEXTS, 3, tmp_path)
    (shard,) = tmp_path.glob("*.npz")
    content = bytearray(shard.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "flip":
        content[len(content) // 2] ^= 255
    elif damage == "empty":
        content = bytearray()
    shard.write_bytes(bytes(content))
    with pytest.raises(EdgeBertError) as caught:
        soft_labels(Counting(), Letters(), TEXTS, 2 if damage == "classes" else 3, tmp_path)
    assert str(shard) in str(caught.value) and "delete it and run again" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_texts_no_labels(tmp_path: Path) -> None:
    assert soft_labels(Counting(), Letters(), [], 3, tmp_path).shape == (0, 3)


def test_a_pair_and_its_json_are_two_texts() -> None:
    texts: list[Text] = [("a", "b"), '["a", "b"]', "ab", ("ab", ""), "\ud800", ""]
    assert len({digest(text) for text in texts}) == len(texts)
    assert all(len(digest(text)) == 16 for text in texts)
