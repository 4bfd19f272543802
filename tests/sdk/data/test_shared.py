"""Every set of labels, tags or questions that lies beside the checkout can be read as it is."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from data_tasks import ANY, INTENTS, QUESTIONS, TAGS, read_with, splits_of

from edgebert.data import Answers, RowTask, Words, first_records, stream_texts
from edgebert.data.questions import questions_record
from edgebert.data.words import words_record
from edgebert_runtime.errors import DataError

SETS = {
    "ag_news_10k": 4, "banking77": 77, "cola": 2, "hate_offensive_davidson": 3, "imdb": 2, "laroseda": 2,
    "moroco_vardial2019": 2, "mrpc": 2, "olid_offensive": 2, "paws_qqp": 2, "qqp_subset": 2, "red_v1_emotion_ro": 5,
    "rte": 2, "sick": 3, "sst2": 2, "trec6": 6, "tweeteval_emotion": 4,
}  # fmt: skip
TAGGING = (
    "conll2000_chunking", "ronec_v1_ner", "ronec_v2_ner", "ud_english_ewt_pos", "ud_romanian_rrt_pos", "uner_da",
    "uner_en", "uner_hr", "uner_pt", "uner_sk", "uner_sr", "uner_sv", "uner_zh", "wnut17",
)  # fmt: skip
PAIRS = {"mrpc", "paws_qqp", "qqp_subset", "rte", "sick"}


def rows_of(shared_data: Path) -> dict[str, int]:
    """How many rows each file should have."""
    with (shared_data / "MANIFEST.tsv").open() as handle:
        return {
            row["path"]: int(row["rows"]) for row in csv.DictReader(handle, delimiter="\t") if row["rows"].isdigit()
        }


@pytest.mark.parametrize("name", SETS)
def test_classification_set(shared_data: Path, name: str) -> None:
    splits = splits_of(shared_data / name)
    with (shared_data / "MANIFEST.tsv").open() as handle:
        listed = {row["path"]: row for row in csv.DictReader(handle, delimiter="\t")}
    for split, fingerprint in splits.fingerprint.items():
        if "file" in fingerprint:
            row = listed[f"{name}/{fingerprint['file']}"]
            assert fingerprint["sha256"] == row["sha256"]
            held_out = len(splits.dev) if split == "train" and "file" not in splits.fingerprint["dev"] else 0
            assert fingerprint["rows"] + held_out == int(row["rows"])
    labels = {row.gold for row in splits.train}
    assert len(labels) == SETS[name]
    assert isinstance(splits.train[0].text, tuple) == (name in PAIRS)
    assert all(row.gold in labels for rows in (splits.dev, splits.test) for row in rows)


@pytest.mark.parametrize("name", [*TAGGING, "atis", "snips"])
def test_tagging_set(shared_data: Path, name: str) -> None:
    intent = name in ("atis", "snips")
    task: RowTask = INTENTS if intent else TAGS
    counts = rows_of(shared_data)
    for path in sorted((shared_data / name).glob("*.jsonl.gz")):
        rows = read_with(path, task)
        assert len(rows) == counts[f"{name}/{path.name}"]
        records = first_records(None, path, len(rows))
        for row, record in zip(rows, records, strict=True):
            assert isinstance(row.gold, Words)
            assert words_record(row) == {key: record[key] for key in ("tokens", "tags", "intent") if key in record}
            assert (row.gold.intent is not None) == intent
    if name != "ronec_v2_ner":  # it has no train split
        splits = splits_of(shared_data / name, task=task)
        assert splits.train and splits.dev and splits.test


@pytest.mark.parametrize("name", ["squad_v1.1", "squad_v2.0", "xquad"])
def test_question_set(shared_data: Path, name: str) -> None:
    """Reading checks each offset."""
    counts = rows_of(shared_data)
    unanswered = 0
    for path in sorted((shared_data / name).glob("*.jsonl.gz")):
        rows = read_with(path, QUESTIONS)
        assert len(rows) == counts[f"{name}/{path.name}"]
        gold = [row.gold for row in rows if isinstance(row.gold, Answers)]
        assert len({answers.id for answers in gold}) == len(rows)
        unanswered += sum(not answers.found for answers in gold)
        reader = QUESTIONS.reader("f", ["id", "question", "context", "answers"], columns=ANY, labelled=True)
        assert all(reader(questions_record(row), row.source) == row for row in rows[::100])
    assert unanswered == (5_945 if name == "squad_v2.0" else 0)


def test_a_tagging_set_is_refused_as_labels(shared_data: Path) -> None:
    with pytest.raises(DataError, match=r"atis/train\.jsonl\.gz:1: there is no text column\. Columns found: 'tokens'"):
        splits_of(shared_data / "atis")


def test_unlabelled_text(shared_data: Path) -> None:
    texts = list(stream_texts(shared_data / "unlabelled" / "movie_review_sentences.jsonl.gz"))
    assert len(texts) == 63_491
    assert all(isinstance(text, str) for text in texts)
