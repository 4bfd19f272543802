"""A network that copies the gold tags onto the tokens must be right about every word of every tagging set."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from edgebert.data.columns import Columns
from edgebert.data.readers import Row, read_rows
from edgebert.tasks.base import Reading, Task
from edgebert.tasks.intent_slots import INTENT_SLOTS
from edgebert.tasks.token_classification import TOKEN_CLASSIFICATION
from edgebert_runtime.features import WordPiece
from edgebert_runtime.outputs import Outputs

SETS = (
    "atis snips wnut17 conll2000_chunking ud_english_ewt_pos ud_romanian_rrt_pos ronec_v1_ner ronec_v2_ner "
    "uner_en uner_da uner_sv uner_pt uner_hr uner_sr uner_sk uner_zh"
).split()
ROWS = 600  # of each split


@pytest.fixture(scope="module")
def featurizer(shared_data: Path) -> WordPiece:
    lines = (shared_data / "vocab" / "bert-base-uncased-vocab.txt").read_text(encoding="utf-8").splitlines()
    return WordPiece(lines, lowercase=True, max_length=48)  # short, so that many sentences are cut


def rows_of(folder: Path, task: Task) -> list[Row]:
    def reader(where: str, found: list[str]):
        return task.reader(where, found, Columns(), True)

    return [
        row for path in sorted(folder.glob("*.jsonl.gz")) for row in itertools.islice(read_rows(path, reader), ROWS)
    ]


def copied(reading: Reading, task: Task) -> Outputs:
    """Logits that put the gold tag first at each token that has one, and another tag at all others."""
    outputs: Outputs = {}
    targets = task.targets(reading)
    for head in task.heads(reading.asked.labels, reading.asked.settings):
        gold = [target[head.name] for target in targets]
        rows = [np.eye(head.width, dtype=np.float32)[columns] for columns in gold]
        if head.per_token:
            for row, columns in zip(rows, gold, strict=True):
                row[columns < 0] = np.eye(head.width)[1]
            outputs[head.name] = rows
        else:
            outputs[head.name] = np.stack(rows)
    return outputs


@pytest.mark.parametrize("name", SETS)
def test_gold_tags_come_back(shared_data: Path, featurizer: WordPiece, name: str) -> None:
    task: Task = INTENT_SLOTS if name in ("atis", "snips") else TOKEN_CLASSIFICATION
    rows = rows_of(shared_data / name, task)
    labels, settings = task.labels_from(rows), task.settings(rows, featurizer)
    if task.name == "intent-slots":  # utterances are not cut
        whole = [row for row in rows if len(featurizer.spans(row.text, cut=False)) <= featurizer.max_length]
        assert len(whole) > 0.99 * len(rows)
        rows = whole
    reading = task.read(rows, featurizer, labels, settings)
    assert task.name == "intent-slots" or name == "wnut17" or len(reading.texts) > len(rows)
    outputs = copied(reading, task)
    metrics = task.metrics(outputs, reading)
    scores = {key: metrics[key] for key in (*task.metric_names(settings),)}
    assert scores == dict.fromkeys(scores, 1.0)
    assert metrics["n"] == len(rows) and task.decisions(outputs, reading).right.all()
