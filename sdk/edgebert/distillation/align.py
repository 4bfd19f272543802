"""Tokens of a teacher and of its student: where both read the same ones, and by characters where they do not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgebert.tasks.heads import Head
from edgebert_runtime.errors import UsageError
from edgebert_runtime.features import Featurizer, Text, WordPiece
from edgebert_runtime.units import unit_ranges, units


def ranges_of(spans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the words of a text are: the tokens that begin one, and int32 [units, 3] half, start and end of each."""
    begins = units(spans)
    ranges = np.concatenate([spans[begins, :1], unit_ranges(spans, begins)], axis=1)
    return begins, ranges.astype(np.int32)


def align(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """For each of our words the one of theirs that holds its first character, -1 where there is none.

    Args:
        ours, theirs: half, start and end of each word, ascending; see `ranges_of`.
    """
    if np.array_equal(ours[:, :2], theirs[:, :2]):
        return np.arange(len(ours))  # also where two words begin in one character
    starts, firsts = (half.astype(np.int64) << 32 | start for half, start in (ours[:, :2].T, theirs[:, :2].T))
    found = np.searchsorted(firsts, starts, side="right") - 1
    if not len(theirs):
        return found
    held = (found >= 0) & (theirs[found, 0] == ours[:, 0]) & (ours[:, 1] < theirs[found, 2])
    return np.where(held, found, -1)


def same_tokens(student: Featurizer, teacher: Featurizer) -> bool:
    """Whether the student reads each text that it can hold as the teacher does, id by id."""
    return _same_pieces(student, teacher) and student.max_length <= teacher.max_length


def _same_pieces(student: Featurizer, teacher: Featurizer) -> bool:
    return (
        isinstance(student, WordPiece)
        and isinstance(teacher, WordPiece)
        and (student.vocabulary, student.lowercase, student.pair)
        == (teacher.vocabulary, teacher.lowercase, teacher.pair)
        and _strips(student) == _strips(teacher)
    )


def _strips(featurizer: WordPiece) -> bool:
    return featurizer.lowercase if featurizer.strip_accents is None else featurizer.strip_accents


def by_tokens(heads: Sequence[Head]) -> bool:
    """Whether an answer speaks of the network's own tokens: then a teacher and its student must read the same ones."""
    return any(head.kind == "positions" or head.tied for head in heads)


def check_tokens(task: str, heads: Sequence[Head], student: Featurizer, teacher: Featurizer) -> None:
    """Refuse heads that speak of single tokens where student and teacher do not read the same ones.

    Raises:
        UsageError: they do not.
    """
    if not by_tokens(heads) or same_tokens(student, teacher):
        return
    if _same_pieces(student, teacher):
        raise UsageError(
            f"the student would read {student.max_length} tokens and the teacher {teacher.max_length}, but for {task} "
            f"both must read the same ones; take --max-length {teacher.max_length} or less."
        )
    raise UsageError(f"the teacher and the student must read the same tokens for {task}; take a mobilebert student.")


class Units(Sequence[np.ndarray]):
    """The tokens of each text at which a word begins, looked up when they are asked for; see `TrainingSet.units`."""

    def __init__(self, featurizer: Featurizer, texts: Sequence[Text]) -> None:
        self.featurizer, self.texts = featurizer, texts

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]
        return units(self.featurizer.spans(self.texts[index]))
