"""The fuzzing harnesses find nothing: a few seconds each, EDGEBERT_FUZZ_SECONDS=10 in CI, more before a release."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from core_builds import CORE, TOOLS, Builds, need, run

SECONDS = int(os.environ.get("EDGEBERT_FUZZ_SECONDS", "4"))
HARNESSES = sorted(file.stem for file in (CORE / "fuzz").glob("fuzz_*.c"))


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    return Builds(tmp_path_factory.mktemp("core"))


def test_there_are_three() -> None:
    assert HARNESSES == ["fuzz_bundle", "fuzz_model", "fuzz_wordpiece"]


@pytest.mark.parametrize("harness", HARNESSES)
def test_fuzz(builds: Builds, harness: str) -> None:
    need(*TOOLS["fuzz"])
    command = ["make", "-s", "-C", CORE, f"BUILD={builds.folder}", f"HARNESSES={harness}", f"SECONDS={SECONDS}"]
    run(*command, f"PYTHON={sys.executable}", "fuzz-run", timeout=SECONDS + 250)
