"""The teacher's logits, computed once a text, kept on disk, and reused by every student.

A store is a folder named after the teacher's hash. Each shard in it holds text digests and logits; a shard is written
when it is full, so an interrupted run loses at most one, and a second student finds everything there.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from edgebert.console import Progress
from edgebert.distillation.batches import collate
from edgebert.distillation.trainer import processes, resolve_precision
from edgebert_runtime.errors import EdgeBertError
from edgebert_runtime.features import Featurizer, Text
from edgebert_runtime.files import atomic_write

SHARD = 4096
BATCH = 64
DIGEST = 16


def cache_folder() -> Path:
    """Where soft labels are kept: `$EDGEBERT_CACHE`, else `~/.cache/edgebert`."""
    return Path(os.environ.get("EDGEBERT_CACHE") or Path.home() / ".cache" / "edgebert") / "soft_labels"


def digest(text: Text) -> bytes:
    """16 bytes that stand for a text or a pair."""
    return hashlib.blake2b(json.dumps(text).encode("ascii"), digest_size=DIGEST).digest()


def soft_labels(
    teacher: nn.Module, featurizer: Featurizer, texts: Sequence[Text], classes: int, store: Path
) -> np.ndarray:
    """The teacher's logits for `texts`, float32 [n, classes]; what the store lacks is computed and added to it.

    Raises:
        EdgeBertError: a shard is damaged, or the disk is full.
    """
    state = processes()
    known = read_store(store, classes)
    state.wait_for_everyone()  # all have read the same store before one of them adds to it
    digests = [digest(text) for text in texts]
    missing: dict[bytes, Text] = {}
    for key, text in zip(digests, texts, strict=True):
        if key not in known:
            missing[key] = text
    keys = sorted(missing, key=lambda key: (len(str(missing[key])), key))
    share = keys[state.process_index :: state.num_processes]
    if share:
        _compute(teacher, featurizer, {key: missing[key] for key in share}, store, known)
    state.wait_for_everyone()
    if state.num_processes > 1:
        known = read_store(store, classes)
    return np.stack([known[key] for key in digests]) if digests else np.zeros((0, classes), np.float32)


def read_store(store: Path, classes: int) -> dict[bytes, np.ndarray]:
    """Every text digest in the store with its logits [classes].

    Raises:
        EdgeBertError: a shard that cannot be read, with what to do.
    """
    known: dict[bytes, np.ndarray] = {}
    for path in sorted(store.glob("*.npz")):
        try:
            with np.load(path, allow_pickle=False) as shard:
                keys, logits = shard["keys"], shard["logits"]
            if keys.shape != (len(logits), DIGEST) or logits.shape[1:] != (classes,):
                raise ValueError(f"shapes {keys.shape} and {logits.shape}")
        except Exception as error:  # numpy and zipfile raise many kinds on a damaged file
            raise EdgeBertError(
                f"the soft-label shard {path} is damaged ({error}); delete it and run again."
            ) from error
        for key, row in zip(keys, logits, strict=True):
            known[key.tobytes()] = row
    return known


@torch.no_grad()
def _compute(
    teacher: nn.Module,
    featurizer: Featurizer,
    missing: dict[bytes, Text],
    store: Path,
    known: dict[bytes, np.ndarray],
) -> None:
    """Fill `known` and the store with the logits of `missing`, in its order (shortest texts first)."""
    teacher.eval()
    device = next(teacher.parameters()).device
    bf16 = resolve_precision("auto", teacher, device) == "bf16"
    keys = list(missing)
    pending: list[bytes] = []
    with Progress(len(keys), "teacher labels") as bar:
        for start in range(0, len(keys), BATCH):
            chosen = keys[start : start + BATCH]
            features = featurizer([missing[key] for key in chosen])
            inputs = collate(features, featurizer.inputs, featurizer.min_length, device)
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                logits = teacher(*inputs)["logits"].float().cpu().numpy()
            known.update(zip(chosen, logits, strict=True))
            pending += chosen
            if len(pending) >= SHARD or start + BATCH >= len(keys):
                _write_shard(store, pending, known)
                pending = []
            bar.update(len(chosen))


def _write_shard(store: Path, keys: list[bytes], known: dict[bytes, np.ndarray]) -> None:
    name = hashlib.blake2b(b"".join(keys), digest_size=8).hexdigest()
    # By way of memory (a shard is small): numpy's archive, cut off by a full disk, complains again when deleted.
    shard = io.BytesIO()
    np.savez(
        shard,
        keys=np.frombuffer(b"".join(keys), np.uint8).reshape(-1, DIGEST),
        logits=np.stack([known[key] for key in keys]).astype(np.float32),
    )
    with atomic_write(store / f"{name}.npz") as handle:
        handle.write(shard.getvalue())
