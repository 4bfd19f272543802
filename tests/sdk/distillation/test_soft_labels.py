"""The soft-label store: computed once, reused, resumed, read from the disk, and clear about damage."""

from __future__ import annotations

import os
import shutil
import subprocess
import tracemalloc
from collections import namedtuple
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgebert.distillation import soft_labels as module
from edgebert.distillation.soft_labels import SoftLabels, digest, soft_labels
from edgebert.distillation.store import Answer, Store, write_shard
from edgebert.tasks.heads import Head
from edgebert_runtime.errors import EdgeBertError
from edgebert_runtime.features import Text, WordPiece
from edgebert_runtime.units import units

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
HEADS = (Head("logits", 3, "classes"),)
TAGS = (Head("intent", 3, "classes"), Head("slots", 5, "classes", per_token=True))
PLACES = (Head("logits", 2, "positions", per_token=True),)
TEXTS = [f"text number {i}" for i in range(150)]


def letters(max_length: int = 50) -> WordPiece:
    """A featurizer that reads letter by letter."""
    return WordPiece([*SPECIAL, *LETTERS, *(f"##{c}" for c in LETTERS)], True, max_length)


def whole() -> WordPiece:
    """One that knows some words as a whole."""
    return WordPiece([*SPECIAL, "text", "number", *(f"{n}" for n in range(150))], True, 50)


class Counting(nn.Module):
    """A teacher that counts the texts it reads, and breaks after `limit` of them."""

    def __init__(self, heads: Sequence[Head] = HEADS, limit: int = 10**9) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.specs = heads
        self.tables = nn.ModuleDict({head.name: nn.Embedding(100, head.width) for head in heads})
        self.read, self.limit = 0, limit

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        self.read += len(ids)
        if self.read > self.limit:
            raise KeyboardInterrupt
        found = {head.name: self.tables[head.name](ids) * mask.unsqueeze(-1) for head in self.specs}
        return {head.name: found[head.name] if head.per_token else found[head.name].sum(1) for head in self.specs}


def label(teacher: nn.Module, texts: Sequence[Text], store: Path, heads: Sequence[Head] = HEADS) -> SoftLabels:
    found = soft_labels(teacher, letters(), heads, texts, store, letters())
    assert found is not None and len(found) == len(texts)
    return found


def logits(found: SoftLabels) -> np.ndarray:
    return np.stack([target["logits"] for target in found])


def shards(store: Path) -> list[Path]:
    return sorted(path.parent for path in store.rglob("keys.npy"))


def test_a_second_student_does_not_run_the_teacher(tmp_path: Path) -> None:
    teacher = Counting()
    first = logits(label(teacher, TEXTS, tmp_path))
    assert teacher.read == len(TEXTS) and first.shape == (150, 3) and first.dtype == np.float32
    teacher.read = 0
    again = logits(label(teacher, TEXTS[::-1], tmp_path))
    assert teacher.read == 0
    assert np.array_equal(again, first[::-1])
    (ids,) = {len(item["input_ids"]) for item in letters()([TEXTS[0]])}
    with torch.no_grad():
        item = torch.from_numpy(letters()([TEXTS[0]])[0]["input_ids"]).long().unsqueeze(0)
        assert ids > 5 and np.allclose(first[0], teacher(item, torch.ones_like(item))["logits"][0].numpy(), atol=1e-5)


def test_only_new_texts_are_computed_and_repeats_once(tmp_path: Path) -> None:
    teacher = Counting()
    label(teacher, TEXTS[:10], tmp_path)
    teacher.read = 0
    found = logits(label(teacher, [*TEXTS[5:12], "new", "new"], tmp_path))
    assert teacher.read == 3
    assert np.array_equal(found[-1], found[-2])
    alone = logits(label(Counting(), [TEXTS[11]], tmp_path / "other"))
    assert np.allclose(found[6], alone[0], atol=1e-5)


def test_a_reader_that_cuts_elsewhere_has_answers_of_its_own(tmp_path: Path) -> None:
    teacher = Counting()
    label(teacher, TEXTS[:5], tmp_path)
    soft_labels(teacher, letters(8), HEADS, TEXTS[:5], tmp_path, letters())
    assert teacher.read == 10


@pytest.mark.parametrize("heads", [HEADS, TAGS, PLACES], ids=["text", "tags", "places"])
def test_an_interrupted_store_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heads: tuple[Head, ...]
) -> None:
    monkeypatch.setattr(module, "SHARD", 20)
    monkeypatch.setattr(module, "BATCH", 10)
    broken = Counting(heads, limit=75)
    with pytest.raises(KeyboardInterrupt):
        label(broken, TEXTS, tmp_path, heads)
    assert len(shards(tmp_path)) == 3  # three full shards; the half one is lost
    # What a process leaves that is killed while it writes one.
    (shards(tmp_path)[0].parent / ".0123.abc.part").mkdir()
    teacher = Counting(heads)
    resumed = label(teacher, TEXTS, tmp_path, heads)
    assert teacher.read == len(TEXTS) - 60
    expected = label(Counting(heads), TEXTS, tmp_path / "whole", heads)
    for one, other in zip(resumed, expected, strict=True):
        assert one.keys() == other.keys()
        assert all(np.allclose(one[name], other[name], atol=1e-2, equal_nan=True) for name in one)


def test_tags_are_stored_where_words_begin(tmp_path: Path) -> None:
    teacher = Counting(TAGS)
    found = label(teacher, TEXTS, tmp_path, TAGS)
    spans = [letters().spans(text) for text in TEXTS]
    (shard,) = shards(tmp_path)
    stored = np.load(shard / "slots.head.npy")
    assert stored.dtype == np.float16 and stored.shape == (sum(len(units(each)) for each in spans), 5)
    for text, each, target in zip(TEXTS, spans, found, strict=True):
        ids = torch.from_numpy(letters()([text])[0]["input_ids"]).long()
        exact = teacher.tables["slots"](ids).detach().numpy()
        begins = units(each)
        assert target["slots"].shape == (len(ids), 5) and target["slots"].dtype == np.float32
        # Half precision: a thousandth of the number.
        assert (np.abs(target["slots"][begins] - exact[begins]) <= 1e-3 * np.abs(exact[begins]) + 1e-7).all()
        others = np.setdiff1d(np.arange(len(ids)), begins)
        assert np.isnan(target["slots"][others]).all() and len(others) > len(begins)
        assert target["intent"].shape == (3,)


def test_a_student_with_other_tokens_takes_the_words_of_the_teacher(tmp_path: Path) -> None:
    copied = label(Counting(TAGS), TEXTS, tmp_path, TAGS)
    teacher = Counting(TAGS)
    found = soft_labels(teacher, letters(), TAGS, TEXTS, tmp_path, whole())
    assert found is not None and teacher.read == 0
    for text, mine, theirs in zip(TEXTS, found, copied, strict=True):
        assert mine["slots"].shape == (5, 5)  # [CLS] text number 7 [SEP]
        begins = units(letters().spans(text))
        assert np.array_equal(mine["slots"][1:4], theirs["slots"][begins])
        assert np.isnan(mine["slots"][[0, 4]]).all()


def test_words_that_the_teacher_did_not_read_are_nan(tmp_path: Path) -> None:
    found = soft_labels(Counting(TAGS), letters(8), TAGS, ["text number 7"], tmp_path, whole())
    assert found is not None
    rows = found[0]["slots"]  # the teacher read "text" and "nu"
    assert np.isfinite(rows[1:3]).all() and np.isnan(rows[[0, 3, 4]]).all()


def test_places_are_stored_for_each_token(tmp_path: Path) -> None:
    teacher = Counting(PLACES)
    found = label(teacher, ["", *TEXTS], tmp_path, PLACES)
    for text, target in zip(["", *TEXTS], found, strict=True):
        ids = torch.from_numpy(letters()([text])[0]["input_ids"]).long()
        exact = teacher.tables["logits"](ids).detach().numpy()
        assert target["logits"].shape == exact.shape and np.allclose(target["logits"], exact, rtol=1e-3, atol=1e-7)


def test_numbers_beyond_half_precision_stay_finite(tmp_path: Path) -> None:
    answer = Answer(np.array([[0, 0, 1]], np.int32), {"slots": np.array([[1e6, -1e6, 1, 2, 3]], np.float32)})
    write_shard(tmp_path, TAGS[1:], np.zeros((1, 16), np.uint8), [answer])
    assert Store(tmp_path, TAGS[1:]).read(0).heads["slots"].tolist() == [[65504, -65504, 1, 2, 3]]


def test_a_large_store_stays_on_the_disk(tmp_path: Path) -> None:
    """Neither its numbers nor its files are held: thousands of shards are more than a process may open."""
    head = (Head("vector", 4000, "vector"),)
    generator = np.random.default_rng(0)
    keys = generator.integers(0, 256, (1200, 16), np.uint8)
    rows = generator.normal(size=(1200, 4000)).astype(np.float32)  # 19 MB
    for start in range(0, 1200, 30):
        answers = [Answer(None, {"vector": row}) for row in rows[start : start + 30]]
        write_shard(tmp_path, head, keys[start : start + 30], answers)
    tracemalloc.start()
    opened = len(os.listdir("/proc/self/fd"))
    store = Store(tmp_path, head)
    places = store.find(keys)
    for index in generator.permutation(1200)[:400]:
        assert np.array_equal(store.read(int(places[index])).heads["vector"], rows[index])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(os.listdir("/proc/self/fd")) == opened
    assert peak < 1_000_000


def test_a_store_finds_what_it_has_and_nothing_else(tmp_path: Path) -> None:
    keys = np.zeros((6, 16), np.uint8)
    keys[:, 0] = [5, 1, 1, 1, 0, 255]
    keys[2, 15], keys[3, 1] = 1, 255  # keys that begin alike, and a key of zeros
    for start in (0, 3):
        answers = [Answer(None, {"logits": np.full(3, n, np.float32)}) for n in range(start, start + 3)]
        write_shard(tmp_path, HEADS, keys[start : start + 3], answers)
    store = Store(tmp_path, HEADS)
    places = store.find(keys)
    assert [store.read(place).heads["logits"][0] for place in places.tolist()] == [0, 1, 2, 3, 4, 5]
    assert store.find(np.full((1, 16), 7, np.uint8)).tolist() == [-1]
    assert Store(tmp_path / "none", HEADS).find(keys).tolist() == [-1] * 6


@pytest.mark.parametrize("damage", ["cut", "header", "empty", "gone", "width", "offsets"])
def test_a_damaged_shard_is_named(tmp_path: Path, damage: str) -> None:
    label(Counting(TAGS), TEXTS, tmp_path, TAGS)
    (shard,) = shards(tmp_path)
    path = shard / "slots.head.npy"
    content = bytearray(path.read_bytes())
    heads = TAGS
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "header":
        content[12] ^= 255
        path.write_bytes(content)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "gone":
        path.unlink()
    elif damage == "offsets":
        np.save(shard / "units.npy", np.arange(151) * 7)
    else:
        heads = (TAGS[0], Head("slots", 4, "classes", per_token=True))
    with pytest.raises(EdgeBertError) as caught:
        label(Counting(TAGS), TEXTS, tmp_path, heads)
    assert str(shard) in str(caught.value) and "delete it and run again" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_old_stores_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "0123.npz").write_bytes(b"of an older version")
    label(Counting(), TEXTS[:3], tmp_path)
    assert (tmp_path / "0123.npz").read_bytes() == b"of an older version"


def test_no_texts_no_labels(tmp_path: Path) -> None:
    assert list(label(Counting(), [], tmp_path)) == []


def test_what_would_fill_the_disk_is_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = namedtuple("usage", "total used free")
    teacher = Counting(TAGS)
    needed = sum(module._bytes(TAGS, letters(), text) for text in TEXTS)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 2 * needed - 2))
    assert soft_labels(teacher, letters(), TAGS, TEXTS, tmp_path, letters()) is None
    printed = capsys.readouterr().err
    assert teacher.read == 0 and not shards(tmp_path)
    assert "the teacher runs beside the student: its answers would take 0.0 GB" in printed
    assert "EDGEBERT_CACHE" in printed
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 2 * needed))
    label(teacher, TEXTS, tmp_path, TAGS)
    stored = sum(path.stat().st_size for path in shards(tmp_path)[0].iterdir())
    assert stored == needed + 8 + 5 * 128  # what was guessed, the last offset, and five headers
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 0))
    label(teacher, TEXTS, tmp_path, TAGS)  # nothing is missing, so nothing is written


def test_the_words_of_a_vocabulary_are_never_stored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = Head("logits", 9, "classes", per_token=True, tied=True)
    assert soft_labels(Counting((head,)), letters(), (head,), TEXTS, tmp_path, letters()) is None
    assert "the teacher runs beside the student" in capsys.readouterr().err


def test_a_full_disk_is_said_and_leaves_no_shard(
    tmp_path: Path, full_disk: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    code = """
from pathlib import Path
import numpy as np
from edgebert.distillation.store import Answer, Store, write_shard
from edgebert.tasks.heads import Head
from edgebert_runtime.errors import EdgeBertError
heads = (Head("vector", 50_000, "vector"),)
try:
    write_shard(Path("store"), heads, np.zeros((1, 16), np.uint8), [Answer(None, {"vector": np.zeros(50_000)})])
except EdgeBertError as error:
    print(error)
print(len(Store(Path("store"), heads).shards), list(Path("store").iterdir()))
"""
    result = full_disk(code, tmp_path)
    assert result.returncode == 0, result.stderr
    message, state = result.stdout.splitlines()
    assert "the disk is full" in message and state == "0 []"


def test_a_pair_and_its_json_are_two_texts() -> None:
    texts: list[Text] = [("a", "b"), '["a", "b"]', "ab", ("ab", ""), "\ud800", ""]
    assert len({digest(text) for text in texts}) == len(texts)
    assert all(len(digest(text)) == 16 for text in texts)
