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


def fingerprint(job: Mapping[str, Any]) -> str:
    """A hash of what a run is made of: the same job resumes, another one is refused."""
    return hashlib.sha256(json.dumps(job, sort_keys=True, default=str).encode()).hexdigest()


def claim(out: Path, job: Mapping[str, Any]) -> bool:
    """Make `out` the folder of this job; True if the job is finished already.

    Raises:
        UsageError: the folder holds something else, which is left alone.
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
    if out.is_dir() and any(out.iterdir()):
        raise UsageError(f"--out {out} is not empty and holds no run; give another --out.")
    with atomic_write(record) as handle:
        handle.write(json.dumps({"fingerprint": fingerprint(job), "job": job}, indent=1, default=str).encode())
    return False


def save(out: Path, state: Mapping[str, Any]) -> None:
    """Replace the checkpoint; the random state of torch goes with it."""
    with atomic_write(out / CHECKPOINT) as handle:
        torch.save({**state, "random": torch.get_rng_state()}, handle)


def load(out: Path) -> dict[str, Any] | None:
    """The last checkpoint, with torch's random state put back; None if there is none.

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
    torch.set_rng_state(state.pop("random"))
    return state


def remove(out: Path) -> None:
    """Delete the checkpoint of a finished run."""
    (out / CHECKPOINT).unlink(missing_ok=True)
