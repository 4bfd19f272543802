"""What the tests of the demo app's build share."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "android-demo"
LIBRARY = ROOT / "runtime" / "android"
TOOLS = DEMO / "build" / "tools"


def need(*programs: str) -> None:
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"needs {program}")


def run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, f"{done.args}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def tools() -> Path:
    """The folder with r8.jar and aapt2; Maven fills it once."""
    need("mvn", "java", "make")
    run("make", "-s", "-C", DEMO, "build/tools/done")
    return TOOLS


def shared_library(folder: Path, page: int, bits: int = 64) -> Path:
    """A tiny Android library whose segments lie at multiples of `page`."""
    need("clang", "ld.lld")
    source, library = folder / "x.c", folder / f"x{page}-{bits}.so"
    source.write_text("int answer(void) { return 42; }\n")
    target = "aarch64-linux-android26" if bits == 64 else "armv7a-linux-androideabi26"
    run("clang", f"--target={target}", "-fPIC", "-c", source, "-o", folder / "x.o")
    run("ld.lld", "-shared", "-z", f"max-page-size={page}", folder / "x.o", "-o", library)
    return library
