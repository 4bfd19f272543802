"""The training loop: deterministic, resumable after kill -9, stops early, says when it diverges."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import edgebert
from edgebert_runtime.errors import EdgeBertError

MINI = {"name": "mobilebert-mini", "hidden": 32, "bottleneck": 16, "embedding": 16, "feedforward": 32}
MINI |= {"heads": 2, "layers": 2}
NGRAM = {"name": "ngram", "min_count": 1, "hidden": 16}
STUDENTS = pytest.mark.parametrize("student", [NGRAM, MINI], ids=["ngram", "mobilebert"])
Recipe = Callable[..., Path]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(run / "model.safetensors"))


def same(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def log(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


@pytest.fixture
def train(tiny_teacher: Path, tiny_data: Path, tmp_path: Path, write_recipe: Recipe) -> Callable[..., Path]:
    """Distill into a folder of its own: `train("name", student, epochs=...)` gives the run folder."""

    def run(name: str, student: dict[str, Any], *, recipe: dict[str, Any] | None = None, **training: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        settings = {"epochs": 2, "max_length": 24, "precision": "fp32", **training}
        path = write_recipe(
            folder,
            teacher=tiny_teacher,
            student=student,
            data={"path": str(tiny_data)},
            training=settings,
            **(recipe or {}),
        )
        return edgebert.distill(path)

    return run


@STUDENTS
def test_a_seed_gives_one_result(train: Callable[..., Path], student: dict[str, Any]) -> None:
    first = train("first", student, seed=3)
    again = train("again", student, seed=3)
    assert same(first, again) and log(first) == log(again)
    assert not same(first, train("other", student, seed=4))


@STUDENTS
def test_kill_9_and_the_same_command_again_give_the_same_weights(
    train: Callable[..., Path],
    tmp_path: Path,
    tiny_teacher: Path,
    tiny_data: Path,
    write_recipe: Recipe,
    student: dict[str, Any],
) -> None:
    settings = {"epochs": 8, "max_length": 24, "precision": "fp32", "patience": 100, "batch_size": 16}
    folder = tmp_path / "killed"
    folder.mkdir()
    recipe = write_recipe(
        folder,
        teacher=tiny_teacher,
        student=student,
        data={"path": str(tiny_data)},
        training={**settings, "checkpoint_seconds": 0},
    )
    killed = _kill_in_the_middle([sys.executable, "-m", "edgebert", "distill", str(recipe)], folder / "run")
    assert killed == -signal.SIGKILL
    assert not (folder / "run" / "run.json").exists()
    done = len(log(folder / "run"))
    resumed = edgebert.distill(recipe)
    whole = train("whole", student, **settings)
    assert 1 <= done < len(log(whole)) == 8
    assert same(resumed, whole) and log(resumed) == log(whole)
    assert {path.name for path in resumed.iterdir()} == {path.name for path in whole.iterdir()}


def _kill_in_the_middle(command: list[str], out: Path) -> int:
    """Start a run, end it with SIGKILL once it has a checkpoint behind its first dev check; its exit status."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline and process.poll() is None:
            if (out / "metrics.jsonl").exists() and (out / "checkpoint.pt").exists():
                process.kill()
                break
            time.sleep(0.01)
        else:
            process.kill()
            assert process.stderr is not None
            pytest.fail(f"no checkpoint appeared: {process.stderr.read().decode()}")
        return process.wait()


def test_training_stops_when_dev_no_longer_improves(train: Callable[..., Path]) -> None:
    run = train(
        "still", NGRAM, epochs=9, patience=2, learning_rate=1e-12, sparse_learning_rate=1e-12, checks_per_epoch=1
    )
    assert len(log(run)) == 3  # the first is the best; two more are not better


def test_the_best_weights_are_kept(train: Callable[..., Path]) -> None:
    run = train("best", NGRAM, epochs=4, patience=10)
    described = json.loads((run / "run.json").read_text())
    assert described["metrics"]["dev"]["accuracy"] == pytest.approx(max(line["dev"] for line in log(run)), abs=1e-5)


def test_dev_is_checked_as_often_as_asked(train: Callable[..., Path]) -> None:
    run = train("often", NGRAM, epochs=2, batch_size=10, checks_per_epoch=4, patience=100)
    assert [line["step"] for line in log(run)] == [5, 10, 15, 20, 25, 30, 35, 40]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "auto"])
def test_each_precision_trains(train: Callable[..., Path], precision: str) -> None:
    run = train(precision, MINI, epochs=1, precision=precision)
    assert all(value.dtype == torch.float32 and torch.isfinite(value).all() for value in weights(run).values())
    assert json.loads((run / "run.json").read_text())["provenance"]["job"]["training"]["precision"] == precision


def test_bf16_is_really_used(train: Callable[..., Path]) -> None:
    assert not same(train("a", MINI, epochs=1, precision="fp32"), train("b", MINI, epochs=1, precision="bf16"))


def test_a_training_that_diverges_says_so(train: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(EdgeBertError, match=r"the training has diverged. Take a smaller learning_rate"):
        train("wild", MINI, learning_rate=1e30, warmup=0)
    assert not (tmp_path / "wild" / "run" / "run.json").exists()


def test_all_objectives_at_once(train: Callable[..., Path]) -> None:
    names = ("logits", "hard_labels", "feature_maps", "attention", "hidden_states", "embedding")
    run = train(
        "all", {**MINI, "hidden": 24}, recipe={"objectives": {name: {"weight": 0.5} for name in names}}, epochs=3
    )
    first, *_, last = log(run)
    assert all(last[f"loss_{name}"] < first[f"loss_{name}"] for name in names)
    assert not any("projection" in name for name in weights(run))


def test_a_damaged_checkpoint_is_named(
    tiny_teacher: Path, tiny_data: Path, tmp_path: Path, write_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgebert.distillation.trainer import Trainer

    recipe = write_recipe(
        tmp_path, teacher=tiny_teacher, student=NGRAM, data={"path": str(tiny_data)}, training={"checkpoint_seconds": 0}
    )
    checks: list[int] = []

    def interrupt(self: Trainer, loss: float, parts: dict[str, float]) -> None:
        checks.append(1)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_check", interrupt)
        with pytest.raises(KeyboardInterrupt):
            edgebert.distill(recipe)
    assert checks
    path = tmp_path / "run" / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(EdgeBertError, match=r"checkpoint.pt is damaged; remove it"):
        edgebert.distill(recipe)


def test_two_processes_make_the_same_set_of_files(
    train: Callable[..., Path], tiny_teacher: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (torch.distributed.is_available() and torch.distributed.is_gloo_available()):
        pytest.skip("needs gloo")
    monkeypatch.setenv("EDGEBERT_CACHE", str(tmp_path / "cache"))  # so that both have texts to label
    out = tmp_path / "two"
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")  # also where there is a GPU
    # `accelerate launch --cpu` starts one process, whatever --num_processes says; torchrun starts two.
    launch = "-m torch.distributed.run --standalone --nproc-per-node 2"
    command = [sys.executable, *launch.split(), "-m", "edgebert", "distill"]
    command += ["--teacher", str(tiny_teacher), "--student", "ngram", "--data", str(tiny_data), "--out", str(out)]
    result = subprocess.run(
        [*command, "--epochs", "2", "--max-length", "24"], capture_output=True, text=True, timeout=400
    )
    assert result.returncode == 0, result.stderr[-3000:]
    one = train("one", {"name": "ngram"})
    assert {str(path.relative_to(out)) for path in out.rglob("*")} == {str(p.relative_to(one)) for p in one.rglob("*")}
    assert log(out)[-1]["step"] * 2 == log(one)[-1]["step"]  # two batches a step
    stored = len(list((tmp_path / "cache").rglob("keys.npy")))
    assert stored == 2  # a shard from each process: they shared the work
