"""Our span scores against seqeval's default mode, which is conlleval's."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support

from edgebert.evaluation.spans import SpanScores, span_scores

tag = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-A-B", "I-A-B"])
sentences = st.lists(st.lists(st.tuples(tag, tag), max_size=12), min_size=1, max_size=5)


@given(sentences)
def test_equal_to_seqeval(texts: list[list[tuple[str, str]]]) -> None:
    """Any tags in any order: stray I-, other types in the middle, spans at both ends, empty sentences."""
    predicted, gold = ([[row[side] for row in text] for text in texts] for side in (0, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of quotients 0/0
        *theirs, _ = precision_recall_fscore_support(gold, predicted, average="micro", zero_division=0)
    assert span_scores(predicted, gold) == pytest.approx(tuple(theirs))


@pytest.mark.parametrize(
    ("predicted", "gold", "hits"),
    [
        ("B-X I-X O", "B-X I-X O", 1),
        ("I-X I-X O", "B-X I-X O", 1),  # a stray I- begins a span
        ("B-X B-X O", "B-X I-X O", 0),
        ("B-X I-Y O", "B-X I-X O", 0),
        ("B-X I-X I-X", "B-X I-X O", 0),
        ("B-Y I-Y O", "B-X I-X O", 0),
        ("B-X O B-X", "B-X O B-X", 2),
        ("O O O", "O O O", 0),
    ],
)
def test_a_span_is_right_as_a_whole_or_not_at_all(predicted: str, gold: str, hits: int) -> None:
    found = span_scores([predicted.split()], [gold.split()])
    assert (found.recall > 0) == (hits > 0) and (found.f1 == 1) == (hits > 0)


def test_spans_are_counted_over_all_texts() -> None:
    gold = [["B-X", "O"], ["B-X", "B-Y"], ["O", "O"]]
    predicted = [["B-X", "O"], ["B-X", "B-X"], ["B-Y", "O"]]
    assert span_scores(predicted, gold) == SpanScores(precision=2 / 4, recall=2 / 3, f1=4 / 7)


@pytest.mark.parametrize(
    ("predicted", "gold", "message"),
    [
        ([], [], "cannot be compared"),
        ([["O"]], [], "cannot be"),
        ([["O"]], [["O", "O"]], "text 0 has 1"),
    ],
)
def test_wrong_input_is_refused(predicted: list[list[str]], gold: list[list[str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        span_scores(predicted, gold)
