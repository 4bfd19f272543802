"""`docs/data.md` says what the code does: its messages are produced here, its lists are compared with the code's."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from edgebert.data import Columns, Row, load_splits, read_rows
from edgebert.data.columns import LABELS, PAIRS, TAGS, TEXTS, TOKENS
from edgebert.data.formats import FORMATS
from edgebert.data.questions import questions_reader
from edgebert.data.readers import ReaderFor
from edgebert.data.splits import NAMES
from edgebert.data.words import words_reader
from edgebert.tasks.classification import CLASSIFICATION
from edgebert_runtime.errors import DataError

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
ROWS = '{"text": "a", "label": "x"}\n'
QUESTION = '{"question": "Who won?", "context": "The Denver Broncos won.", "answers": %s}'


WORDS = partial(words_reader, columns=Columns(), labelled=True, intent=False)
SLOTS = partial(words_reader, columns=Columns(), labelled=True, intent=True)
QUESTIONS = partial(questions_reader, columns=Columns(), labelled=True)


def labelled(path: str, columns: Columns | None = None) -> list[Row]:
    return list(read_rows(path, partial(CLASSIFICATION.reader, columns=columns or Columns(), labelled=True)))


def read(path: str, columns: Columns | None = None) -> Callable[[], object]:
    return lambda: labelled(path, columns)


def read_as(reader_for: ReaderFor, path: str) -> Callable[[], object]:
    return lambda: list(read_rows(path, reader_for))


def splits(data: str) -> Callable[[], object]:
    return lambda: load_splits(data, None, None, None, Columns(), CLASSIFICATION)


# What lies in the folder, what is done, and the first column of the page's table.
CASES: tuple[tuple[str, dict[str, str | bytes], Callable[[], object]], ...] = (
    ("the file is not there", {}, read("missing.csv")),
    ("a type that is not read", {"rows.xlsx": "x"}, read("rows.xlsx")),
    ("an empty file", {"empty.csv": ""}, read("empty.csv")),
    ("a folder without train", {"my_data/trian.csv": "text,label\n"}, splits("my_data")),
    ("two files for one split", {"both/train.csv": "", "both/train.jsonl": ""}, splits("both")),
    ("no column is found", {"rows.csv": "body,topic\nhi,greet\n"}, read("rows.csv")),
    (
        "a named column is not there",
        {"rows.csv": "body,topic\nhi,greet\n"},
        read("rows.csv", Columns(text="body", label="topics")),
    ),
    ("semicolons in a .csv", {"semicolons.csv": "text;label\na;b\n"}, read("semicolons.csv")),
    ("a comma too many", {"fields.csv": "text,label\nhi, there,greet\n"}, read("fields.csv")),
    ("broken JSON", {"broken.jsonl": ROWS + '{"text":"a"\n'}, read("broken.jsonl")),
    ("not UTF-8", {"latin.csv": b"text,label\nhi\xff,x\n"}, read("latin.csv")),
    ("a damaged gzip", {"cut.jsonl.gz": gzip.compress(ROWS.encode() * 1000)[:-20]}, read("cut.jsonl.gz")),
    ("an empty text", {"blank.jsonl": ROWS + '{"text": " ", "label": "y"}\n'}, read("blank.jsonl")),
    ("a label is missing", {"null.jsonl": ROWS + '{"text": "b", "label": null}\n'}, read("null.jsonl")),
    (
        "one class only",
        {"one.csv": "text,label\na,x\nb,x\n"},
        lambda: CLASSIFICATION.labels_from(labelled("one.csv")),
    ),
    (
        "labels are scores",
        {"scores.csv": "text,label\na,1.5\nb,2.0\n"},
        lambda: CLASSIFICATION.labels_from(labelled("scores.csv")),
    ),
    (
        "a label that the model does not know",
        {"new.jsonl": '{"text": "a", "label": "greets"}\n'},
        lambda: CLASSIFICATION.check(labelled("new.jsonl"), {"logits": ("bye", "greet")}, "dev"),
    ),
    (
        "as many tags as tokens are wanted",
        {"tags.jsonl": '{"tokens": ["a", "b", "c"], "tags": ["O", "O"]}'},
        read_as(WORDS, "tags.jsonl"),
    ),
    (
        "tokens are no list",
        {"string.jsonl": '{"tokens": "two words", "tags": ["O", "O"]}'},
        read_as(WORDS, "string.jsonl"),
    ),
    ("a token is empty", {"space.jsonl": '{"tokens": ["a", " "], "tags": ["O", "O"]}'}, read_as(WORDS, "space.jsonl")),
    (
        "a token is not in the text",
        {"other.jsonl": '{"text": "Tampa Bay", "tokens": ["Tampa", "x"], "tags": ["O", "O"]}'},
        read_as(WORDS, "other.jsonl"),
    ),
    ("a line of a CoNLL file is short", {"short.conll": "Tampa NNP B-LOC\nBay\n"}, read_as(WORDS, "short.conll")),
    ("the intent is missing", {"slots.jsonl": '{"tokens": ["a"], "tags": ["O"]}'}, read_as(SLOTS, "slots.jsonl")),
    (
        "an answer is not where it should be",
        {"start.jsonl": QUESTION % '[{"text": "Denver", "start": 5}]'},
        read_as(QUESTIONS, "start.jsonl"),
    ),
    ("no answer, and nothing says so", {"none.jsonl": QUESTION % "[]"}, read_as(QUESTIONS, "none.jsonl")),
    (
        "an answer, and it should have none",
        {"both.jsonl": QUESTION % '[{"text": "The", "start": 0}], "is_impossible": true'},
        read_as(QUESTIONS, "both.jsonl"),
    ),
    (
        "a context is empty",
        {"squad.json": '{"data": [{"paragraphs": [{"context": "", "qas": [{"id": "56be", "question": "a"}]}]}]}'},
        read_as(QUESTIONS, "squad.json"),
    ),
    ("a .json of another kind", {"rows.json": "[" + ROWS + "]"}, read_as(QUESTIONS, "rows.json")),
)


@pytest.mark.parametrize(("what", "files", "call"), CASES, ids=[case[0] for case in CASES])
def test_messages_are_the_ones_on_the_page(
    what: str,
    files: dict[str, str | bytes],
    call: Callable[[], object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in files.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        call()
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| {what} | ")]
    promised = row.removeprefix(f"| {what} | ").removesuffix(" |")
    if promised.endswith("…"):
        assert str(caught.value).startswith(promised.removesuffix("…"))
    else:
        assert str(caught.value) == promised


def test_every_row_of_the_table_is_a_case() -> None:
    table = PAGE.partition("| what is wrong | what is said |")[2].splitlines()[2:]
    rows = [line.split(" | ")[0].removeprefix("| ") for line in table if line.startswith("| ")]
    assert rows == [case[0] for case in CASES]


def test_the_lists_are_the_ones_in_the_code() -> None:
    words = " ".join(PAGE.split())
    assert ", ".join(f"`{name}`" for name in TEXTS) in words
    assert ", ".join(f"`{first}` + `{second}`" for first, second in PAIRS) in words
    for names in (LABELS, TOKENS, TAGS):
        assert ", ".join(f"`{name}`" for name in names) in words
    assert "`dev` (or " + ", ".join(f"`{name}`" for name in NAMES["dev"][1:]) + ")" in words
    files = PAGE.partition("## Files")[2].partition("## Columns")[0]
    assert [suffix for suffix in FORMATS if f"`{suffix}`" not in files] == []


@pytest.mark.parametrize(
    ("section", "reader_for", "count"),
    [
        ("## Files", partial(CLASSIFICATION.reader, columns=Columns(), labelled=True), 2),
        ("## Words and tags", SLOTS, 1),
        ("## Questions", QUESTIONS, 2),
    ],
)
def test_the_examples_are_read(section: str, reader_for: ReaderFor, count: int, tmp_path: Path) -> None:
    example = PAGE.partition(f"{section}\n")[2].split("```")[1]
    (tmp_path / "t.jsonl").write_text(example, encoding="utf-8")
    assert len(list(read_rows(tmp_path / "t.jsonl", reader_for))) == count
