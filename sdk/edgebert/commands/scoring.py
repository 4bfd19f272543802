"""A network on rows: its answers, the task's numbers, and the settings that dev gives. For finetune and distill."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebert.console import Progress, note
from edgebert.data import Columns, Row, Splits, first_records
from edgebert.tasks import get_task, guess_task
from edgebert.tasks.base import Labels, Reading, Settings, Task
from edgebert.tasks.heads import Head, at_once
from edgebert_runtime.decode import ask, get_decoder
from edgebert_runtime.errors import UsageError, choose
from edgebert_runtime.outputs import join

FEATURES = "features"  # in the run folder, while a very large corpus is trained on

if TYPE_CHECKING:
    from torch import nn

    from edgebert.distillation.batches import TrainingSet
    from edgebert_runtime.decode import Asked
    from edgebert_runtime.features import Featurizer, Text
    from edgebert_runtime.outputs import Outputs


@dataclass(frozen=True)
class Scoring:
    """How a network is asked and judged.

    Attributes:
        metric: the key of the task's metrics that decides.
    """

    task: Task
    featurizer: Featurizer
    labels: Labels
    settings: Settings
    metric: str

    @property
    def heads(self) -> tuple[Head, ...]:
        """What the network must answer."""
        return self.task.heads(self.labels, self.settings)

    def read(self, rows: Sequence[Row]) -> Reading:
        """What the network reads of these rows."""
        return self.task.read(rows, self.featurizer, self.labels, self.settings)

    def ask(self, texts: Sequence[Text]) -> Asked:
        """What the network reads of these texts."""
        return ask(get_decoder(self.task.name), texts, self.featurizer, self.labels, self.settings)

    def outputs(self, network: nn.Module, texts: Sequence[Text], description: str | None = None) -> Outputs:
        """What the network answers to the texts that it reads (`Reading.texts`, `Asked.read`)."""
        from edgebert.distillation.trainer import score

        return score(network, self.featurizer, self.heads, self.featurizer(texts), description)

    def lessons(
        self, rows: Sequence[Row], extra: Sequence[Text], folder: Path, whole_words: bool
    ) -> tuple[TrainingSet, Sequence[Text]]:
        """What a network learns from, and the texts that it reads; () where these are of any size and gone.

        Args:
            extra: unlabelled texts.
            folder: for the ids of very many texts.
        """
        from edgebert.distillation.batches import TrainingSet
        from edgebert.distillation.features import featurize

        own = self.task.lessons(rows, self.featurizer, whole_words)
        if own is not None:
            features = featurize(self.featurizer, own.texts, folder)
            return TrainingSet(features, [{}] * len(features), change=own.change), ()
        reading = self.read(rows)
        texts = [*reading.texts, *self.ask(extra).read]
        targets = [*self.task.targets(reading), *({} for _ in range(len(texts) - len(reading.texts)))]
        return TrainingSet(featurize(self.featurizer, texts, folder), targets), texts

    def answers(
        self, network: nn.Module, rows: Sequence[Row], description: str | None = None
    ) -> tuple[Outputs, Reading]:
        """What the network answers to these rows, as far as the task's numbers need it, and how they were read."""
        reading, parts = self._parts(rows)
        if len(parts) == 1:
            return self.task.keep(self.outputs(network, reading.texts, description), reading), reading
        found = []
        with Progress(len(parts), description) if description else nullcontext() as bar:
            for part in parts:
                found.append(self.task.keep(self.outputs(network, part.texts), part))
                if bar is not None:
                    bar.update()
        return join(found), reading

    def _parts(self, rows: Sequence[Row]) -> tuple[Reading, list[Reading]]:
        """The rows as they are read, and the same in parts whose answers are in memory together."""
        reading, size = self.read(rows), at_once(self.heads, len(rows))
        if size >= len(rows):
            return reading, [reading]
        return reading, [self.read(rows[start : start + size]) for start in range(0, len(rows), size)]

    def dev_check(self, dev: Sequence[Row]) -> Callable[[nn.Module], float]:
        """A function from a network to its metric on dev."""
        from edgebert.distillation.trainer import score

        reading, parts = self._parts(dev)
        features = [self.featurizer(part.texts) for part in parts]

        def check(network: nn.Module) -> float:
            found = [
                self.task.keep(score(network, self.featurizer, self.heads, each), part)
                for each, part in zip(features, parts, strict=True)
            ]
            return float(self.task.metrics(join(found), reading)[self.metric])

        return check

    def measure(self, network: nn.Module, splits: Splits) -> tuple[Settings, dict[str, Any]]:
        """The settings that dev gives, and the task's metrics with them on dev and, where there is one, test."""
        outputs, reading = self.answers(network, splits.dev, "scoring dev")
        fitted = dataclasses.replace(self, settings=self.task.calibrate(outputs, reading))
        found = {"dev": self.task.metrics(outputs, fitted.read(splits.dev))}
        if splits.test:
            found["test"] = self.task.metrics(*fitted.answers(network, splits.test, "scoring test"))
        return fitted.settings, found


def check_whole_words(task: Task, whole_words: bool) -> None:
    """Raise UsageError where whole words are to be hidden by a task that hides none."""
    if whole_words and task.labelled:
        raise UsageError(f"whole words are for masked-lm, and {task.name} hides none; leave out --whole-word.")


def pick_task(
    name: str | None, data: str | Path | None, train: str | Path | None, columns: Columns
) -> tuple[Task, str]:
    """The task called `name`; without a name the one that the first rows of train look like, and why.

    Raises:
        UsageError, DataError: an unknown name, or data that cannot be read.
    """
    if name is not None:
        return get_task(name), ""
    return guess_task(first_records(data, train), columns)


def check_labels(task: Task, splits: Splits, labels: Labels) -> None:
    """Look for labels that train does not have, now and not after the training.

    Raises:
        DataError: there is one, and the task refuses it.
    """
    for split, rows in (("train", splits.train), ("dev", splits.dev), ("test", splits.test)):
        task.check(rows, labels, split)


def pick_metric(task: Task, settings: Settings, name: str | None) -> str:
    """The metric that decides: `name`, or the task's own.

    Raises:
        UsageError: the task has no such metric.
    """
    known = task.metric_names(settings)
    return known[0] if name is None else choose("metric", name, known)


def report(metrics: Any, metric: str) -> None:
    """Print the metrics of each split, a line each; and say so where nothing was learned."""
    for split, numbers in metrics.items():
        if isinstance(numbers, dict) and "n" in numbers:
            shown = "  ".join(f"{k} {v:.4f}" for k, v in numbers.items() if isinstance(v, float))
            note(f"{split}: {shown}  ({numbers['n']} texts)")
    if metrics["dev"][metric] <= 0:
        note(f"{metric} on dev is not above 0: nothing was learned. Take more data or more --epochs.")


def reads_pairs(task: Task, rows: Sequence[Row]) -> bool:
    """Whether a network for this task reads two texts at a time on these rows."""
    return isinstance(task.texts(rows[:1])[0], tuple)
