"""Answers of token classification and of intents with slots: words, spans, thresholds, margins."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert_runtime.decode import Asked, ask, get_decoder
from edgebert_runtime.decode.intent_slots import Understanding
from edgebert_runtime.decode.token_classification import Tagging
from edgebert_runtime.errors import BundleError
from edgebert_runtime.features import WordPiece

LABELS = ("O", "B-LOC", "B-PER", "I-LOC", "I-PER")
PLAIN = ("NOUN", "O", "VERB")
WORDS = WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "tampa", "bay", "ta", "##xi", "x"], True, 16)


def scores(width: int, *best: int | tuple[int, float]) -> np.ndarray:
    """A row for each token: the best column, 4 (or as much as is said) above the others."""
    rows = np.zeros((len(best), width), np.float32)
    for row, item in zip(rows, best, strict=True):
        column, height = item if isinstance(item, tuple) else (item, 4.0)
        row[column] = height
    return rows


def asked_for(*texts: str, labels: tuple[str, ...] = LABELS, **known: object) -> Asked:
    return ask(get_decoder("token-classification"), texts, WORDS, {"logits": labels}, known)


def tagging(text: str, rows: np.ndarray, labels: tuple[str, ...] = LABELS, **known: object) -> Tagging:
    (answer,) = get_decoder("token-classification").decode({"logits": [rows]}, asked_for(text, labels=labels, **known))
    return answer


def test_words_and_spans() -> None:
    # [CLS] é x tampa bay ta ##xi [SEP]: what stands at [CLS], "##xi" and [SEP] does not count
    answer = tagging("é x Tampa bay taxi", scores(5, 1, 0, 0, 1, (3, 2.0), 2, 4, 1))
    assert [(word.label, word.text) for word in answer.words] == [
        ("O", "é"),
        ("O", "x"),
        ("B-LOC", "Tampa"),
        ("I-LOC", "bay"),
        ("B-PER", "taxi"),
    ]
    place, person = answer.spans
    assert (place.label, place.text, place.start, place.end) == ("LOC", "Tampa bay", 4, 13)
    assert (place.byte_start, place.byte_end, place.utf16_start, place.utf16_end) == (5, 14, 4, 13)
    assert (person.label, person.text) == ("PER", "taxi")
    assert place.probability == pytest.approx(np.exp(2) / (np.exp(2) + 4)) == answer.words[3].probability
    assert answer.summary() == "LOC[Tampa bay 4:13] PER[taxi 14:18]"
    plain = json.loads(json.dumps(answer.to_json()))
    assert plain["spans"][1]["probability"] == person.probability and len(plain["words"]) == 5


def test_plain_tags_make_no_spans() -> None:
    answer = tagging("x bay", scores(3, 0, 0, 2, 0), PLAIN)
    assert answer.spans == () and answer.summary() == "x/NOUN bay/VERB"
    assert tagging("x", scores(5, 0, 0, 0)).summary() == "-"


def test_spans_below_the_threshold_are_left_out() -> None:
    rows = scores(5, 0, 1, 0, (1, 1.0), 0)
    assert [span.text for span in tagging("x x bay", rows).spans] == ["x", "bay"]
    answer = tagging("x x bay", rows, threshold=0.5)
    assert [span.text for span in answer.spans] == ["x"] and len(answer.words) == 3


def test_a_temperature_moves_probabilities_alone() -> None:
    cool, warm = (tagging("x", scores(5, 0, 1, 0), temperature=t) for t in ({}, {"logits": 2.0}))
    assert warm.words[0].label == cool.words[0].label == "B-LOC"
    assert warm.words[0].probability == pytest.approx(np.exp(2) / (np.exp(2) + 4))


@pytest.mark.parametrize("text", ["", " \t", "\u0301"])
def test_a_text_without_words(text: str) -> None:
    decoder, asked = get_decoder("token-classification"), asked_for(text)
    outputs = {"logits": [scores(5, 1, 1)]}
    assert decoder.decode(outputs, asked) == [Tagging((), ())] and decoder.margins(outputs, asked) == [None]


def test_no_texts() -> None:
    decoder, asked = get_decoder("token-classification"), asked_for()
    assert decoder.decode({"logits": []}, asked) == [] and decoder.margins({"logits": []}, asked) == []


def test_a_long_text_is_answered_piece_by_piece() -> None:
    text = " ".join(["x"] * 40)
    asked = asked_for(text, "bay")
    assert len(asked.read) == 5
    # the piece's number decides its tags: a change of the piece shows as a new span
    rows = [scores(5, *[1 + number % 2] * len(WORDS.spans(piece))) for number, piece in enumerate(asked.read)]
    long, short = get_decoder("token-classification").decode({"logits": rows}, asked)
    assert [word.start for word in long.words] == list(range(0, 80, 2)) and len(short.words) == 1
    assert [word.label for word in long.words] == [*["B-LOC"] * 13, *["B-PER"] * 11, *["B-LOC"] * 11, *["B-PER"] * 5]


COLUMNS = st.lists(st.lists(st.floats(-3, 3, width=32), min_size=5, max_size=5), min_size=3, max_size=6)


@settings(max_examples=300)
@given(COLUMNS, st.floats(0.05, 0.95), st.integers(0, 2**32 - 1), st.floats(0.5, 3.0))
def test_an_answer_stays_while_numbers_move_less_than_the_margin(
    columns: list[list[float]], threshold: float, seed: int, temperature: float
) -> None:
    text = " ".join(["x"] * (len(columns) - 2))
    settings = {"threshold": threshold, "temperature": {"logits": temperature}}
    decoder, asked = get_decoder("token-classification"), asked_for(text, **settings)
    rows = np.asarray(columns)
    (margin,) = decoder.margins({"logits": [rows]}, asked)
    (before,) = decoder.decode({"logits": [rows]}, asked)
    moved = rows + np.random.default_rng(seed).choice([-0.999, 0.999], rows.shape) * margin
    (after,) = decoder.decode({"logits": [moved]}, asked)
    assert [word.label for word in before.words] == [word.label for word in after.words]
    assert [span[:2] for span in before.spans] == [span[:2] for span in after.spans]


def test_margins_are_half_the_least_gap_of_a_text() -> None:
    asked = asked_for("x bay", "x")
    rows = [scores(5, (0, 0.1), 1, (3, 1.5), (0, 0.1)), scores(5, 0, 2, 0)]
    assert get_decoder("token-classification").margins({"logits": rows}, asked) == [0.75, 2.0]


def test_intents_and_slots() -> None:
    decoder = get_decoder("intent-slots")
    labels = {"intent": ("book", "play"), "slots": LABELS}
    asked = ask(decoder, ["x taxi"], WORDS, labels, {})
    outputs = {"intent": np.asarray([[0.5, 3.0]], np.float32), "slots": [scores(5, 1, 0, 2, 0, 1)]}
    (answer,) = decoder.decode(outputs, asked)
    assert isinstance(answer, Understanding) and answer.intent.label == "play" and answer.sure
    assert [span.text for span in answer.slots.spans] == ["taxi"]
    assert answer.summary() == f"play\t{answer.intent.probability:.4f}\tPER[taxi 2:6]"
    plain = json.loads(json.dumps(answer.to_json()))
    assert plain["intent"]["label"] == "play" and plain["slots"]["spans"][0]["label"] == "PER"
    assert decoder.margins(outputs, asked) == [1.25]
    unsure = asked._replace(settings={"threshold": 0.99, "temperature": {"intent": 2.0}})
    (answer,) = decoder.decode(outputs, unsure)
    assert not answer.sure and answer.slots.spans == ()
    assert answer.intent.probability == pytest.approx(1 / (1 + np.exp(-1.25)))


@pytest.mark.parametrize("task", ["token-classification", "intent-slots"])
def test_a_model_without_labels_or_with_a_wrong_temperature_is_refused(task: str) -> None:
    decoder = get_decoder(task)
    labels = dict.fromkeys(decoder.outputs, ("a", "b"))
    decoder.check(labels, {"temperature": dict.fromkeys(labels, 2.0), "threshold": 0.5})
    for wrong, known in (({}, {}), (labels, {"threshold": 2}), (labels, {"temperature": dict.fromkeys(labels, 0)})):
        with pytest.raises(BundleError):
            decoder.check(wrong, known)
