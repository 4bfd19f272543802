"""Tagged words: CoNLL files, and rows of tokens and tags in any other file."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from data_tasks import ANY, INTENTS, LABELS, TAGS, read_with, write_and_read
from hypothesis import example, given
from hypothesis import strategies as st

from edgebert.data import Columns, Row, Words, stream_texts
from edgebert.data.words import words_reader, words_record
from edgebert_runtime.errors import DataError, UsageError

# What a field between tabs may hold; a word with spaces around it would read back without them nowhere.
words = st.text(st.characters(codec="utf-8", exclude_characters="\t\r\n"), min_size=1).filter(lambda w: not w.isspace())
tags = st.from_regex(r"\A(O|[BI]-[A-Za-z_.]{1,8})\Z")
sentences = st.lists(st.tuples(words, tags), min_size=1, max_size=6)
GOLD = Words(((0, 2), (3, 9)), ("O", "B-LOC"))


def read_record(record: dict[str, Any], intent: bool = False, columns: Columns = ANY) -> Row:
    return words_reader("f", list(record), columns, labelled=True, intent=intent)(record, "f:1")


def pairs(row: Row) -> list[tuple[str, str]]:
    assert isinstance(row.gold, Words)
    return [(row.text[start:end], tag) for (start, end), tag in zip(row.gold.spans, row.gold.tags, strict=True)]


@given(st.lists(sentences, min_size=1, max_size=4), st.sampled_from([".conll", ".iob.gz", ".bio"]), st.integers(1, 3))
@example([[("1 000", "B-QTY"), ("#", "O"), ("\u00a0x", "O")], [("\ufeff", "O")]], ".conll", 1)
def test_a_conll_file_reads_back(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[tuple[str, str]]], suffix: str, blank: int
) -> None:
    table = [[(word, tag) for word, tag in sentence if not word.startswith("-DOCSTART-")] for sentence in table]
    table = [sentence for sentence in table if sentence]
    if not table:
        return
    text = ("\n" * blank).join("".join(f"{word}\tNN\t{tag}\n" for word, tag in sentence) for sentence in table)
    # A byte order mark is what the first one of a file is taken for.
    content = ("\ufeff-DOCSTART-\tX\tO\n\n" + text).encode()
    path = tmp_path_factory.getbasetemp() / f"t{suffix}"
    rows = write_and_read(path, gzip.compress(content) if suffix.endswith("gz") else content, TAGS)
    assert [pairs(row) for row in rows] == table
    assert [row.text for row in rows] == [" ".join(word for word, _ in sentence) for sentence in table]
    lines, place = [], 3
    for sentence in table:
        lines.append(f"{path}:{place}")
        place += len(sentence) + blank
    assert [row.source for row in rows] == lines


def test_conll_between_spaces(tmp_path: Path) -> None:
    content = "-DOCSTART- -X- O O\n\nEU NNP  I-NP B-ORG\r\nrejects VBZ I-VP O\n \t \n\nPeter NNP I-NP B-PER"
    assert write_and_read(tmp_path / "t.conll", content, TAGS) == [
        Row("EU rejects", Words(((0, 2), (3, 10)), ("B-ORG", "O")), f"{tmp_path}/t.conll:3"),
        Row("Peter", Words(((0, 5),), ("B-PER",)), f"{tmp_path}/t.conll:7"),
    ]
    assert list(stream_texts(tmp_path / "t.conll")) == ["EU rejects", "Peter"]


CONLLU = """# sent_id = 1
# text = 1 000 can't go
1\t1 000\t1000\tNUM\tCD\t_\t4\tnummod\t_\t_
2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
2\tca\tcan\tAUX\tMD\t_\t4\taux\t_\t_
3\tn't\tnot\tPART\tRB\t_\t4\tadvmod\t_\t_
3.1\tnothing\t_\tVERB\t_\t_\t_\t_\t_\t_
4\tgo\tgo\tVERB\tVB\t_\t0\troot\t_\t_

# sent_id = 2
1\t#\t#\tSYM\tNFP\t_\t0\troot\t_\t_
"""


def test_conllu(tmp_path: Path) -> None:
    rows = write_and_read(tmp_path / "t.conllu", CONLLU, TAGS)
    assert [pairs(row) for row in rows] == [
        [("1 000", "NUM"), ("ca", "AUX"), ("n't", "PART"), ("go", "VERB")],
        [("#", "SYM")],
    ]
    assert [row.source for row in rows] == [f"{tmp_path}/t.conllu:3", f"{tmp_path}/t.conllu:11"]
    (tmp_path / "u.conllu").write_text(CONLLU.replace("NUM", "_"))
    with pytest.raises(DataError, match=r"u\.conllu:3: token 1 \('1 000'\) has no tag\. Write one for each token\."):
        read_with(tmp_path / "u.conllu", TAGS)
    assert next(stream_texts(tmp_path / "u.conllu")) == "1 000 ca n't go"


WHOLE = "a\tO\nb\tO\n\n"
CONLL_ERRORS = [
    ("t.conll", "a NN I-NP O\n" * 8 + "b\n", ":9: 1 column, and the first line has 4. Put the token first and the tag"),
    ("t.conll", WHOLE + "c d O\n", ":4: 1 column, and the first line has 2. Put the token first and the tag last on"),
    ("t.iob", "a O\nb\tO\n", ":2: 1 column, and the first line has 2."),
    ("t.bio", "one word\nx y z\n", ":2: 3 columns, and the first line has 2."),
    ("t.bio", "word\n", ":1: 1 column, and a token and its tag are two. Put the token first and the tag last on each"),
    ("t.conll", WHOLE + "c\tO\n\tO\n", ":4: token 2 is empty. Delete it and its tag."),
    ("t.conll", WHOLE + "c\tO\nd\t \n", ":4: token 2 ('d') has no tag. Write one for each token."),
    ("t.conllu", "1\ta\tNOUN\n", ":1: 3 columns. CoNLL-U has 10 on each line, with tabs between them."),
    ("t.conllu", CONLLU + "2\ta\n", ":12: 2 columns, and the first line has 10. CoNLL-U has 10 on each line"),
    ("t.conll", b"a\tO\n\xe9\tO\n", ":2: invalid UTF-8: byte 0xe9 at byte offset 4."),
    ("t.conll", "\n-DOCSTART- O\n\n", ": the file is empty. Add rows to it"),
]


@pytest.mark.parametrize(("name", "content", "message"), CONLL_ERRORS)
def test_each_bad_line_has_its_sentence(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        write_and_read(tmp_path / name, content, TAGS)
    assert str(caught.value).startswith(f"{tmp_path / name}{message}")


def test_a_labelled_text_is_not_in_a_conll_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no text column and no label column\. Columns found: 'tokens', 'tags'"):
        write_and_read(tmp_path / "t.conll", WHOLE, LABELS)


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (Columns(), ("tokens", "tags")),
        (Columns(), ("words", "ner_tags")),
        (Columns(), ("Tokens", "pos_tags")),
        (Columns(), ("tokens", "upos")),
        (Columns(text="text", label="label"), ("text", "label")),
        (Columns(label="chunk_tags"), ("tokens", "chunk_tags")),
    ],
)
def test_columns(tmp_path: Path, columns: Columns, names: tuple[str, str]) -> None:
    record = {"id": 7, names[0]: ["in", "London"], names[1]: ["O", " B-LOC "]}
    rows = write_and_read(tmp_path / "t.jsonl", json.dumps(record), TAGS, columns)
    assert rows == [Row("in London", GOLD, f"{tmp_path}/t.jsonl:1")]


@pytest.mark.parametrize(
    ("record", "columns", "message"),
    [
        ({"text": "a", "tags": ["O"]}, Columns(), "f: there is no tokens column. Columns found: 'text', 'tags'."),
        ({"tokens": ["a"], "label": "x"}, Columns(), "f: there is no tags column. Columns found: 'tokens', 'label'."),
        ({"tokens": ["a"]}, Columns(label="tag"), "f: there is no column 'tag' (--label-column). Columns found:"),
    ],
)
def test_a_column_that_is_not_there(record: dict[str, Any], columns: Columns, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_record(record, columns=columns)
    assert str(caught.value).startswith(message)


def test_words_have_one_text() -> None:
    with pytest.raises(UsageError, match="leave out --text-pair-column b"):
        words_reader("f", ["a", "b"], Columns(text="a", text_pair="b"), labelled=True, intent=False)


def test_words_in_a_text_of_their_own() -> None:
    record = {"text": "He can't: it's  it", "tokens": ["He", "ca", "n't", ":", "it", "it"], "tags": ["O"] * 6}
    row = read_record(record)
    assert row.text == "He can't: it's  it"
    assert isinstance(row.gold, Words)
    assert row.gold.spans == ((0, 2), (3, 5), (5, 8), (8, 9), (10, 12), (16, 18))
    assert read_record({**record, "text": None}).text == "He ca n't : it it"


@given(st.lists(st.tuples(words, tags, st.sampled_from(["", " ", "  ", "\n"])), min_size=1), st.none() | words)
def test_record_and_reader_are_inverse(table: list[tuple[str, str, str]], intent: str | None) -> None:
    record: dict[str, Any] = {"tokens": [word for word, _, _ in table], "tags": [tag for _, tag, _ in table]}
    intent = intent and intent.strip()
    record |= {"intent": intent} if intent else {}
    for text in ({}, {"text": "".join(word + gap for word, _, gap in table)}):
        row = read_record({**record, **text}, intent=bool(intent))
        again = json.loads(json.dumps(words_record(row)))
        assert read_record(again, intent=bool(intent)) == row
        assert again["tokens"] == record["tokens"]
    assert words_record(Row("a b", None, "f:1")) == {"text": "a b"}


def test_words_without_tags(tmp_path: Path) -> None:
    tokens = {"tokens": ["a", "b c"], "tags": "ignored"}
    (tmp_path / "t.jsonl").write_text(json.dumps(tokens))
    assert read_with(tmp_path / "t.jsonl", TAGS, labelled=False) == [Row("a b c", None, f"{tmp_path}/t.jsonl:1")]
    assert list(stream_texts(tmp_path / "t.jsonl", column="tokens")) == ["a b c"]
    (tmp_path / "t.jsonl").write_text(json.dumps({**tokens, "text": "a  b c"}))
    assert list(stream_texts(tmp_path / "t.jsonl")) == ["a  b c"]
    assert list(stream_texts(tmp_path / "t.jsonl", column="tokens")) == ["a b c"]
    with pytest.raises(DataError, match="the text in 'tags' is a list"):
        (tmp_path / "t.jsonl").write_text('{"tags": ["a"]}')
        list(stream_texts(tmp_path / "t.jsonl", column="tags"))


RECORD_ERRORS = [
    ({"tags": ["O"] * 4, "tokens": list("abcde")}, "5 tokens and 4 tags. Write one tag for each token."),
    ({"tags": [], "tokens": ["a"]}, "1 token and 0 tags. Write one tag for each token."),
    ({"tokens": ["a", "b", "c", ""], "tags": ["O"] * 4}, "token 4 is empty. Delete it and its tag."),
    ({"tokens": ["a", "\u2003"], "tags": ["O"] * 2}, "token 2 is empty. Delete it and its tag."),
    ({"tokens": "two words"}, '\'tokens\' is a string, not a list of strings. Write ["two", "words"].'),
    ({"tags": "O O"}, '\'tags\' is a string, not a list of strings. Write ["two", "words"].'),
    ({"tokens": None}, "'tokens' is a null, not a list of strings. Write"),
    ({"tokens": ["a", 3]}, "token 2 is a number, not a string. Write it in quotes."),
    ({"tokens": []}, "there are no tokens. Write some, or delete the row."),
    ({"tokens": ["a", "\ud83d"]}, "character 0 of 'tokens' is half a surrogate pair (\\ud83d). Repair the escape"),
    ({"tags": ["O", 5]}, "the tag of token 2 ('London') is a number, not a string. Write its name in quotes."),
    ({"tags": ["O", " "]}, "token 2 ('London') has no tag. Write one for each token."),
    ({"tags": [None, "O"]}, "token 1 ('in') has no tag. Write one for each token."),
    ({"tags": ["O", "B-\ud83d"]}, "character 2 of 'tags' is half a surrogate pair"),
    (
        {"text": "Tampa", "tokens": ["Tampa", "x"]},
        "token 2 ('x') is not in the text after character 5. Correct 'text' or 'tokens'.",
    ),
    ({"text": " "}, "the text in 'text' is empty. Write a text, or delete the row."),
    ({"text": ["in"]}, "the text in 'text' is a list, not a string."),
    ({"intent": None}, "the intent is missing. Write one, or use --task token-classification."),
    ({"intent": " "}, "the intent is missing. Write one, or use --task token-classification."),
    ({"intent": ["a"]}, "the label in 'intent' is a list, and a class name is wanted."),
]


@pytest.mark.parametrize(("change", "message"), RECORD_ERRORS)
def test_each_bad_record_has_its_sentence(change: dict[str, Any], message: str) -> None:
    record = {"tokens": ["in", "London"], "tags": ["O", "B-LOC"], "intent": "where"}
    assert read_record(record, intent=True).gold == Words(GOLD.spans, GOLD.tags, "where")
    assert read_record(record).gold == GOLD
    with pytest.raises(DataError) as caught:
        read_record({**record, **change}, intent=True)
    assert str(caught.value).startswith(f"f:1: {message}")


def test_a_later_row_without_an_intent(tmp_path: Path) -> None:
    rows = [{"tokens": ["a"], "tags": ["O"], "intent": "x"}, {"tokens": ["b"], "tags": ["O"]}]
    with pytest.raises(DataError, match=r":2: the intent is missing"):
        write_and_read(tmp_path / "t.jsonl", "\n".join(json.dumps(row) for row in rows), INTENTS)


def test_tags_between_tabs_are_no_list(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"t\.tsv:2: 'tokens' is a string, not a list of strings"):
        write_and_read(tmp_path / "t.tsv", "tokens\ttags\na b\tO O\n", TAGS)
