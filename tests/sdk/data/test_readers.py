from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from data_tasks import read_with
from data_tasks import write_and_read as read
from hypothesis import example, given
from hypothesis import strategies as st

from edgebert.data import Columns, Row, stream_texts
from edgebert_runtime.errors import DataError, UsageError

texts = st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda text: not text.isspace())
labels = st.text(st.characters(codec="utf-8"), min_size=1).map(str.strip).filter(bool)
tables = st.lists(st.tuples(texts, labels), min_size=1, max_size=8)


def pairs(rows: list[Row]) -> list[tuple[object, object]]:
    return [(row.text, row.gold) for row in rows]


@given(table=tables, packed=st.booleans())
@example(table=[('a "quoted, text\r\nover\x00lines', "l")], packed=False)
@example(table=[("\ufeffbyte order mark", "a\u2028b")], packed=True)
def test_csv_round_trip(tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str, str]], packed: bool) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([("text", "label"), *table])
    content = buffer.getvalue().encode()
    path = tmp_path_factory.getbasetemp() / ("t.csv.gz" if packed else "t.csv")
    assert pairs(read(path, gzip.compress(content) if packed else content)) == table


@given(table=tables, ascii_only=st.booleans(), packed=st.booleans())
def test_jsonl_round_trip(
    tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str, str]], ascii_only: bool, packed: bool
) -> None:
    lines = [json.dumps({"text": text, "label": label}, ensure_ascii=ascii_only) for text, label in table]
    content = ("\n".join(lines) + "\n").encode()
    path = tmp_path_factory.getbasetemp() / ("t.jsonl.gz" if packed else "t.ndjson")
    rows = read(path, gzip.compress(content) if packed else content)
    assert pairs(rows) == table
    assert [row.source for row in rows] == [f"{path}:{n}" for n in range(1, len(table) + 1)]


@given(st.lists(st.tuples(texts, labels).filter(lambda row: not set("\t\r\n") & set("".join(row))), min_size=1))
def test_tsv_round_trip(tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str, str]]) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, dialect="excel-tab").writerows([("text", "label"), *table])
    assert pairs(read(tmp_path_factory.getbasetemp() / "t.tsv", buffer.getvalue())) == table


def test_tsv_keeps_loose_quotes_as_they_are(tmp_path: Path) -> None:
    rows = read(tmp_path / "t.tsv", 'text\tlabel\n" unbalanced\tx\nsay "hi"\ty\n')
    assert pairs(rows) == [('" unbalanced', "x"), ('say "hi"', "y")]


def test_parquet(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "t.parquet"
    table = {"sentence1": ["a", "b"], "sentence2": ["c", "d\x00é"], "label": [0, 1], "vector": [[1.0], [2.0]]}
    parquet.write_table(arrow.table(table), path)
    assert read_with(path) == [Row(("a", "c"), "0", f"{path}:1"), Row(("b", "d\x00é"), "1", f"{path}:2")]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="not a readable Parquet file"):
        read_with(path)
    parquet.write_table(
        arrow.table({"text": arrow.array([], arrow.string()), "label": arrow.array([], arrow.string())}), path
    )
    with pytest.raises(DataError, match="empty"):
        read_with(path)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("text,label", ("1", "2")),
        ("Label,TEXT", ("2", "1")),
        ("id,sentence,intent,x", ("2", "3")),
        ("text_a,text_b,label", (("1", "2"), "3")),
        ("label,sentence2,sentence1", (("3", "2"), "1")),
        ("premise,hypothesis,class", (("1", "2"), "3")),
        ("question1,question2,label", (("1", "2"), "3")),
        ("question,sentence,label", (("1", "2"), "3")),
        ("question,labels", ("1", "2")),
        ("text,label,labels", ("1", "2")),
    ],
)
def test_columns_are_found(tmp_path: Path, header: str, expected: tuple[object, str]) -> None:
    values = ",".join(str(n) for n in range(1, header.count(",") + 2))
    assert pairs(read(tmp_path / "t.csv", f"{header}\n{values}\n")) == [expected]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (Columns("b", None, "c"), ("2", "3")),
        (Columns("b", "text", "c"), (("2", "1"), "3")),
        (Columns(None, "b", "c"), (("1", "2"), "3")),
        (Columns("text", None, "c"), ("1", "3")),
    ],
)
def test_named_columns_win(tmp_path: Path, columns: Columns, expected: tuple[object, str]) -> None:
    assert pairs(read(tmp_path / "t.csv", "text,b,c\n1,2,3\n", columns=columns)) == [expected]


def test_one_column_for_two_purposes_is_refused() -> None:
    with pytest.raises(UsageError, match="two purposes"):
        Columns(text="a", label="a")


@pytest.mark.parametrize(
    ("value", "label"), [("0", "0"), ("12", "12"), ("true", "true"), ("false", "false"), ('" x "', "x"), ("3.5", "3.5")]
)
def test_labels_of_other_json_types(tmp_path: Path, value: str, label: str) -> None:
    assert pairs(read(tmp_path / "t.jsonl", f'{{"text": "a", "label": {value}}}\n')) == [("a", label)]


def test_what_is_unusual_but_fine(tmp_path: Path) -> None:
    long = "word " * 20_000 + "end"
    assert pairs(read(tmp_path / "t.csv", f"\ufefftext,label\r\n{long},a\r\n\r\n b ,c\r\n")) == [
        (long, "a"),
        (" b ", "c"),
    ]
    content = '\ufeff{"text": "a", "label": "x"}\n\n{"text": "' + long + '", "label": "y", "other": [1, {}]}'
    assert pairs(read(tmp_path / "t.jsonl", content)) == [("a", "x"), (long, "y")]


JSONL_ERRORS = [
    ('{"text": "a", "label": "x"}\n{"text": " \\n", "label": "y"}', ":2: the text in 'text' is empty"),
    ('{"text": "a", "label": "x"}\n{"text": "b", "label": " "}', ":2: the label in 'label' is missing"),
    ('{"text": "a", "label": "x"}\n{"text": "b", "label": null}', ":2: the label in 'label' is missing"),
    ('{"text": "a", "label": "x"}\n{"text": "b", "label": NaN}', ":2: the label in 'label' is missing"),
    ('{"text": "a", "label": "x"}\n{"text": "b"}', ":2: there is no field 'label' in this row. Fields found: 'text'"),
    ('{"text": "a", "label": ["x"]}', ":1: the label in 'label' is a list"),
    ('{"text": 5, "label": "x"}', ":1: the text in 'text' is a number, not a string"),
    ('{"text": null, "label": "x"}', ":1: the text in 'text' is a null, not a string"),
    ('{"text": "a", "label": "x"}\n{"text": "b", ', ":2: this is not valid JSON"),
    ('{"text": "a", "label": ' + "9" * 5000 + "}", ":1: this is not valid JSON"),
    ("[" * 200_000, ":1: this is not valid JSON"),
    ('["a", "x"]', ":1: the line holds a JSON list, not an object"),
    ('{"text": "a \\ud800", "label": "x"}', ":1: character 2 of 'text' is half a surrogate pair (\\ud800)"),
    ('{"txt": "a", "label": "x"}', ":1: there is no text column. Columns found: 'txt', 'label'. Did you mean 'txt'?"),
    (b'{"text": "a", "label": "x"}\n{"text": "\xff", "label": "y"}', ":2: invalid UTF-8: byte 0xff at byte offset 38"),
    ("", ": the file is empty"),
    ("\n \n", ": the file is empty"),
]

CSV_ERRORS = [
    ("text,label\na,x\nb,y,z\n", ":3: 3 fields, and the header names 2. Put a field that holds a comma in quotes"),
    ("text,label\na\n", ":2: 1 fields, and the header names 2"),
    ('text,label\na,x\n"never closed,y\nc,z\n', ":3: this is not valid CSV"),
    ('text,label\n"a" b,x\n', ":2: this is not valid CSV"),
    ('text,label\n"two\nlines",x\n,y\n', ":4: the text in 'text' is empty"),
    ("text,label\na,\n", ":2: the label in 'label' is missing"),
    ("text,text,label\na,b,c\n", ":1: the column 'text' is in the header twice"),
    (
        "text;label\na;x\n",
        "there is no label column. Columns found: 'text;label'. They seem to be separated by ';'",
    ),
    ("text\tlabel\na\tx\n", "seem to be separated by tabs"),
    ("text,lable\na,x\n", "there is no label column. Columns found: 'text', 'lable'. Did you mean 'lable'?"),
    (
        "a,b,label\nx,y,z\n",
        "Columns found: 'a', 'b', 'label'. Name it with --text-column (for pairs also --text-pair-column).",
    ),
    (
        "note,sort\na,x\n",
        "there is no text column and no label column. Columns found: 'note', 'sort'. Name them with --text-column and "
        "--label-column.",
    ),
    ("text,note\na,x\n", "there is no label column. Columns found: 'text', 'note'. Name it with --label-column."),
    (b"text,label\nok,x\n\xe9t\xe9,y\n", ":3: invalid UTF-8: byte 0xe9 at byte offset 16"),
    ("", ": the file is empty"),
    ("text,label\n", ": there is a header and no row under it"),
]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("t.jsonl", *case) for case in JSONL_ERRORS]
    + [("t.csv", *case) for case in CSV_ERRORS]
    + [("t.tsv", "text\tlabel\na\tb\tc\n", ":2: 3 fields, and the header names 2. A field cannot hold a tab")]
    + [("t.tsv", "text\tlabel\n", ": there is a header and no row under it")],
)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_each_bad_row_has_its_sentence(
    tmp_path: Path, name: str, content: str | bytes, message: str, packed: bool
) -> None:
    raw = content.encode() if isinstance(content, str) else content
    path = tmp_path / (name + ".gz" * packed)
    with pytest.raises(DataError) as caught:
        read(path, gzip.compress(raw) if packed else raw)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("option", ["text", "text_pair", "label"])
def test_a_named_column_that_is_not_there(tmp_path: Path, option: str) -> None:
    with pytest.raises(DataError, match=r"no column 'Txet' \(--[a-z-]+-column\)\. Columns found: 'Text', 'b', 'label'"):
        read(tmp_path / "t.csv", "Text,b,label\n1,2,3\n", columns=Columns(**{option: "Txet"}))


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[:-9], lambda raw: b"text" + raw, lambda raw: raw[:40] + b"\x00\xff" + raw[42:]]
)
def test_damaged_gzip(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    raw = gzip.compress("".join(f'{{"text": "{n**9}", "label": "{n}"}}\n' for n in range(500)).encode())
    with pytest.raises(DataError, match="gzip data is damaged"):
        read(tmp_path / "t.jsonl.gz", damage(raw))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file .*absent\.csv"):
        read_with(tmp_path / "absent.csv")
    with pytest.raises(DataError, match="is a folder"):
        read_with(tmp_path)
    for name in ("t.xlsx", "t", "t.parquet.gz", "t.csv.zip"):
        with pytest.raises(DataError, match=r"unsupported file type\. Accepted: \.csv, \.tsv, \.jsonl"):
            read(tmp_path / name, "text,label\na,b\n")
    with pytest.raises(DataError, match=r"A \.txt has no labels"):
        read(tmp_path / "t.txt", "a\n")


def test_unlabelled(tmp_path: Path) -> None:
    (tmp_path / "t.txt.gz").write_bytes(gzip.compress("\ufefföne\r\n\n  two \nthree".encode()))
    assert list(stream_texts(tmp_path / "t.txt.gz")) == ["öne", "  two ", "three"]
    (tmp_path / "t.jsonl").write_text('{"text_a": "a", "text_b": "b"}\n{"text_a": "c", "text_b": "d", "label": 3.5}\n')
    assert list(stream_texts(tmp_path / "t.jsonl")) == [("a", "b"), ("c", "d")]
    assert list(stream_texts(tmp_path / "t.jsonl", column="text_b")) == ["b", "d"]
    (tmp_path / "e.txt").write_text("\n")
    with pytest.raises(DataError, match="empty"):
        list(stream_texts(tmp_path / "e.txt"))


def test_unlabelled_text_is_streamed(tmp_path: Path) -> None:
    """A bad last row is met only when it is reached: what is before it has been handed out by then."""
    path = tmp_path / "t.jsonl"
    path.write_bytes(b'{"text": "a"}\n' * 200_000 + b"{")
    stream = stream_texts(path)
    assert [next(stream) for _ in range(200_000)] == ["a"] * 200_000
    with pytest.raises(DataError, match=":200001: this is not valid JSON"):
        next(stream)


def test_reading_needs_no_heavy_package() -> None:
    code = (
        "import sys, edgebert.data, edgebert.tasks, edgebert.evaluation, edgebert.tasks.classification;"
        "print([m for m in ('torch', 'transformers', 'pyarrow', 'datasets', 'pandas') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
