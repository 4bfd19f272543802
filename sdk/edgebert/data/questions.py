"""Rows of questions that a context answers: `{"id", "question", "context", "answers": [{"text", "start"}]}`.

Answers may also stand as they do on the hub: `{"text": [...], "answer_start": [...]}`. Offsets are code points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgebert.data.columns import Columns, find_column, match
from edgebert.data.formats import type_name
from edgebert.data.readers import Answers, Reader, Row, check_encodable, label_of, text_of, value_of
from edgebert_runtime.errors import DataError


def questions_reader(where: str, found: Sequence[str], columns: Columns, labelled: bool) -> Reader:
    """A reader of rows whose text is (question, context) and whose gold is `Answers`.

    `--text-column` names the questions, `--text-pair-column` the contexts, `--label-column` the answers.

    Args:
        labelled: False reads questions and contexts alone.
    Raises:
        DataError: a column is missing.
    """
    question_column = find_column(where, found, columns.text, ("question",), "question", "text")
    context_column = find_column(where, found, columns.text_pair, ("context",), "context", "text-pair")
    answers_column = find_column(where, found, columns.label, ("answers",), "answers", "label") if labelled else None
    id_column = match(("id",), found) or "id"

    def read(record: Mapping[str, object], source: str) -> Row:
        question = _filled(record, question_column, "question", source)
        context = _filled(record, context_column, "context", source)
        if answers_column is None:
            return Row((question, context), None, source)
        name = source if record.get(id_column) is None else label_of(record, id_column, source)
        answers = _answers(record, answers_column, context, source)
        return Row((question, context), Answers(name, answers), source)

    return read


def questions_record(row: Row) -> dict[str, object]:
    """The row as a record that `questions_reader` reads again."""
    assert isinstance(row.text, tuple)
    question, context = row.text
    if not isinstance(row.gold, Answers):
        return {"question": question, "context": context}
    return {
        "id": row.gold.id,
        "question": question,
        "context": context,
        "answers": [{"text": text, "start": start} for start, text in row.gold.found],
        "is_impossible": not row.gold.found,
    }


def _filled(record: Mapping[str, object], column: str, what: str, source: str) -> str:
    value = value_of(record, column, source)
    if value is None or (isinstance(value, str) and not value.strip()):
        raise DataError(f"{source}: the {what} is empty. Write one, or delete the question.")
    return text_of(record, column, source)


def _answers(record: Mapping[str, object], column: str, context: str, source: str) -> tuple[tuple[int, str], ...]:
    """The answers of a record, each checked to stand where it says."""
    value = value_of(record, column, source)
    on_the_hub = isinstance(value, dict)  # there an unanswerable question has no mark but the empty lists
    found = tuple(
        _answer(text, start, number, context, source)
        for number, (text, start) in enumerate(_pairs(value, column, source), start=1)
    )
    impossible = record.get("is_impossible")
    if impossible is not None and not isinstance(impossible, bool):
        raise DataError(f"{source}: 'is_impossible' is a {type_name(impossible)}. Write true or false.")
    if impossible and found:
        raise DataError(f"{source}: 'is_impossible' is true and there are answers. Delete one of them.")
    if not found and not impossible and not (on_the_hub and impossible is None):
        raise DataError(f"{source}: there is no answer and 'is_impossible' is not true. Add an answer, or set it.")
    return found


def _pairs(value: object, column: str, source: str) -> list[tuple[object, object]]:
    """Text and start of each answer, in either form, not checked."""
    if isinstance(value, dict):
        texts, starts = value.get("text"), value.get("answer_start")
        if isinstance(texts, list) and isinstance(starts, list) and len(texts) == len(starts):
            return list(zip(texts, starts, strict=True))
        raise DataError(
            f"{source}: {column!r} is an object, and its lists 'text' and 'answer_start' are not of one length. "
            'Write {"text": ["..."], "answer_start": [0]}.'
        )
    if not isinstance(value, list) or not all(isinstance(answer, dict) for answer in value):
        what = "list that holds other things than objects" if isinstance(value, list) else type_name(value)
        raise DataError(f'{source}: {column!r} is a {what}. Write a list such as [{{"text": "...", "start": 0}}].')
    return [(answer.get("text"), answer.get("start", answer.get("answer_start"))) for answer in value]


def _answer(text: object, start: object, number: int, context: str, source: str) -> tuple[int, str]:
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{source}: answer {number} has no text. Write the words of the context that answer.")
    check_encodable(text, f"answer {number}", source)
    if not isinstance(start, int) or isinstance(start, bool) or start < 0:
        raise DataError(
            f"{source}: the start of answer {number} is {_shown(start)}, not a whole number from 0. "
            "Write the number of its first character in the context."
        )
    there = context[start : start + len(text)]
    if there != text:
        nearest = _nearest(context, text, start)
        hint = (
            "it is nowhere in it). Correct the answer" if nearest is None else f"it is at {nearest}). Correct 'start'"
        )
        raise DataError(
            f"{source}: the answer {text!r} is not at character {start} of the context: there stands {there!r} ({hint}."
        )
    return start, text


def _nearest(context: str, text: str, start: int) -> int | None:
    """Where `text` stands in `context`, as near to `start` as can be."""
    places = [place for place in (context.rfind(text, 0, start + len(text)), context.find(text, start)) if place >= 0]
    return min(places, key=lambda place: abs(place - start)) if places else None


def _shown(value: object) -> str:
    return "missing" if value is None else repr(value) if isinstance(value, (int, float, str)) else type_name(value)
