"""Unlabelled text as a stream, for distillation: files of any size, one text in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from edgebert.data.columns import Columns
from edgebert.data.readers import Text, read_rows, text_reader


def stream_texts(path: str | Path, column: str | None = None) -> Iterator[Text]:
    """Yield the texts (or pairs) of a .txt file, one text a line, or of any file that `read_rows` takes.

    Raises:
        DataError: the first bad file, column or row, with its line and what to do.
    """
    for row in read_rows(path, partial(text_reader, columns=Columns(text=column)), labelled=False):
        yield row.text
