"""CoNLL files: a word on a line, its tag in a column, and a blank line between sentences.

The columns are separated by tabs if the first line has one (a word may then hold a space), else by spaces. The word
comes first and the tag last; in CoNLL-U they are FORM and UPOS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from edgebert.data.formats import Record, text_lines
from edgebert_runtime.errors import DataError

# CoNLL-U: ids of multiword ranges (3-4) and of empty nodes (3.1), the columns it has, and two of them.
_NO_WORD = re.compile(r"[0-9]+[-.][0-9]+")
_COLUMNS, _FORM, _UPOS = 10, 1, 3


def conll_records(path: Path) -> Iterator[Record]:
    """Sentences as {"tokens", "tags"}, numbered by their first line; `-DOCSTART-` lines are skipped."""
    lines = ((number, "" if line.startswith("-DOCSTART-") else line) for number, line in text_lines(path))
    advice = "Put the token first and the tag last on each line."

    def words() -> Iterator[tuple[int, str, str | None] | None]:
        for number, fields in _fields(path, lines, advice):
            if len(fields) == 1:
                raise DataError(f"{path}:{number}: 1 column, and a token and its tag are two. {advice}")
            yield (number, fields[0], fields[-1]) if fields else None

    return _sentences(words())


def conllu_records(path: Path) -> Iterator[Record]:
    """Sentences as {"tokens", "tags"}, numbered by their first word's line; a word without UPOS has the tag None."""
    lines = ((number, line) for number, line in text_lines(path) if not line.startswith("#"))
    advice = f"CoNLL-U has {_COLUMNS} on each line, with tabs between them."

    def words() -> Iterator[tuple[int, str, str | None] | None]:
        for number, fields in _fields(path, lines, advice):
            if not fields:
                yield None
            elif len(fields) != _COLUMNS:
                raise DataError(f"{path}:{number}: {_count(len(fields))}. {advice}")
            elif not _NO_WORD.fullmatch(fields[0]):
                yield number, fields[_FORM], None if fields[_UPOS] == "_" else fields[_UPOS]

    return _sentences(words())


def _fields(path: Path, lines: Iterable[tuple[int, str]], advice: str) -> Iterator[tuple[int, list[str]]]:
    """The number and columns of each line; none for a blank one."""
    width, tabs = 0, False
    for number, line in lines:
        if not line.strip(" \t"):
            yield number, []
            continue
        if not width:
            tabs = "\t" in line
        fields = line.split("\t") if tabs else [field for field in line.split(" ") if field]
        width = width or len(fields)
        if len(fields) != width:
            raise DataError(f"{path}:{number}: {_count(len(fields))}, and the first line has {width}. {advice}")
        yield number, fields


def _sentences(words: Iterator[tuple[int, str, str | None] | None]) -> Iterator[Record]:
    """Words with their line numbers, None between sentences, as one record a sentence."""
    begin, tokens, tags = 0, list[str](), list[str | None]()
    for word in chain(words, (None,)):
        if word is not None:
            number, token, tag = word
            begin = begin or number
            tokens.append(token)
            tags.append(tag)
        elif tokens:
            yield begin, {"tokens": tokens, "tags": tags}
            begin, tokens, tags = 0, [], []


def _count(columns: int) -> str:
    return f"{columns} column{'' if columns == 1 else 's'}"
