"""The API check of the build: a method newer than minSdk 26, or a hidden one, makes it fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from android_library import ANDROID, need


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of core and library, without what was built."""
    need("mvn", "java")
    folder = tmp_path_factory.mktemp("android") / "android"
    shutil.copytree(ANDROID, folder, ignore=shutil.ignore_patterns("build", "target", "engines", "test"))
    text = (folder / "pom.xml").read_text("utf-8")
    lines = [line for line in text.splitlines() if "<module>engines" not in line]
    (folder / "pom.xml").write_text("\n".join(lines), "utf-8")
    return folder


def compile_with(project: Path, source: str) -> subprocess.CompletedProcess[str]:
    added = project / "library/src/main/kotlin/com/edgebert/runtime/Added.kt"
    added.write_text(f"package com.edgebert.runtime\n\n{source}\n", "utf-8")
    command = ["mvn", "-q", "-B", "-Dkotlin.compiler.daemon=false", "-f", str(project), "clean", "process-classes"]
    return subprocess.run(command, capture_output=True, text=True, timeout=900)


def test_a_newer_call_fails_the_build(project: Path) -> None:
    done = compile_with(project, "internal fun added(power: android.os.PowerManager): Int = power.currentThermalStatus")
    assert done.returncode != 0
    assert "Undefined reference: int android.os.PowerManager.getCurrentThermalStatus()" in done.stdout + done.stderr
