"""Questions and contexts: SQuAD's JSON, and flat records in any other file."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from data_tasks import LABELS, QUESTIONS, read_with, write_and_read
from hypothesis import given
from hypothesis import strategies as st

from edgebert.data import Answers, Columns, Row, stream_texts
from edgebert.data.questions import questions_reader, questions_record
from edgebert_runtime.errors import DataError

CONTEXT = "The 🏈 Denver Broncos beat the Panthers; the Broncos won."
RECORD = {"id": "q1", "question": "Who won?", "context": CONTEXT, "answers": [{"text": "Denver Broncos", "start": 6}]}


def read_record(record: dict[str, Any], labelled: bool = True) -> Row:
    return questions_reader("f", list(record), Columns(), labelled)(record, "f:1")


def squad(*questions: dict[str, Any], context: Any = CONTEXT) -> dict[str, Any]:
    return {"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": context, "qas": list(questions)}]}]}


QUESTION = {"id": "56be", "question": "Who won?", "answers": [{"text": "Broncos", "answer_start": 13}]}


def test_squad(tmp_path: Path) -> None:
    two = {**QUESTION, "answers": [*QUESTION["answers"], {"text": "the Broncos", "answer_start": 40}]}  # type: ignore[misc]
    none = {"id": "57", "question": "Why?", "answers": [], "plausible_answers": [{"text": "The", "answer_start": 0}]}
    value = squad(two, {**none, "is_impossible": True}, {**QUESTION, "id": None})
    value["data"].append({"title": "u", "paragraphs": [{"context": "x y", "qas": [{**none, "is_impossible": True}]}]})
    (tmp_path / "t.json.gz").write_bytes(gzip.compress(("\ufeff" + json.dumps(value, indent=1)).encode()))
    path = tmp_path / "t.json.gz"
    unnamed = f"{path}: article 1, paragraph 1, question 3"
    assert read_with(path, QUESTIONS) == [
        Row(("Who won?", CONTEXT), Answers("56be", ((13, "Broncos"), (40, "the Broncos"))), f"{path}: question 56be"),
        Row(("Why?", CONTEXT), Answers("57", ()), f"{path}: question 57"),
        Row(("Who won?", CONTEXT), Answers(unnamed, ((13, "Broncos"),)), unnamed),
        Row(("Why?", "x y"), Answers("57", ()), f"{path}: question 57"),
    ]
    assert list(stream_texts(path))[1] == ("Why?", CONTEXT)
    with pytest.raises(DataError, match=r"t\.json\.gz: there is no label column\. Columns found: 'id', 'question', 'c"):
        read_with(path, LABELS)


@given(st.lists(st.tuples(st.integers(0, len(CONTEXT) - 1), st.integers(1, 20))))
def test_any_slice_of_the_context_is_read_back(tmp_path_factory: pytest.TempPathFactory, ends: list[Any]) -> None:
    found = tuple((start, CONTEXT[start : start + size]) for start, size in ends)
    found = tuple((start, text) for start, text in found if text.strip())
    answers = [{"text": text, "answer_start": start} for start, text in found]
    question = {**QUESTION, "answers": answers, "is_impossible": not found}
    path = tmp_path_factory.getbasetemp() / "t.json"
    (row,) = write_and_read(path, json.dumps(squad(question)), QUESTIONS)
    assert row.gold == Answers("56be", found)
    again = json.loads(json.dumps(questions_record(row)))
    assert read_record(again) == Row(row.text, row.gold, "f:1")
    assert questions_record(Row(("q", "c"), None, "f:1")) == {"question": "q", "context": "c"}


def test_flat_records(tmp_path: Path) -> None:
    """As in the shared data, as `datasets` writes them, and with names of one's own."""
    expected = Row(("Who won?", CONTEXT), Answers("q1", ((6, "Denver Broncos"),)), "f:1")
    assert read_record(RECORD) == expected
    assert read_record({**RECORD, "is_impossible": False}) == expected
    hub = {**RECORD, "answers": {"text": ["Denver Broncos"], "answer_start": [6]}}
    assert read_record(hub) == expected
    none = Row(("Who won?", CONTEXT), Answers("q1", ()), "f:1")
    assert read_record({**RECORD, "answers": {"text": [], "answer_start": []}}) == none  # squad_v2 has no other mark
    assert read_record({**RECORD, "answers": [], "is_impossible": True}) == none
    assert read_record({**RECORD, "id": 5}).gold == Answers("5", expected.gold.found)  # type: ignore[union-attr]
    nameless = {key: value for key, value in RECORD.items() if key != "id"}
    assert read_record(nameless).gold == Answers("f:1", expected.gold.found)  # type: ignore[union-attr]
    assert read_record({"question": "a", "context": "b"}, labelled=False) == Row(("a", "b"), None, "f:1")
    named = {"q": "Who won?", "c": CONTEXT, "gold": RECORD["answers"], "id": "q1"}
    columns = Columns("q", "c", "gold")
    (row,) = write_and_read(tmp_path / "t.jsonl", json.dumps(named), QUESTIONS, columns)
    assert (row.text, row.gold) == (expected.text, expected.gold)


def test_a_parquet_file_as_on_the_hub(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    record = {**RECORD, "answers": {"text": ["Denver Broncos"], "answer_start": [6]}}
    parquet.write_table(arrow.Table.from_pylist([record]), tmp_path / "t.parquet")
    (row,) = read_with(tmp_path / "t.parquet", QUESTIONS)
    assert row.gold == Answers("q1", ((6, "Denver Broncos"),))


def answer(text: object, start: object) -> dict[str, Any]:
    return {"answers": [{"text": text, "start": start}]}


RECORD_ERRORS = [
    (
        answer("Denver Broncos", 7),
        "the answer 'Denver Broncos' is not at character 7 of the context: there stands 'enver Broncos ' (it is at 6). "
        "Correct 'start'.",
    ),
    (
        answer("Broncos", 40),
        "the answer 'Broncos' is not at character 40 of the context: there stands 'the Bro' (it is at 44). "
        "Correct 'start'.",
    ),
    (
        answer("Broncos", 20),
        "the answer 'Broncos' is not at character 20 of the context: there stands ' beat t' (it is at 13). "
        "Correct 'start'.",
    ),
    (
        answer("Giants", 999),
        "the answer 'Giants' is not at character 999 of the context: there stands '' (it is nowhere in it). "
        "Correct the answer.",
    ),
    (answer("", 0), "answer 1 has no text. Write the words of the context that answer."),
    (answer(None, 0), "answer 1 has no text."),
    (answer("The", None), "the start of answer 1 is missing, not a whole number from 0. Write the number of its first"),
    (answer("The", -1), "the start of answer 1 is -1, not a whole number from 0."),
    (answer("The", "0"), "the start of answer 1 is '0', not a whole number from 0."),
    (answer("The", False), "the start of answer 1 is False, not"),
    (answer("The", [0]), "the start of answer 1 is list, not"),
    (answer("\ud83c", 4), "character 0 of 'answer 1' is half a surrogate pair"),
    ({"is_impossible": True}, "'is_impossible' is true and there are answers. Delete one of them."),
    ({"is_impossible": "no"}, "'is_impossible' is a string. Write true or false."),
    ({"answers": []}, "there is no answer and 'is_impossible' is not true. Add an answer, or set it."),
    (
        {"answers": {"text": [], "answer_start": []}, "is_impossible": False},
        "there is no answer and 'is_impossible' is not true. Add an answer, or set it.",
    ),
    ({"answers": {"text": ["The"], "answer_start": []}}, "'answers' is an object, and its lists 'text' and 'answer_st"),
    ({"answers": {"text": "The", "answer_start": 0}}, "'answers' is an object, and its lists"),
    ({"answers": "The"}, '\'answers\' is a string. Write a list such as [{"text": "...", "start": 0}].'),
    ({"answers": None}, "'answers' is a null. Write a list such as"),
    ({"answers": ["The"]}, "'answers' is a list that holds other things than objects. Write a list such as"),
    ({"context": " "}, "the context is empty. Write one, or delete the question."),
    ({"context": 5}, "the text in 'context' is a number, not a string."),
    ({"question": None}, "the question is empty. Write one, or delete the question."),
]


@pytest.mark.parametrize(("change", "message"), RECORD_ERRORS)
def test_each_bad_record_has_its_sentence(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_record({**RECORD, **change})
    assert str(caught.value).startswith(f"f:1: {message}")
    assert "\n" not in str(caught.value)


def test_columns_that_are_not_there() -> None:
    for missing, option in (("question", "text"), ("context", "text-pair"), ("answers", "label")):
        found = {key: value for key, value in RECORD.items() if key != missing}
        with pytest.raises(DataError, match=f"f: there is no {missing} column.*Name it with --{option}-column"):
            read_record(found)


SQUAD_ERRORS = [
    ("[1]", ': this is not SQuAD\'s JSON: there is no list \'data\'. SQuAD nests "data", "paragraphs" and "qas"; wri'),
    ('{"data": {}}', ": this is not SQuAD's JSON: there is no list 'data'."),
    ('{"data": [[]]}', ": article 1 is not as in SQuAD's JSON: there is no list 'paragraphs'."),
    (
        '{"data": [{"paragraphs": [{"context": "a"}]}]}',
        ": article 1, paragraph 1 is not as in SQuAD's JSON: there is no",
    ),
    (
        '{"data": [{"paragraphs": [{"context": "a", "qas": ["b"]}]}]}',
        ": article 1, paragraph 1, question 1 is not an obj",
    ),
    ('{"data":\n [}', ":2: this is not valid JSON (Expecting value at column 3). SQuAD nests"),
    ('{"data": ' + "9" * 5000, ": this is not valid JSON ("),
    ("[" * 200_000, ": this is not valid JSON ("),
    (" \n", ": the file is empty."),
    ('{"data": []}', ": the file is empty."),
    (
        json.dumps(squad(QUESTION, context=" ")),
        ": question 56be: the context is empty. Write one, or delete the question.",
    ),
    (json.dumps(squad(QUESTION, context=None)), ": question 56be: the context is empty."),
    (json.dumps(squad({**QUESTION, "answers": []})), ": question 56be: there is no answer and 'is_impossible' is not"),
    (json.dumps(squad({**QUESTION, "answers": ["a"]})), ": question 56be: 'answers' is a list that holds other things"),
    (json.dumps(squad({**QUESTION, "answers": None})), ": question 56be: 'answers' is a null."),
    (json.dumps(squad({**QUESTION, "question": 5})), ": question 56be: the text in 'question' is a number, not a"),
    (b'{"data": "\xff"', ":1: invalid UTF-8: byte 0xff at byte offset 10."),
]


@pytest.mark.parametrize(("content", "message"), SQUAD_ERRORS)
def test_each_bad_file_has_its_sentence(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        write_and_read(tmp_path / "f.json", content, QUESTIONS)
    assert str(caught.value).startswith(f"{tmp_path / 'f.json'}{message}")
    assert "\n" not in str(caught.value)
