"""Embedding as a task: which rows it takes, and how it is judged on each kind."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from edgebert.data import Row, Text, read_rows
from edgebert.data.columns import Columns
from edgebert.tasks import get_task, guess_task
from edgebert.tasks.base import Reading
from edgebert_runtime.errors import DataError, UsageError
from edgebert_runtime.outputs import Outputs

TASK: Any = get_task("embedding")


def reading(rows: list[Row]) -> Reading:
    featurizer: Any = None  # texts are read as they are
    read: Reading = TASK.read(rows, featurizer, {}, {"width": 4})
    return read


def read(path: Path, lines: list[str], columns: Columns = Columns()) -> list[Row]:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return list(read_rows(path, partial(TASK.reader, columns=columns, labelled=True)))


def pairs(*scores: float | None) -> list[Row]:
    return [Row((f"first {n}", f"second {n}"), score, f"dev.csv:{n}") for n, score in enumerate(scores, start=2)]


def drawn(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)


def test_any_text_will_do(tmp_path: Path) -> None:
    found = read(tmp_path / "a.csv", ["text,label", "one,positive", "two,3"])
    assert [(row.text, row.gold) for row in found] == [("one", None), ("two", None)]


@pytest.mark.parametrize("column", ["score", "similarity", "label"])
def test_pairs_may_have_a_score(tmp_path: Path, column: str) -> None:
    found = read(tmp_path / "a.csv", [f"text_a,text_b,{column}", "one,two,3.5", "three,four,1"])
    assert [(row.text, row.gold) for row in found] == [(("one", "two"), 3.5), (("three", "four"), 1.0)]


def test_pairs_alone_and_pairs_with_classes_have_none(tmp_path: Path) -> None:
    assert [row.gold for row in read(tmp_path / "a.csv", ["question,context", "one,two"])] == [None]
    assert [row.gold for row in read(tmp_path / "a.csv", ["premise,hypothesis,label", "one,two,neutral"])] == [None]


@pytest.mark.parametrize(
    ("lines", "columns", "message"),
    [
        (["text_a,text_b", "one,"], Columns(), "a.csv:2: the text in 'text_b' is empty."),
        (["text_a,text_b,score", "one,two,good"], Columns(), "a.csv:2: the label 'good' is not a number"),
        (["text_a,text_b,x", "one,two,good"], Columns(label="x"), "a.csv:2: the label 'good' is not a number"),
        (["text_a,text_b", "one,two"], Columns(label="x"), "there is no column 'x' (--label-column)"),
    ],
)
def test_a_bad_row_is_refused(tmp_path: Path, lines: list[str], columns: Columns, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path / "a.csv", lines, columns)
    assert message in str(caught.value)


def test_all_pairs_have_a_score_or_none_has() -> None:
    TASK.check(pairs(1.0, 2.0), {}, "dev")
    TASK.check(pairs(None, None), {}, "dev")
    with pytest.raises(DataError) as caught:
        TASK.check(pairs(1.0, None), {}, "dev")
    assert str(caught.value) == (
        "dev.csv:3: this pair has no number as its score, and other pairs of dev have one. "
        "Write a score for each pair, or for none."
    )


def test_never_guessed() -> None:
    assert guess_task([{"text_a": "x", "text_b": "y"}], Columns())[0].name == "classification"


def test_it_is_not_fine_tuned() -> None:
    with pytest.raises(UsageError, match="edgebert distill --task embedding --teacher ENCODER"):
        TASK.settings(pairs(1.0), None)


def test_the_network_reads_one_text_at_a_time() -> None:
    rows = pairs(1.0, 2.0)
    assert TASK.texts(rows) == ["first 2", "second 2", "first 3", "second 3"]
    assert TASK.texts([Row("one", None, "")]) == ["one"]
    read = reading(rows)
    assert list(read.texts) == TASK.texts(rows) and TASK.targets(read) == [{}] * 4
    (head,) = TASK.heads(TASK.labels_from(rows), {"width": 4})
    assert (head.name, head.width, head.kind) == ("vector", 4, "vector")


def test_pairs_with_scores_are_judged_by_the_order_of_their_cosines() -> None:
    vectors = drawn(40)
    gold = np.random.default_rng(1).random(20)
    found = TASK.metrics({"vector": vectors}, reading(pairs(*gold.tolist())))
    first, second = vectors[::2], vectors[1::2]
    cosines = (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    expected = pytest.approx(stats.spearmanr(cosines, gold)[0])
    assert found == {"n": 20, "similarity": expected, "spearman": expected}
    scores = TASK.decisions({"vector": vectors}, reading(pairs(*gold.tolist()))).scores
    np.testing.assert_allclose(scores, cosines, rtol=1e-5)


def test_pairs_alone_are_judged_by_finding_each_other() -> None:
    vectors = np.repeat(np.eye(4), 2, axis=0)
    vectors[1::2] += 0.3 * np.eye(4)[[1, 0, 3, 2]]
    rows = pairs(None, None, None, None)
    found = TASK.metrics({"vector": vectors}, reading(rows))
    assert found == {"n": 4, "similarity": 1.0, "mrr": 1.0, "recall_at_1": 1.0, "recall_at_10": 1.0}
    vectors[[1, 3]] = vectors[[3, 1]]  # two of them find each other's
    found = TASK.metrics({"vector": vectors}, reading(rows))
    assert found["recall_at_1"] == 0.5 and found["mrr"] == found["similarity"] == pytest.approx(0.75)


def test_texts_alone_are_judged_by_the_teacher(tmp_path: Path) -> None:
    rows = [Row(f"text {n}", None, f"dev.csv:{n}") for n in range(5)]
    teacher, student = drawn(5), drawn(5, seed=1)
    with pytest.raises(DataError, match=r"dev\.csv:0: a text alone does not say what its vector should be"):
        TASK.metrics({"vector": student}, reading(rows))
    taught = list(TASK.taught(rows, lambda _: {"vector": teacher}))
    assert [row.text for row in taught] == [row.text for row in rows]
    assert TASK.metrics({"vector": 3 * teacher}, reading(taught))["similarity"] == pytest.approx(1)
    cosines = (teacher * student).sum(1) / np.linalg.norm(teacher, axis=1) / np.linalg.norm(student, axis=1)
    found = TASK.metrics({"vector": student}, reading(taught))
    assert found["teacher_cosine"] == found["similarity"] == pytest.approx(cosines.mean(), abs=1e-6)
    # ... and still are when they come back from a run folder.
    again = read(tmp_path / "dev.jsonl", [json.dumps(TASK.record(row)) for row in taught])
    assert TASK.metrics({"vector": student}, reading(again))["similarity"] == pytest.approx(cosines.mean(), abs=1e-4)


@pytest.mark.parametrize("row", [Row("x", None, ""), Row(("x", "y"), 2.5, ""), Row(("x", "y"), None, "")])
def test_a_row_is_read_again_as_it_was_written(tmp_path: Path, row: Row) -> None:
    (found,) = read(tmp_path / "dev.jsonl", [json.dumps(TASK.record(row))])
    assert (found.text, found.gold) == (row.text, row.gold)


@pytest.mark.parametrize("vector", ['"x"', "[]", "[[1, 2]]", "[1, null]", "[1, NaN]", '{"a": 1}'])
def test_a_vector_that_is_none_is_refused(tmp_path: Path, vector: str) -> None:
    with pytest.raises(DataError, match=r"a\.jsonl:1: "):
        read(tmp_path / "a.jsonl", [f'{{"text": "x", "vector": {vector}}}'])


def test_engines_agree_where_vectors_point_the_same_way() -> None:
    vectors = np.eye(4)
    other = vectors + np.array([[0.0], [0.01], [0.1], [1.0]])
    texts: list[Text] = ["a", "b", "c", "d"]
    read = reading([Row(text, None, "") for text in texts])
    first: Outputs = {"vector": vectors}
    assert TASK.agreement(first, {"vector": other * 7}, read) == 0.5
    assert TASK.decisions(first, read).scores is None


@pytest.mark.parametrize("vectors", [np.zeros((3, 4)), np.zeros(4), np.full((4, 4), np.nan)])
def test_outputs_that_do_not_fit_are_refused(vectors: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"do not fit|not finite"):
        TASK.metrics({"vector": vectors}, reading(pairs(1.0, 2.0)))
