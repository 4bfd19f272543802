"""Checkpoints: everything that the next step depends on, in one file that is replaced as a whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from edgebert_runtime.errors import EdgeBertError, UsageError
from edgebert_runtime.files import atomic_write

JOB = "job.json"
CHECKPOINT = "checkpoint.pt"
UNFINISHED = ".*.part"  # what `atomic_write` calls its temporary files


def fingerprint(job: Mapping[str, Any]) -> str:
    """A hash of what a run is made of: the same job resumes, another one is refused."""
    return hashlib.sha256(json.dumps(job, sort_keys=True, default=str).encode()).hexdigest()


def claim(out: Path, job: Mapping[str, Any]) -> bool:
    """See whether `out` may be the folder of this job, and make it; True if the job is finished already.

    Nothing is written there before `begin`: a job that fails on its settings leaves no trace.

    Raises:
        UsageError: the folder holds something else, which is left alone.
        EdgeBertError: the folder cannot be made.
    """
    record = out / JOB
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file; give a folder.")
    if record.is_file():
        try:
            known = json.loads(record.read_text(encoding="utf-8")).get("fingerprint")
        except (OSError, ValueError, AttributeError) as error:
            raise UsageError(f"{record} is damaged; give another --out or remove {out}.") from error
        if known != fingerprint(job):
            raise UsageError(
                f"--out {out} holds a run with other settings, data or teacher; give another --out or remove it."
            )
        return (out / "run.json").is_file()
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(not path.match(UNFINISHED) for path in out.iterdir()):
            raise UsageError(f"--out {out} is not empty and holds no run; give another --out.")
    except OSError as error:
        raise EdgeBertError(f"cannot write to --out {out}: {error.strerror or error}.") from error
    return False


def begin(out: Path, job: Mapping[str, Any]) -> None:
    """Write down what is being made in `out`, and clear away what a killed process left half-written there."""
    for path in out.glob(UNFINISHED):
        path.unlink(missing_ok=True)
    with atomic_write(out / JOB) as handle:
        handle.write(json.dumps({"fingerprint": fingerprint(job), "job": job}, indent=1, default=str).encode())


def save(out: Path, state: Mapping[str, Any]) -> None:
    """Replace the checkpoint.

    Raises:
        EdgeBertError: the disk is full; the last checkpoint is still there.
    """
    with atomic_write(out / CHECKPOINT) as handle:
        try:
            torch.save(dict(state), handle)
        except RuntimeError as error:  # torch's writer answers a full disk with an error about its own positions
            if isinstance(error.__context__, OSError):
                raise error.__context__ from error
            raise


def load(out: Path) -> dict[str, Any] | None:
    """The last checkpoint; None if there is none.

    Raises:
        EdgeBertError: it cannot be read.
    """
    path = out / CHECKPOINT
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds on a damaged file
        raise EdgeBertError(f"the checkpoint {path} is damaged; remove it to start this run again.") from error
    return state


def remove(out: Path) -> None:
    """Delete the checkpoint of a finished run."""
    (out / CHECKPOINT).unlink(missing_ok=True)
