"""Tag schemes, and what is said of tags that fit none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.data.readers import Row, Words
from edgebert.tasks.tags import inside, scheme_of, tag_labels, unified
from edgebert_runtime.errors import DataError

TYPES = ("LOC", "PER")


def row(tags: str, source: str = "f:1") -> Row:
    names = tags.split()
    spans = tuple((2 * place, 2 * place + 1) for place in range(len(names)))
    return Row(" ".join("abcdefghijklmnopqrstuvwxyz"[: len(names)]), Words(spans, tuple(names)), source)


def tags_of(*sentences: str) -> list[str]:
    return [" ".join(found.gold.tags) for found in unified([row(tags) for tags in sentences])]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (["NOUN PUNCT O", "X"], ["NOUN PUNCT O", "X"]),
        (["O B-A I-A O B-A", "B-A B-A I-A"], ["O B-A I-A O B-A", "B-A B-A I-A"]),
        (["O I-A I-A B-A O", "I-B I-A"], ["O B-A I-A B-A O", "B-B B-A"]),
        (["B-A I-A L-A U-B O", "U-A"], ["B-A I-A I-A B-B O", "B-A"]),
        (["B-A E-A S-B O"], ["B-A I-A B-B O"]),
        ([], []),
    ],
)
def test_every_scheme_becomes_bio2(written: list[str], expected: list[str]) -> None:
    assert tags_of(*written) == expected


SPANS = st.lists(st.tuples(st.sampled_from(("", *TYPES)), st.integers(1, 3)), min_size=1, max_size=5)


@given(SPANS, st.sampled_from(["iob1", "bilou", "bioes"]))
def test_spans_written_in_a_scheme_come_back(spans: list[tuple[str, int]], scheme: str) -> None:
    expected, written, last = [], [], ""
    for kind, length in spans:
        if not kind:
            expected += ["O"] * length
            written += ["O"] * length
        else:
            expected += ["B-" + kind] + ["I-" + kind] * (length - 1)
            if scheme == "iob1":
                written += [("B-" if last == kind else "I-") + kind] + ["I-" + kind] * (length - 1)
            else:
                end, alone = ("L-", "U-") if scheme == "bilou" else ("E-", "S-")
                middle = ["B-" + kind] + ["I-" + kind] * (length - 2) + [end + kind]
                written += middle if length > 1 else [alone + kind]
        last = kind
    assert tags_of(" ".join(written)) == [" ".join(expected)]


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        (
            ["O B-LOC", "O O I-LOC"],
            "f:2: token 3 ('c') has the tag I-LOC after O; a span begins with B-. Write B-LOC.",
        ),
        (
            ["O B-LOC", "I-LOC"],
            "f:2: token 1 ('a') has the tag I-LOC at the start; a span begins with B-. Write B-LOC.",
        ),
        (
            ["O B-LOC I-PER"],
            "f:1: token 3 ('c') has the tag I-PER after B-LOC; a span begins with B-. Write B-PER.",
        ),
        (
            ["U-PER", "O I-PER"],
            "f:2: token 2 ('b') has the tag I-PER after O; a span begins with B-. Write B-PER.",
        ),
        (
            ["U-PER", "O O L-PER"],
            "f:2: token 3 has the tag L-PER with no B-PER before it. Begin the span with B-PER, or write U-PER.",
        ),
        (
            ["B-PER E-PER E-PER"],
            "f:1: token 3 has the tag E-PER with no B-PER before it. Begin the span with B-PER, or write S-PER.",
        ),
        (["B-LOC", "O B-"], "f:2: token 2 has the tag 'B-', which names no type. Write B-TYPE or O."),
        (["B-LOC", "O I"], "f:2: token 2 has the tag 'I', which names no type. Write B-TYPE or O."),
        (
            ["O B-LOC", "NOUN"],
            "f:2: the tag NOUN has no prefix, and B-LOC (f:1) has one. Use BIO tags everywhere, or plain ones.",
        ),
    ],
)
def test_tags_that_fit_no_scheme_are_named(sentences: list[str], message: str) -> None:
    with pytest.raises(DataError) as caught:
        unified([row(tags, f"f:{number}") for number, tags in enumerate(sentences, start=1)])
    assert str(caught.value) == message


def test_rows_without_tags_stay() -> None:
    rows = [Row("a text", None, "f:1"), row("I-A B-A")]
    assert unified(rows)[0] is rows[0] and unified(rows)[1].gold.tags == ("B-A", "B-A")


def test_labels_hold_what_a_word_of_two_units_needs() -> None:
    assert tag_labels([row("B-PER"), row("B-LOC I-LOC")]) == ("O", "B-LOC", "B-PER", "I-LOC", "I-PER")
    assert tag_labels([row("VERB O NOUN")]) == ("O", "NOUN", "VERB")
    assert tag_labels([row("VERB NOUN")]) == ("NOUN", "VERB")
    assert scheme_of([row("VERB")]) == "plain" and scheme_of([row("O B-A")]) == "bio"
    assert [inside(tag) for tag in ("B-A", "I-A", "O", "NOUN")] == ["I-A", "I-A", "O", "NOUN"]
