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


def test_the_same_sources_and_key_give_the_same_bytes_elsewhere(built: Path, bundle: Path, tmp_path: Path) -> None:
    for part in ("android-demo", "runtime/android", "runtime/core"):
        shutil.copytree(ROOT / part, tmp_path / "other" / part, ignore=BUILT)
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "other")
    demo, build = tmp_path / "other" / "android-demo", tmp_path / "built"
    shutil.copytree(DEMO / "build" / "tools", demo / "build" / "tools")
    build.mkdir()
    shutil.copy(built / "throw-away.p12", build)
    done = make(demo, build, "apk", f"BUNDLES={bundle}")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in APKS:
        assert (build / name).read_bytes() == (built / name).read_bytes(), name


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
