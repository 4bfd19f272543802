"""The networks: one file per architecture, and the list of students that `--student` names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgebert_runtime.errors import choose, resolve

if TYPE_CHECKING:
    from torch import nn

    from edgebert.models.teacher import Teacher
    from edgebert.tasks.heads import Head
    from edgebert_runtime.features import Featurizer, Text

STUDENTS: dict[str, str] = {
    "ngram": "edgebert.models.ngram_student:FAMILY",
    "bilstm": "edgebert.models.bilstm_student:FAMILY",
    "mobilebert-mini": "edgebert.models.mobilebert_student:MINI",
    "mobilebert-tiny": "edgebert.models.mobilebert_student:TINY",
    "mobilebert": "edgebert.models.mobilebert_student:BASE",
    "bert-3": "edgebert.models.bert_student:FAMILY",
}


@dataclass(frozen=True)
class Context:
    """What a student may look at while it is built.

    Attributes:
        reader: the teacher's featurizer.
        heads: what the student must answer.
        texts: starts a new pass over the train and unlabelled texts.
    """

    teacher: Teacher
    reader: Featurizer
    heads: tuple[Head, ...]
    pair: bool
    max_length: int
    texts: Callable[[], Iterator[Text]]


@dataclass(frozen=True)
class Student:
    """A network and the featurizer that feeds it; `config` rebuilds the network (see `Family.load`)."""

    module: nn.Module
    featurizer: Featurizer
    config: dict[str, Any]


@dataclass(frozen=True)
class Family:
    """How one kind of student is made.

    Attributes:
        options: pydantic model of what a recipe may say under `student`.
        build: a fresh student, started from the teacher.
        load: the network again, from `Student.config`, its featurizer and its heads (weights come after).
        gives: what it can answer for, of what a task may need (`Task.needs`): "text" (one answer for a text), "tokens"
            (one for each token), "pairs" (one for two texts), "vocabulary" (its tokens are those of a word-piece
            vocabulary).
        training: this student's defaults for the recipe's `training` section.
        objectives: its default distillation objectives, name to options.
        buckets: input lengths for the formats that have no dynamic length (those under the maximum are used).
    """

    options: type[Any]
    build: Callable[[Any, Context], Student]
    load: Callable[[Mapping[str, Any], Featurizer, Sequence[Head]], nn.Module]
    gives: frozenset[str]
    training: Mapping[str, Any] = field(default_factory=dict)
    objectives: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    buckets: tuple[int, ...] = (32, 64, 128, 256, 512)


def get_family(name: str) -> Family:
    """The student family called `name`.

    Raises:
        UsageError: there is none; the closest match is named.
    """
    family = resolve(STUDENTS[choose("student", name, STUDENTS)])
    assert isinstance(family, Family)
    return family
