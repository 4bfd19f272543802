"""Building the Android library for tests, once a session, and asking it from Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[3]
ANDROID = ROOT / "runtime" / "android"
BUILD = ANDROID / "build"
HOST_LIBRARY = BUILD / "core" / f"linux-{os.uname().machine}" / "libedgebert.so"
# What a test needs, and the Debian package that has it.
TOOLS = {
    "mvn": "maven",
    "java": "openjdk-17-jdk-headless",
    "make": "make",
    "clang": "clang",
    "ld.lld": "lld",
    "openssl": "openssl",
    "qemu-aarch64": "qemu-user",
}


def need(*tools: str) -> None:
    """Skip the test when a command is not installed."""
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed (Debian: {TOOLS[tool]})")


def make(target: str, *settings: str) -> None:
    """A target of the library's Makefile, which must succeed."""
    need("mvn", "java", "make", "clang", "ld.lld", "openssl")
    command = ["make", "-C", str(ANDROID), target, f"PYTHON={sys.executable}", *settings]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"


def reports() -> list[ElementTree.Element]:
    """What surefire wrote about the JVM tests, a suite each."""
    return [ElementTree.parse(path).getroot() for path in sorted(ANDROID.glob("**/surefire-reports/TEST-*.xml"))]


def class_path() -> str:
    """The library with its test classes, ONNX Runtime and Kotlin, as `make test` left them."""
    folders = [ANDROID / "core/target/classes", ANDROID / "core/target/test-classes"]
    folders += [
        ANDROID / "engines/onnxruntime/target/classes",
        *(ANDROID / "engines/onnxruntime/target/jars").glob("*.jar"),
    ]
    return os.pathsep.join(map(str, folders))


def ask(bundle: Path, texts: Sequence[Any], folder: Path, java: Sequence[str] = ("java", "-Xmx1g")) -> dict[str, Any]:
    """What the library answers: labels, logits, self_test, failures, features. `java` names the JVM and its options."""
    asked, out = folder / "texts.json", folder / "answers.json"
    asked.write_text(json.dumps(texts), "utf-8")
    out.unlink(missing_ok=True)
    library = (
        [] if any("java.library.path" in word for word in java) else [f"-Djava.library.path={HOST_LIBRARY.parent}"]
    )
    command = [*java, *library, "-cp", class_path(), "com.edgebert.runtime.ParityMain"]
    done = subprocess.run([*command, str(bundle), str(asked), str(out)], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-4000:]
    value: dict[str, Any] = json.loads(out.read_text("utf-8"))
    return value
