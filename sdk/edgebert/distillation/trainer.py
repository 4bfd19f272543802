"""The training loop, for teachers and students alike: batches in, the best weights on dev out."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edgebert.console import Progress
from edgebert.distillation import checkpoint
from edgebert.distillation.batches import (
    TrainingSet,
    collate,
    collate_soft,
    collate_targets,
    lengths_of,
    plan,
    tokens_of,
)
from edgebert.distillation.optimizers import make_optimizers, schedule
from edgebert.models.outputs import Outputs
from edgebert.recipe import TrainingSection
from edgebert.tasks.heads import Head
from edgebert_runtime import outputs as runtime
from edgebert_runtime.errors import EdgeBertError
from edgebert_runtime.features import Features, Featurizer

# Texts scored at once outside of training; sorted by length, so a batch holds little padding.
SCORE_BATCH = 64


@dataclass
class Progressing:
    """Where a run stands; everything here is in the checkpoint."""

    step: int = 0
    best: float = -math.inf
    best_step: int = 0
    bad_checks: int = 0
    seconds: float = 0.0
    log_bytes: int = 0
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)


class Step(nn.Module):
    """Network and objectives in one module, so that accelerate wraps both: a batch to its loss."""

    def __init__(self, network: nn.Module, objectives: nn.ModuleDict) -> None:
        super().__init__()
        self.network, self.objectives = network, objectives
        self.attentions = any("attentions" in o.needs for o in objectives.values())  # type: ignore[operator]

    def forward(
        self, inputs: tuple[torch.Tensor, ...], teacher: Outputs | None, gold: Mapping[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Weighted loss (a scalar) and each objective's own value."""
        outputs = self.network.run(*inputs, attentions=self.attentions)  # type: ignore[operator]
        parts = {name: objective(outputs, teacher, gold) for name, objective in self.objectives.items()}
        total = torch.stack([parts[name] * o.settings.weight for name, o in self.objectives.items()]).sum()  # type: ignore[union-attr]
        return total, {name: part.detach() for name, part in parts.items()}


def resolve_precision(wanted: str, network: nn.Module, device: torch.device) -> str:
    """`fp32` or `bf16`: auto takes bf16 where the processor multiplies it natively and no table is sparse."""
    if wanted != "auto":
        return wanted
    if any(isinstance(m, nn.Embedding) and m.sparse for m in network.modules()):
        return "fp32"
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    native = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return "bf16" if native is not None and native() else "fp32"


def _accelerator(precision: str, network: nn.Module) -> Any:
    """accelerate's handle on devices and processes; its state is global, and each run sets its own precision."""
    from accelerate import Accelerator, DistributedDataParallelKwargs
    from accelerate.state import AcceleratorState

    chosen = resolve_precision(precision, network, processes().device)
    AcceleratorState._reset_state()
    # With several processes: an encoder's own pooler, which nothing reads, gets no gradient.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    return Accelerator(mixed_precision="bf16" if chosen == "bf16" else "no", kwargs_handlers=[unused])


def processes() -> Any:
    """accelerate's view of this process: `device`, `num_processes`, `process_index`, `wait_for_everyone()`."""
    from accelerate.state import PartialState

    # Said here because accelerate joins processes on a CPU only when told that it is to use one.
    launched = int(os.environ.get("LOCAL_RANK", -1)) != -1
    asked = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes")
    return PartialState(cpu=asked or (launched and not torch.cuda.is_available()))


@torch.no_grad()
def score(
    network: nn.Module,
    featurizer: Featurizer,
    heads: Sequence[Head],
    features: Sequence[Features],
    description: str | None = None,
) -> runtime.Outputs:
    """What the network answers to `features`, in their order, without dropout: float32, per-token heads cut to each
    text's own tokens."""
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    order = np.argsort(lengths_of(features), kind="stable")
    rows: dict[str, list[np.ndarray]] = {head.name: [np.zeros(0, np.float32)] * len(order) for head in heads}
    with Progress(len(order), description) if description else contextlib.nullcontext() as bar:
        for start in range(0, len(order), SCORE_BATCH):
            places = order[start : start + SCORE_BATCH]
            chosen = [features[i] for i in places]
            inputs = collate(chosen, featurizer.inputs, featurizer.min_length, device)
            answers = network(*inputs)
            for head in heads:
                values = answers[head.name].float().cpu().numpy()
                for row, place in enumerate(places):
                    # A copy, or a text's few tokens would keep the whole padded batch in memory.
                    rows[head.name][place] = (
                        values[row, : tokens_of(chosen[row], featurizer.inputs)].copy()
                        if head.per_token
                        else values[row]
                    )
            if bar is not None:
                bar.update(len(chosen))
    network.train(was_training)
    return {
        head.name: rows[head.name] if head.per_token else np.array(rows[head.name], np.float32).reshape(-1, head.width)
        for head in sorted(heads, key=lambda head: head.name)
    }


class Trainer:
    """One run. `train` is the loop; the rest are its parts.

    Args:
        heads: what the network answers, and a teacher too.
        teacher: runs along when an objective needs more than stored answers; its featurizer feeds it.
        check: the network's score on dev, higher is better.
    """

    def __init__(
        self,
        network: nn.Module,
        featurizer: Featurizer,
        heads: Sequence[Head],
        data: TrainingSet,
        objectives: nn.ModuleDict,
        settings: TrainingSection,
        out: Path,
        check: Callable[[nn.Module], float],
        teacher: tuple[nn.Module, Featurizer] | None = None,
    ) -> None:
        self.accelerator = _accelerator(settings.precision, network)
        self.network, self.featurizer, self.data, self.settings, self.out = network, featurizer, data, settings, out
        self.heads, self.check, self.teacher = heads, check, teacher
        step = Step(network, objectives)
        optimizers = make_optimizers(step, settings.learning_rate, settings.sparse_learning_rate, settings.weight_decay)
        prepared = self.accelerator.prepare(step, *optimizers)
        self.step_module, self.optimizers = prepared[0], list(prepared[1:])
        self.base_rates = [[group["lr"] for group in o.param_groups] for o in self.optimizers]
        if teacher is not None:
            teacher[0].to(self.accelerator.device).eval()
        self.lengths = lengths_of(data.features)
        batches = -(-len(data.features) // settings.batch_size)
        self.steps_per_epoch = -(-batches // self.accelerator.num_processes)
        self.total = self.steps_per_epoch * settings.epochs
        self.check_every = max(1, self.steps_per_epoch // settings.checks_per_epoch)
        self.state = Progressing()

    @property
    def main(self) -> bool:
        """Whether this process writes files and prints."""
        return bool(self.accelerator.is_main_process)

    def train(self) -> Progressing:
        """Run to the end (or to an early stop) and leave the best weights in the network."""
        self._resume()
        started = saved = time.monotonic()
        before = self.state.seconds
        bar = Progress(self.total, "training", start=self.state.step) if self.main else contextlib.nullcontext()
        with bar as progress:
            while self.state.step < self.total and self.state.bad_checks < self.settings.patience:
                for batch in self._batches():
                    loss, parts = self._one_step(batch)
                    self.state.step += 1
                    self.state.seconds = before + time.monotonic() - started
                    if progress is not None:
                        progress.update(1, loss=f"{loss:.3f}")
                    if self.state.step % self.check_every == 0 or self.state.step == self.total:
                        self._check(loss, parts)
                        if progress is not None:
                            progress.update(0, dev=f"{self.state.best:.4f}")
                        if self.state.bad_checks >= self.settings.patience:
                            break
                    if self.main and time.monotonic() - saved >= self.settings.checkpoint_seconds:
                        self._save()
                        saved = time.monotonic()
        self.network.load_state_dict(self.state.best_weights)
        self.state.best_weights = {}  # as large as the network itself
        return self.state

    def _batches(self) -> list[np.ndarray]:
        """The batches of this epoch that are still to do, for this process."""
        epoch, done = divmod(self.state.step, self.steps_per_epoch)
        batches = plan(self.lengths, self.settings.batch_size, self.settings.seed, epoch)
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        # Each process needs the same number of batches; the last ones go round once more.
        missing = self.steps_per_epoch * world - len(batches)
        return [*batches, *(batches[i % len(batches)] for i in range(missing))][rank::world][done:]

    def _one_step(self, batch: np.ndarray) -> tuple[float, dict[str, float]]:
        device = self.accelerator.device
        self._seed()
        self.step_module.train()
        features, targets = self.data.draw(batch, self.state.step, self.settings.seed)
        inputs = collate(features, self.featurizer.inputs, self.featurizer.min_length, device)
        length = inputs[0].shape[1] // self.featurizer.inputs[0].per_length
        gold = collate_targets(targets, self.heads, length, device)
        loss, parts = self.step_module(inputs, self._teacher_outputs(batch, features, length), gold)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise EdgeBertError(
                f"the loss is {value} at step {self.state.step + 1}: the training has diverged. "
                "Take a smaller learning_rate, or precision fp32, and another --out."
            )
        self.accelerator.backward(loss)
        factor = schedule(self.state.step, self.total, self.settings.warmup)
        dense = [p for group in self.optimizers[0].param_groups for p in group["params"]]
        self.accelerator.clip_grad_norm_(dense, self.settings.clip)
        for optimizer, rates in zip(self.optimizers, self.base_rates, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            optimizer.step()
            optimizer.zero_grad()
        return value, {name: float(part) for name, part in parts.items()}

    def _seed(self) -> None:
        """What a step draws (dropout) depends on the seed, the step and the process alone, on any device.

        So a resumed run needs no stored random state.
        """
        sequence = np.random.SeedSequence((self.settings.seed, self.state.step, self.accelerator.process_index))
        torch.manual_seed(int(sequence.generate_state(1)[0]))

    def _teacher_outputs(self, batch: np.ndarray, features: list[Features], length: int) -> Outputs | None:
        """What the teacher, stored or running along, says of a batch whose features the student reads."""
        data, device = self.data, self.accelerator.device
        if self.teacher is not None:
            network, featurizer = self.teacher
            if data.teacher_features is not None:
                features = [data.teacher_features[i] for i in batch]
            inputs = collate(features, featurizer.inputs, featurizer.min_length, device)
            with torch.no_grad(), self.accelerator.autocast():
                outputs: Outputs = network.run(*inputs, attentions=self._unwrapped().attentions)  # type: ignore[operator]
            return outputs if data.units is None else self._at_units(outputs, [data.units[i] for i in batch])
        if data.soft is not None:
            return Outputs(collate_soft([data.soft[i] for i in batch], self.heads, length, device))
        return None

    def _at_units(self, outputs: Outputs, units: Sequence[np.ndarray]) -> Outputs:
        """The same, but for heads that name the class of each word nan at tokens that begin none."""
        answers = dict(outputs.heads)
        for head in self.heads:
            if head.per_token and head.kind == "classes" and not head.tied:
                other = torch.ones(answers[head.name].shape[:2], dtype=torch.bool)
                for row, tokens in enumerate(units):
                    other[row, tokens] = False
                answers[head.name] = answers[head.name].masked_fill(
                    other.unsqueeze(-1).to(self.accelerator.device), math.nan
                )
        return replace(outputs, heads=answers)

    def _unwrapped(self) -> Step:
        step = self.accelerator.unwrap_model(self.step_module)
        assert isinstance(step, Step)
        return step

    def _check(self, loss: float, parts: dict[str, float]) -> None:
        """Score dev, keep the weights if they are the best so far, and write a line to metrics.jsonl."""
        state = self.state
        score = self.check(self.network)
        if score > state.best:
            state.best, state.best_step, state.bad_checks = score, state.step, 0
            state.best_weights = {k: v.detach().cpu().clone() for k, v in self.network.state_dict().items()}
        else:
            state.bad_checks += 1
        if self.main:
            line = {
                "step": state.step,
                "epoch": round(state.step / self.steps_per_epoch, 3),
                "loss": round(loss, 6),
                **{f"loss_{name}": round(part, 6) for name, part in parts.items()},
                "dev": round(score, 6),
                "learning_rate": self.optimizers[0].param_groups[0]["lr"],
                "seconds": round(state.seconds, 1),
            }
            log = self.out / "metrics.jsonl"
            try:
                with open(log, "ab") as handle:
                    handle.write(json.dumps(line).encode() + b"\n")
                    state.log_bytes = handle.tell()
            except OSError as error:
                raise EdgeBertError(
                    f"cannot write {log}: {error.strerror or error}. Free some space and run the same command again."
                ) from error

    def _save(self) -> None:
        step = self._unwrapped()
        checkpoint.save(
            self.out,
            {
                "state": copy.copy(vars(self.state)),
                "step_module": step.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            },
        )

    def _resume(self) -> None:
        """Take up the last checkpoint, if there is one; lines logged after it are cut off."""
        saved = checkpoint.load(self.out)
        log = self.out / "metrics.jsonl"
        if saved is None:
            log.unlink(missing_ok=True) if self.main else None
            return
        self.state = Progressing(**saved["state"])
        self._unwrapped().load_state_dict(saved["step_module"])
        for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        if log.is_file() and self.main:
            with open(log, "r+b") as handle:
                handle.truncate(self.state.log_bytes)
