"""`edgebert quickstart` from end to end, on some of its rows and with its first student."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import edgebert
from edgebert.commands import quickstart as command
from edgebert.data import Columns
from edgebert.tasks import guess_task


def test_from_nothing_to_bundles_and_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = command.copy_data

    def some_rows(folder: Path) -> Path:
        for split in command.SPLITS:
            path = copy(folder) / f"{split}.jsonl"
            path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:100]))
        return folder

    monkeypatch.setattr(command, "copy_data", some_rows)
    monkeypatch.setattr(command, "TEACHER", {**command.TEACHER, "epochs": 1})
    monkeypatch.setattr(command, "STUDENTS", {"ngram": {**command.STUDENTS["ngram"], "epochs": 1}})
    out = edgebert.quickstart(tmp_path / "out")
    printed = capsys.readouterr().err
    rows = [line.split()[:3] for line in printed.splitlines() if line.startswith(("teacher  ", "ngram  "))]
    assert rows[0] == ["teacher", "onnx", "fp32"] and len(rows) == 5
    assert ["ngram", "native", "int8"] in rows
    bundle = out / "bundles" / "ngram" / "ngram-native.edgebert"
    assert f'edgebert predict {bundle} "wake me up at seven tomorrow"' in printed
    assert edgebert.predict(bundle, "wake me up at seven tomorrow")[0].label


def test_the_commands_that_it_ends_with_learn_the_same_task(tmp_path: Path) -> None:
    train = command.copy_data(tmp_path) / "train.jsonl"
    records = [json.loads(line) for line in train.read_text(encoding="utf-8").splitlines()]
    assert guess_task(records, Columns())[0].name == "classification"
