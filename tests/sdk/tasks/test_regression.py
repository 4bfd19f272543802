"""Regression as a task: its data, its targets, its numbers."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from edgebert.data import Row, read_rows
from edgebert.data.columns import Columns
from edgebert.tasks import get_task, guess_task
from edgebert.tasks.base import Reading
from edgebert_runtime.decode import get_decoder
from edgebert_runtime.errors import DataError
from edgebert_runtime.outputs import Outputs

TASK = get_task("regression")


def rows(*scores: float) -> list[Row]:
    return [Row(f"text {n}", score, f"train.csv:{n}") for n, score in enumerate(scores, start=2)]


def reading(rows: list[Row], **settings: Any) -> Reading:
    featurizer: Any = None  # texts are read as they are
    return TASK.read(rows, featurizer, {}, settings)


def read(path: Path, lines: list[str], columns: Columns = Columns()) -> list[Row]:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return list(read_rows(path, partial(TASK.reader, columns=columns, labelled=True)))


def test_scores_are_read_from_each_kind_of_file(tmp_path: Path) -> None:
    found = read(tmp_path / "a.tsv", ["text\tlabel", "one\t-3", "two\t.5", "three\t1e2", "four\t 4. "])
    assert [row.gold for row in found] == [-3.0, 0.5, 100.0, 4.0]
    found = read(tmp_path / "a.jsonl", ['{"text_a": "a", "text_b": "b", "label": 3.75}'])
    assert (found[0].text, found[0].gold) == (("a", "b"), 3.75)


@pytest.mark.parametrize("column", ["score", "similarity", "stars"])
def test_other_columns_hold_scores_too(tmp_path: Path, column: str) -> None:
    assert read(tmp_path / "a.csv", [f"text,{column}", "a,1.5"])[0].gold == 1.5
    beside = [f"text,label,{column}", "a,yes,1.5"]
    assert read(tmp_path / "b.csv", beside, Columns(label=column))[0].gold == 1.5
    with pytest.raises(DataError, match="the label 'yes' is not a number"):
        read(tmp_path / "b.csv", beside)


def test_a_row_is_read_again_as_it_was_written(tmp_path: Path) -> None:
    wanted = [Row("a", 0.1, ""), Row(("a", "b"), 5.0, "")]
    for row in wanted:
        (found,) = read(tmp_path / "dev.jsonl", [json.dumps(TASK.record(row))])
        assert (found.text, found.gold) == (row.text, row.gold)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["text,label", "a,good"],
            "a.csv:2: the label 'good' is not a number, and regression wants one. "
            "Write a number, or name another task with --task.",
        ),
        (["text,label", 'a,"3,5"'], "a.csv:2: the label '3,5' is not a number"),
        (["text,label", "a,1_000"], "a.csv:2: the label '1_000' is not a number"),
        (["text,label", "a,inf"], "a.csv:2: the label inf is not a finite number. Correct it, or delete the row."),
        (["text,label", "a,-Infinity"], "a.csv:2: the label -inf is not a finite number"),
        (["text,label", "a,nan"], "a.csv:2: the label nan is not a finite number"),
        (["text,label", "a,1e999"], "a.csv:2: the label inf is not a finite number"),
        (["text,label", "a,-1e40"], "a.csv:2: the label -1e+40 is too large. Write numbers below 1e+30."),
        (["text,label", "a,1", "b,"], "a.csv:3: the label in 'label' is missing. Write one, or delete the row."),
        (["text,mark", "a,1"], "a.csv: there is no label column. Columns found: 'text', 'mark'."),
    ],
)
def test_a_bad_score_is_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path / "a.csv", lines)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("true", "the label 'true' is not a number"),
        ("[1.5]", "the label 'list' is not a number"),
        ("null", "the label in 'label' is missing"),
        ("9" * 400, "the label inf is not a finite number"),
    ],
)
def test_a_json_value_that_is_no_score_is_refused(tmp_path: Path, value: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"a\.jsonl:1: {message}"):
        read(tmp_path / "a.jsonl", [f'{{"text": "a", "label": {value}}}'])


def test_train_that_has_one_score_only_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        TASK.settings(rows(3.0, 3.0), None)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "train.csv:2: every row of train has the label 3.0, so there is nothing to learn. Add rows with other scores."
    )
    with pytest.raises(DataError, match="no rows to learn scores from"):
        TASK.settings([], None)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"train\.csv:2: the row has no score"):
        TASK.settings([Row("a", None, "train.csv:2")], None)  # type: ignore[arg-type]


def test_guessed_where_all_labels_are_numbers_and_one_has_a_fraction() -> None:
    def guessed(*labels: object, column: str = "label") -> str:
        return guess_task([{"text": "a", column: label} for label in labels], Columns())[0].name

    assert guessed(1, 2.5) == guessed("1", "2.5") == guessed(1, 2.5, column="score") == "regression"
    assert guessed(1.0, 2.0) == guessed(1, 2) == guessed("1.5", "good") == "classification"
    _, reason = guess_task([{"text": "a", "label": 2.5}], Columns())
    assert reason == "the column 'label' holds numbers such as 2.5"


def test_the_network_learns_deviations_and_answers_scores() -> None:
    """What is learnt perfectly is decoded into the very scores of the data."""
    train = rows(1.0, 2.0, 6.0, 3.0)
    settings = TASK.settings(train, None)  # type: ignore[arg-type]
    assert settings == {"scale": pytest.approx(np.std([1, 2, 6, 3])), "shift": pytest.approx(3.0)}
    read = reading(train, **settings)
    (head,) = TASK.heads({}, settings)
    assert (head.name, head.width, head.kind, head.per_token) == ("score", 1, "number", False)
    learnt = np.stack([target[head.name] for target in TASK.targets(read)])
    assert learnt.shape == (4, 1) and learnt.dtype == np.float32
    assert learnt.mean() == pytest.approx(0, abs=1e-6) and learnt.std() == pytest.approx(1, abs=1e-6)
    outputs: Outputs = {head.name: learnt}
    assert [answer.score for answer in get_decoder("regression").decode(outputs, read.asked)] == pytest.approx(
        [1.0, 2.0, 6.0, 3.0]
    )
    assert TASK.metrics(outputs, read) == {
        "n": 4, "pearson": pytest.approx(1), "spearman": pytest.approx(1), "rmse": pytest.approx(0, abs=1e-6),
    }  # fmt: skip


def test_metrics_equal_scipy() -> None:
    drawn = np.random.default_rng(0)
    gold, answered = drawn.normal(size=(2, 50)) * 3 + 2
    read = reading(rows(*gold.tolist()), scale=2.0, shift=1.0)
    found = TASK.metrics({"score": ((answered - 1) / 2)[:, None]}, read)
    assert found["pearson"] == pytest.approx(stats.pearsonr(answered, gold)[0])
    assert found["spearman"] == pytest.approx(stats.spearmanr(answered, gold)[0])
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean((answered - gold) ** 2)))
    assert set(TASK.metric_names({})) < set(found)


def test_a_constant_answer_scores_0() -> None:
    found = TASK.metrics({"score": np.full((3, 1), 0.1)}, reading(rows(1.0, 2.0, 3.0)))
    assert found["pearson"] == found["spearman"] == 0.0


def test_scores_are_compared_and_not_called_right_or_wrong() -> None:
    read = reading(rows(1.0, 2.0, 3.0), scale=2.0, shift=5.0)
    first: Outputs = {"score": np.array([[0.0], [1.0], [2.0]])}
    decisions = TASK.decisions(first, read)
    assert decisions.answers is None and decisions.right is None
    assert decisions.scores is not None and decisions.scores.tolist() == [5.0, 7.0, 9.0]
    close: Outputs = {"score": np.array([[0.09], [1.0], [2.2]])}
    assert TASK.agreement(first, close, read) == pytest.approx(2 / 3)


@pytest.mark.parametrize("table", [np.zeros((2, 1)), np.zeros(3), np.zeros((3, 2)), np.full((3, 1), np.nan)])
def test_outputs_that_do_not_fit_are_refused(table: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"do not fit|not finite"):
        TASK.metrics({"score": table}, reading(rows(1.0, 2.0, 3.0)))
