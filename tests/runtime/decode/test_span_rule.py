"""How BIO tags make spans, against seqeval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebert_runtime.decode.spans import make_spans, spans_of

TAGS = st.lists(st.sampled_from(["O", "B-LOC", "I-LOC", "B-PER", "I-PER", "B-a-b", "I-a-b"]), max_size=12)


@settings(max_examples=500)
@given(TAGS)
def test_spans_are_seqevals(tags: list[str]) -> None:
    labeling = pytest.importorskip("seqeval.metrics.sequence_labeling")
    assert spans_of(tags) == labeling.get_entities(tags)


def test_the_rule() -> None:
    assert spans_of([]) == [] and spans_of(["NOUN", "PUNCT", "O"]) == []
    assert spans_of(["I-A", "I-A", "I-B", "B-B", "O", "B-A"]) == [("A", 0, 1), ("B", 2, 2), ("B", 3, 3), ("A", 5, 5)]


def test_places_in_three_units() -> None:
    (span,) = make_spans("é 😀x!", ["LOC"], [0.5], np.asarray([[2, 4]]))
    assert span.to_json() == {
        "label": "LOC",
        "text": "😀x",
        "probability": 0.5,
        "start": 2,
        "end": 4,
        "byte_start": 3,
        "byte_end": 8,
        "utf16_start": 2,
        "utf16_end": 5,
    }
