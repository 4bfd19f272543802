"""Metrics, loyalty, and comparison of student, bundle and teacher. numpy only: a bundle is evaluated without torch."""

from edgebert.evaluation.compare import Flips, flips, mcnemar_p, retention
from edgebert.evaluation.loyalty import label_loyalty, probability_loyalty
from edgebert.evaluation.metrics import ClassScores, accuracy, confusion, macro_f1, per_class, softmax

__all__ = [
    "ClassScores",
    "Flips",
    "accuracy",
    "confusion",
    "flips",
    "label_loyalty",
    "macro_f1",
    "mcnemar_p",
    "per_class",
    "probability_loyalty",
    "retention",
    "softmax",
]
