"""Multi-label as a task: its data, its targets, its numbers."""

from __future__ import annotations

import gzip
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from edgebert.data import Row, load_splits, read_rows
from edgebert.data.columns import Columns
from edgebert.tasks import get_task, guess_task
from edgebert.tasks.base import Reading
from edgebert_runtime.decode import check_task, get_decoder
from edgebert_runtime.errors import DataError
from edgebert_runtime.outputs import Outputs, OutputSpec

TASK = get_task("multi-label")
ABC = {"logits": ("a", "b", "c")}


def rows(*labels: tuple[str, ...]) -> list[Row]:
    return [Row(f"text {n}", gold, f"train.jsonl:{n}") for n, gold in enumerate(labels, start=1)]


def reading(rows: list[Row], **settings: Any) -> Reading:
    featurizer: Any = None  # texts are read as they are
    return TASK.read(rows, featurizer, ABC, settings)


def read(path: Path, lines: list[str], columns: Columns = Columns()) -> list[Row]:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return list(read_rows(path, partial(TASK.reader, columns=columns, labelled=True)))


def test_lists_of_labels(tmp_path: Path) -> None:
    lines = ['{"text": "x", "labels": ["b", " a "]}', '{"text": "y", "labels": []}']
    assert [row.gold for row in read(tmp_path / "a.jsonl", lines)] == [("b", "a"), ()]
    (found,) = read(tmp_path / "a.jsonl", ['{"text_a": "x", "text_b": "y", "topics": ["t"]}'], Columns(label="topics"))
    assert (found.text, found.gold) == (("x", "y"), ("t",))


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_cells_hold_labels_with_a_bar_between(tmp_path: Path, name: str) -> None:
    between = "\t" if name == "a.tsv" else ","
    lines = [between.join(cells) for cells in (("text", "labels"), ("x", "b|a"), ("y", ""), ("z", "c"))]
    assert [row.gold for row in read(tmp_path / name, lines)] == [("b", "a"), (), ("c",)]
    with gzip.open(tmp_path / f"{name}.gz", "wt") as handle:
        handle.write("\n".join(lines) + "\n")
    reader = partial(TASK.reader, columns=Columns(), labelled=True)
    assert [row.gold for row in read_rows(tmp_path / f"{name}.gz", reader)] == [("b", "a"), (), ("c",)]


@pytest.mark.parametrize("row", [Row("x", ("b", "a|c"), ""), Row(("x", "y"), (), "")])
def test_a_row_is_read_again_as_it_was_written(tmp_path: Path, row: Row) -> None:
    (found,) = read(tmp_path / "dev.jsonl", [json.dumps(TASK.record(row))])
    assert (found.text, found.gold) == (row.text, row.gold)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ('["a", 3]', "the label list holds 3, not strings. Write each label as a string."),
        ('["a", null]', "the label list holds None, not strings. Write each label as a string."),
        ('["a", "b", "a "]', "the label 'a' is listed twice. Write it once."),
        (
            '"a"',
            '\'labels\' is a string, and multi-label wants a list such as ["a", "b"]. '
            "Write a list, or name --task classification.",
        ),
        ("null", "'labels' is a null, and multi-label wants a list"),
        ('["a", " "]', "a label in 'labels' is empty. Write its name, or take it out."),
        ('["\\ud800"]', "half a surrogate pair"),
    ],
)
def test_a_bad_list_is_refused(tmp_path: Path, labels: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path / "a.jsonl", [f'{{"text": "x", "labels": {labels}}}'])
    assert str(caught.value).startswith(f"{tmp_path / 'a.jsonl'}:1: ") and message in str(caught.value)


@pytest.mark.parametrize(
    ("cell", "message"),
    [("a|a", "the label 'a' is listed twice"), ("a||b", "a label in 'labels' is empty"), ("|", "is empty")],
)
def test_a_bad_cell_is_refused(tmp_path: Path, cell: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"a\.csv:2: .*{message}"):
        read(tmp_path / "a.csv", ["text,labels", f"x,{cell}"])


def test_labels_are_those_of_train_by_spelling() -> None:
    assert TASK.labels_from(rows(("b", "a"), (), ("c", "a"))) == ABC
    with pytest.raises(DataError, match=r"train\.jsonl:1: no row of train has a label"):
        TASK.labels_from(rows((), ()))
    with pytest.raises(DataError, match="no rows"):
        TASK.labels_from([])
    with pytest.raises(DataError, match=r"^x:1: the row has no labels"):
        TASK.labels_from([Row("x", None, "x:1")])


def test_a_label_that_train_does_not_have_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"^train\.jsonl:2: the label 'd' is not one that the model knows.*Known: a, b, c"
    ):
        TASK.check(rows(("a",), ("b", "d")), ABC, "dev")
    TASK.check(rows(("a",), ()), ABC, "dev")


def test_guessed_where_the_label_column_holds_lists() -> None:
    def guessed(*labels: object) -> str:
        return guess_task([{"text": "x", "labels": label} for label in labels], Columns())[0].name

    assert guessed(["a"], []) == guessed(["a"], "b") == "multi-label"
    assert guessed("a|b", "a") == "classification"
    assert guess_task([{"text": "x", "labels": []}], Columns())[1] == "the column 'labels' holds lists of labels"


def test_a_text_and_its_copies_stay_together_and_labels_give_their_share() -> None:
    first, second, none = rows(("a", "b"), ("a",), ())
    assert TASK.keys(first)[1] == TASK.keys(second)[1] == "a" and TASK.keys(none)[1] == ""
    assert TASK.keys(first)[0] != TASK.keys(second)[0]


def test_targets() -> None:
    (head,) = TASK.heads(ABC, {})
    assert (head.name, head.width, head.kind) == ("logits", 3, "flags")
    found = [target["logits"] for target in TASK.targets(reading(rows(("c", "a"), ())))]
    assert [row.tolist() for row in found] == [[1, 0, 1], [0, 0, 0]] and found[0].dtype == np.float32


def made(count: int = 400) -> tuple[Outputs, list[Row]]:
    """Logits twice too sure and shifted differently for each label, and gold drawn from the right ones."""
    drawn = np.random.default_rng(0)
    logits = drawn.normal(size=(count, 3)) * 1.5
    gold = drawn.random(logits.shape) < 1 / (1 + np.exp(-(logits + np.array([-1.5, 0, 1]))))
    names = [tuple(label for label, has in zip("abc", row, strict=True) if has) for row in gold]
    return {"logits": (2 * logits).astype(np.float32)}, rows(*names)


def test_metrics_equal_sklearn() -> None:
    outputs, data = made()
    found = TASK.metrics(outputs, reading(data, thresholds=[0.8, 0.5, 0.2]))
    logits = np.asarray(outputs["logits"], np.float64)
    gold = np.array([[label in row.gold for label in "abc"] for row in data])  # type: ignore[operator]
    predicted = 1 / (1 + np.exp(-logits)) >= [0.8, 0.5, 0.2]
    assert found["n"] == len(data)
    assert found["micro_f1"] == pytest.approx(f1_score(gold, predicted, average="micro"))
    assert found["macro_f1"] == pytest.approx(f1_score(gold, predicted, average="macro"))
    assert found["exact_match"] == pytest.approx((gold == predicted).all(axis=1).mean())
    assert found["mean_average_precision"] == pytest.approx(average_precision_score(gold, logits, average="macro"))
    assert set(TASK.metric_names({})) | {"n", "ece"} == set(found)


def test_calibration_mends_the_probabilities_and_raises_f1() -> None:
    outputs, data = made()
    before = TASK.metrics(outputs, reading(data))
    settings = TASK.calibrate(outputs, reading(data, kept="this"))
    assert settings["kept"] == "this" and settings["temperature"]["logits"] == pytest.approx(2, abs=0.6)
    assert settings["thresholds"][0] > settings["thresholds"][2] and len(settings["thresholds"]) == 3
    after = TASK.metrics(outputs, reading(data, **settings))
    assert after["micro_f1"] > before["micro_f1"]
    assert before["ece"] == pytest.approx(settings["calibration"]["ece_before"])
    assert after["ece"] == pytest.approx(settings["calibration"]["ece_after"]) and after["ece"] < before["ece"]
    assert after["mean_average_precision"] == before["mean_average_precision"]
    # A bundle may hold such settings, as JSON.
    check_task("multi-label", [OutputSpec("logits", 3, labels=ABC["logits"])], json.loads(json.dumps(settings)))


def test_metrics_decisions_and_decode_give_the_same_labels() -> None:
    outputs, data = made()
    read = reading(data, **TASK.calibrate(outputs, reading(data)))
    answers = get_decoder("multi-label").decode(outputs, read.asked)
    decisions = TASK.decisions(outputs, read)
    assert decisions.answers == [tuple(sorted(answer.labels)) for answer in answers]
    assert decisions.right is not None
    assert decisions.right.tolist() == [set(a.labels) == set(row.gold) for a, row in zip(answers, data, strict=True)]  # type: ignore[arg-type]
    assert decisions.right.mean() == pytest.approx(TASK.metrics(outputs, read)["exact_match"])
    assert TASK.agreement(outputs, outputs, read) == 1


@pytest.mark.parametrize("logits", [np.zeros((2, 3)), np.zeros((1, 2)), np.full((1, 3), np.nan)])
def test_outputs_that_do_not_fit_are_refused(logits: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"do not fit|not finite"):
        TASK.metrics({"logits": logits}, reading(rows(("a",))))


def test_the_intents_of_atis_make_such_a_set(shared_data: Path, tmp_path: Path) -> None:
    """Some utterances have two, joined by "#"."""
    for split in ("train", "dev"):
        with gzip.open(shared_data / "atis" / f"{split}.jsonl.gz", "rt", encoding="utf-8") as lines:
            made = [
                {"text": " ".join(record["tokens"]), "labels": record["intent"].split("#")}
                for record in map(json.loads, lines)
            ]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in made))
    splits = load_splits(tmp_path, None, None, None, Columns(), TASK)
    labels = TASK.labels_from(splits.train)
    assert len(labels["logits"]) == 17 and not any("#" in label for label in labels["logits"])
    assert sum(len(row.gold) == 2 for row in splits.train if isinstance(row.gold, tuple)) > 10
