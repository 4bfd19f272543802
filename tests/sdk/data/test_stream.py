"""Text of any size: read again and again, sampled and held out by what it says alone."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from data_tasks import ANY, Labels, evaluation_of, splits_of

from edgebert.data import Columns, Reader, Row, text_reader
from edgebert.data.stream import SAMPLE, Stream
from edgebert_runtime.errors import DataError


class Plain(Labels):
    """Text alone."""

    labelled = False

    def reader(self, where: str, found: Sequence[str], columns: Columns, labelled: bool) -> Reader:
        return text_reader(where, found, columns)


PLAIN = Plain()


def stream(*texts: str) -> Stream:
    def read() -> Iterator[Row]:
        return (Row(text, None, f"a.txt:{number}") for number, text in enumerate(texts, start=1))

    return Stream(read, lambda row: str(row.text))


def texts(rows: Sequence[Row]) -> list[str]:
    return [str(row.text) for row in rows]


def test_a_stream_is_gone_through_as_often_as_asked() -> None:
    rows = stream(*"abcdefg")
    assert texts(rows) == texts(rows) == list("abcdefg") and len(rows) == 7
    assert rows[2].text == "c" and texts(rows[:2]) == ["a", "b"] and texts(rows[::3]) == ["a", "d", "g"]
    with pytest.raises(IndexError):
        rows[7]


def test_a_sample_is_chosen_by_the_texts_alone() -> None:
    names = [f"text {number}" for number in range(5000)]
    sample = stream(*names).sample()
    assert len(sample) == SAMPLE == len(set(texts(sample)))
    assert texts(stream(*reversed(names), *names).sample()) == texts(sample)
    assert texts(stream("a", "b", "a").sample()) in (["a", "b"], ["b", "a"])


def test_what_is_held_out_is_not_in_train() -> None:
    names = [f"text {number % 4000}" for number in range(9000)]
    kept, held = stream(*names).hold_out()
    times = Counter(names)
    assert 850 < sum(times[text] for text in texts(held)) <= 900 and not set(texts(held)) & set(texts(kept))
    assert Counter(texts(kept)) == Counter(name for name in names if name not in set(texts(held)))
    assert len(kept) == len(list(kept))


@pytest.mark.parametrize(("count", "expected"), [(2, 1), (19, 1), (40, 4)])
def test_at_most_a_tenth_is_held_out(count: int, expected: int) -> None:
    kept, held = stream(*(f"text {number}" for number in range(count))).hold_out()
    assert (len(kept), len(held)) == (count - expected, expected)


@pytest.mark.parametrize("names", [["one"], ["one"] * 30])
def test_too_few_texts_cannot_be_parted(names: list[str]) -> None:
    with pytest.raises(DataError, match=r"^a\.txt:1: too few rows to hold a dev split out of train"):
        stream(*names).hold_out()


def test_a_text_file_is_train_for_a_task_that_reads_text_alone(tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text("".join(f"line {number}\n\n" for number in range(30)))
    splits = splits_of(train=path, task=PLAIN)
    assert isinstance(splits.train, Stream) and isinstance(splits.dev, tuple)
    assert len(splits.train) == 27 == splits.fingerprint["train"]["rows"] and len(splits.dev) == 3
    assert splits.train[0].source == f"{path}:{1 if splits.train[0].text == 'line 0' else 3}"
    with pytest.raises(DataError, match=r"A \.txt has no labels"):
        splits_of(train=path)


@pytest.mark.parametrize("name", ["train.txt", "train.txt.gz", "train.jsonl", "train.csv"])
def test_a_folder_of_text(tmp_path: Path, name: str) -> None:
    lines = [f"line {number}" for number in range(600)]
    if name.endswith(".jsonl"):
        content = "".join(json.dumps({"text": line, "label": "x"}) + "\n" for line in lines)
    else:
        content = "text\n" * name.endswith(".csv") + "\n".join(lines)
    (tmp_path / name).write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
    (tmp_path / "dev.txt").write_text("\n".join(f"dev {number}" for number in range(1000)))
    (tmp_path / "test.txt").write_text("\n".join(f"test {number}" for number in range(1000)))
    splits = splits_of(tmp_path, task=PLAIN)
    assert texts(splits.train) == lines
    assert [len(splits.dev), len(splits.test)] == [SAMPLE, 1000] and splits.fingerprint["dev"]["rows"] == 1000
    rows, about = evaluation_of(tmp_path, PLAIN)
    assert len(rows) == 1000 and about["file"] == "test.txt"
    if ".txt" in name:  # which is no train file for a task with labels
        with pytest.raises(DataError, match="there is no train file"):
            splits_of(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"one\n\xff\n", r"corpus\.txt:2: invalid UTF-8"),
        (b"\n \n", r"corpus\.txt: the file is empty"),
        (b"", r"corpus\.txt: the file is empty"),
    ],
)
def test_a_bad_text_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "corpus.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        splits_of(train=path, task=PLAIN)


def test_a_dataset_of_the_hub_is_a_stream_too(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    lines = [f"line {number}" for number in range(40)]
    made = datasets.DatasetDict({"train": datasets.Dataset.from_dict({"text": lines, "label": [-1] * 40})})
    made.save_to_disk(str(tmp_path / "saved"))
    splits = splits_of(tmp_path / "saved", task=PLAIN, columns=ANY)
    assert isinstance(splits.train, Stream) and sorted(texts(splits.train) + texts(splits.dev)) == sorted(lines)
    assert len(splits.dev) == 4
