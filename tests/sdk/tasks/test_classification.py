from __future__ import annotations

import numpy as np
import pytest

from edgebert.data import Row
from edgebert.tasks import TASKS, get_task
from edgebert_runtime.errors import DataError, UsageError

TASK = get_task("classification")


def rows(*labels: str | None) -> list[Row]:
    return [Row(f"text {n}", label, f"train.csv:{n}") for n, label in enumerate(labels, start=2)]


def test_each_listed_task_loads_and_knows_its_name() -> None:
    for name in TASKS:
        task = get_task(name)
        assert task.name == name
        logits = np.array([[2.0, 1.0], [0.0, 1.0], [3.0, 1.0]])
        assert task.metric in task.metrics(logits, [0, 1, 1], ("a", "b"))


def test_an_unknown_task_is_answered_with_the_closest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'classification'"):
        get_task("clasification")


def test_labels_do_not_depend_on_the_order_of_rows() -> None:
    assert TASK.labels_from(rows("b", "a", "b", "c")) == TASK.labels_from(rows("c", "b", "a")) == ("a", "b", "c")


def test_whole_numbers_are_class_names_in_the_order_of_their_values() -> None:
    assert TASK.labels_from(rows("10", "2", "-1")) == ("-1", "2", "10")
    assert TASK.labels_from(rows("10", "2", "none")) == ("10", "2", "none")


def test_encode_and_metrics() -> None:
    gold = TASK.encode(rows("b", "a", "b"), ("a", "b"))
    assert gold == [1, 0, 1]
    result = TASK.metrics(np.array([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]), gold, ("a", "b"))
    assert result == {"n": 3, "accuracy": pytest.approx(2 / 3), "macro_f1": pytest.approx(0.4)}


@pytest.mark.parametrize("labels", [("3.7", "1"), ("1.0", "0.0"), ("1e3", "2"), (".5", "-2."), ("inf", "1")])
def test_decimal_labels_are_refused(labels: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match=r"^train\.csv:2: the label \S+ is a decimal number"):
        TASK.labels_from(rows(*labels))


def test_decimal_looking_names_among_names_are_kept() -> None:
    assert TASK.labels_from(rows("3.7", "latest")) == ("3.7", "latest")


def test_one_class_only_is_refused() -> None:
    with pytest.raises(DataError, match=r"^train\.csv:2: .*one class only \('spam'\)"):
        TASK.labels_from(rows("spam", "spam"))


def test_no_rows_and_no_label_are_refused() -> None:
    with pytest.raises(DataError, match="no rows"):
        TASK.labels_from([])
    with pytest.raises(DataError, match=r"train\.csv:3: the row has no label"):
        TASK.labels_from(rows("a", None))
    with pytest.raises(DataError, match=r"train\.csv:3: the row has no label"):
        TASK.encode(rows("a", None), ("a", "b"))


def test_an_unknown_label_names_its_row_and_the_closest() -> None:
    with pytest.raises(
        DataError, match=r"train\.csv:3: the label 'postive'.*Did you mean 'positive'.*Known: negative, positive"
    ):
        TASK.encode(rows("negative", "postive"), ("negative", "positive"))


@pytest.mark.parametrize("logits", [np.zeros((2, 3)), np.zeros((3, 2)), np.full((2, 2), np.nan)])
def test_logits_that_do_not_fit_are_refused(logits: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"do not fit|not finite"):
        TASK.metrics(logits, [0, 1], ("a", "b"))
