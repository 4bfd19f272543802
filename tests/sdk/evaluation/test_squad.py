"""Our numbers against those of SQuAD's official evaluation (2.0), which was run outside this repository.

`squad_vectors.jsonl` holds answers made by us and what the official program says of each.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.evaluation.squad import answer_scores, best_no_answer, normalise, squad_scores

VECTORS = [json.loads(line) for line in (Path(__file__).parent / "squad_vectors.jsonl").read_text().splitlines()]


def test_every_answer_scores_as_officially() -> None:
    for vector in VECTORS:
        found = answer_scores(vector["predicted"], vector["gold"])
        assert found == pytest.approx((vector["exact"], vector["f1"])), vector
    assert len(VECTORS) == 560


def test_the_means_are_the_official_ones() -> None:
    found = squad_scores([vector["predicted"] for vector in VECTORS], [vector["gold"] for vector in VECTORS])
    assert {name: 100 * value for name, value in found.items()} == pytest.approx(
        {
            "exact": 42.142857142857146,
            "f1": 57.421354439211605,
            "has_answer_f1": 63.44991351241354,
            "no_answer_f1": 21.25,
        }
    )


def test_known_answers() -> None:
    assert normalise("  The  U.S. Army’s\ta-team, an AN  end!") == "us army’s ateam end"
    assert answer_scores("b c d", ["x", "the a b c"]) == pytest.approx((0, 0.8))
    assert answer_scores("", []) == answer_scores("!", []) == (1, 1)
    assert answer_scores("x", []) == answer_scores("", ["x"]) == (0, 0)


def published(shared: Path, dataset: str, model: str) -> tuple[list[str], list[dict[str, Any]]]:
    """The stored answers of a published model to a dev set, and its questions."""

    def lines(name: str) -> Iterator[Any]:
        with gzip.open(shared / name, "rt", encoding="utf-8") as handle:
            yield from map(json.loads, handle)

    given = {row["id"]: row["prediction"] for row in lines(f"squad_published_predictions/{model}.jsonl.gz")}
    questions = list(lines(f"{dataset}/dev.jsonl.gz"))
    return [given[question["id"]] for question in questions], questions


def answers(question: dict[str, Any]) -> list[str]:
    return [answer["text"] for answer in question["answers"]]


def test_bert_on_squad_1_scores_as_officially(shared_data: Path) -> None:
    predicted, questions = published(shared_data, "squad_v1.1", "bert_ensemble_v1.1_dev")
    found = squad_scores(predicted, [answers(question) for question in questions])
    assert found == pytest.approx({"exact": 0.8620624408703878, "f1": 0.9219557978351129})


def test_bert_on_squad_2_scores_as_officially(shared_data: Path) -> None:
    predicted, questions = published(shared_data, "squad_v2.0", "bert_single_v2.0_dev")
    gold = [answers(question) for question in questions]
    assert squad_scores(predicted, gold) == pytest.approx(
        {
            "exact": 0.7874168280973637,
            "f1": 0.8177528052374727,
            "has_answer_f1": 0.8018183293833516,
            "no_answer_f1": 0.8336417157275021,
        }
    )
    # Made scores of "no answer", a little higher where there is none; the official program was given the same.
    differences = [
        (zlib.crc32(question["id"].encode()) / 2**32 + (0 if question["answers"] else 0.5)) / 1.5
        for question in questions
    ]
    answered = [answer_scores(*pair).f1 for pair in zip(predicted, gold, strict=True)]
    silent = [answer_scores("", texts).f1 for texts in gold]
    threshold = best_no_answer(differences, answered, silent)
    assert 0.6666472343107065 <= threshold < 0.667
    kept = ["" if d > threshold else text for d, text in zip(differences, predicted, strict=True)]
    assert squad_scores(kept, gold)["f1"] == pytest.approx(0.8597809362911188)
    kept = ["" if d > 0.6 else text for d, text in zip(differences, predicted, strict=True)]
    assert squad_scores(kept, gold) == pytest.approx(
        {
            "exact": 0.7996294112692664,
            "f1": 0.8267180232947729,
            "has_answer_f1": 0.7207528830261185,
            "no_answer_f1": 0.9323801513877208,
        }
    )


@given(
    st.lists(
        st.tuples(st.one_of(st.integers(-2, 2), st.floats(-9, 9)), st.floats(0, 1), st.sampled_from([0.0, 1.0])),
        min_size=1,
        max_size=20,
    )
)
def test_no_other_threshold_earns_more(questions: list[tuple[float, float, float]]) -> None:
    differences, answered, silent = (np.array(column) for column in zip(*questions, strict=True))

    def earned(threshold: float) -> float:
        return float(np.where(differences > threshold, silent, answered).sum())

    best = earned(best_no_answer(differences.tolist(), answered.tolist(), silent.tolist()))
    assert best == pytest.approx(max(earned(threshold) for threshold in [-10.0, *differences]))


def test_the_threshold_lies_between_two_questions() -> None:
    """Not on one of them: the next model's numbers are a little different."""
    assert best_no_answer([1.0, 3.0], [1.0, 0.0], [0.0, 1.0]) == 2
    assert best_no_answer([1.0, 3.0], [1.0, 1.0], [0.0, 0.0]) > 3
    assert best_no_answer([1.0, 3.0], [0.0, 0.0], [1.0, 1.0]) < 1


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="1 predicted answers do not fit 0 questions"):
        squad_scores(["x"], [])
    for lists in (([], [], []), ([1.0], [1.0, 2.0], [1.0, 2.0]), ([float("nan")], [1.0], [1.0])):
        with pytest.raises(ValueError, match="three lists"):
            best_no_answer(*lists)
