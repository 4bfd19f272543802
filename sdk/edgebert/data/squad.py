"""SQuAD's JSON (v1.1 and v2): articles of paragraphs, each a context with its questions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from edgebert.data.formats import Record, text_lines
from edgebert_runtime.errors import DataError

_ADVICE = 'SQuAD nests "data", "paragraphs" and "qas"; write rows of another kind as JSON lines, in a .jsonl file.'


def squad_records(path: Path) -> Iterator[Record]:
    """A record for each question: {"id", "question", "context", "answers": [{"text", "start"}], "is_impossible"}.

    It is placed by its id, as "question ID". What the fields hold is for the reader to check.
    """
    content = "\n".join(line for _, line in text_lines(path))
    if not content.strip():
        return
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError):
            reason, place = f"{error.msg} at column {error.colno}", f"{path}:{error.lineno}"
        else:
            reason, place = str(error), str(path)
        raise DataError(f"{place}: this is not valid JSON ({reason}). {_ADVICE}") from error
    for article_number, article in enumerate(_list(value, "data", f"{path}: this is not SQuAD's JSON"), start=1):
        article_place = f"article {article_number}"
        paragraphs = _list(article, "paragraphs", f"{path}: {article_place} is not as in SQuAD's JSON")
        for number, paragraph in enumerate(paragraphs, start=1):
            place = f"{article_place}, paragraph {number}"
            questions = _list(paragraph, "qas", f"{path}: {place} is not as in SQuAD's JSON")
            for question_number, question in enumerate(questions, start=1):
                yield _record(path, f"{place}, question {question_number}", paragraph, question)


def _record(path: Path, place: str, paragraph: object, question: object) -> Record:
    assert isinstance(paragraph, dict)  # `_list` found its questions
    if not isinstance(question, dict):
        raise DataError(f"{path}: {place} is not an object. {_ADVICE}")
    name = question.get("id")
    record = {
        "id": name,
        "question": question.get("question"),
        "context": paragraph.get("context"),
        "answers": _answers(question.get("answers")),
        "is_impossible": question.get("is_impossible", False),
    }
    return place if name is None else f"question {name}", record


def _answers(answers: object) -> object:
    if not isinstance(answers, list):
        return answers
    return [
        {"text": answer.get("text"), "start": answer.get("answer_start")} if isinstance(answer, dict) else answer
        for answer in answers
    ]


def _list(value: object, name: str, what: str) -> list[object]:
    found = value.get(name) if isinstance(value, dict) else None
    if not isinstance(found, list):
        raise DataError(f"{what}: there is no list {name!r}. {_ADVICE}")
    return found
