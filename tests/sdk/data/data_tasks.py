"""Small tasks, as far as reading data goes, and reading a file with one of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from edgebert.data import (
    Columns,
    Reader,
    Row,
    RowTask,
    Splits,
    Text,
    load_evaluation,
    load_splits,
    read_rows,
    text_reader,
)
from edgebert.data.columns import find_fields
from edgebert.data.questions import questions_reader
from edgebert.data.readers import label_of
from edgebert.data.words import words_reader

ANY = Columns()


class Labels:
    """A label for a text or a pair."""

    labelled = True

    def reader(self, where: str, found: Sequence[str], columns: Columns, labelled: bool) -> Reader:
        read = text_reader(where, found, columns, labelled)
        label = find_fields(where, found, columns, labelled).label
        if label is None:
            return read

        def labelled_row(record: Mapping[str, object], source: str) -> Row:
            return Row(read(record, source).text, label_of(record, label, source), source)

        return labelled_row

    def keys(self, row: Row) -> tuple[str, str]:
        return json.dumps(row.text), str(row.gold)

    def texts(self, rows: Sequence[Row]) -> list[Text]:
        return [row.text for row in rows]


class Tags(Labels):
    """A tag for each word; with `intent` one for the text, too."""

    def __init__(self, intent: bool = False) -> None:
        self.intent = intent

    def reader(self, where: str, found: Sequence[str], columns: Columns, labelled: bool) -> Reader:
        return words_reader(where, found, columns, labelled, self.intent)

    def keys(self, row: Row) -> tuple[str, str]:
        return json.dumps(row.text), ""


class Questions(Labels):
    """An answer in a context."""

    def reader(self, where: str, found: Sequence[str], columns: Columns, labelled: bool) -> Reader:
        return questions_reader(where, found, columns, labelled)

    def keys(self, row: Row) -> tuple[str, str]:
        return row.text[1], ""


LABELS = Labels()
TAGS = Tags()
INTENTS = Tags(intent=True)
QUESTIONS = Questions()


def read_with(path: str | Path, task: RowTask = LABELS, columns: Columns = ANY, labelled: bool = True) -> list[Row]:
    """The rows of a file."""
    return list(read_rows(path, partial(task.reader, columns=columns, labelled=labelled), labelled))


def write_and_read(
    path: Path, content: str | bytes, task: RowTask = LABELS, columns: Columns = ANY, labelled: bool = True
) -> list[Row]:
    """The rows of a file with this content."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_with(path, task, columns, labelled)


def splits_of(
    data: str | Path | None = None,
    train: str | Path | None = None,
    dev: str | Path | None = None,
    test: str | Path | None = None,
    columns: Columns = ANY,
    task: RowTask = LABELS,
) -> Splits:
    """`load_splits`, of labels where nothing else is said."""
    return load_splits(data, train, dev, test, columns, task)


def evaluation_of(data: str | Path, task: RowTask = LABELS) -> tuple[tuple[Row, ...], dict[str, object]]:
    """`load_evaluation`, of labels where nothing else is said."""
    return load_evaluation(data, ANY, task)
