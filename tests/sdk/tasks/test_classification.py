from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgebert.data import Columns, Row
from edgebert.tasks import TASKS, get_task, guess_task
from edgebert.tasks.base import Reading
from edgebert_runtime.decode import DECODERS, get_decoder
from edgebert_runtime.errors import DataError, UsageError

TASK = get_task("classification")
AB = {"logits": ("a", "b")}


def rows(*labels: str | None) -> list[Row]:
    return [Row(f"text {n}", label, f"train.csv:{n}") for n, label in enumerate(labels, start=2)]


def reading(*labels: str | None, names: tuple[str, ...] = ("a", "b"), **settings: Any) -> Reading:
    featurizer: Any = None  # a classification's texts are read as they are
    return TASK.read(rows(*labels), featurizer, {"logits": names}, settings)


def test_each_listed_task_loads_knows_its_name_and_has_a_decoder() -> None:
    assert list(TASKS).count("classification") == 1 and set(TASKS) == set(DECODERS)
    for name in TASKS:
        assert get_task(name).name == name
        assert get_decoder(name).outputs


def test_an_unknown_task_is_answered_with_the_closest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'classification'"):
        get_task("clasification")


def test_labels_do_not_depend_on_the_order_of_rows() -> None:
    first = TASK.labels_from(rows("b", "a", "b", "c"))
    assert first == TASK.labels_from(rows("c", "b", "a")) == {"logits": ("a", "b", "c")}


def test_whole_numbers_are_class_names_in_the_order_of_their_values() -> None:
    assert TASK.labels_from(rows("10", "2", "-1")) == {"logits": ("-1", "2", "10")}
    assert TASK.labels_from(rows("10", "2", "none")) == {"logits": ("10", "2", "none")}


def test_targets_and_metrics() -> None:
    read = reading("b", "a", "b")
    assert [int(target["logits"]) for target in TASK.targets(read)] == [1, 0, 1]
    outputs = {"logits": np.array([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])}
    result = TASK.metrics(outputs, read)
    right = 1 / (1 + np.exp(-1))
    assert result == {
        "n": 3,
        "accuracy": pytest.approx(2 / 3),
        "macro_f1": pytest.approx(0.4),
        "mcc": 0.0,
        "f1": pytest.approx(0.8),
        "ece": pytest.approx(right - 2 / 3),
    }


def test_the_temperature_lowers_the_calibration_error_and_is_used_by_metrics() -> None:
    generator = np.random.default_rng(0)
    names = ("a", "b", "c")
    gold = generator.integers(0, 3, 600)
    logits = generator.normal(size=(600, 3)) + 1.5 * np.eye(3)[gold]
    outputs = {"logits": 4.0 * logits}  # the same decisions, far too sure of themselves
    read = reading(*(names[label] for label in gold), names=names)
    settings = TASK.calibrate(outputs, read)
    assert 2.3 < settings["temperature"]["logits"] < 3.1  # 4 / 1.5: the true posterior is 1.5 times the logits
    assert settings["calibration"]["ece_after"] < settings["calibration"]["ece_before"] / 3
    fitted = TASK.read(read.rows, read.asked.featurizer, read.asked.labels, settings)
    assert TASK.metrics(outputs, fitted)["ece"] == pytest.approx(settings["calibration"]["ece_after"])
    assert TASK.metrics(outputs, fitted)["accuracy"] == TASK.metrics(outputs, read)["accuracy"]


def test_decisions_compare_by_label_whatever_the_order_of_the_columns() -> None:
    logits = np.array([[3.0, 1.0, 2.0], [0.0, 1.0, 5.0]])
    order = [2, 0, 1]
    first = TASK.decisions({"logits": logits}, reading("a", "b", names=("a", "b", "c")))
    second = TASK.decisions({"logits": logits[:, order]}, reading("a", "b", names=("c", "a", "b")))
    assert first.answers == second.answers == ["a", "c"]
    assert first.right is not None and first.right.tolist() == [True, False]
    np.testing.assert_allclose(first.probabilities, second.probabilities)  # type: ignore[arg-type]


@pytest.mark.parametrize("labels", [("3.7", "1"), ("1.0", "0.0"), ("1e3", "2"), (".5", "-2."), ("inf", "1")])
def test_decimal_labels_are_refused(labels: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match=r"^train\.csv:2: the label \S+ is a decimal number"):
        TASK.labels_from(rows(*labels))


def test_decimal_looking_names_among_names_are_kept() -> None:
    assert TASK.labels_from(rows("3.7", "latest")) == {"logits": ("3.7", "latest")}


def test_one_class_only_is_refused() -> None:
    with pytest.raises(DataError, match=r"^train\.csv:2: .*one class only \('spam'\)"):
        TASK.labels_from(rows("spam", "spam"))


def test_no_rows_and_no_label_are_refused() -> None:
    with pytest.raises(DataError, match="no rows"):
        TASK.labels_from([])
    with pytest.raises(DataError, match=r"train\.csv:3: the row has no label"):
        TASK.labels_from(rows("a", None))
    with pytest.raises(DataError, match=r"train\.csv:3: the row has no label"):
        TASK.check(rows("a", None), AB, "dev")


def test_an_unknown_label_names_its_row_and_the_closest() -> None:
    with pytest.raises(
        DataError, match=r"train\.csv:3: the label 'postive'.*Did you mean 'positive'.*Known: negative, positive"
    ):
        TASK.check(rows("negative", "postive"), {"logits": ("negative", "positive")}, "dev")


@pytest.mark.parametrize("logits", [np.zeros((2, 3)), np.zeros((3, 2)), np.full((2, 2), np.nan)])
def test_logits_that_do_not_fit_are_refused(logits: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"do not fit|not finite"):
        TASK.metrics({"logits": logits}, reading("a", "b"))


def test_text_and_label_are_guessed_to_be_a_classification() -> None:
    task, reason = guess_task([{"sentence": "a", "label": "x"}], Columns())
    assert (task.name, reason) == ("classification", "the column 'label' holds one label for each text")
    task, reason = guess_task([{"text_a": "a", "text_b": "b", "label": "x"}], Columns())
    assert (task.name, reason) == ("classification", "the column 'label' holds one label for each pair")
    task, reason = guess_task([{"words": "a"}], Columns())
    assert (task.name, reason) == ("classification", "")


def test_rows_survive_being_stored() -> None:
    for text in ("one", ("one", "two")):
        row = Row(text, "a", "f:1")
        record = TASK.record(row)
        assert TASK.reader("f", list(record), Columns(), labelled=True)(record, "f:1") == row
