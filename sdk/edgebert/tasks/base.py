"""The protocol of a task, and the defaults of those that give one answer a text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from edgebert.data.columns import Columns
from edgebert.data.readers import Reader, Row
from edgebert.tasks.heads import Head
from edgebert_runtime.decode import Asked
from edgebert_runtime.features import Features, Featurizer, Text
from edgebert_runtime.outputs import Outputs

Labels: TypeAlias = Mapping[
    str, tuple[str, ...]
]  # head name -> the names of its columns; none where they have no names
Settings: TypeAlias = Mapping[str, Any]  # plain JSON, in run.json and in the manifest; what decode must know
Target: TypeAlias = dict[str, np.ndarray]  # head name -> the gold (or a teacher's answer) of one piece; {}: none


@dataclass(frozen=True)
class Reading:
    """Rows, and what the network reads of them; made by `Task.read`."""

    rows: tuple[Row, ...]
    asked: Asked

    @property
    def texts(self) -> Sequence[Text]:
        """What the network reads, in the order of its outputs."""
        return self.asked.read


@dataclass(frozen=True)
class Decisions:
    """What a model decided, to count agreement with another one; each None where a task has no such thing.

    Attributes:
        answers: a comparable answer for each row.
        right: bool [rows], whether it is right.
        probabilities: float [rows, labels], the columns in the alphabetical order of the labels.
        scores: float [rows], of a task whose answer is a number.
    """

    answers: list[Any] | None = None
    right: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    scores: np.ndarray | None = None


class Lessons(NamedTuple):
    """What a network learns from, of a task that makes its own gold.

    Attributes:
        texts: what the network reads; gone through once, and may be of any size.
        change: the features of a text as they are learned from, and their gold, drawn anew each time: a function of
            the features and of the random numbers alone.
    """

    texts: Iterable[Text]
    change: Callable[[Features, np.random.Generator], tuple[Features, Target]]


class Task(Protocol):
    """All that the workstation needs to know of a task. How outputs become answers is in `edgebert_runtime.decode`."""

    @property
    def name(self) -> str:
        """The key in `TASKS` and in `DECODERS`, and "task" in a manifest."""

    @property
    def labelled(self) -> bool:
        """Whether its rows hold more than text. Text alone may be of any size: train is then a `Stream`."""

    def metric_names(self, settings: Settings) -> tuple[str, ...]:
        """Keys of `metrics` that `--metric` may name, the default first: higher is better, at most 1, always finite."""

    @property
    def needs(self) -> frozenset[str]:
        """What a student family must give (`Family.gives`): "text", "tokens", "pairs", "vocabulary"."""

    @property
    def max_length(self) -> int | None:
        """Tokens that are read of a text where nothing else is said; None: as many as of any text."""

    def recognises(self, records: Sequence[Mapping[str, object]], columns: Columns) -> str:
        """Why these records (the first of train) are of this task, for the line that is printed; "": they are not."""

    def reader(self, where: str, found: Sequence[str], columns: Columns, labelled: bool) -> Reader:
        """What makes rows of the records of a file whose columns are `found`."""

    def record(self, row: Row) -> dict[str, object]:
        """The row as a JSON record that `reader` reads again (dev.jsonl.gz in a run folder)."""

    def keys(self, row: Row) -> tuple[str, str]:
        """What must stay on one side when dev is held out of train, and the group of which a share is held out."""

    def labels_from(self, rows: Iterable[Row]) -> Labels:
        """The labels in train, in the order of the columns."""

    def check(self, rows: Sequence[Row], labels: Labels, split: str) -> None:
        """Refuse, or count and print, labels that train does not have."""

    def settings(self, train: Sequence[Row], featurizer: Featurizer) -> Settings:
        """What is known before anything is trained: scale, scheme, width."""

    def heads(self, labels: Labels, settings: Settings) -> tuple[Head, ...]:
        """The outputs asked of a network, by name."""

    def texts(self, rows: Sequence[Row]) -> list[Text]:
        """What a model is asked about these rows, in order."""

    def read(self, rows: Sequence[Row], featurizer: Featurizer, labels: Labels, settings: Settings) -> Reading:
        """What the network reads of these rows."""

    def taught(self, rows: Sequence[Row], answer: Callable[[Sequence[Row]], Outputs]) -> tuple[Row, ...]:
        """Rows to judge a student by: what is right may be what the teacher answers (`answer`)."""

    def targets(self, reading: Reading) -> list[Target]:
        """The gold of each text in `reading.texts`."""

    def lessons(self, rows: Sequence[Row], featurizer: Featurizer, whole_words: bool) -> Lessons | None:
        """What a network learns from these rows; None: what `read` and `targets` give."""

    def keep(self, outputs: Outputs, reading: Reading) -> Outputs:
        """What `metrics`, `calibrate` and `decisions` need of these outputs; all of them, or less where they are large.

        The parts that are kept of several readings, joined, are what is kept of all their rows. They also take
        outputs as a network gives them.
        """

    def metrics(self, outputs: Outputs, reading: Reading) -> dict[str, Any]:
        """The task's numbers, ready for JSON; `n` rows among them. What train never saw is simply wrong.

        Raises:
            ValueError: the outputs do not fit the reading, or hold a number that is not finite.
        """

    def calibrate(self, outputs: Outputs, reading: Reading) -> Settings:
        """The reading's settings with what is fitted on dev: temperature, thresholds, no-answer score."""

    def decisions(self, outputs: Outputs, reading: Reading) -> Decisions:
        """What was decided for each row."""

    def agreement(self, ours: Outputs, theirs: Outputs, reading: Reading) -> float:
        """The share (0..1) of decisions on which two engines agree that ran the same network on the same reading."""

    def shortened(self, dev: Sequence[Row]) -> Sequence[Row]:
        """The dev rows that an exported file is checked on: all, or fewer where an answer is very large."""
