"""Answers in a context: windows that are never truncated, and decoding against a plain loop over all tokens."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import span_texts
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert_runtime.decode import Asked, ask, check_task, get_decoder
from edgebert_runtime.decode.question_answering import FoundAnswer, cut, decode, margins
from edgebert_runtime.errors import BundleError
from edgebert_runtime.features import WordPiece
from edgebert_runtime.outputs import Outputs, OutputSpec

DECODER = get_decoder("question-answering")
SETTINGS = settings(max_examples=100)
LONG = st.lists(st.one_of(st.sampled_from(span_texts.SNIPPETS), st.text(max_size=8)), min_size=5, max_size=80)
LONGEST_WORD = 100  # characters; of more the tokenizer makes one token


@functools.cache
def featurizer(max_length: int, lowercase: bool = True) -> WordPiece:
    lines = span_texts.vocabulary().read_text(encoding="utf-8").splitlines()
    return WordPiece(lines, lowercase, max_length, pair=True)


def halves(text: tuple[str, str], lowercase: bool, max_length: int = 100_000) -> tuple[list[int], list[int]]:
    """The ids of each half as the network reads it, without [CLS] and [SEP]."""
    features = featurizer(max_length, lowercase)([text])[0]
    ids, types = features["input_ids"].tolist(), features["token_type_ids"].tolist()
    second = types.index(1)
    return ids[1 : second - 1], ids[second:-1]


def check_windows(question: str, context: str, max_length: int, lowercase: bool = True) -> list[int]:
    """Check the windows of one question; how many tokens of the context each has."""
    pieces = cut([("", ""), (question, context)], featurizer(max_length, lowercase), {})
    assert pieces[0].text == ("", "") and {piece.owner for piece in pieces[1:]} == {1}
    pieces = pieces[1:]
    asked, whole = halves((question, context), lowercase)
    limit = min(64, (max_length - 3) // 2)
    covered, sizes = 0, []
    for piece in pieces:
        got = halves(piece.text, lowercase)  # type: ignore[arg-type]
        assert piece.text[0] == pieces[0].text[0] and question.startswith(piece.text[0])
        assert got[0] == asked[: len(got[0])] and len(got[0]) <= limit
        assert (piece.text[0] == question) == (len(asked) <= limit)
        window = piece.text[1]
        assert context[piece.start : piece.start + len(window)] == window
        first = len(halves(("", context[: piece.start]), lowercase)[1])
        assert got[1] == whole[first : first + len(got[1])], (piece, max_length)
        assert first <= covered
        covered = first + len(got[1])
        sizes.append(len(got[1]))
        read = halves(piece.text, lowercase, max_length)  # type: ignore[arg-type]
        if max_length >= LONGEST_WORD + limit + 3:
            assert read == got
        elif read != got:  # a word of more tokens than there is room for, alone in its window
            spans = featurizer(100_000, lowercase).spans(piece.text)
            assert len(set(spans[spans[:, 0] == 1, 1].tolist())) == 1
            assert read == (got[0], got[1][: len(read[1])])
    assert pieces[0].start == 0 and covered == len(whole)
    assert pieces[-1].start + len(pieces[-1].text[1]) == len(context)
    assert [piece.start for piece in pieces] == sorted({piece.start for piece in pieces})
    return sizes


@pytest.mark.parametrize("text", span_texts.AWKWARD)
@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("max_length", [24, 64, 180, 384])
def test_awkward_texts_are_cut_and_never_truncated(text: str, lowercase: bool, max_length: int) -> None:
    check_windows("who is the cat?", text, max_length, lowercase)
    check_windows(text, "the cat is not here", max_length, lowercase)
    check_windows(text, " ".join(span_texts.AWKWARD * 4), max_length, lowercase)


@SETTINGS
@given(
    question=LONG,
    context=LONG,
    times=st.integers(1, 6),
    glue=st.sampled_from([" ", ""]),
    max_length=st.sampled_from([20, 60, 180, 384]),
    lowercase=st.booleans(),
)
def test_windows_are_slices_of_the_whole_and_never_truncated(
    question: list[str], context: list[str], times: int, glue: str, max_length: int, lowercase: bool
) -> None:
    check_windows(glue.join(question), glue.join(context * times), max_length, lowercase)


def test_neighbours_share_128_tokens_or_a_quarter_of_a_small_window() -> None:
    letters = " ".join("abcdefghij" * 100)
    assert check_windows("who is it?", letters, 384) == [377, 377, 377, 253]  # 4 + 3 beside; three times 249 new ones
    assert check_windows("who is it?", letters, 71)[0] == 64
    starts = [piece.start for piece in cut([("who is it?", letters)], featurizer(71), {})]
    assert starts[:3] == [0, 2 * 48, 4 * 48]
    assert check_windows(letters, letters, 384)[0] == 384 - 3 - 64


@pytest.mark.parametrize("context", ["", " ", "\u200b\u0000", "\t\r\n"])
def test_a_context_without_words_is_one_piece_and_has_no_answer(context: str) -> None:
    for no_answer, probability in ((None, 0.0), (0.0, 1.0)):
        asked = asked_of([("who?", context)], 40, {"no_answer": no_answer})
        assert [piece.text for piece in asked.pieces or ()] == [("who?", context)]
        outputs = drawn(asked, 0)
        empty = FoundAnswer("", 0, 0, 0, 0, 0, 0, probability, True, ())
        assert decode(outputs, asked) == [empty] and margins(outputs, asked) == [None]


def test_texts_that_are_no_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="takes pairs of texts"):
        cut(["who?"], featurizer(40), {})
    lines = span_texts.vocabulary().read_text(encoding="utf-8").splitlines()
    with pytest.raises(ValueError, match="takes one text"):
        cut([("who?", "me")], WordPiece(lines, True, 40), {})


# ---- decoding


def asked_of(texts: list[Any], max_length: int, values: Mapping[str, Any] | None = None) -> Asked:
    return ask(DECODER, texts, featurizer(max_length), {}, values or {})


def drawn(asked: Asked, seed: int, ties: bool = False) -> Outputs:
    numbers = np.random.default_rng(seed)
    rows = [numbers.normal(size=(len(asked.featurizer.spans(piece.text)), 2)) * 3 for piece in asked.pieces or ()]
    return {"logits": [(np.round(row) if ties else row).astype(np.float32) for row in rows]}


def best_twenty(numbers: dict[int, float]) -> list[int]:
    return sorted(numbers, key=lambda token: (-numbers[token], token))[:20]


def plainly(asked: Asked, outputs: Outputs, owner: int) -> dict[str, Any]:
    """The JSON of one answer by loops alone."""
    context = asked.texts[owner][1]
    found: list[tuple[float, int, int]] = []
    null = math.inf
    for piece, rows in zip(asked.pieces or (), outputs["logits"], strict=True):
        if piece.owner != owner:
            continue
        spans = asked.featurizer.spans(piece.text).tolist()
        starts = {token: float(rows[token][0]) for token, span in enumerate(spans) if span[0] == 1}
        ends = {token: float(rows[token][1]) for token, span in enumerate(spans) if span[0] == 1}
        null = min(null, float(rows[0][0]) + float(rows[0][1]))
        for first in sorted(best_twenty(starts)):
            for last in sorted(best_twenty(ends)):
                if first <= last < first + 30:
                    stop = max(span[3] for span in spans[first : last + 1])
                    found.append((starts[first] + ends[last], spans[first][2] + piece.start, stop + piece.start))
    found.sort(key=lambda each: -each[0])
    best: dict[str, tuple[float, int, int]] = {}
    for score, start, end in found:
        if len(best) < 20:
            best.setdefault(context[start:end], (score, start, end))
    values = asked.settings
    temperature = values.get("temperature", {}).get("logits", 1.0)
    bar = values.get("no_answer")
    scores = [each[0] / temperature for each in best.values()] + ([] if bar is None else [null / temperature])
    total = sum(math.exp(score) for score in scores)
    probabilities = [math.exp(score) / total for score in scores]
    listed = [
        {"text": text, "start": start, "end": end, "probability": probability}
        for (text, (_, start, end)), probability in zip(best.items(), probabilities, strict=False)
    ]
    first_score = next(iter(best.values()))[0]
    silent = bar is not None and null - first_score > bar
    probability = probabilities[-1] if silent else probabilities[0]
    sure = probability >= values.get("threshold", 0.0)
    start, end = (listed[0]["start"], listed[0]["end"]) if sure and not silent else (0, 0)
    return {
        "text": context[start:end],
        "start": start,
        "end": end,
        "byte_start": len(context[:start].encode()),
        "byte_end": len(context[:end].encode()),
        "utf16_start": len(context[:start].encode("utf-16-le")) // 2,
        "utf16_end": len(context[:end].encode("utf-16-le")) // 2,
        "probability": pytest.approx(probability),
        "sure": sure,
        "best": [{**each, "probability": pytest.approx(each["probability"])} for each in listed[:5]],
    }


@settings(max_examples=40)
@given(
    contexts=st.lists(LONG.map(" ".join).filter(lambda text: any(map(str.isalpha, text))), min_size=1, max_size=3),
    seed=st.integers(0, 10**6),
    ties=st.booleans(),
    max_length=st.sampled_from([24, 60, 384]),
    values=st.fixed_dictionaries(
        {},
        optional={
            "no_answer": st.sampled_from([None, -20.0, -3.0, 0.0]),
            "threshold": st.sampled_from([0.1, 0.5]),
            "temperature": st.sampled_from([{"logits": 0.7}, {"logits": 2.5}, {"other": 3.0}]),
        },
    ),
)
def test_decoding_is_what_loops_find(
    contexts: list[str], seed: int, ties: bool, max_length: int, values: dict[str, Any]
) -> None:
    asked = asked_of([("who is the cat?", context) for context in contexts], max_length, values)
    outputs = drawn(asked, seed, ties)
    answers = decode(outputs, asked)
    assert [answer.to_json() for answer in answers] == [plainly(asked, outputs, n) for n in range(len(contexts))]
    for answer, (_, context) in zip(answers, asked.texts, strict=True):
        texts = [candidate.text for candidate in answer.best]
        assert len(set(texts)) == len(texts) <= 20
        assert all(context[each.start : each.end] == each.text for each in answer.best)
        assert json.loads(json.dumps(answer.to_json())) == answer.to_json()


CONTEXT = "The 🏈 Denver Broncos beat the Panthers; the Broncos won."


def marked(asked: Asked, *marks: tuple[int, str, str, float]) -> Outputs:
    """Zeros, but for a number each at the tokens where `first` begins and `last` ends, in a window of choice."""
    rows = [np.zeros((len(asked.featurizer.spans(piece.text)), 2), np.float32) for piece in asked.pieces or ()]
    for window, first, last, number in marks:
        text = (asked.pieces or ())[window].text
        spans = asked.featurizer.spans(text)
        inside = spans[:, 0] == 1
        rows[window][inside & (spans[:, 2] == text[1].index(first)), 0] = number
        rows[window][inside & (spans[:, 3] == text[1].index(last) + len(last)), 1] = number
    return {"logits": rows}


def test_an_answer_has_its_place_in_three_units() -> None:
    asked = asked_of([("Who won?", CONTEXT)], 64)
    (answer,) = decode(marked(asked, (0, "Denver", "Broncos", 5.0)), asked)
    assert (answer.text, answer.start, answer.end) == ("Denver Broncos", 6, 20)
    assert (answer.byte_start, answer.byte_end, answer.utf16_start, answer.utf16_end) == (9, 23, 7, 21)
    assert answer.summary() == f"Denver Broncos\t{answer.probability:.4f}" and answer.sure
    assert len(answer.best) == 20 and len(answer.to_json()["best"]) == 5
    assert sum(each.probability for each in answer.best) == pytest.approx(1) and answer.best[0].text == answer.text


def test_a_question_may_have_no_answer() -> None:
    texts = [("Who won?", CONTEXT)]
    asked = asked_of(texts, 64)
    outputs = marked(asked, (0, "Denver", "Broncos", 5.0))
    outputs["logits"][0][0] = 6.0  # no answer has 12, the best one 10
    for bar, text in ((None, "Denver Broncos"), (2.0, "Denver Broncos"), (1.9, ""), (-3.0, "")):
        (answer,) = decode(outputs, asked_of(texts, 64, {"no_answer": bar}))
        assert answer.text == text and answer.best[0].text == "Denver Broncos"
        assert (answer.start, answer.end) == ((6, 20) if text else (0, 0))
        assert sum(each.probability for each in answer.best) < 0.2 or bar is None
        assert (answer.probability > 0.5) == (not text or bar is None)
        assert answer.summary().split("\t")[0] == (text or "-")


def test_the_least_window_says_whether_there_is_no_answer() -> None:
    texts = [("Who won?", "nobody won . " * 20 + CONTEXT)]
    asked = asked_of(texts, 64, {"no_answer": 0.0})
    last = len(asked.pieces or ()) - 1
    outputs = marked(asked, (last, "Denver", "Broncos", 5.0))
    assert last > 0
    for rows in outputs["logits"][:-1]:
        rows[0] = 20.0
    (answer,) = decode(outputs, asked)
    assert answer.text == "Denver Broncos" and answer.start == 13 * 20 + 6
    outputs["logits"][-1][0] = 20.0
    assert decode(outputs, asked)[0].text == ""


def test_below_the_threshold_there_is_no_answer() -> None:
    texts = [("Who won?", CONTEXT)]
    outputs = marked(asked_of(texts, 64), (0, "Denver", "Broncos", 1.0))
    (answer,) = decode(outputs, asked_of(texts, 64, {"threshold": 0.9}))
    assert (answer.text, answer.end, answer.sure) == ("", 0, False) and 0 < answer.probability < 0.9
    assert answer.best[0].text == "Denver Broncos" and answer.best[0].probability == answer.probability
    (sure,) = decode(outputs, asked_of(texts, 64, {"threshold": 0.9, "temperature": {"logits": 0.05}}))
    assert sure.text == "Denver Broncos" and sure.sure and sure.probability > 0.9


def test_an_answer_has_at_most_30_tokens_and_does_not_end_before_it_begins() -> None:
    context = " ".join(f"{letter}" for letter in "abcdefghijklmnopqrstuvwxyz" * 2)
    asked = asked_of([("x", context)], 120)
    rows = np.zeros((60, 2), np.float32)[: len(asked.featurizer.spans(("x", context)))]
    rows[3 + 1, 0] = rows[3 + 31, 1] = 9.0  # 31 tokens
    rows[3 + 30, 1] = 5.0  # 30
    rows[3, 1] = 9.0  # before the start
    (answer,) = decode({"logits": [rows]}, asked)
    assert answer.text == context[2:61]
    rows[3 + 30, 1] = 0.0
    assert len(decode({"logits": [rows]}, asked)[0].text.split()) <= 30


def test_of_equal_numbers_the_first_are_better() -> None:
    context = " ".join("abcdefghijklmnopqrstuvwxyz" * 2)
    asked = asked_of([("x", context)], 120)
    rows = np.zeros((len(asked.featurizer.spans(("x", context))), 2))
    rows[4:-1:2] = 1.0  # b, d, f, ...: 26 of them
    (answer,) = decode({"logits": [rows]}, asked)
    assert [each.text for each in answer.best[:15]] == [context[2:end] for end in range(3, 60, 4)]
    assert answer.best[15].text == context[6]  # the next start: an answer has at most 30 tokens


def test_outputs_of_another_shape_are_refused() -> None:
    asked = asked_of([("Who won?", CONTEXT)], 64)
    with pytest.raises(ValueError, match=r"logits of shape \(5, 2\) do not fit"):
        decode({"logits": [np.zeros((5, 2))]}, asked)


# ---- margins


def decided(answer: FoundAnswer) -> Any:
    """All of an answer's JSON that is no fraction."""
    value = answer.to_json()
    value.pop("probability")
    return {**value, "best": [(each["text"], each["start"], each["end"]) for each in value["best"]]}


@settings(max_examples=40)
@given(
    words=st.lists(st.sampled_from("the a cat dog is not here , 👍🏽 great".split()), min_size=1, max_size=60),
    seed=st.integers(0, 10**6),
    max_length=st.sampled_from([24, 64]),
    values=st.fixed_dictionaries({}, optional={"no_answer": st.sampled_from([-3.0, 0.0, 1.0])}),
)
def test_no_number_within_the_margin_changes_an_answer(
    words: list[str], seed: int, max_length: int, values: dict[str, Any]
) -> None:
    asked = asked_of([("who is the cat?", " ".join(words))], max_length, values)
    outputs = drawn(asked, seed)
    (answer,), (margin,) = decode(outputs, asked), margins(outputs, asked)
    if margin is None:
        assert len(answer.best) == 1 and "no_answer" not in values
        return
    numbers = np.random.default_rng(seed)
    for _ in range(20):
        moved: Outputs = {
            "logits": [
                row.astype(np.float64) + 0.999 * margin * numbers.choice([-1.0, 1.0], row.shape)
                for row in outputs["logits"]
            ]
        }
        assert decided(decode(moved, asked)[0]) == decided(answer)


def test_a_margin_is_a_fourth_of_the_distance() -> None:
    texts = [("Who won?", CONTEXT)]
    asked = asked_of(texts, 64)
    outputs = marked(asked, (0, "Denver", "Broncos", 8.0))
    rows = outputs["logits"][0]
    spans = asked.featurizer.spans(texts[0])
    tokens = np.flatnonzero(spans[:, 0] == 1)
    rows[tokens[4:9], 1] = 7.0, 4.0, 1.5, 1.0, 0.8  # ends that make the answer longer: 16 beside 15, 12, 9.5, 9, 8.8
    (answer,) = decode(outputs, asked)
    longer = ["Broncos", "beat", "the", "Panthers", "Panthers;", "the"]
    assert [each.text.split()[-1] for each in answer.best[:6]] == longer
    assert margins(outputs, asked) == [pytest.approx(0.2 / 4)]  # the last of those shown could be another one
    rows[tokens[8], 1] = -1.0
    rows[tokens[6:8], 1] = 3.0, 2.0
    assert margins(outputs, asked) == [pytest.approx(1.0 / 4)]


def test_a_margin_knows_the_bar_and_the_threshold() -> None:
    texts = [("Who won?", "Denver")]  # one token, so one answer
    asked = asked_of(texts, 64)
    rows = np.zeros((len(asked.featurizer.spans(texts[0])), 2), np.float32)
    rows[-2] = 3.0, 2.0
    rows[0] = 1.0, 1.5
    outputs: Outputs = {"logits": [rows]}
    assert margins(outputs, asked) == [None]
    assert margins(outputs, asked_of(texts, 64, {"no_answer": 1.5})) == [pytest.approx((1.5 + 2.5) / 4)]
    values = {"no_answer": 1.5, "threshold": 0.8, "temperature": {"logits": 0.5}}
    odds = 2.5 / 0.5 - math.log(0.8 / 0.2)
    assert margins(outputs, asked_of(texts, 64, values)) == [pytest.approx(odds * 0.5 / 4)]


def test_a_start_that_is_all_but_left_out_leaves_no_margin() -> None:
    context = " ".join("abcdefghijklmnopqrstuvwxyz" * 2)
    asked = asked_of([("x", context)], 120)
    rows = np.zeros((len(asked.featurizer.spans(("x", context))), 2), np.float32)
    inside = rows[3:-1]
    inside[31:51, 0] = np.arange(20) + 10.0  # the twenty best starts, of which none has a good end
    inside[0, 0], inside[:20, 1] = 9.5, 100.0 - np.arange(20)
    outputs: Outputs = {"logits": [rows]}
    assert decode(outputs, asked)[0].best == ()  # the best ends lie before the best starts
    assert margins(outputs, asked) == [0.0]
    inside[51, 1] = 90.0
    assert decode(outputs, asked)[0].text == "y z"
    assert margins(outputs, asked) == [pytest.approx(1 / 4)]  # to the next start
    inside[51, 1] = 82.0
    assert decode(outputs, asked)[0].text == "y z"
    assert margins(outputs, asked) == [0.0]  # the start left out would be among the answers shown


# ---- settings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"threshold": 2}, r"settings.threshold must be a number from 0 to 1, not 2"),
        ({"temperature": {"logits": 0}}, r"settings.temperature.logits must be a number from 0.001 to 1000, not 0"),
        ({"no_answer": "x"}, r"settings.no_answer must be a number, not 'x'"),
    ],
)
def test_settings_that_are_of_no_use_are_refused(values: dict[str, Any], message: str) -> None:
    outputs = [OutputSpec("logits", 2, per_token=True)]
    check_task("question-answering", outputs, {"no_answer": None, "threshold": 0.5})
    with pytest.raises(BundleError, match=message):
        check_task("question-answering", outputs, values)
    with pytest.raises(BundleError, match="needs an output 'logits' with a row for each token"):
        check_task("question-answering", [OutputSpec("logits", 2)], {})
