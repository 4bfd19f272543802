"""Exact match and F1 of answers, as SQuAD's official evaluation counts them, and the best no-answer threshold."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_ARTICLE = re.compile(r"\b(?:an?|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


class AnswerScores(NamedTuple):
    """How good one answer is beside the best of the gold ones: `exact` is 0 or 1, `f1` is 0..1."""

    exact: float
    f1: float


def normalise(answer: str) -> str:
    """Lower case, without ASCII punctuation, without a, an and the, with one space between words."""
    return " ".join(_ARTICLE.sub(" ", answer.lower().translate(_NO_PUNCTUATION)).split())


def answer_scores(predicted: str, gold: Sequence[str]) -> AnswerScores:
    """One predicted answer against its gold answers; "" means no answer, and none in `gold` means there is none.

    A gold answer of which normalisation leaves nothing is not counted.
    """
    words = normalise(predicted).split()
    wanted = [answer.split() for answer in map(normalise, gold) if answer] or [[]]
    return AnswerScores(float(words in wanted), max(_overlap(words, answer) for answer in wanted))


def _overlap(predicted: list[str], gold: list[str]) -> float:
    """The F1 of two bags of words; of empty ones, whether both are empty."""
    if not predicted or not gold:
        return float(predicted == gold)
    common = (Counter(predicted) & Counter(gold)).total()
    return 2 * common / (len(predicted) + len(gold))


def squad_scores(predicted: Sequence[str], gold: Sequence[Sequence[str]]) -> dict[str, float]:
    """Predicted and gold answers of each question -> the means "exact" and "f1", each 0..1.

    Where some question has no answer: "no_answer_f1" too, their mean, and "has_answer_f1", the mean of the others.

    Raises:
        ValueError: the lists differ in length or are empty.
    """
    if len(predicted) != len(gold) or not gold:
        raise ValueError(f"{len(predicted)} predicted answers do not fit {len(gold)} questions")
    exact, f1 = np.array([answer_scores(*pair) for pair in zip(predicted, gold, strict=True)]).T
    scores = {"exact": float(exact.mean()), "f1": float(f1.mean())}
    answered = np.array([bool(answers) for answers in gold])
    if not answered.all():
        scores["has_answer_f1"] = float(f1[answered].mean()) if answered.any() else 0.0
        scores["no_answer_f1"] = float(f1[~answered].mean())
    return scores


def best_no_answer(differences: Sequence[float], answered: Sequence[float], silent: Sequence[float]) -> float:
    """The threshold above which "" is the better answer: the one with the largest sum of scores.

    Args:
        differences: of each question, the score of no answer less that of the best one; "" above the threshold.
        answered: what each question earns when its best answer is given.
        silent: what it earns when "" is given.

    Raises:
        ValueError: the lists differ in length, are empty, or a difference is not a number.
    """
    scores = np.asarray(differences, np.float64)
    gain = np.asarray(answered, np.float64) - np.asarray(silent, np.float64)
    if scores.shape != gain.shape or scores.ndim != 1 or not scores.size or np.isnan(scores).any():
        raise ValueError("expected three lists of numbers of the same length")
    values, group = np.unique(scores, return_inverse=True)
    # Entry k: what is gained when the questions of the k smallest values are answered.
    gains = np.concatenate([[0.0], np.cumsum(np.bincount(group, weights=gain))])
    best = int(gains.argmax())
    if best == 0:
        return float(values[0] - 1)
    if best == len(values):
        return float(values[-1] + 1)
    below, above = values[best - 1 : best + 1]
    middle = below + (above - below) / 2
    return float(middle if middle < above else below)
