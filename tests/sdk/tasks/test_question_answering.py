"""Question answering: what is learnt of a row, what is measured, and that gold positions come back as gold answers."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert.data import Answers, Columns, Row, read_rows
from edgebert.evaluation.calibration import COOLEST, HOTTEST, fit_confidence
from edgebert.evaluation.squad import squad_scores
from edgebert.tasks import get_task, guess_task
from edgebert.tasks.base import Reading
from edgebert.tasks.heads import Head
from edgebert_runtime.decode.question_answering import find
from edgebert_runtime.errors import DataError
from edgebert_runtime.features import WordPiece
from edgebert_runtime.outputs import Outputs

TASK = get_task("question-answering")
CONTEXT = "The 🏈 Denver Broncos beat the Panthers; the Broncos won."
WORDS = "the denver broncos beat panthers ; won . who why when x ##er ##s ! ? 🏈 , a b c d e f g".split()
TINY = WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS], lowercase=True, max_length=64, pair=True)
SHORT = WordPiece(TINY.vocabulary, lowercase=True, max_length=12, pair=True)
RECORD = {"id": "q", "question": "Who won?", "context": CONTEXT, "answers": [{"text": "Denver Broncos", "start": 6}]}


def row(*found: tuple[int, str], context: str = CONTEXT, question: str = "who won ?") -> Row:
    assert all(context[start : start + len(text)] == text for start, text in found)
    return Row((question, context), Answers("q", found), "train.json: question q")


WON, BEAT, NONE = row((6, "Denver Broncos"), (13, "Broncos")), row((21, "beat")), row()


def reading(*rows: Row, featurizer: WordPiece = TINY, **values: Any) -> Reading:
    return TASK.read(rows, featurizer, {}, values)


def copied(read: Reading, height: float = 10.0) -> Outputs:
    """What a network answers that has learned the gold positions."""
    rows = []
    for text, target in zip(read.texts, TASK.targets(read), strict=True):
        logits = np.zeros((len(read.asked.featurizer.spans(text)), 2), np.float32)
        logits[target["logits"], [0, 1]] = height
        rows.append(logits)
    return {"logits": rows}


# ---- rows


def test_question_rows_are_recognised() -> None:
    task, reason = guess_task([RECORD], Columns())
    assert (task.name, reason) == ("question-answering", "the rows hold questions, contexts and answers")
    hub = {**RECORD, "answers": {"text": ["Denver Broncos"], "answer_start": [6]}}
    assert TASK.recognises([{}, hub], Columns())
    named = {"q": "Who?", "c": CONTEXT, "gold": []}
    assert TASK.recognises([named], Columns("q", "c", "gold")) and not TASK.recognises([named], Columns())
    for other in (
        {"question": "a", "context": "b", "label": "yes"},
        {"question": "a", "answers": [], "label": "yes"},
        {"question": "a", "context": "b", "answers": "yes"},
    ):
        assert not TASK.recognises([other], Columns())
    assert not TASK.recognises([RECORD], Columns(label="title"))
    assert not TASK.recognises([], Columns())


def test_a_row_is_read_kept_and_held_out_with_its_context() -> None:
    read = TASK.reader("f", list(RECORD), Columns(), True)(RECORD, "f:1")
    assert read == Row(("Who won?", CONTEXT), Answers("q", ((6, "Denver Broncos"),)), "f:1")
    again = json.loads(json.dumps(TASK.record(read)))
    assert TASK.reader("f", list(again), Columns(), True)(again, "f:1") == read
    assert TASK.keys(read) == TASK.keys(row((4, "🏈"), question="what ?")) == (CONTEXT, "")
    assert TASK.texts([read]) == [("Who won?", CONTEXT)]


def test_what_the_task_asks_of_a_network() -> None:
    assert TASK.heads({}, {}) == (Head("logits", 2, "positions", per_token=True),)
    assert TASK.needs == {"tokens", "pairs"} and TASK.metric_names({}) == ("f1", "exact")
    assert TASK.labels_from(iter([NONE, WON])) == {}
    assert TASK.settings([WON, BEAT], TINY) == {}
    assert TASK.settings([WON, NONE], TINY) == {"no_answer": 0.0}


def test_train_without_answers_is_refused() -> None:
    with pytest.raises(DataError, match="there are no rows to learn answers from"):
        TASK.labels_from([])
    with pytest.raises(DataError, match="question q: no question in the train data has an answer, so there is nothing"):
        TASK.labels_from([NONE, NONE])
    unlabelled = Row(("who ?", CONTEXT), None, "f:3")
    with pytest.raises(DataError, match=r"f:3: the row has no answers\. Name their column with --label"):
        TASK.labels_from([WON, unlabelled])
    with pytest.raises(DataError, match="f:3: the row has no answers"):
        TASK.check([WON, unlabelled], {}, "dev")
    TASK.check([WON, NONE], {}, "dev")


# ---- targets


def target_text(read: Reading, number: int) -> str:
    first, last = TASK.targets(read)[number]["logits"].tolist()
    spans = read.asked.featurizer.spans(read.texts[number])
    assert spans[first, 0] == spans[last, 0] == 1
    return read.texts[number][1][spans[first, 2] : spans[last, 3]]


def test_the_target_is_where_the_first_answer_stands() -> None:
    read = reading(WON, BEAT, row((6, "Denver Bron")), row((5, " Denver Broncos ")), NONE)
    assert [target_text(read, number) for number in range(4)] == ["Denver Broncos", "beat", *["Denver Broncos"] * 2]
    targets = TASK.targets(read)
    assert targets[4]["logits"].tolist() == [0, 0]
    assert all(target["logits"].dtype == np.int64 and target["logits"].shape == (2,) for target in targets)
    assert TASK.targets(reading(Row(("who ?", CONTEXT), None, "f:1"))) == [{}]


def test_a_window_learns_only_of_an_answer_that_it_holds_whole() -> None:
    found = ((26, "the Panthers"), (52, "won"))
    read = reading(row(*found), featurizer=SHORT)
    held = []
    for piece, target in zip(read.asked.pieces or (), TASK.targets(read), strict=True):
        end = piece.start + len(piece.text[1])
        wanted = [text for start, text in found if piece.start <= start and start + len(text) <= end]
        assert target["logits"].any() == bool(wanted)
        held.append(wanted)
    assert held == [[], ["the Panthers", "won"], ["won"]]
    assert [target_text(read, number) for number in (1, 2)] == ["the Panthers", "won"]


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from([*WORDS[:12], "Ünknown", "👍🏽", "don't"]), min_size=1, max_size=40).map(" ".join),
    st.data(),
    st.sampled_from([TINY, SHORT]),
)
def test_gold_positions_give_the_words_of_the_answer(context: str, data: Any, featurizer: WordPiece) -> None:
    spaces = [-1, *(place for place, letter in enumerate(context) if letter == " "), len(context)]
    first = data.draw(st.integers(0, len(spaces) - 2))
    last = data.draw(st.integers(first, min(first + 2, len(spaces) - 2)))
    start, end = spaces[first] + 1, spaces[last + 1]
    read = reading(row((start, context[start:end]), context=context), featurizer=featurizer)
    held = [
        piece.start <= start and end <= piece.start + len(piece.text[1]) and len(featurizer.spans(piece.text)) <= 12
        for piece in read.asked.pieces or ()
    ]
    if any(held) or featurizer is TINY:
        assert TASK.decisions(copied(read), read).answers == [context[start:end]]


# ---- metrics


def test_metrics_of_questions_that_all_have_answers() -> None:
    read = reading(WON, BEAT)
    outputs = copied(read)
    assert TASK.metrics(outputs, read) == {"n": 2, "f1": 1.0, "exact": 1.0, "ece": pytest.approx(0.0, abs=0.01)}
    outputs["logits"][1] = outputs["logits"][0]  # "Denver Broncos" where "beat" is right
    found = TASK.metrics(outputs, read)
    assert (found["f1"], found["exact"]) == (0.5, 0.5)
    assert list(found)[:2] == ["n", "f1"]
    assert TASK.decisions(outputs, read).right.tolist() == [True, False]
    assert TASK.agreement(outputs, copied(read), read) == 0.5


def test_metrics_of_questions_without_an_answer() -> None:
    read = reading(WON, BEAT, NONE, NONE, no_answer=0.0)
    outputs = copied(read)
    outputs["logits"][3] = outputs["logits"][0]
    found = TASK.metrics(outputs, read)
    assert found.pop("ece") > 0.1
    assert found == {"n": 4, "f1": 0.75, "exact": 0.75, "has_answer_f1": 1.0, "no_answer_f1": 0.5}
    decided = TASK.decisions(outputs, read)
    assert decided.answers == ["Denver Broncos", "beat", "", "Denver Broncos"]
    assert decided.right.tolist() == [True, True, True, False]
    always = TASK.decisions(outputs, reading(WON, BEAT, NONE, NONE)).answers
    assert always == ["Denver Broncos", "beat", "The", "Denver Broncos"]


def test_numbers_that_are_none_are_refused() -> None:
    read = reading(WON)
    outputs = copied(read)
    outputs["logits"][0][3, 1] = np.nan
    for count in (TASK.metrics, TASK.decisions, TASK.calibrate):
        with pytest.raises(ValueError, match="not finite"):
            count(outputs, read)


# ---- calibration


def noisy(read: Reading, seed: int, height: float) -> Outputs:
    """Gold positions that stand out of noise, and sometimes do not."""
    numbers = np.random.default_rng(seed)
    outputs = copied(read, height)
    return {"logits": [row + numbers.normal(size=row.shape).astype(np.float32) * 1.5 for row in outputs["logits"]]}


@pytest.mark.parametrize("seed", range(3))
def test_no_other_bar_gives_a_better_f1(seed: int) -> None:
    read = reading(*[WON, BEAT, NONE] * 8, no_answer=0.0)
    outputs = noisy(read, seed, 2.5)
    fitted = TASK.calibrate(outputs, read)

    def f1(bar: float) -> float:
        return TASK.metrics(outputs, reading(*read.rows, no_answer=bar))["f1"]

    bars = sorted(found.null - found.scores[0] for found in find(outputs, read.asked))
    best = max(f1(bar) for bar in [bars[0] - 1, *bars])
    assert f1(fitted["no_answer"]) == best > f1(0.0) - 1e-9
    assert 0.1 < f1(fitted["no_answer"]) < 1


def test_a_bar_is_fitted_only_where_dev_needs_one() -> None:
    read = reading(*[WON, BEAT] * 5)
    assert "no_answer" not in TASK.calibrate(noisy(read, 0, 3.0), read)
    kept = reading(*[WON, BEAT] * 5, no_answer=0.25)
    assert TASK.calibrate(noisy(kept, 0, 3.0), kept)["no_answer"] == 0.25
    fitted = reading(*[WON, NONE] * 5, threshold=0.9)
    found = TASK.calibrate(noisy(fitted, 0, 3.0), fitted)
    assert isinstance(found["no_answer"], float) and found["threshold"] == 0.9
    assert json.loads(json.dumps(found)) == found


def test_the_temperature_lowers_the_calibration_error() -> None:
    read = reading(*[WON, BEAT, NONE] * 60, no_answer=0.0)
    calm = noisy(read, 1, 2.5)
    outputs: Outputs = {"logits": [4 * row for row in calm["logits"]]}  # the same decisions, far too sure of themselves
    fitted = TASK.calibrate(outputs, read)
    plain = TASK.calibrate(calm, read)
    assert fitted["temperature"]["logits"] == pytest.approx(4 * plain["temperature"]["logits"], rel=1e-2)
    assert fitted["calibration"]["texts"] == 180
    assert fitted["calibration"]["ece_after"] < fitted["calibration"]["ece_before"] * 0.6
    again = TASK.read(read.rows, TINY, {}, fitted)
    assert TASK.metrics(outputs, again)["ece"] == pytest.approx(fitted["calibration"]["ece_after"])


def test_a_context_without_words_can_be_calibrated() -> None:
    read = reading(WON, row(context="\u200b\u0000"), no_answer=0.0)
    found = TASK.calibrate(copied(read), read)
    assert TASK.decisions(copied(read), TASK.read(read.rows, TINY, {}, found)).answers == ["Denver Broncos", ""]


def confidence_loss(scores: list[np.ndarray], right: np.ndarray, temperature: float) -> float:
    total = 0.0
    for row, truth in zip(scores, right, strict=True):
        powers = [math.exp((score - max(row)) / temperature) for score in row.tolist()]
        total -= math.log((powers[0] if truth else sum(powers[1:])) / sum(powers))
    return total / len(scores)


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.sampled_from([0.4, 1.0, 3.0]))
def test_no_temperature_of_a_grid_tells_better_how_often_an_answer_is_right(seed: int, truth: float) -> None:
    numbers = np.random.default_rng(seed)
    scores = [np.sort(numbers.normal(size=size) * 3)[::-1] for size in numbers.integers(2, 6, 80)]
    sure = [1 / sum(math.exp((score - row[0]) / truth) for score in row.tolist()) for row in scores]
    right = numbers.random(len(scores)) < sure
    found = fit_confidence(scores, right)
    grid = np.exp(np.linspace(np.log(COOLEST), np.log(HOTTEST), 80))
    best = min(grid, key=lambda t: confidence_loss(scores, right, t))
    if COOLEST * 1.05 < best < HOTTEST / 1.05:
        assert confidence_loss(scores, right, found) <= confidence_loss(scores, right, best) + 1e-7
        assert fit_confidence([*scores, np.ones(1)], np.append(right, False)) == found  # one alone says nothing
    else:
        assert found == 1


def test_confidence_that_says_nothing_and_scores_that_do_not_fit() -> None:
    assert fit_confidence([np.ones(1)], np.asarray([True])) == 1
    assert fit_confidence([np.asarray([3.0, 1.0])] * 4, np.ones(4, bool)) == 1  # all right: ever surer
    with pytest.raises(ValueError, match="do not fit"):
        fit_confidence([np.ones(2)], np.ones(2, bool))
    with pytest.raises(ValueError, match="not finite"):
        fit_confidence([np.asarray([1.0, np.nan])], np.ones(1, bool))


# ---- SQuAD itself


@pytest.fixture(scope="module")
def uncased(shared_data: Path) -> list[str]:
    return (shared_data / "vocab" / "bert-base-uncased-vocab.txt").read_text(encoding="utf-8").splitlines()


def sample(folder: Path, name: str, step: int) -> list[Row]:
    def reader(where: str, found: list[str]) -> Any:
        return TASK.reader(where, found, Columns(), True)

    return list(itertools.islice(read_rows(folder / f"{name}.jsonl.gz", reader), 0, 300 * step, step))


@pytest.mark.parametrize(
    ("name", "step", "max_length", "least"),
    [
        ("squad_v1.1/dev", 35, 384, 0.99),
        ("squad_v2.0/dev", 39, 384, 0.99),
        ("squad_v1.1/train", 40, 128, 0.99),
        ("xquad/ro", 3, 160, 0.97),  # words fall into many pieces, so more answers are of more than 30
    ],
)
def test_gold_positions_of_squad_score_as_far_as_offsets_allow(
    shared_data: Path, uncased: list[str], name: str, step: int, max_length: int, least: float
) -> None:
    rows = sample(shared_data, name, step)
    featurizer = WordPiece(uncased, lowercase=True, max_length=max_length, pair=True)
    read = TASK.read(rows, featurizer, {}, TASK.settings(rows, featurizer))
    assert len(rows) == 300 and len(read.texts) > 300
    for text, ids in zip(read.texts, featurizer(read.texts), strict=True):
        assert len(ids["input_ids"]) == len(featurizer.spans(text, cut=False))  # nothing is truncated
    outputs = copied(read)
    found = TASK.metrics(outputs, read)
    assert found["f1"] >= least and found["exact"] >= least - 0.02
    if "no_answer" in read.asked.settings:
        assert found["no_answer_f1"] == 1.0
        settings = TASK.calibrate(outputs, read)
        assert TASK.metrics(outputs, TASK.read(rows, featurizer, {}, settings))["f1"] >= found["f1"]
    gold = [[text for _, text in each.gold.found] for each in rows if isinstance(each.gold, Answers)]
    answers = TASK.decisions(outputs, read).answers
    assert answers is not None and squad_scores(answers, gold)["f1"] == found["f1"]
