"""Building the core for tests: one folder a session, each target once, and clear reasons where a tool is missing."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]
CORE = ROOT / "runtime" / "core"
HEADER = CORE / "include" / "edgebert.h"

# What each target of the Makefile calls, and the Debian package that has it.
TOOLS = {
    "host": ("cc", "make", "javac"),
    "android": ("make", "clang", "ld.lld", "javac"),
    "wasm": ("make", "clang", "wasm-ld"),
    "bench": ("cc", "make", "aarch64-linux-gnu-gcc"),
    "fuzz": ("make", "clang"),
}
PACKAGES = {
    "cc": "gcc libc6-dev",
    "make": "make",
    "clang": "clang",
    "ld.lld": "lld",
    "wasm-ld": "lld",
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    "qemu-aarch64": "qemu-user",
    "node": "nodejs",
    "openssl": "openssl",
    "javac": "openjdk-17-jdk-headless",
    "java": "openjdk-17-jre-headless",
    "readelf": "binutils",
}


def need(*tools: str) -> None:
    """Skip the test when a command is not installed."""
    for tool in tools:
        if shutil.which(tool) is None and not (tool in ("java", "javac") and os.environ.get("JAVA_HOME")):
            pytest.skip(f"{tool} is not installed (Debian: {PACKAGES[tool]})")


class Builds:
    """The core, built under `folder` by its Makefile, a target on first use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: set[str] = set()

    def make(self, target: str, core: Path = CORE) -> Path:
        """Build a target; returns the folder that `BUILD` names."""
        need(*TOOLS[target])
        if target not in self._made:
            run("make", "-s", "-C", core, f"BUILD={self.folder}", target, timeout=280)
            self._made.add(target)
        return self.folder

    @property
    def library(self) -> Path:
        """libedgebert.so for this machine."""
        return self.make("host") / f"linux-{os.uname().machine}" / "libedgebert.so"

    @property
    def bench(self) -> Path:
        """edgebert-bench for this machine."""
        return self.make("bench") / "bench" / "edgebert-bench"

    @property
    def aarch64_bench(self) -> Path:
        """The static edgebert-bench for 64-bit Arm."""
        return self.make("bench") / "bench" / "edgebert-bench-aarch64"

    @property
    def wasm(self) -> Path:
        """The WebAssembly module."""
        return self.make("wasm") / "wasm" / "edgebert.wasm"

    def android(self, abi: str) -> Path:
        """libedgebert.so for an ABI of Android."""
        return self.make("android") / "android" / abi / "libedgebert.so"


def run(*command: str | Path, timeout: float = 120) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}"
    return done.stdout


def seeds() -> ModuleType:
    """runtime/core/fuzz/make_seeds.py, which writes tiny models."""
    spec = importlib.util.spec_from_file_location("make_seeds", CORE / "fuzz" / "make_seeds.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
