"""Checkpoints and the folder of a run: whose it is, and a disk that is full."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from edgebert.distillation import checkpoint
from edgebert_runtime.errors import EdgeBertError, UsageError

JOB = {"command": "distill", "seed": 1}


def test_a_new_folder_is_made_and_nothing_is_in_it(tmp_path: Path) -> None:
    out = tmp_path / "a" / "run"
    assert checkpoint.claim(out, JOB) is False
    assert list(out.iterdir()) == []
    assert checkpoint.claim(out, {**JOB, "seed": 2}) is False  # a job that never began holds no folder


def test_the_same_job_goes_on_and_another_is_refused(tmp_path: Path) -> None:
    checkpoint.begin(tmp_path, JOB)
    assert checkpoint.claim(tmp_path, JOB) is False
    with pytest.raises(UsageError, match="other settings"):
        checkpoint.claim(tmp_path, {**JOB, "seed": 2})
    (tmp_path / "run.json").write_text("{}")
    assert checkpoint.claim(tmp_path, JOB) is True


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("do not lose")
    with pytest.raises(UsageError, match="not empty and holds no run"):
        checkpoint.claim(tmp_path, JOB)
    with pytest.raises(UsageError, match="is a file"):
        checkpoint.claim(tmp_path / "thesis.txt", JOB)
    assert (tmp_path / "thesis.txt").read_text() == "do not lose"


@pytest.mark.parametrize("content", ["", "{", "[]", '"x"'])
def test_a_damaged_record_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "job.json").write_text(content)
    with pytest.raises(UsageError, match="damaged"):
        checkpoint.claim(tmp_path, JOB)


def test_what_a_killed_process_left_half_written_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".checkpoint.pt.0123456789ab.part").write_bytes(b"half")
    assert checkpoint.claim(tmp_path, JOB) is False
    checkpoint.begin(tmp_path, JOB)
    assert [path.name for path in tmp_path.iterdir()] == ["job.json"]


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path) is None
    checkpoint.save(tmp_path, {"state": {"step": 3}, "weights": torch.arange(3.0)})
    state = checkpoint.load(tmp_path)
    assert state is not None and state["state"] == {"step": 3} and state["weights"].tolist() == [0, 1, 2]
    (tmp_path / "checkpoint.pt").write_bytes(b"PK nonsense")
    with pytest.raises(EdgeBertError, match="is damaged; remove it"):
        checkpoint.load(tmp_path)
    checkpoint.remove(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_keeps_the_last_checkpoint(
    tmp_path: Path, full_disk: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    code = """
import sys
from pathlib import Path
import torch
from edgebert.distillation import checkpoint
from edgebert_runtime.errors import EdgeBertError
out = Path("run")
checkpoint.save(out, {"step": 1})
try:
    checkpoint.save(out, {"weights": torch.zeros(100_000)})
except EdgeBertError as error:
    print(error)
print(checkpoint.load(out), [p.name for p in out.iterdir()])
"""
    result = full_disk(code, tmp_path)
    assert result.returncode == 0, result.stderr
    message, state = result.stdout.splitlines()
    assert "the disk is full" in message and "checkpoint.pt" in message
    assert state == "{'step': 1} ['checkpoint.pt']"
