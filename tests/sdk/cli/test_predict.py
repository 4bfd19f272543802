"""`edgebert predict` and `edgebert.predict`."""

from __future__ import annotations

import gzip
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import edgebert
from edgebert_runtime.errors import DataError, UsageError

Run = Callable[..., Result]


def labels(result: Result) -> list[str]:
    assert result.exit_code == 0, result.stderr
    return [line.split("\t")[0] for line in result.stdout.splitlines()]


def test_texts_as_arguments(run: Run, bundle: Path) -> None:
    result = run("predict", bundle, "great film", "awful")
    assert result.stdout == "good\t0.9677\tgreat film\nbad\t0.9837\tawful\n"
    assert result.stderr == ""


def test_stdin_a_line_a_text(run: Run, bundle: Path) -> None:
    result = run("predict", bundle, input=b"\xef\xbb\xbfgreat\r\n\nawful\nno newline: great")
    assert labels(result) == ["good", "bad", "bad", "good"]  # the empty line has an answer of its own
    assert result.stdout.splitlines()[0].endswith("\tgreat")


def test_many_lines_keep_their_order(run: Run, bundle: Path) -> None:
    words = ["great", "awful", "plot"] * 50
    result = run("predict", bundle, input="\n".join(words).encode())
    assert [line.split("\t")[2] for line in result.stdout.splitlines()] == words


def test_empty_stdin(run: Run, bundle: Path) -> None:
    result = run("predict", bundle, input=b"")
    assert result.exit_code == 0 and result.stdout == ""
    assert json.loads(run("predict", bundle, "--json", input=b"").stdout) == {"predictions": []}


def test_json_is_one_object_and_nothing_else(run: Run, bundle: Path) -> None:
    result = run("predict", bundle, "--json", "great", "")
    value = json.loads(result.stdout)
    assert list(value) == ["predictions"]
    first, second = value["predictions"]
    assert list(first) == ["text", "answer"] and first["text"] == "great"
    answer = first["answer"]
    assert answer["label"] == "good" and answer["sure"] is True
    assert answer["probability"] == answer["probabilities"]["good"] == pytest.approx(0.98016, abs=1e-5)
    answer = second["answer"]
    assert answer["label"] == "bad" and sum(answer["probabilities"].values()) == pytest.approx(1)


def test_below_the_threshold_there_is_no_label(run: Run, bundle: Path) -> None:
    result = run("predict", bundle, "--threshold", "0.975", "great film", "awful")
    assert result.stdout == "-\t0.9677\tgreat film\nbad\t0.9837\tawful\n"
    value = json.loads(run("predict", bundle, "--threshold", "0.975", "--json", "great film").stdout)
    assert value["predictions"][0]["answer"]["sure"] is False
    assert value["predictions"][0]["answer"]["label"] == "good"  # what it would have said
    for wrong in ("1.2", "-0.1", "nan"):
        result = run("predict", bundle, "--threshold", wrong, "great")
        assert result.exit_code == 2 and "between 0 and 1" in result.stderr and result.stdout == ""


def test_a_text_that_begins_with_a_dash(run: Run, bundle: Path) -> None:
    assert labels(run("predict", bundle, "--", "-great")) == ["good"]


def test_control_characters_do_not_reach_the_terminal(run: Run, bundle: Path) -> None:
    result = run("predict", bundle, "great\x1b[2J\nfilm")
    assert len(result.stdout.splitlines()) == 1 and "\x1b" not in result.stdout


def test_a_very_long_text(run: Run, bundle: Path) -> None:
    assert labels(run("predict", bundle, input=b"great " * 20_000)) == ["good"]


def test_invalid_utf8_on_stdin_names_the_line_and_keeps_the_answers_before(run: Run, bundle: Path) -> None:
    result = run("predict", bundle, input=b"great\nawful\nab\xff\ngreat\n")
    assert result.exit_code == 1
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == ["good", "bad"]
    assert result.stderr.startswith("error: stdin:3: invalid UTF-8: byte 0xff at byte 2")
    result = run("predict", bundle, "--json", input=b"great\n\xff\n")
    assert result.exit_code == 1 and result.stdout == ""


def test_file_of_lines(run: Run, bundle: Path, tmp_path: Path) -> None:
    for name, content in (
        ("a.txt", b"great\n\nawful\n"),
        ("lines", b"great\n\nawful\n"),
        ("a.txt.gz", gzip.compress(b"great\n\nawful")),
    ):
        (tmp_path / name).write_bytes(content)
        assert labels(run("predict", bundle, "--file", tmp_path / name)) == ["good", "bad", "bad"], name


def test_file_of_lines_with_invalid_utf8(run: Run, bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"great\n\xc3(\n")
    result = run("predict", bundle, "--file", path)
    assert result.exit_code == 1
    assert f"{path}:2: invalid UTF-8" in result.stderr


def test_data_file(run: Run, bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,label\n"great, really",x\nawful,y\n')
    assert labels(run("predict", bundle, "--file", path)) == ["good", "bad"]
    other = tmp_path / "b.jsonl"
    other.write_text('{"body": "great", "n": 1}\n')
    assert labels(run("predict", bundle, "--file", other, "--text-column", "body")) == ["good"]
    result = run("predict", bundle, "--file", path, "--text-column", "txt")
    assert result.exit_code == 1 and "'txt'" in result.stderr


def test_dash_is_stdin(run: Run, bundle: Path) -> None:
    assert labels(run("predict", bundle, "--file", "-", input=b"great")) == ["good"]


def test_missing_file(run: Run, bundle: Path, tmp_path: Path) -> None:
    for name in ("no.txt", "no.csv", "no"):
        result = run("predict", bundle, "--file", tmp_path / name)
        assert result.exit_code == 1
        assert str(tmp_path / name) in result.stderr and result.stderr.count("\n") == 1


def test_file_and_text_together(run: Run, bundle: Path) -> None:
    result = run("predict", bundle, "great", "--file", "a.txt")
    assert result.exit_code == 2 and "not both" in result.stderr


def test_pairs(run: Run, pair_bundle: Path, tmp_path: Path) -> None:
    assert labels(run("predict", pair_bundle, "a film\tgreat", "awful\tx")) == ["good", "bad"]
    assert labels(run("predict", pair_bundle, input=b"film\tgreat\n")) == ["good"]
    path = tmp_path / "pairs.tsv"
    path.write_text("text_a\ttext_b\nfilm\tgreat\n")
    result = run("predict", pair_bundle, "--file", path, "--json")
    assert json.loads(result.stdout)["predictions"][0]["text"] == ["film", "great"]


@pytest.mark.parametrize("text", ["no tab", "a\tb\tc"])
def test_pairs_need_one_tab(run: Run, pair_bundle: Path, text: str) -> None:
    result = run("predict", pair_bundle, input=f"a\tb\n{text}\n".encode())
    assert result.exit_code == 1
    assert "stdin:2: this model takes two texts with one tab" in result.stderr


def test_pairs_and_single_texts_do_not_mix(run: Run, bundle: Path, pair_bundle: Path, tmp_path: Path) -> None:
    pairs, single = tmp_path / "pairs.csv", tmp_path / "single.csv"
    pairs.write_text("text_a,text_b\nx,y\n")
    single.write_text("text\nx\n")
    result = run("predict", bundle, "--file", pairs)
    assert result.exit_code == 1 and f"{pairs}:2" in result.stderr and "has pairs" in result.stderr
    result = run("predict", pair_bundle, "--file", single)
    assert result.exit_code == 1 and f"{single}:2" in result.stderr and "takes pairs" in result.stderr


def test_a_damaged_bundle(run: Run, bundle: Path, tmp_path: Path) -> None:
    content = bytearray(bundle.read_bytes())
    content[len(content) // 2] ^= 1
    for name, damaged in (
        ("flipped", bytes(content)),
        ("short", bytes(content[:-100])),
        ("text", b"hello"),
        ("empty", b""),
    ):
        path = tmp_path / f"{name}.edgebert"
        path.write_bytes(damaged)
        for command in (("inspect", path), ("inspect", path, "--json"), ("predict", path, "great"), ("profile", path)):
            result = run(*command)
            assert result.exit_code == 1, (name, command)
            assert result.stdout == ""
            assert result.stderr.startswith("error: ") and str(path) in result.stderr
            assert result.stderr.count("\n") == 1 and "unexpected" not in result.stderr


def test_someone_who_types(bundle: Path) -> None:
    """On a terminal each line is answered at once, and a hint says what to do."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "edgebert", "predict", str(bundle)],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    os.close(terminal)
    assert process.stdout and process.stderr
    try:
        assert process.stderr.readline() == b"Type one text a line; Ctrl-D ends.\n"
        os.write(controller, b"great\n")
        assert process.stdout.readline() == b"good\t0.9802\tgreat\n"
        os.write(controller, b"\x04")
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        os.close(controller)


def test_function(bundle: Path, pair_bundle: Path, tmp_path: Path) -> None:
    assert edgebert.predict(bundle, "great")[0].label == "good"
    assert edgebert.predict(str(bundle), "")[0].label == "bad"
    assert [p.label for p in edgebert.predict(bundle, ["great", "awful"])] == ["good", "bad"]
    assert edgebert.predict(pair_bundle, ("film", "great"))[0].label == "good"
    assert [p.label for p in edgebert.predict(pair_bundle, [("film", "great"), ("awful", "x")])] == ["good", "bad"]
    path = tmp_path / "a.txt"
    path.write_text("awful\n")
    assert edgebert.predict(bundle, file=path)[0].label == "bad"
    with pytest.raises(UsageError, match="what to predict"):
        edgebert.predict(bundle)
    with pytest.raises(UsageError, match="not both"):
        edgebert.predict(bundle, "great", file=path)
    with pytest.raises(DataError):
        edgebert.predict(bundle, ("a", "b"))
    with pytest.raises(UsageError, match="no columns"):
        edgebert.predict(bundle, file=path, text_column="text")


def test_no_torch(bundle: Path) -> None:
    script = (
        f"import sys, edgebert; edgebert.predict({str(bundle)!r}, 'great'); edgebert.inspect({str(bundle)!r})\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
