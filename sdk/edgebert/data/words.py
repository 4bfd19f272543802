"""Rows of words and their tags, with or without an intent: `{"tokens": [...], "tags": [...], "intent": ...}`.

The text of a row is its tokens with one space between them, or the field `text`, in which the tokens are then found.
Which tag schemes are good is for a task to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgebert.data.columns import TAGS, TOKENS, Columns, find_column, match
from edgebert.data.formats import type_name
from edgebert.data.readers import (
    Reader,
    Row,
    Words,
    check_encodable,
    label_of,
    list_of,
    text_of,
    text_reader,
    tokens_of,
)
from edgebert_runtime.errors import DataError, UsageError


def words_reader(where: str, found: Sequence[str], columns: Columns, labelled: bool, intent: bool) -> Reader:
    """A reader of rows whose gold is `Words`; `--text-column` names the tokens, `--label-column` the tags.

    Args:
        labelled: False reads texts (or tokens) alone.
        intent: a row must have an intent, too.
    Raises:
        DataError: a column is missing.
        UsageError: a second text is named.
    """
    if columns.text_pair is not None:
        raise UsageError(f"words are tagged in one text: leave out --text-pair-column {columns.text_pair}.")
    if not labelled:
        return text_reader(where, found, columns)
    tokens_column = find_column(where, found, columns.text, TOKENS, "tokens", "text")
    tags_column = find_column(where, found, columns.label, TAGS, "tags", "label")
    # These two are optional, so a later record may have one that the first lacks.
    text_column = match(("text",), found) or "text"
    intent_column = match(("intent",), found) or "intent"

    def read(record: Mapping[str, object], source: str) -> Row:
        tokens = tokens_of(record, tokens_column, source)
        tags = _tags(record, tags_column, tokens, source)
        if text_column == tokens_column or record.get(text_column) is None:
            text, spans = " ".join(tokens), _joined(tokens)
        else:
            text = text_of(record, text_column, source)
            spans = _located(tokens, text, source)
        return Row(text, Words(spans, tags, _intent(record, intent_column, source) if intent else None), source)

    return read


def words_record(row: Row) -> dict[str, object]:
    """The row as a record that `words_reader` reads again."""
    if not isinstance(row.gold, Words):
        return {"text": row.text}
    assert isinstance(row.text, str)
    tokens = [row.text[start:end] for start, end in row.gold.spans]
    record: dict[str, object] = {"tokens": tokens, "tags": list(row.gold.tags)}
    if row.gold.spans != _joined(tokens) or row.text != " ".join(tokens):
        record["text"] = row.text
    if row.gold.intent is not None:
        record["intent"] = row.gold.intent
    return record


def _joined(tokens: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Where the tokens stand when they are joined by one space."""
    spans, start = [], 0
    for token in tokens:
        spans.append((start, start + len(token)))
        start += len(token) + 1
    return tuple(spans)


def _located(tokens: Sequence[str], text: str, source: str) -> tuple[tuple[int, int], ...]:
    """Where the tokens stand in `text`, one after the other."""
    spans, end = [], 0
    for number, token in enumerate(tokens, start=1):
        start = text.find(token, end)
        if start < 0:
            raise DataError(
                f"{source}: token {number} ({token!r}) is not in the text after character {end}. "
                "Correct 'text' or 'tokens'."
            )
        end = start + len(token)
        spans.append((start, end))
    return tuple(spans)


def _tags(record: Mapping[str, object], column: str, tokens: Sequence[str], source: str) -> tuple[str, ...]:
    values = list_of(record, column, source)
    if len(values) != len(tokens):
        counts = [
            f"{len(items)} {what}{'' if len(items) == 1 else 's'}"
            for items, what in ((tokens, "token"), (values, "tag"))
        ]
        raise DataError(f"{source}: {' and '.join(counts)}. Write one tag for each token.")
    tags = []
    for number, (value, token) in enumerate(zip(values, tokens, strict=True), start=1):
        tag = "" if value is None else value
        if not isinstance(tag, str):
            raise DataError(
                f"{source}: the tag of token {number} ({token!r}) is a {type_name(tag)}, not a string. "
                "Write its name in quotes."
            )
        tag = tag.strip()
        if not tag:
            raise DataError(f"{source}: token {number} ({token!r}) has no tag. Write one for each token.")
        check_encodable(tag, column, source)
        tags.append(tag)
    return tuple(tags)


def _intent(record: Mapping[str, object], column: str, source: str) -> str:
    value = record.get(column)
    if value is None or (isinstance(value, str) and not value.strip()):
        raise DataError(f"{source}: the intent is missing. Write one, or use --task token-classification.")
    return label_of(record, column, source)
