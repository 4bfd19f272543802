"""The whole build without Google's SDK: what `make apk` says and leaves behind, and that it does so again elsewhere."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from demo_build import DEMO, LIBRARY, ROOT, need, tools

APKS = ("edgebert-demo-debug.apk", "edgebert-demo.apk")
BUILT = shutil.ignore_patterns("build", "target", "__pycache__")


def make(demo: Path, build: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "-C", str(demo), f"BUILD={build}", f"PYTHON={sys.executable}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=1500)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sys.path += [str(ROOT / "tests" / "runtime"), str(ROOT / "tests" / "runtime" / "core")]
    import runtime_graphs

    return runtime_graphs.write_native(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, bundle: Path) -> Path:
    """The folder with both APKs."""
    need("clang", "ld.lld", "apksigner", "dexdump", "keytool")
    tools()
    folder = tmp_path_factory.mktemp("apk")
    done = make(DEMO, folder, "apk", f"BUNDLES={bundle}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("signature, manifest, alignment and dex are good") == 2
    return folder


def test_it_holds_the_bundle_and_our_core_and_no_other_library(built: Path, bundle: Path) -> None:
    for name in APKS:
        with zipfile.ZipFile(built / name) as apk:
            assert apk.read(f"assets/{bundle.name}") == bundle.read_bytes()
            libraries = sorted(entry for entry in apk.namelist() if entry.startswith("lib/"))
            assert libraries == ["lib/arm64-v8a/libedgebert.so", "lib/x86_64/libedgebert.so"]
            for library in libraries:
                core = LIBRARY / "build" / "core" / "android" / library.removeprefix("lib/")
                assert apk.read(library) == core.read_bytes()
    assert (built / APKS[1]).stat().st_size < (built / APKS[0]).stat().st_size


@pytest.fixture(scope="module")
def elsewhere(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the demo and the library, without what was built of them."""
    folder = tmp_path_factory.mktemp("other")
    for part in ("android-demo", "runtime/android", "runtime/core"):
        shutil.copytree(ROOT / part, folder / part, ignore=BUILT)
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(DEMO / "build" / "tools", folder / "android-demo" / "build" / "tools")
    return folder / "android-demo"


def test_the_same_sources_and_key_give_the_same_bytes_elsewhere(
    built: Path, elsewhere: Path, bundle: Path, tmp_path: Path
) -> None:
    shutil.copy(built / "throw-away.p12", tmp_path)
    done = make(elsewhere, tmp_path, "apk", f"BUNDLES={bundle}")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in APKS:
        assert (tmp_path / name).read_bytes() == (built / name).read_bytes(), name


def test_a_call_newer_than_the_oldest_phone_fails_the_build(elsewhere: Path, bundle: Path, tmp_path: Path) -> None:
    added = elsewhere / "app/src/main/kotlin/com/edgebert/demo/Added.kt"
    added.write_text(
        "package com.edgebert.demo\n\nfun added(power: android.os.PowerManager): Int = power.currentThermalStatus\n"
    )
    try:
        done = make(elsewhere, tmp_path, "jars", f"BUNDLES={bundle}")
    finally:
        added.unlink()
    assert done.returncode != 0
    assert "Undefined reference: int android.os.PowerManager.getCurrentThermalStatus()" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("bundles", "reason"),
    [
        ("", "name the bundles that go into the app"),
        ("model.onnx", "model.onnx is no bundle"),
        ("no.edgebert", "no.edgebert"),
    ],
)
def test_what_cannot_go_into_the_app(tmp_path: Path, bundles: str, reason: str) -> None:
    tools()
    done = make(DEMO, tmp_path / "build", "apk", f"BUNDLES={bundles}")
    assert done.returncode != 0 and reason in done.stderr
    assert not list(tmp_path.rglob("*.apk"))
