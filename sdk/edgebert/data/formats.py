"""One generator per file format: a path in, numbered records out. Nothing here knows what a column means.

A record is `(place, {column: value})`; the place is the line where the record begins, or the row for Parquet, or the
name of a question in SQuAD's JSON. Files are streamed: one line or one Parquet batch is in memory at a time (that
JSON alone is read as a whole).
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, cast

from edgebert_runtime.errors import DataError, require, resolve

Record = tuple[int | str, dict[str, object]]

# Wholly wrapped in quotes with the inner ones doubled: what csv writers make of a field that holds quotes.
_QUOTED = re.compile(r'"((?:[^"]|"")*)"', re.DOTALL)


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield `(line number, line without its line end)` of a UTF-8 file, gzip'd if its name ends in .gz.

    Raises:
        DataError: the file cannot be read, is not UTF-8, or its gzip data is damaged.
    """
    for number, line in _decoded(path):
        yield number, line.rstrip("\r\n")


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def _decoded(path: Path) -> Iterator[tuple[int, str]]:
    number, offset = 0, 0
    try:
        with _open(path) as handle:
            for number, raw in enumerate(handle, start=1):
                try:
                    line = raw.decode("utf-8")
                except UnicodeDecodeError as error:
                    raise DataError(
                        f"{path}:{number}: invalid UTF-8: byte 0x{raw[error.start]:02x} at byte offset "
                        f"{offset + error.start}. Save the file as UTF-8."
                    ) from error
                yield number, line.removeprefix("\ufeff") if number == 1 else line
                offset += len(raw)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path}: the gzip data is damaged after line {number} ({error}). Fetch or pack it again."
        ) from error
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {error.strerror or error}. Check the path and its permissions."
        ) from error


def csv_records(path: Path) -> Iterator[Record]:
    """Comma-separated values with a header, quoted as RFC 4180 says; a quoted field may span lines."""
    csv.field_size_limit(2**31 - 1)  # the default of 131,072 characters refuses long documents
    last = 0

    def lines() -> Iterator[str]:
        nonlocal last
        for number, line in _decoded(path):
            last = number
            yield line

    reader = csv.reader(lines(), strict=True)
    header: list[str] | None = None
    while True:
        begin = last + 1
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise DataError(
                f"{path}:{begin}: this is not valid CSV ({error}). Put a field that holds a quote, a comma or a "
                'line end in "...", with each quote inside it doubled.'
            ) from error
        if fields is None:
            break
        if not fields:
            continue
        if header is None:
            header = _header(path, fields)
        else:
            yield begin, _zip(path, begin, header, fields, "comma")
    if header is None:
        raise _empty(path)


def tsv_records(path: Path) -> Iterator[Record]:
    """Tab-separated values with a header, a record a line; a field wrapped in quotes as csv writers do is unwrapped."""
    header: list[str] | None = None
    for number, line in text_lines(path):
        if not line:
            continue
        fields = [
            match[1].replace('""', '"') if (match := _QUOTED.fullmatch(field)) else field for field in line.split("\t")
        ]
        if header is None:
            header = _header(path, fields)
        else:
            yield number, _zip(path, number, header, fields, "tab")
    if header is None:
        raise _empty(path)


def jsonl_records(path: Path) -> Iterator[Record]:
    """One JSON object a line; blank lines are skipped."""
    for number, line in text_lines(path):
        if not line or line.isspace():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
            raise DataError(
                f"{path}:{number}: this is not valid JSON ({reason}). Write one JSON object on each line."
            ) from error
        if not isinstance(value, dict):
            raise DataError(
                f"{path}:{number}: the line holds a JSON {type_name(value)}, not an object. "
                'Write one object on each line, such as {"text": "...", "label": "..."}.'
            )
        yield number, value


def parquet_records(path: Path) -> Iterator[Record]:
    """The rows of a Parquet file, numbered from 1; class numbers become names where `datasets` stored those."""
    parquet = require("pyarrow.parquet", "data")
    arrow = require("pyarrow", "data")
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            names = _class_names((file.schema_arrow.metadata or {}).get(b"huggingface", b""))
            for batch in file.iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    for column in names.keys() & row.keys():
                        row[column] = class_name(row[column], names[column])
                    yield number, row
    except (arrow.ArrowException, UnicodeDecodeError) as error:
        raise DataError(f"{path}: this is not a readable Parquet file (after row {number}): {error}.") from error
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {error.strerror or error}. Check the path and its permissions."
        ) from error


def class_name(value: object, names: Sequence[str]) -> object:
    """The name of a class number, or those of a list of them; None for a number that has no name, such as -1."""
    if isinstance(value, list):
        return [class_name(item, names) for item in value]
    if isinstance(value, int):
        return names[value] if 0 <= value < len(names) else None
    return value


def _class_names(metadata: bytes) -> dict[str, list[str]]:
    """Column -> class names, out of what `datasets` stores in a Parquet schema; nothing where it is not understood."""
    names = {}
    try:
        for column, feature in json.loads(metadata)["info"]["features"].items():
            kind = feature.get("feature", feature) if isinstance(feature, dict) else None  # of a list: of its items
            if isinstance(kind, dict) and isinstance(kind.get("names"), list):
                names[column] = kind["names"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    return names


def txt_records(path: Path) -> Iterator[Record]:
    """One text a line, for unlabelled text; blank lines are skipped."""
    for number, line in text_lines(path):
        if line and not line.isspace():
            yield number, {"text": line}


# Suffix -> "module:function" from a path to records, loaded when it is needed.
FORMATS: dict[str, str] = {
    ".csv": "edgebert.data.formats:csv_records",
    ".tsv": "edgebert.data.formats:tsv_records",
    ".jsonl": "edgebert.data.formats:jsonl_records",
    ".ndjson": "edgebert.data.formats:jsonl_records",
    ".parquet": "edgebert.data.formats:parquet_records",
    ".conll": "edgebert.data.conll:conll_records",
    ".conllu": "edgebert.data.conll:conllu_records",
    ".iob": "edgebert.data.conll:conll_records",
    ".bio": "edgebert.data.conll:conll_records",
    ".json": "edgebert.data.squad:squad_records",
    ".txt": "edgebert.data.formats:txt_records",
}


def stem_and_format(path: Path) -> tuple[str, str]:
    """`train.jsonl.gz` gives `("train", ".jsonl")`; the format is "" where the suffix is none of ours."""
    name = path.name
    if name.lower().endswith(".gz"):
        name = name[:-3]
    stem, dot, suffix = name.rpartition(".")
    suffix = (dot + suffix).lower()
    if suffix not in FORMATS or (suffix == ".parquet" and name != path.name):
        return name, ""
    return stem, suffix


def records(path: Path, labelled: bool) -> Iterator[Record]:
    """The records of a file in any accepted format.

    Raises:
        DataError: the file is missing, of an unsupported type, empty, or a record of it is damaged.
    """
    suffix = stem_and_format(path)[1]
    if path.is_dir():
        raise DataError(f"{path} is a folder, and a file is wanted here. Name a file in it.")
    if not path.exists():
        raise DataError(f"there is no file {path}. Check the path.")
    known = [name for name in FORMATS if not (labelled and name == ".txt")]
    if suffix not in known:
        note = " A .txt has no labels." if suffix == ".txt" else ""
        raise DataError(f"{path}: unsupported file type.{note} Accepted: {', '.join(known)}; all but Parquet also .gz.")
    any_record = False
    generate = cast(Callable[[Path], Iterator[Record]], resolve(FORMATS[suffix]))
    for record in generate(path):
        any_record = True
        yield record
    if not any_record:
        if suffix in (".csv", ".tsv"):
            raise DataError(f"{path}: there is a header and no row under it. Add rows.")
        raise _empty(path)


def type_name(value: object) -> str:
    """What JSON calls the type of `value`."""
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "list", dict: "object"}
    return "null" if value is None else names.get(type(value), type(value).__name__)


def _header(path: Path, fields: list[str]) -> list[str]:
    for name in fields:
        if fields.count(name) > 1:
            raise DataError(f"{path}:1: the column {name!r} is in the header twice. Rename one of them.")
    return fields


def _zip(path: Path, number: int, header: list[str], fields: list[str], separator: str) -> dict[str, object]:
    if len(fields) != len(header):
        advice = "Put a field that holds a comma in quotes." if separator == "comma" else "A field cannot hold a tab."
        raise DataError(f"{path}:{number}: {len(fields)} fields, and the header names {len(header)}. {advice}")
    return dict(zip(header, fields, strict=True))


def _empty(path: Path) -> DataError:
    return DataError(f"{path}: the file is empty. Add rows to it, or name another file.")
