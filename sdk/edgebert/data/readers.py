"""From a file to checked rows: each has a text (or a pair of them), a label where one is wanted, and its place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgebert.data.columns import Columns, Fields, find_fields
from edgebert.data.formats import records, type_name
from edgebert_runtime.errors import DataError

Text = str | tuple[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """One example.

    Attributes:
        text: the sentence, exactly as it stands in the file, or the pair as a tuple.
        label: the class name, without white space around it; None in unlabelled data.
        source: "file:line" (or "file:row" for Parquet), for messages.
    """

    text: Text
    label: str | None
    source: str


def read_rows(path: str | Path, columns: Columns = Columns(), labelled: bool = True) -> Iterator[Row]:
    """Yield the rows of a CSV, TSV, JSON lines (each also .gz) or Parquet file, checked, one at a time.

    Whole-number labels become "0", "1"; booleans "true", "false"; decimal numbers are kept as they print, and
    the task says whether it takes them.

    Raises:
        DataError: the first bad file, column or row, with its line and what to do.
    """
    path = Path(path)
    fields: Fields | None = None
    for number, record in records(path, labelled):
        if fields is None:
            fields = find_fields(f"{path}:{number}" if _free(path) else str(path), list(record), columns, labelled)
        yield to_row(record, fields, f"{path}:{number}")


def to_row(record: Mapping[str, object], fields: Fields, source: str) -> Row:
    """Check one record and make a row of it."""
    first = _text(record, fields.text, source)
    text = first if fields.text_pair is None else (first, _text(record, fields.text_pair, source))
    label = None if fields.label is None else _label(record, fields.label, source)
    return Row(text, label, source)


def _free(path: Path) -> bool:
    """True where each record brings its own columns: there the message about a missing one names the line."""
    return ".jsonl" in path.suffixes or ".ndjson" in path.suffixes


def _value(record: Mapping[str, object], column: str, source: str) -> object:
    if column not in record:
        listed = ", ".join(repr(name) for name in list(record)[:20])
        raise DataError(f"{source}: there is no field {column!r} in this row. Fields found: {listed or 'none'}.")
    return record[column]


def _text(record: Mapping[str, object], column: str, source: str) -> str:
    value = _value(record, column, source)
    if not isinstance(value, str):
        raise DataError(
            f"{source}: the text in {column!r} is a {type_name(value)}, not a string. "
            "Write it in quotes, or delete the row."
        )
    if not value or value.isspace():
        raise DataError(f"{source}: the text in {column!r} is empty. Write a text, or delete the row.")
    if not value.isascii():
        _check_encodable(value, column, source)
    return value


def _label(record: Mapping[str, object], column: str, source: str) -> str:
    value = _value(record, column, source)
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
    _check_encodable(label, column, source)
    return label


def _check_encodable(value: str, column: str, source: str) -> None:
    """JSON can spell half of a UTF-16 pair (\\ud800); no tokenizer and no file can hold it."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"{source}: character {error.start} of {column!r} is half a surrogate pair "
            f"(\\u{ord(value[error.start]):04x}). Repair the escape, or delete it."
        ) from error
