"""`edgebert profile --device-shell`: the static edgebert-bench for 64-bit Arm, run by qemu on a scripted phone."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from core_builds import CORE, need
from core_builds import run as run_program
from phone_errors import sentence
from scripted_phone import ScriptedPhone

import edgebert
from edgebert.device import bench as bench_module
from edgebert.device.bench import ShellProfile
from edgebert_runtime.bundle import open_bundle, write_bundle_file

Run = Callable[..., Result]
MakePhone = Callable[..., ScriptedPhone]
GOOD = {"features": "neon", "sentences_per_second": 9.5, "p50_us": 1, "p90_us": 2, "p99_us": 3}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need("make", "aarch64-linux-gnu-gcc", "qemu-aarch64")
    folder = tmp_path_factory.mktemp("core")
    run_program("make", "-s", "-C", CORE, f"BUILD={folder}", "bench-aarch64", timeout=280)
    return folder / "bench" / "edgebert-bench-aarch64"


@pytest.fixture
def real_bench(built: Path, phone: ScriptedPhone, monkeypatch: pytest.MonkeyPatch) -> ScriptedPhone:
    """A phone that runs the real program; few rounds, for qemu is slow."""
    monkeypatch.setattr(bench_module, "BENCH", built)
    monkeypatch.setattr(bench_module, "READS", 100)
    phone.set("ro.soc.model", f"qemu-aarch64 on {os.uname().machine}")
    phone.set("ro.build.version.release", "15")
    return phone


@pytest.fixture
def fake_bench(phone: ScriptedPhone, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ScriptedPhone:
    """A phone that runs shell commands (`phone.bench`) in place of the program."""
    (tmp_path / "bench").write_bytes(b"not run")
    monkeypatch.setattr(bench_module, "BENCH", tmp_path / "bench")
    return phone


def says(phone: ScriptedPhone, text: str) -> None:
    (phone.root / "said").write_text(text)
    phone.bench = 'cat "$ROOT/said" #'


def with_texts(source: Path, target: Path, *texts: object) -> Path:
    """The bundle with these texts in its test vectors."""
    with open_bundle(source) as opened:
        entries: dict[str, Any] = {name: opened.read(name) for name in opened.names if name != "manifest.json"}
        vectors = [json.loads(line) for line in entries["golden.jsonl"].splitlines()]
        lines = [{**vectors[0], "text": text} for text in texts]
        entries["golden.jsonl"] = "".join(json.dumps(line) + "\n" for line in lines).encode()
        write_bundle_file(target, opened.manifest, entries)
    return target


def test_table(run: Run, bundle: Path, real_bench: ScriptedPhone) -> None:
    result = run("profile", bundle, "--device-shell")
    assert result.exit_code == 0, result.stderr
    rows = {name: rest.split() for name, _, rest in (line.partition("  ") for line in result.stdout.splitlines())}
    label = "Scripted Phone, Android 15 (emulated: these are a computer's times, not a phone's)"
    assert " ".join(rows["phone"]) == label
    assert " ".join(rows["machine"]) == f"qemu-aarch64 on {os.uname().machine}, dotprod kernels"
    p50, p90, p99 = map(float, rows["total"])
    assert 0 < p50 <= p90 <= p99
    assert real_bench.left() == []


def test_json_and_python(run: Run, bundle: Path, real_bench: ScriptedPhone, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    result = run("profile", bundle, "--device-shell", real_bench.serial, "--json", path)
    assert result.exit_code == 0 and result.stdout == "", result.stderr
    value = json.loads(path.read_text())
    assert value["machine"]["emulated"] is True and value["machine"]["phone"] == "Scripted Phone"
    assert value["bundle"]["size_bytes"] == bundle.stat().st_size and value["sentences_per_second"] > 0
    measured = edgebert.profile(bundle, device_shell=True)
    assert isinstance(measured, ShellProfile) and measured.texts == value["texts"] and measured.rounds >= 5


def test_texts_of_several_lines(bundle: Path, real_bench: ScriptedPhone, tmp_path: Path) -> None:
    """edgebert-bench reads one text a line. Its answers are compared with this computer's, so none is cut or joined."""
    path = with_texts(
        bundle, tmp_path / "lines.edgebert", "the cat\nis here", "\n", "", "a\tb \r\n c", "é 中国 \U0001f600"
    )
    measured = edgebert.profile(path, device_shell=True)
    assert isinstance(measured, ShellProfile) and measured.texts == 5


def test_pairs(real_bench: ScriptedPhone, tmp_path: Path) -> None:
    import runtime_graphs

    pairs = runtime_graphs.write_native(tmp_path, pair=True)
    path = with_texts(pairs, tmp_path / "p.edgebert", ["a\tcat", "is\nhere"], ["", ""], ["the", "\t"])
    measured = edgebert.profile(path, device_shell=True)
    assert isinstance(measured, ShellProfile) and measured.texts == 3


def test_another_format(run: Run, bundle: Path, phone: ScriptedPhone, tmp_path: Path) -> None:
    import runtime_helpers

    path = runtime_helpers.write_small(tmp_path / "onnx.edgebert")
    line = sentence(run("profile", path, "--device-shell"), status=2)
    assert "of the format onnx" in line and "--format native" in line and "--device." in line


def test_not_built(
    run: Run, bundle: Path, phone: ScriptedPhone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_module, "BENCH", tmp_path / "none")
    assert f"make -C {CORE} bench-aarch64`" in sentence(run("profile", bundle, "--device-shell"))
    monkeypatch.setattr(bench_module, "CORE", tmp_path)
    assert "Install EdgeBERT from a checkout" in sentence(run("profile", bundle, "--device-shell"))


def test_another_processor(run: Run, bundle: Path, fake_bench: ScriptedPhone) -> None:
    (fake_bench.root / "architecture").write_text("x86_64\n")
    assert "is x86_64, and edgebert-bench is built for 64-bit Arm" in sentence(run("profile", bundle, "--device-shell"))


def test_no_space(run: Run, bundle: Path, fake_bench: ScriptedPhone) -> None:
    fake_bench.full = True
    assert "has not enough free space" in sentence(run("profile", bundle, "--device-shell"))
    assert fake_bench.left() == []


@pytest.mark.parametrize(
    ("bench", "expected"),
    [
        ("kill -SEGV $$ #", "(exit status 139)|was lost"),
        (
            "echo 'edgebert-bench: model.ebnn: bad model' >&2; false #",
            "exit status 1.: edgebert-bench: model.ebnn: bad",
        ),
        ("false #", r"failed on .* \(exit status 1\)$"),
    ],
)
def test_a_bench_that_fails(run: Run, bundle: Path, fake_bench: ScriptedPhone, bench: str, expected: str) -> None:
    fake_bench.bench = f"sh -c '{bench}' #" if "kill" in bench else bench
    assert re.search(expected, sentence(run("profile", bundle, "--device-shell")))
    assert fake_bench.left() == []


def test_a_bench_that_takes_too_long(
    run: Run, bundle: Path, fake_bench: ScriptedPhone, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_bench.bench = "sleep 3 #"
    monkeypatch.setattr(bench_module, "RUN_SECONDS", 0.5)
    assert "did not finish `shell`" in sentence(run("profile", bundle, "--device-shell"))
    assert fake_bench.left() == []


@pytest.mark.parametrize(
    "text", ["", "{", "[]", json.dumps(GOOD), json.dumps({**GOOD, "checksum": 5}), json.dumps({"checksum": "0" * 16})]
)
def test_a_damaged_answer(run: Run, bundle: Path, fake_bench: ScriptedPhone, text: str) -> None:
    says(fake_bench, text)
    assert "is damaged" in sentence(run("profile", bundle, "--device-shell"))


def test_other_answers_than_this_computers(run: Run, bundle: Path, fake_bench: ScriptedPhone) -> None:
    says(fake_bench, json.dumps({**GOOD, "checksum": "0" * 16}))
    assert "gives other answers than this EdgeBERT" in sentence(run("profile", bundle, "--device-shell"))


def test_the_phone_vanishes(run: Run, bundle: Path, fake_bench: ScriptedPhone) -> None:
    fake_bench.lost_at = "./edgebert-bench"
    assert "was lost" in sentence(run("profile", bundle, "--device-shell"))


def test_options_that_do_not_go_together(run: Run, bundle: Path, tmp_path: Path) -> None:
    for words, expected in (
        (("--device", "--device-shell"), "not both"),
        (("--apk", "a.apk"), "--apk goes with --device"),
        (("--device-shell", "--apk", "a.apk"), "--apk goes with --device"),
        (("--device-shell", "--threads", "2"), "leave out --threads"),
        (("--device", "--threads", "1000000"), "threads"),
    ):
        assert expected in sentence(run("profile", bundle, *words), status=2)
    (tmp_path / "bad.edgebert").write_bytes(b"no bundle")
    assert "bad.edgebert" in sentence(run("profile", tmp_path / "bad.edgebert", "--device"))
