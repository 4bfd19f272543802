"""Packing an APK, and what the check of a finished one refuses."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import demo_build
import pytest
from app_version import version_code
from check_apk import (
    badging_problems,
    data_start,
    dex_problems,
    entry_problems,
    library_problems,
    load_alignment,
    signature_problems,
)
from demo_build import need, run, shared_library
from pack_apk import pack, padding

BUNDLE = bytes(range(256)) * 300


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, Path]:
    """What is packed: a linked APK with a manifest, resources and a bundle; a dex; a library for both ABIs."""
    linked, dex, jni = tmp_path / "linked.apk", tmp_path / "dex", tmp_path / "jni"
    with zipfile.ZipFile(linked, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("AndroidManifest.xml", b"manifest" * 99)
        archive.writestr("resources.arsc", b"table" * 99)
        archive.writestr("assets/a.edgebert", BUNDLE)
    dex.mkdir()
    (dex / "classes.dex").write_bytes(b"dex" * 99)
    library = shared_library(tmp_path, 16384).read_bytes()
    for abi in ("arm64-v8a", "x86_64"):
        (jni / abi).mkdir(parents=True)
        (jni / abi / "libedgebert.so").write_bytes(library)
    return {"linked": linked, "dex": dex, "jni": jni, "out": tmp_path / "out.apk"}


def packed(parts: dict[str, Path]) -> zipfile.ZipFile:
    pack(parts["linked"], parts["dex"], parts["jni"], parts["out"])
    return zipfile.ZipFile(parts["out"])


def test_what_is_mapped_lies_at_pages_and_the_rest_at_words(parts: dict[str, Path]) -> None:
    with packed(parts) as apk:
        starts = {entry.filename: data_start(apk, entry) for entry in apk.infolist()}
        stored = {entry.filename for entry in apk.infolist() if entry.compress_type == zipfile.ZIP_STORED}
        assert apk.testzip() is None
        assert apk.read("assets/a.edgebert") == BUNDLE
        assert [problem for entry in apk.infolist() for problem in entry_problems(apk, entry)] == []
    libraries = {"lib/arm64-v8a/libedgebert.so", "lib/x86_64/libedgebert.so"}
    assert stored == {"assets/a.edgebert", "resources.arsc", *libraries}
    assert all(starts[name] % 16384 == 0 for name in {"assets/a.edgebert", *libraries})
    assert starts["resources.arsc"] % 4 == 0
    # Where the central directory says it is, it is: a phone reads no local header.
    with open(parts["out"], "rb") as raw:
        raw.seek(starts["assets/a.edgebert"])
        assert raw.read(len(BUNDLE)) == BUNDLE


def test_the_same_parts_give_the_same_bytes(parts: dict[str, Path]) -> None:
    packed(parts).close()
    first = parts["out"].read_bytes()
    packed(parts).close()
    assert parts["out"].read_bytes() == first


@pytest.mark.parametrize("align", [4, 16384])
def test_padding_ends_at_a_multiple_whatever_stands_before(align: int) -> None:
    assert all((start + len(padding(start, align))) % align == 0 for start in range(30, 30 + 2 * align, 7))


# ---- what the check refuses


@pytest.mark.parametrize(
    ("page", "bits", "reason"),
    [(4096, 64, "LOAD segments at multiples of 4096"), (16384, 32, "not a 64-bit little-endian ELF")],
)
def test_a_library_that_a_phone_would_refuse(parts: dict[str, Path], page: int, bits: int, reason: str) -> None:
    bad = shared_library(parts["out"].parent, page, bits).read_bytes()
    (parts["jni"] / "arm64-v8a" / "libedgebert.so").write_bytes(bad)
    with packed(parts) as apk:
        found = [problem for entry in apk.infolist() for problem in entry_problems(apk, entry)]
    assert len(found) == 1 and found[0].startswith("lib/arm64-v8a/libedgebert.so") and reason in found[0]


@pytest.mark.parametrize("content", [b"", b"\x7fELF\x02\x01", b"#!/bin/sh\n" * 20])
def test_what_is_no_library(content: bytes) -> None:
    assert load_alignment(content) is None


@pytest.mark.parametrize(
    ("compression", "reason"),
    [(zipfile.ZIP_STORED, "not a multiple of 16384"), (zipfile.ZIP_DEFLATED, "is compressed")],
)
def test_a_bundle_that_cannot_be_mapped(tmp_path: Path, compression: int, reason: str) -> None:
    with zipfile.ZipFile(tmp_path / "x.apk", "w", compression) as apk:
        apk.writestr("assets/a.edgebert", BUNDLE)
    with zipfile.ZipFile(tmp_path / "x.apk") as apk:
        (found,) = entry_problems(apk, apk.infolist()[0])
    assert found.startswith("assets/a.edgebert") and reason in found


def test_what_is_missing() -> None:
    both = ["lib/arm64-v8a/libedgebert.so", "lib/x86_64/libedgebert.so", "assets/a.edgebert"]
    assert list(library_problems(both)) == []
    assert list(library_problems(both[:2])) == ["there is no bundle in assets/"]
    assert list(library_problems(both[1:])) == ["lib/arm64-v8a/libedgebert.so is missing"]
    assert len(list(library_problems(["assets/a.edgebert"]))) == 2
    assert list(library_problems([*both, "lib/x86_64/libother.so"])) == ["lib/arm64-v8a/libother.so is missing"]


GOOD = """package: name='com.edgebert.demo' versionCode='100' versionName='0.1.0' platformBuildVersionName='16'
minSdkVersion:'26'
targetSdkVersion:'36'
launchable-activity: name='com.edgebert.demo.MainActivity'  label='' icon=''
native-code: 'arm64-v8a' 'x86_64'
"""


def badging(said: str, debuggable: bool = False) -> list[str]:
    return list(badging_problems(said, "0.1.0", "100", debuggable))


def test_what_the_manifest_says() -> None:
    assert badging(GOOD) == []
    assert badging(GOOD + "application-debuggable\n", True) == []
    assert badging(GOOD + "application-debuggable\n") == ["it can be debugged"]
    assert badging(GOOD, True) == ["it cannot be debugged"]
    asked = "uses-permission: name='android.permission.INTERNET'"
    assert badging(f"{GOOD}{asked}\n") == [f"it asks for a permission: {asked}"]
    for good, other in (
        ("'26'", "'29'"),
        ("'36'", "'35'"),
        ("='100'", "='99'"),
        (" 'x86_64'", ""),
        (".Main", ".Other"),
    ):
        assert len(badging(GOOD.replace(good, other))) == 1, other


def test_no_signature(parts: dict[str, Path]) -> None:
    need("apksigner")
    packed(parts).close()
    with pytest.raises(subprocess.CalledProcessError):
        list(signature_problems(str(parts["out"])))


def test_a_lambda_that_was_not_desugared(tmp_path: Path) -> None:
    need("dexdump", "javac")
    r8 = demo_build.tools() / "r8.jar"
    (tmp_path / "X.java").write_text("class X { static Runnable r(String s) { return () -> System.out.println(s); } }")
    run("javac", "--release", "8", "-d", tmp_path, tmp_path / "X.java")
    for option, count in (([], 0), (["--no-desugaring"], 1)):
        run(
            "java",
            "-cp",
            r8,
            "com.android.tools.r8.D8",
            "--min-api",
            "26",
            *option,
            "--output",
            tmp_path,
            tmp_path / "X.class",
        )
        with zipfile.ZipFile(tmp_path / "x.apk", "w") as apk:
            apk.write(tmp_path / "classes.dex", "classes.dex")
        with zipfile.ZipFile(tmp_path / "x.apk") as apk:
            found = list(dex_problems(apk))
        assert len(found) == count and all("invoke-custom" in problem for problem in found)


def test_a_broken_dex(parts: dict[str, Path]) -> None:
    need("dexdump")
    with packed(parts) as apk:
        (found,) = dex_problems(apk)
    assert found.startswith("classes.dex is refused by dexdump")


# ---- the version


@pytest.mark.parametrize(("name", "code"), [("0.1.0", 100), ("1.2.3", 10203), ("12.0.99", 120099), ("1.0.0rc1", 10000)])
def test_version_code(name: str, code: int) -> None:
    assert version_code(name) == code


@pytest.mark.parametrize("name", ["1.0", "1.100.0", "1.0.100", "x"])
def test_a_version_without_a_code(name: str) -> None:
    with pytest.raises(ValueError, match="version"):
        version_code(name)
