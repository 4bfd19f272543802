from __future__ import annotations

import gzip
import hashlib
import json
import random
from collections import Counter
from pathlib import Path

import pytest
from data_tasks import LABELS, QUESTIONS, TAGS, evaluation_of, read_with, splits_of
from hypothesis import given
from hypothesis import strategies as st

from edgebert.data import Answers, Columns, Row, Words, first_records, hold_out
from edgebert.data.hub import rows_sha256
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
    splits = splits_of(tmp_path)
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
    splits = splits_of(tmp_path, dev=other)
    assert [len(splits.train), len(splits.dev), len(splits.test)] == [40, 7, 4]
    splits = splits_of(train=tmp_path / "train.jsonl", dev=other, test=other)
    assert [len(splits.train), len(splits.dev), len(splits.test)] == [40, 7, 7]
    splits = splits_of(train=str(tmp_path / "train.jsonl"))
    assert [len(splits.train), len(splits.dev), len(splits.test)] == [36, 4, 0]
    assert splits.fingerprint["train"]["rows"] == 36
    assert splits.fingerprint["dev"] == {"held_out_of": "train", "rows": 4}
    assert "test" not in splits.fingerprint


def test_wrong_calls(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", rows(5))
    with pytest.raises(UsageError, match="--data"):
        splits_of()
    with pytest.raises(UsageError, match="--data"):
        splits_of(tmp_path, train=train)
    with pytest.raises(DataError, match="is a file"):
        splits_of(train)
    with pytest.raises(DataError, match="no folder"):
        splits_of(tmp_path / "absent")
    with pytest.raises(DataError, match=r"cannot read x{200}\.\.\.: File name too long"):
        splits_of("x" * 5000)
    with pytest.raises(DataError, match=r"no file .*absent\.csv"):
        splits_of(tmp_path, dev=tmp_path / "absent.csv")
    write(tmp_path / "train.ndjson", rows(5))
    with pytest.raises(DataError, match=r"train\.jsonl and train\.ndjson could each be the train split"):
        splits_of(tmp_path)


def test_a_folder_without_train(tmp_path: Path) -> None:
    write(tmp_path / "training.jsonl", rows(5))
    (tmp_path / "train.txt").write_text("a\n")
    with pytest.raises(
        DataError, match=r"no train file .*It holds train\.txt, training\.jsonl\. Name the file with --train"
    ):
        splits_of(tmp_path)


def test_pairs_and_single_texts_do_not_mix(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", rows(5))
    (tmp_path / "dev.csv").write_text("text_a,text_b,label\na,b,c\n")
    with pytest.raises(DataError, match=r"dev\.csv:2 and .*train\.jsonl:1 differ"):
        splits_of(tmp_path)
    (tmp_path / "dev.csv").write_text("text,text_b,label\na,b,c\n")
    assert splits_of(tmp_path).dev[0].text == "a"


examples = st.lists(st.tuples(st.integers(0, 60), st.sampled_from("abc")), min_size=2, max_size=150)


@given(examples, st.randoms(use_true_random=False))
def test_hold_out(pairs: list[tuple[int, str]], shuffler: random.Random) -> None:
    data = [Row(f"text {n}", label, f"f:{i}") for i, (n, label) in enumerate(pairs)]
    first_label = {n: min(label for m, label in pairs if m == n) for n, _ in pairs}
    texts_of = Counter(first_label.values())
    if max(texts_of.values()) < 2:
        with pytest.raises(DataError, match="too few rows"):
            hold_out(data, LABELS.keys)
        return
    train, dev = hold_out(data, LABELS.keys)
    assert sorted(train + dev, key=lambda row: row.source) == sorted(data, key=lambda row: row.source)
    assert not {row.text for row in train} & {row.text for row in dev}
    for label, count in texts_of.items():
        held = {row.text for row in dev if first_label[int(str(row.text)[5:])] == label}
        assert 1 <= len(held) < count if count > 1 else not held
    shuffled = list(data)
    shuffler.shuffle(shuffled)
    assert {row.text for row in hold_out(shuffled, LABELS.keys)[1]} == {row.text for row in dev}


def test_hold_out_is_a_tenth_of_each_label_and_at_most_2000() -> None:
    data = [Row(f"text {n}", "rare" if n % 10 == 0 else "common", "f:1") for n in range(1000)]
    assert Counter(row.gold for row in hold_out(data, LABELS.keys)[1]) == {"rare": 10, "common": 90}
    data = [Row(f"text {n}", str(n % 4), "f:1") for n in range(60_000)]
    assert Counter(row.gold for row in hold_out(data, LABELS.keys)[1]) == {"0": 500, "1": 500, "2": 500, "3": 500}


def test_hold_out_never_changes() -> None:
    """The choice is part of a run's identity: these texts were chosen when the rule was written."""
    data = [Row(f"text {n}", "ab"[n % 2], "f:1") for n in range(40)]
    assert sorted(str(row.text) for row in hold_out(data, LABELS.keys)[1]) == ["text 1", "text 14", "text 2", "text 27"]


def test_evaluation_rows(tmp_path: Path) -> None:
    test = write(tmp_path / "test.jsonl", rows(3))
    read, fingerprint = evaluation_of(tmp_path)
    assert len(read) == 3
    assert fingerprint == {"file": "test.jsonl", "sha256": hashlib.sha256(test.read_bytes()).hexdigest(), "rows": 3}
    assert evaluation_of(test) == (read, fingerprint)
    test.rename(tmp_path / "validation.jsonl")
    assert len(evaluation_of(str(tmp_path))[0]) == 3
    (tmp_path / "validation.jsonl").rename(tmp_path / "train.jsonl")
    with pytest.raises(DataError, match="no test split and no dev split"):
        evaluation_of(tmp_path)
    with pytest.raises(DataError, match="there is no file"):
        evaluation_of(tmp_path / "absent.csv")


def test_a_folder_of_texts_is_for_masked_words(tmp_path: Path) -> None:
    for name in ("train", "dev"):
        (tmp_path / f"{name}.txt").write_text("a film\n")
    with pytest.raises(DataError, match=r"\.txt file holds no labels: it is for --task masked-lm"):
        evaluation_of(tmp_path)


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
    splits = splits_of(tmp_path / "saved")
    assert (len(splits.train), len(splits.dev)) == (20, 2)
    assert splits.test == ()  # its labels are hidden
    assert splits.train[1] == Row("text 1", "yes", "saved[train]:2")
    assert set(splits.fingerprint) == {"train", "dev"}
    assert evaluation_of(tmp_path / "saved")[0] == splits.dev
    with pytest.raises(DataError, match=r"saved\[train\]: there is no column 'nope'"):
        splits_of(tmp_path / "saved", columns=Columns(text="nope"))


def test_class_names_in_a_parquet_file(tmp_path: Path) -> None:
    saved_dataset(tmp_path / "saved")
    datasets = pytest.importorskip("datasets")
    datasets.load_from_disk(tmp_path / "saved")["train"].to_parquet(tmp_path / "train.parquet")
    assert [row.gold for row in read_with(tmp_path / "train.parquet")] == ["no", "yes"] * 10


def test_a_hugging_face_name_that_is_a_local_folder(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    write(tmp_path / "set" / "train.jsonl", rows(30))
    write(tmp_path / "set" / "test.jsonl", rows(4))
    splits = splits_of(f"hf:{tmp_path / 'set'}")
    assert [len(splits.train), len(splits.dev), len(splits.test)] == [28, 2, 4]
    assert splits.test[0] == Row("text 0", "class 0", "set[test]:1")


def test_a_hugging_face_name_out_of_reach() -> None:
    pytest.importorskip("datasets")
    with pytest.raises(
        DataError, match=r"no file or folder 'nobody/nothing', and no dataset of that name could be loaded"
    ):
        splits_of("nobody/nothing")


def test_a_name_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"no file or folder 'nobody/nothing'.*edgebert\[data\]"):
        splits_of("nobody/nothing")


def test_a_mistyped_path_is_not_taken_for_a_dataset_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("data/trec7", "./trec7", "trec.csv"):
        with pytest.raises(DataError, match="there is no folder"):
            splits_of(name)


def test_a_context_stays_on_one_side() -> None:
    """What the task groups by decides, whatever else differs: no context of train may be asked about in dev."""
    data = [Row((f"question {n}", f"context {n % 20}"), Answers(str(n), ()), f"f:{n}") for n in range(200)]
    train, dev = hold_out(data, QUESTIONS.keys)
    assert len(dev) == 20
    assert not {row.text[1] for row in train} & {row.text[1] for row in dev}


def test_first_records(tmp_path: Path) -> None:
    tagged = [{"tokens": ["a"], "tags": ["O"], "number": n} for n in range(1500)]
    path = tmp_path / "train.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(record) + "\n" for record in tagged).encode()))
    assert first_records(tmp_path, None) == tagged[:1000]
    assert first_records(None, path, count=2) == tagged[:2]
    with pytest.raises(UsageError, match="say where the data is"):
        first_records(None, None)
    with pytest.raises(DataError, match="there is no train file"):
        (tmp_path / "empty").mkdir()
        first_records(tmp_path / "empty", None)
    with pytest.raises(DataError, match=r"there is no file .*absent\.csv"):
        first_records(None, tmp_path / "absent.csv")
    with pytest.raises(DataError, match="File name too long"):
        first_records("x" * 5000, None)


def tagged_dataset(folder: Path) -> None:
    datasets = pytest.importorskip("datasets")
    tags = datasets.Sequence(datasets.ClassLabel(names=["O", "B-LOC"]))
    features = datasets.Features({"tokens": datasets.Sequence(datasets.Value("string")), "ner_tags": tags})

    def split(tags: list[list[int]]) -> object:
        tokens = [["in", f"London{n}"] for n in range(len(tags))]
        return datasets.Dataset.from_dict({"tokens": tokens, "ner_tags": tags}, features=features)

    datasets.DatasetDict({"train": split([[0, 1]] * 20), "test": split([[-1, -1]] * 2)}).save_to_disk(folder)


def test_class_names_of_sequences(tmp_path: Path) -> None:
    """As `datasets` stores the tags of a tagging set: lists of class numbers."""
    tagged_dataset(tmp_path / "saved")
    datasets = pytest.importorskip("datasets")
    splits = splits_of(tmp_path / "saved", task=TAGS)
    gold = Words(((0, 2), (3, 10)), ("O", "B-LOC"))
    assert (len(splits.train), len(splits.dev), splits.test) == (18, 2, ())  # the tags of test are hidden
    assert splits.train[0] == Row("in London0", gold, "saved[train]:1")
    assert first_records(tmp_path / "saved", None, 1) == [{"tokens": ["in", "London0"], "ner_tags": ["O", "B-LOC"]}]
    for split in ("train", "test"):
        datasets.load_from_disk(tmp_path / "saved")[split].to_parquet(tmp_path / f"{split}.parquet")
    assert [row.gold for row in read_with(tmp_path / "train.parquet", TAGS)][:1] == [gold]
    with pytest.raises(DataError, match=r"test\.parquet:1: token 1 \('in'\) has no tag"):
        read_with(tmp_path / "test.parquet", TAGS)


def test_hidden_scores(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")

    def split(labels: list[float]) -> object:
        return datasets.Dataset.from_dict({"text": [f"text {n}" for n in range(len(labels))], "label": labels})

    datasets.DatasetDict({"train": split([1.5, -1.0]), "dev": split([-1.0, 2.0]), "test": split([-1.0])}).save_to_disk(
        tmp_path / "saved"
    )
    splits = splits_of(tmp_path / "saved")
    assert [len(splits.train), len(splits.dev), len(splits.test)] == [2, 2, 0]


def test_a_fingerprint_of_any_gold() -> None:
    """It stands in bundles: these were written down when the rule was made."""
    golds = ("x", 1.5, ("a", "b"), None, Words(((0, 1),), ("O",), "i"), Answers("q", ((0, "a"),)))
    hashes = [rows_sha256((Row("a", gold, "f:1"),)) for gold in golds]
    assert len(set(hashes)) == len(golds)
    assert hashes[0] == hashlib.sha256(b'["a", "x"]\n').hexdigest()
    words = b'["a", {"spans": [[0, 1]], "tags": ["O"], "intent": "i"}]\n'
    assert hashes[4] == hashlib.sha256(words).hexdigest()
    answers = b'["a", {"id": "q", "found": [[0, "a"]]}]\n'
    assert hashes[5] == hashlib.sha256(answers).hexdigest()
