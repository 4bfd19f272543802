"""From a file to checked rows: what is asked, what is right where that is wanted, and its place for messages.

A task brings a `Reader`, which makes a row of a record; here is what such readers are made of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from edgebert.data.columns import PAIRS, TEXTS, TOKENS, Columns, find_fields, match
from edgebert.data.formats import records, type_name
from edgebert_runtime.errors import DataError

Text: TypeAlias = str | tuple[str, str]


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text and the tag of each. Words are ranges of code points, so a word may hold a space ("1 000").

    Attributes:
        spans: (start, end) of each word in the text, ascending.
        tags: as they stand in the file; a task says which schemes it takes.
        intent: of the whole text, for a task that has one.
    """

    spans: tuple[tuple[int, int], ...]
    tags: tuple[str, ...]
    intent: str | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """What answers a question.

    Attributes:
        id: names the question in results.
        found: (start in code points of the context, text) of each answer; none where the context does not answer it.
    """

    id: str
    found: tuple[tuple[int, str], ...]


# A class name, a score, the labels of a text that may have several, or one of the above; None in unlabelled data.
Gold: TypeAlias = str | float | tuple[str, ...] | Words | Answers | None


@dataclass(frozen=True, slots=True)
class Row:
    """One example.

    Attributes:
        text: exactly as it stands in the file; a pair is a tuple.
        gold: what is right; None in unlabelled data.
        source: "file:line" ("file:row" for Parquet), for messages.
    """

    text: Text
    gold: Gold
    source: str


class Reader(Protocol):
    """Makes a checked row of one record; made by a task for one file, once its columns are known."""

    def __call__(self, record: Mapping[str, object], source: str, /) -> Row: ...


# Makes the reader of a file from its name, for messages, and the columns of its first record.
ReaderFor: TypeAlias = Callable[[str, Sequence[str]], Reader]


def read_rows(path: str | Path, reader_for: ReaderFor, labelled: bool = True) -> Iterator[Row]:
    """Yield the rows of a file of any accepted format (see `edgebert.data.formats`), checked, one at a time.

    Args:
        labelled: whether labels are wanted; a .txt has none and is then refused.
    Raises:
        DataError: the first bad file, column or row, with its line and what to do.
    """
    path = Path(path)
    read: Reader | None = None
    for place, record in records(path, labelled):
        source = f"{path}:{place}" if isinstance(place, int) else f"{path}: {place}"
        if read is None:
            read = reader_for(source if _free(path) else str(path), list(record))
        yield read(record, source)


def _free(path: Path) -> bool:
    """True where each record brings its own columns: there the message about a missing one names the line."""
    return ".jsonl" in path.suffixes or ".ndjson" in path.suffixes


def text_reader(where: str, found: Sequence[str], columns: Columns, labelled: bool = False) -> Reader:
    """A reader of texts or pairs alone, `gold` None. Where there are tokens and no text, they make one.

    Args:
        labelled: there is a label column too, which is then not taken for the text.
    Raises:
        DataError: there is no text column.
    """
    tokens = None if labelled else _tokens_column(found, columns)
    if tokens is not None:
        return lambda record, source: Row(" ".join(tokens_of(record, tokens, source)), None, source)
    fields = find_fields(where, found, columns, labelled)

    def read(record: Mapping[str, object], source: str) -> Row:
        first = text_of(record, fields.text, source)
        if fields.text_pair is None:
            return Row(first, None, source)
        return Row((first, text_of(record, fields.text_pair, source)), None, source)

    return read


def _tokens_column(found: Sequence[str], columns: Columns) -> str | None:
    """The column of tokens, where it is the one that is named, or none is named and none holds a text."""
    if columns.text is None:
        texts = (*TEXTS, *(first for first, _ in PAIRS))
        return None if columns.text_pair or match(texts, found) else match(TOKENS, found)
    return match(TOKENS, [columns.text] if columns.text in found else [])


def value_of(record: Mapping[str, object], column: str, source: str) -> object:
    """The value of a column.

    Raises:
        DataError: this record has no such column.
    """
    if column not in record:
        listed = ", ".join(repr(name) for name in list(record)[:20])
        raise DataError(f"{source}: there is no field {column!r} in this row. Fields found: {listed or 'none'}.")
    return record[column]


def text_of(record: Mapping[str, object], column: str, source: str) -> str:
    """The text in a column, exactly as it stands there.

    Raises:
        DataError: it is missing, blank, no string, or cannot be encoded.
    """
    value = value_of(record, column, source)
    if not isinstance(value, str):
        raise DataError(
            f"{source}: the text in {column!r} is a {type_name(value)}, not a string. "
            "Write it in quotes, or delete the row."
        )
    if not value or value.isspace():
        raise DataError(f"{source}: the text in {column!r} is empty. Write a text, or delete the row.")
    check_encodable(value, column, source)
    return value


def tokens_of(record: Mapping[str, object], column: str, source: str) -> list[str]:
    """The tokens in a column; a token may hold a space, but not be blank.

    Raises:
        DataError: they are missing, no list of strings, or one is blank or cannot be encoded.
    """
    tokens = []
    for number, token in enumerate(list_of(record, column, source), start=1):
        if not isinstance(token, str):
            raise DataError(f"{source}: token {number} is a {type_name(token)}, not a string. Write it in quotes.")
        if not token or token.isspace():
            raise DataError(f"{source}: token {number} is empty. Delete it and its tag.")
        check_encodable(token, column, source)
        tokens.append(token)
    if not tokens:
        raise DataError(f"{source}: there are no tokens. Write some, or delete the row.")
    return tokens


def list_of(record: Mapping[str, object], column: str, source: str) -> list[object]:
    """The list in a column that should hold strings.

    Raises:
        DataError: it is missing or no list.
    """
    value = value_of(record, column, source)
    if not isinstance(value, list):
        raise DataError(f'{source}: {column!r} is a {type_name(value)}, not a list of strings. Write ["two", "words"].')
    return value


def label_of(record: Mapping[str, object], column: str, source: str) -> str:
    """The label in a column, without white space around it.

    Whole numbers become "0", "1"; booleans "true", "false"; decimal numbers are kept as they print, and the task says
    whether it takes them.

    Raises:
        DataError: it is missing, blank, a list or an object, or cannot be encoded.
    """
    value = value_of(record, column, source)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and not math.isnan(value):
        return repr(value)
    if value is None or isinstance(value, float):
        value = ""
    if not isinstance(value, str):
        raise DataError(
            f"{source}: the label in {column!r} is a {type_name(value)}, and a class name is wanted. "
            "Write it as a string."
        )
    label = value.strip()
    if not label:
        raise DataError(f"{source}: the label in {column!r} is missing. Write one, or delete the row.")
    check_encodable(label, column, source)
    return label


def check_encodable(value: str, column: str, source: str) -> None:
    """JSON can spell half of a UTF-16 pair (\\ud800); no tokenizer and no file can hold it.

    Raises:
        DataError: `value` holds one.
    """
    if value.isascii():
        return
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"{source}: character {error.start} of {column!r} is half a surrogate pair "
            f"(\\u{ord(value[error.start]):04x}). Repair the escape, or delete it."
        ) from error
