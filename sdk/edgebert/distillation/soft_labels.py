"""The teacher's answers, computed once a text, kept on disk, and reused by every student.

A store is a folder named after the teacher's hash; `edgebert.distillation.store` says what is in it. A shard is written
when it is full, so an interrupted run loses at most one, and a second student finds everything there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import nn

from edgebert.console import Progress, note
from edgebert.distillation.align import align, ranges_of
from edgebert.distillation.batches import collate, tokens_of
from edgebert.distillation.store import DIGEST, KEY, TOKENS, UNITS, Answer, Store, rows_of, write_shard
from edgebert.distillation.trainer import processes, resolve_precision
from edgebert.tasks.base import Target
from edgebert.tasks.heads import Head
from edgebert_runtime.features import Featurizer, Text

SHARD = 4096
BATCH = 64
CHUNK = 100_000  # texts whose digests are made at once
SAMPLED = 1000  # texts from which the size of all answers is guessed


def cache_folder() -> Path:
    """Where soft labels are kept: `$EDGEBERT_CACHE`, else `~/.cache/edgebert`."""
    return Path(os.environ.get("EDGEBERT_CACHE") or Path.home() / ".cache" / "edgebert") / "soft_labels"


def digest(text: Text) -> bytes:
    """16 bytes that stand for a text or a pair."""
    return hashlib.blake2b(json.dumps(text).encode("ascii"), digest_size=DIGEST).digest()


class SoftLabels(Sequence[Target]):
    """A teacher's answer to each text, read when it is asked for and brought to the student's tokens.

    The rows of a per-token head are the student's tokens: nan where the teacher says nothing, as at a token that does
    not begin a word, or where the teacher's text was cut off.
    """

    def __init__(
        self, store: Store, places: np.ndarray, heads: Sequence[Head], texts: Sequence[Text], student: Featurizer
    ) -> None:
        self.store, self.places, self.heads, self.texts, self.student = store, places, heads, texts, student

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Target:  # type: ignore[override]
        answer = self.store.read(int(self.places[index]))
        if answer.spans is None:
            return dict(answer.heads)
        spans = self.student.spans(self.texts[index])
        begins, ranges = ranges_of(spans)
        found = align(ranges, answer.spans)
        target = dict(answer.heads)
        for head in self.heads:
            if rows_of(head) == UNITS:
                rows = np.full((len(spans), head.width), np.nan, np.float32)
                rows[begins[found >= 0]] = target[head.name][found[found >= 0]]
                target[head.name] = rows
        return target


def soft_labels(
    teacher: nn.Module,
    reader: Featurizer,
    heads: Sequence[Head],
    texts: Sequence[Text],
    store: Path,
    student: Featurizer,
) -> SoftLabels | None:
    """The teacher's answers to `texts`; what the store lacks is computed and added to it.

    Args:
        reader: the teacher's featurizer; the student's own may cut a text into other tokens (see `align`).
    Returns:
        None where they are not worth storing, and the teacher must run beside the student; it is printed why.
    Raises:
        EdgeBertError: a shard is damaged, or the disk is full.
    """
    state = processes()
    if any(head.tied for head in heads):
        if state.is_main_process:
            note("the teacher runs beside the student: it has an answer for each word of the vocabulary at each token.")
        return None
    folder = store / "v2" / str(reader.max_length)
    known = Store(folder, heads)
    state.wait_for_everyone()  # all have read the same store before one of them adds to it
    keys = _digests(texts)
    missing = np.flatnonzero(known.find(keys) < 0)
    # Each text once, the shortest first.
    _, first = np.unique(keys[missing].view(KEY).ravel(), return_index=True)
    order = sorted(missing[first].tolist(), key=lambda index: (len(str(texts[index])), keys[index].tobytes()))
    if not _agreed(_fits(heads, reader, texts, order, folder)):
        return None
    share = order[state.process_index :: state.num_processes]
    if share:
        _compute(teacher, reader, heads, texts, share, keys, folder)
    state.wait_for_everyone()
    if order:
        known = Store(folder, heads)
    return SoftLabels(known, known.find(keys), heads, texts, student)


def _digests(texts: Sequence[Text]) -> np.ndarray:
    """The digest of each text, uint8 [n, 16]."""
    each = (digest(text) for text in texts)
    parts = []
    while chunk := list(islice(each, CHUNK)):
        parts.append(np.frombuffer(b"".join(chunk), np.uint8).reshape(-1, DIGEST))
    return np.concatenate(parts) if parts else np.zeros((0, DIGEST), np.uint8)


def _agreed(choice: bool) -> bool:
    """The main process's choice, in all of them: each sees the disk at another moment."""
    from accelerate.utils import broadcast_object_list

    choices = [choice]
    broadcast_object_list(choices)
    return choices[0]


def _fits(
    heads: Sequence[Head], reader: Featurizer, texts: Sequence[Text], missing: Sequence[int], folder: Path
) -> bool:
    """Whether the answers to the missing texts take at most half of what is free; if not, that is printed."""
    sample = [texts[index] for index in missing[:: max(1, len(missing) // SAMPLED)]]
    needed = sum(_bytes(heads, reader, text) for text in sample) / max(1, len(sample)) * len(missing)
    place = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(place).free
    if needed <= free / 2:
        return True
    if processes().is_main_process:
        note(
            f"the teacher runs beside the student: its answers would take {needed / 1e9:.1f} GB, and of the "
            f"{free / 1e9:.1f} GB that are free in {place} they may take half. EDGEBERT_CACHE names another disk."
        )
    return False


def _bytes(heads: Sequence[Head], reader: Featurizer, text: Text) -> int:
    """How much of the disk the answers to one text take."""
    kinds = {rows_of(head) for head in heads}
    spans = reader.spans(text) if kinds - {""} else np.zeros((0, 4), np.int32)
    units = len(ranges_of(spans)[0])
    rows = {UNITS: units, TOKENS: len(spans)}
    sizes = [head.width * (2 * rows[rows_of(head)] if head.per_token else 4) for head in heads]
    return DIGEST + sum(sizes) + 8 * len(kinds - {""}) + 12 * units * (UNITS in kinds)


def _compute(
    teacher: nn.Module,
    reader: Featurizer,
    heads: Sequence[Head],
    texts: Sequence[Text],
    chosen: Sequence[int],
    keys: np.ndarray,
    folder: Path,
) -> None:
    """Add the answers to the chosen texts to the store, in their order (shortest texts first)."""
    teacher.eval()
    pending: list[Answer] = []
    written = 0
    with Progress(len(chosen), "teacher labels") as bar:
        for start in range(0, len(chosen), BATCH):
            batch = [texts[index] for index in chosen[start : start + BATCH]]
            pending += _answers(teacher, reader, heads, batch)
            if len(pending) >= SHARD or start + BATCH >= len(chosen):
                whole = chosen[written : written + len(pending)]
                write_shard(folder, heads, keys[list(whole)], pending)
                written, pending = written + len(whole), []
            bar.update(len(batch))


@torch.no_grad()
def _answers(teacher: nn.Module, reader: Featurizer, heads: Sequence[Head], texts: Sequence[Text]) -> Iterator[Answer]:
    """What the teacher says of each text of a batch."""
    device = next(teacher.parameters()).device
    bf16 = resolve_precision("auto", teacher, device) == "bf16"
    features = reader(texts)
    inputs = collate(features, reader.inputs, reader.min_length, device)
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        outputs = teacher(*inputs)
    values = {head.name: outputs[head.name].float().cpu().numpy() for head in heads}
    words = any(rows_of(head) == UNITS for head in heads)
    for row, (text, item) in enumerate(zip(texts, features, strict=True)):
        begins, spans = ranges_of(reader.spans(text)) if words else (None, None)
        places = {"": ..., UNITS: begins, TOKENS: slice(tokens_of(item, reader.inputs))}
        yield Answer(spans, {head.name: values[head.name][row][places[rows_of(head)]] for head in heads})
