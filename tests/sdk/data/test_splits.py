from __future__ import annotations

import gzip
import hashlib
import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebert.data import Columns, Row, load_evaluation, load_splits, read_rows
from edgebert.data.splits import hold_out
from edgebert_runtime.errors import DataError, MissingExtraError, UsageError


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    content = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())
    return path


def rows(count: int, classes: int = 2) -> list[tuple[str, str]]:
    return [(f"text {n}", f"class {n % classes}") for n in range(count)]


@pytest.mark.parametrize("dev", ["dev", "validation", "valid", "val"])
def test_a_folder(tmp_path: Path, dev: str) -> None:
    train = write(tmp_path / "train.jsonl.gz", rows(5))
    (tmp_path / f"{dev}.csv").write_text("text,label\nb,1\n")
    (tmp_path / "test.tsv").write_text("text\tlabel\nc\t1\n")
    write(tmp_path / "train_sentences.jsonl", rows(3))
    (tmp_path / "README.md").write_text("notes")
    splits = load_splits(tmp_path)
    assert [len(splits.train), len(splits.dev), len(splits.test)] == [5, 1, 1]
    assert splits.fingerprint["train"] == {
        "file": "train.jsonl.gz",
        "sha256": hashlib.sha256(train.read_bytes()).hexdigest(),
        "rows": 5,
    }
    assert splits.fingerprint["dev"]["file"] == f"{dev}.csv"
    json.dumps(splits.fingerprint)


def test_named_files_and_overrides(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", rows(40))
    write(tmp_path / "test.jsonl", rows(4))
    other = write(tmp_path / "other" / "my_dev.jsonl", rows(7))
    splits = load_splits(tmp_path, dev=other)
    assert [len(splits.train), len(splits.dev), len(splits.test)] == [40, 7, 4]
    splits = load_splits(train=tmp_path / "train.jsonl", dev=other, test=other)
    assert [len(splits.train), len(splits.dev), len(splits.test)] == [40, 7, 7]
    splits = load_splits(train=str(tmp_path / "train.jsonl"))
    assert [len(splits.train), len(splits.dev), len(splits.test)] == [36, 4, 0]
    assert splits.fingerprint["train"]["rows"] == 36
    assert splits.fingerprint["dev"] == {"held_out_of": "train", "rows": 4}
    assert "test" not in splits.fingerprint


def test_wrong_calls(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", rows(5))
    with pytest.raises(UsageError, match="--data"):
        load_splits()
    with pytest.raises(UsageError, match="--data"):
        load_splits(tmp_path, train=train)
    with pytest.raises(DataError, match="is a file"):
        load_splits(train)
    with pytest.raises(DataError, match="no folder"):
        load_splits(tmp_path / "absent")
    with pytest.raises(DataError, match=r"cannot read x{200}\.\.\.: File name too long"):
        load_splits("x" * 5000)
    with pytest.raises(DataError, match=r"no file .*absent\.csv"):
        load_splits(tmp_path, dev=tmp_path / "absent.csv")
    write(tmp_path / "train.ndjson", rows(5))
    with pytest.raises(DataError, match=r"train\.jsonl and train\.ndjson could each be the train split"):
        load_splits(tmp_path)


def test_a_folder_without_train(tmp_path: Path) -> None:
    write(tmp_path / "training.jsonl", rows(5))
    (tmp_path / "train.txt").write_text("a\n")
    with pytest.raises(
        DataError, match=r"no train file .*It holds train\.txt, training\.jsonl\. Name the file with --train"
    ):
        load_splits(tmp_path)


def test_pairs_and_single_texts_do_not_mix(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", rows(5))
    (tmp_path / "dev.csv").write_text("text_a,text_b,label\na,b,c\n")
    with pytest.raises(DataError, match=r"dev\.csv:2 and .*train\.jsonl:1 differ"):
        load_splits(tmp_path)
    (tmp_path / "dev.csv").write_text("text,text_b,label\na,b,c\n")
    assert load_splits(tmp_path).dev[0].text == "a"


examples = st.lists(st.tuples(st.integers(0, 60), st.sampled_from("abc")), min_size=2, max_size=150)


@given(examples, st.randoms(use_true_random=False))
def test_hold_out(pairs: list[tuple[int, str]], shuffler: random.Random) -> None:
    data = [Row(f"text {n}", label, f"f:{i}") for i, (n, label) in enumerate(pairs)]
    first_label = {n: min(label for m, label in pairs if m == n) for n, _ in pairs}
    texts_of = Counter(first_label.values())
    if max(texts_of.values()) < 2:
        with pytest.raises(DataError, match="too few rows"):
            hold_out(data)
        return
    train, dev = hold_out(data)
    assert sorted(train + dev, key=lambda row: row.source) == sorted(data, key=lambda row: row.source)
    assert not {row.text for row in train} & {row.text for row in dev}
    for label, count in texts_of.items():
        held = {row.text for row in dev if first_label[int(str(row.text)[5:])] == label}
        assert 1 <= len(held) < count if count > 1 else not held
    shuffled = list(data)
    shuffler.shuffle(shuffled)
    assert {row.text for row in hold_out(shuffled)[1]} == {row.text for row in dev}


def test_hold_out_is_a_tenth_of_each_label_and_at_most_2000() -> None:
    data = [Row(f"text {n}", "rare" if n % 10 == 0 else "common", "f:1") for n in range(1000)]
    assert Counter(row.label for row in hold_out(data)[1]) == {"rare": 10, "common": 90}
    data = [Row(f"text {n}", str(n % 4), "f:1") for n in range(60_000)]
    assert Counter(row.label for row in hold_out(data)[1]) == {"0": 500, "1": 500, "2": 500, "3": 500}


def test_hold_out_never_changes() -> None:
    """The choice is part of a run's identity: these texts were chosen when the rule was written."""
    data = [Row(f"text {n}", "ab"[n % 2], "f:1") for n in range(40)]
    assert sorted(str(row.text) for row in hold_out(data)[1]) == ["text 1", "text 14", "text 2", "text 27"]


def test_evaluation_rows(tmp_path: Path) -> None:
    test = write(tmp_path / "test.jsonl", rows(3))
    read, fingerprint = load_evaluation(tmp_path)
    assert len(read) == 3
    assert fingerprint == {"file": "test.jsonl", "sha256": hashlib.sha256(test.read_bytes()).hexdigest(), "rows": 3}
    assert load_evaluation(test) == (read, fingerprint)
    test.rename(tmp_path / "validation.jsonl")
    assert len(load_evaluation(str(tmp_path))[0]) == 3
    (tmp_path / "validation.jsonl").rename(tmp_path / "train.jsonl")
    with pytest.raises(DataError, match="no test split and no dev split"):
        load_evaluation(tmp_path)
    with pytest.raises(DataError, match="there is no file"):
        load_evaluation(tmp_path / "absent.csv")


def saved_dataset(folder: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])}
    )

    def split(labels: list[int]) -> object:
        return datasets.Dataset.from_dict(
            {"sentence": [f"text {n}" for n in range(len(labels))], "label": labels}, features=features
        )

    datasets.DatasetDict(
        {"train": split([0, 1] * 10), "validation": split([0, 1]), "test": split([-1, -1])}
    ).save_to_disk(folder)


def test_a_saved_hugging_face_dataset(tmp_path: Path) -> None:
    saved_dataset(tmp_path / "saved")
    splits = load_splits(tmp_path / "saved")
    assert (len(splits.train), len(splits.dev)) == (20, 2)
    assert splits.test == ()  # its labels are hidden
    assert splits.train[1] == Row("text 1", "yes", "saved[train]:2")
    assert set(splits.fingerprint) == {"train", "dev"}
    assert load_evaluation(tmp_path / "saved")[0] == splits.dev
    with pytest.raises(DataError, match=r"saved\[train\]: there is no column 'nope'"):
        load_splits(tmp_path / "saved", columns=Columns(text="nope"))


def test_class_names_in_a_parquet_file(tmp_path: Path) -> None:
    saved_dataset(tmp_path / "saved")
    datasets = pytest.importorskip("datasets")
    datasets.load_from_disk(tmp_path / "saved")["train"].to_parquet(tmp_path / "train.parquet")
    assert [row.label for row in read_rows(tmp_path / "train.parquet")] == ["no", "yes"] * 10


def test_a_hugging_face_name_that_is_a_local_folder(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    write(tmp_path / "set" / "train.jsonl", rows(30))
    write(tmp_path / "set" / "test.jsonl", rows(4))
    splits = load_splits(f"hf:{tmp_path / 'set'}")
    assert [len(splits.train), len(splits.dev), len(splits.test)] == [28, 2, 4]
    assert splits.test[0] == Row("text 0", "class 0", "set[test]:1")


def test_a_hugging_face_name_out_of_reach() -> None:
    pytest.importorskip("datasets")
    with pytest.raises(
        DataError, match=r"no file or folder 'nobody/nothing', and no dataset of that name could be loaded"
    ):
        load_splits("nobody/nothing")


def test_a_name_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"no file or folder 'nobody/nothing'.*edgebert\[data\]"):
        load_splits("nobody/nothing")


def test_a_mistyped_path_is_not_taken_for_a_dataset_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("data/trec7", "./trec7", "trec.csv"):
        with pytest.raises(DataError, match="there is no folder"):
            load_splits(name)
