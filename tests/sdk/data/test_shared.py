"""Every classification set that lies beside the checkout can be read as it is."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from edgebert.data import load_splits, stream_texts
from edgebert.tasks import get_task
from edgebert_runtime.errors import DataError

SETS = {
    "ag_news_10k": 4, "banking77": 77, "cola": 2, "hate_offensive_davidson": 3, "imdb": 2, "laroseda": 2,
    "moroco_vardial2019": 2, "mrpc": 2, "olid_offensive": 2, "paws_qqp": 2, "qqp_subset": 2, "red_v1_emotion_ro": 5,
    "rte": 2, "sick": 3, "sst2": 2, "trec6": 6, "tweeteval_emotion": 4,
}  # fmt: skip
PAIRS = {"mrpc", "paws_qqp", "qqp_subset", "rte", "sick"}


@pytest.mark.parametrize("name", SETS)
def test_classification_set(shared_data: Path, name: str) -> None:
    splits = load_splits(shared_data / name)
    with (shared_data / "MANIFEST.tsv").open() as handle:
        listed = {row["path"]: row for row in csv.DictReader(handle, delimiter="\t")}
    for split, fingerprint in splits.fingerprint.items():
        if "file" in fingerprint:
            row = listed[f"{name}/{fingerprint['file']}"]
            assert fingerprint["sha256"] == row["sha256"]
            held_out = len(splits.dev) if split == "train" and "file" not in splits.fingerprint["dev"] else 0
            assert fingerprint["rows"] + held_out == int(row["rows"])
    task = get_task("classification")
    labels = task.labels_from(splits.train)
    assert len(labels) == SETS[name]
    assert isinstance(splits.train[0].text, tuple) == (name in PAIRS)
    for rows in (splits.dev, splits.test):
        assert len(task.encode(rows, labels)) == len(rows)


def test_a_regression_set_is_refused_as_classification(shared_data: Path) -> None:
    with pytest.raises(DataError, match=r"train\.jsonl\.gz:1: the label 5\.0 is a decimal number"):
        get_task("classification").labels_from(load_splits(shared_data / "stsb").train)


def test_a_tagging_set_is_refused(shared_data: Path) -> None:
    with pytest.raises(DataError, match=r"atis/train\.jsonl\.gz:1: there is no text column\. Columns found: 'tokens'"):
        load_splits(shared_data / "atis")


def test_unlabelled_text(shared_data: Path) -> None:
    texts = list(stream_texts(shared_data / "unlabelled" / "movie_review_sentences.jsonl.gz"))
    assert len(texts) == 63_491
    assert all(isinstance(text, str) for text in texts)
