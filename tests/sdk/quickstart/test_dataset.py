"""The embedded voice-assistant set: a newcomer's first model learns from it, so it is sound and true to its source."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "sdk" / "edgebert" / "quickstart"
SPLITS = ("train", "dev", "test")
Row = dict[str, Any]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """`build.py`, which is a script beside data and not importable by name."""
    spec = importlib.util.spec_from_file_location("quickstart_build", FOLDER / "build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def rows() -> dict[str, list[Row]]:
    """The rows of each split, as they lie in the repository."""
    lines = {name: (FOLDER / "data" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines() for name in SPLITS}
    return {name: [json.loads(line) for line in texts] for name, texts in lines.items()}


@pytest.fixture(scope="module")
def everything(rows: dict[str, list[Row]]) -> list[Row]:
    return [row for name in SPLITS for row in rows[name]]


def test_data_is_what_the_source_gives(script: ModuleType) -> None:
    built = script.build()
    assert sorted(built) == sorted(f"{name}.jsonl" for name in SPLITS)
    for name, content in built.items():
        assert (FOLDER / "data" / name).read_bytes() == content, f"{name} is stale: run build.py"


def test_enough_intents_and_utterances(everything: list[Row]) -> None:
    counts = Counter(row["label"] for row in everything)
    assert len(counts) >= 14
    assert min(counts.values()) >= 90, counts.most_common()[-1]


def test_each_intent_has_its_share_of_each_split(rows: dict[str, list[Row]], everything: list[Row]) -> None:
    total = Counter(row["label"] for row in everything)
    for name, low, high in (("train", 0.60, 0.80), ("dev", 0.09, 0.23), ("test", 0.09, 0.23)):
        counts = Counter(row["label"] for row in rows[name])
        shares = {label: counts[label] / total[label] for label in total}
        assert all(low <= share <= high for share in shares.values()), (name, shares)


def test_no_utterance_twice(script: ModuleType, everything: list[Row]) -> None:
    counts = Counter(script.normalise(row["text"]) for row in everything)
    assert [text for text, n in counts.items() if n > 1] == []
    assert "" not in counts


def test_near_duplicates_are_in_one_split(script: ModuleType, rows: dict[str, list[Row]]) -> None:
    placed = [(row["text"], name) for name in SPLITS for row in rows[name]]
    words = [script.content(text) for text, _ in placed]
    leaks = [(placed[i], placed[j]) for i, j in script.near_pairs(words) if placed[i][1] != placed[j][1]]
    assert leaks == []


def test_near_pairs_are_those_of_comparing_all(script: ModuleType, everything: list[Row]) -> None:
    words = [script.content(row["text"]) for row in everything if row["label"] in ("lights", "volume", "music")]
    pairs = {(i, j) for i, j in combinations(range(len(words)), 2) if script.near(words[i], words[j])}
    assert set(script.near_pairs(words)) == pairs != set()


def test_near_duplicates_are_rare(script: ModuleType, everything: list[Row]) -> None:
    groups = script.clusters([row["text"] for row in everything])
    extra = sum(len(group) - 1 for group in groups)
    assert extra / len(everything) < 0.08


def test_utterances_vary_in_length_and_form(everything: list[Row]) -> None:
    lengths = [len(row["text"].split()) for row in everything]
    assert min(lengths) == 1 and max(lengths) <= 25
    assert sum(n >= 10 for n in lengths) > 0.12 * len(lengths) and sum(n >= 18 for n in lengths) > 30
    assert sum(n <= 3 for n in lengths) > 0.08 * len(lengths)
    written = [row for row in everything if row["text"] != row["text"].lower()]  # the others are as a recogniser writes
    assert 0.05 < len(written) / len(everything) < 0.3


def test_tokens_are_the_text(everything: list[Row]) -> None:
    for row in everything:
        assert row["text"] == " ".join(row["text"].split())
        assert "".join(row["tokens"]) == row["text"].replace(" ", "")
        position = 0
        for token in row["tokens"]:
            position = row["text"].index(token, position) + len(token)
            assert token.isalnum() or len(token) == 1 or (token[0].isalnum() and token[-1].isalnum()), row


def test_tags_are_bio2(everything: list[Row]) -> None:
    for row in everything:
        assert set(row) == {"text", "label", "tokens", "tags"}
        assert len(row["tokens"]) == len(row["tags"]) > 0
        for before, tag in zip(["O", *row["tags"]], row["tags"], strict=False):
            if tag.startswith("I-"):
                assert before in (f"B-{tag[2:]}", tag), row
            else:
                assert tag == "O" or tag.startswith("B-"), row


def test_every_slot_type_is_documented_and_learnable(rows: dict[str, list[Row]]) -> None:
    def slots(name: str) -> set[str]:
        return {tag[2:] for row in rows[name] for tag in row["tags"] if tag != "O"}

    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert slots("dev") | slots("test") <= slots("train")
    assert [slot for slot in slots("train") if f"| `{slot}` |" not in readme] == []


def test_readme_states_the_counts(rows: dict[str, list[Row]]) -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    counts = {name: Counter(row["label"] for row in rows[name]) for name in SPLITS}
    for label in counts["train"]:
        train, dev, test = (counts[name][label] for name in SPLITS)
        assert f"| `{label}` | {train} | {dev} | {test} | {train + dev + test} |" in readme
    train, dev, test = (len(rows[name]) for name in SPLITS)
    assert f"| all | {train} | {dev} | {test} | {train + dev + test} |" in readme


def test_parse_reads_slots(script: ModuleType) -> None:
    utterance = script.parse("Wake me at [time:half past six] [date:tomorrow], ok?", "set_alarm")
    assert utterance.text == "Wake me at half past six tomorrow, ok?"
    assert utterance.tokens == ("Wake", "me", "at", "half", "past", "six", "tomorrow", ",", "ok", "?")
    assert utterance.tags == ("O", "O", "O", "B-time", "I-time", "I-time", "B-date", "O", "O", "O")


def test_tokens_keep_what_stands_inside_a_word(script: ModuleType) -> None:
    utterance = script.parse('"at 7:30 o\'clock..." - 60%', "x")
    assert utterance.tokens == ('"', "at", "7:30", "o'clock", ".", ".", ".", '"', "-", "60", "%")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("wake me at [time:six", "bracket"),
        ("wake me at [time:]", "bracket"),
        ("wake me at [Time:six]", "bracket"),
        ("wake  me", "two spaces"),
        ("call [person:mom ]", "two spaces"),
        ("call [person:mom]'s phone", "'person'"),
        ("call [person:mom, ]dad", "'person'"),
    ],
)
def test_a_bad_line_names_its_place(script: ModuleType, tmp_path: Path, line: str, reason: str) -> None:
    (tmp_path / "one.txt").write_text(f"# comment\nhello there\n{line}\n", encoding="utf-8")
    with pytest.raises(script.DataError, match=r"one\.txt:3: .*" + reason):
        script.read_source(tmp_path)


def test_the_same_utterance_twice_is_refused(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("Turn it up!\n", encoding="utf-8")
    (tmp_path / "two.txt").write_text("\nturn it up\n", encoding="utf-8")
    with pytest.raises(script.DataError, match=r"two\.txt:2: the same utterance as one\.txt:1"):
        script.read_source(tmp_path)


def test_without_source_the_script_says_so(script: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(script.DataError, match="no intent files"):
        script.build(tmp_path)


def test_an_added_utterance_moves_no_other(script: ModuleType) -> None:
    utterances = script.read_source(FOLDER / "source")
    before = {u.text: name for name, part in script.split(utterances).items() for u in part}
    added = script.parse("zanzibar quokka xylophone marmalade", "music")
    after = {u.text: name for name, part in script.split([added, *utterances]).items() for u in part}
    assert {text: after[text] for text in before} == before


def test_the_check_sees_a_changed_file(tmp_path: Path) -> None:
    """The script runs on a copy whose data differ by one byte: it fails, mends them, and then is content."""
    copy = tmp_path / "quickstart"
    shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with (copy / "data" / "dev.jsonl").open("ab") as handle:
        handle.write(b"\n")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(copy / "build.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    stale = run("--check")
    assert stale.returncode == 1 and "dev.jsonl: not what source/ gives" in stale.stderr
    assert run().returncode == 0
    assert run("--check").returncode == 0
    assert (copy / "data" / "dev.jsonl").read_bytes() == (FOLDER / "data" / "dev.jsonl").read_bytes()
