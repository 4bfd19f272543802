"""Packs the Android library: what its folders hold, as an AAR. The same input gives the same bytes.

    python pack_aar.py OUT.aar --classes FOLDER... --native FOLDER --rules PRO

`--native` holds a folder for each ABI with its .so; one whose segments are not aligned to 16 KiB is refused.
"""

from __future__ import annotations

import argparse
import io
import struct
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

TIME = (1980, 1, 1, 0, 0, 0)
PAGE = 16 * 1024
ABIS = ("arm64-v8a", "x86_64")
# What the Android Gradle plugin writes for namespace and minSdk of library/build.gradle.kts.
MANIFEST = """<?xml version="1.0" encoding="utf-8"?>
<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="com.edgebert.runtime">
    <uses-sdk android:minSdkVersion="26" />
</manifest>
"""
METADATA = """aarFormatVersion=1.0
aarMetadataVersion=1.0
minCompileSdk=26
minCompileSdkExtension=0
minAndroidGradlePluginVersion=1.0.0
coreLibraryDesugaringEnabled=false
"""


def zipped(entries: Mapping[str, bytes]) -> bytes:
    """A ZIP of these entries, in the order of their names, with fixed times."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in sorted(entries):
            info = zipfile.ZipInfo(name, TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system, info.external_attr = 3, 0o100644 << 16
            archive.writestr(info, entries[name])
    return out.getvalue()


def classes(folders: list[Path]) -> bytes:
    """classes.jar of these folders. A class that two of them hold is an error."""
    entries: dict[str, bytes] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_dir() or name.startswith("META-INF/maven/"):
                continue
            if name in entries:
                sys.exit(f"{path}: another folder holds {name} as well")
            entries[name] = path.read_bytes()
    if not any(name.endswith(".class") for name in entries):
        sys.exit(f"there are no classes in {', '.join(map(str, folders))}: build them first")
    return zipped(entries)


def check_library(path: Path) -> bytes:
    """The contents of a 64-bit ELF library whose loaded segments are aligned to 16 KiB."""
    content = path.read_bytes()
    if content[:6] != b"\x7fELF\x02\x01":
        sys.exit(f"{path} is not a 64-bit little-endian ELF library")
    (table,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    for at in range(table, table + size * count, size):
        (kind,) = struct.unpack_from("<I", content, at)
        (alignment,) = struct.unpack_from("<Q", content, at + 48)
        if kind == 1 and alignment % PAGE:
            sys.exit(f"{path}: a segment is aligned to {alignment} bytes; phones with 16 KiB pages refuse it")
    return content


def main() -> None:
    parser = argparse.ArgumentParser(description="Pack the Android library as an AAR.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--classes", type=Path, nargs="+", required=True)
    parser.add_argument("--native", type=Path, required=True)
    parser.add_argument("--rules", type=Path, required=True)
    options = parser.parse_args()
    entries = {
        "AndroidManifest.xml": MANIFEST.encode(),
        "classes.jar": classes(options.classes),
        "proguard.txt": options.rules.read_bytes(),
        "R.txt": b"",
        "META-INF/com/android/build/gradle/aar-metadata.properties": METADATA.encode(),
    }
    for abi in ABIS:
        entries[f"jni/{abi}/libedgebert.so"] = check_library(options.native / abi / "libedgebert.so")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(zipped(entries))


if __name__ == "__main__":
    main()
