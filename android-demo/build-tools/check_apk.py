"""Checks a finished APK and says in sentences what is wrong with it; exits 1 if anything is.

What is checked: where entries lie and how native libraries are aligned (16 KiB), the signature, what the manifest says
(name, version, SDK levels, ABIs, no permission), and that the dex files are sound and need nothing that Android lacks.

usage: check_apk.py --aapt2 AAPT2 --version-name NAME --version-code CODE [--debuggable] APK
"""

from __future__ import annotations

import argparse
import re
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from pack_apk import LOCAL_HEADER, PAGE, STORED, alignment

APPLICATION = "com.edgebert.demo"
MIN_SDK, TARGET_SDK = 26, 36
ABIS = ("arm64-v8a", "x86_64")
PT_LOAD = 1


# ---- entries


def data_start(apk: zipfile.ZipFile, entry: zipfile.ZipInfo) -> int:
    """Where an entry's data begins; its local header need not be as long as the central one says."""
    assert apk.fp is not None
    apk.fp.seek(entry.header_offset + LOCAL_HEADER - 4)
    name, extra = struct.unpack("<HH", apk.fp.read(4))
    return entry.header_offset + LOCAL_HEADER + int(name) + int(extra)


def load_alignment(library: bytes) -> int | None:
    """Smallest alignment of a LOAD segment of a 64-bit little-endian ELF file; None if it is not one."""
    if len(library) < 64 or library[:6] != b"\x7fELF\x02\x01":
        return None
    table = struct.unpack_from("<Q", library, 32)[0]
    size, count = struct.unpack_from("<HH", library, 54)
    segments = [struct.unpack_from("<IIQQQQQQ", library, table + number * size) for number in range(count)]
    return min((segment[7] for segment in segments if segment[0] == PT_LOAD), default=None)


def entry_problems(apk: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[str]:
    name = entry.filename
    if entry.compress_type == zipfile.ZIP_STORED:
        start, multiple = data_start(apk, entry), alignment(name)
        if start % multiple:
            yield f"{name} starts at {start}, which is not a multiple of {multiple}"
    elif name.endswith(STORED):
        yield f"{name} is compressed; it must be stored"
    if name.endswith(".so"):
        found = load_alignment(apk.read(entry))
        if found is None:
            yield f"{name} is not a 64-bit little-endian ELF library"
        elif found % PAGE:
            yield f"{name} has LOAD segments at multiples of {found}; phones with 16 KiB pages refuse it"


def library_problems(names: list[str]) -> Iterator[str]:
    libraries = {abi: {Path(name).name for name in names if name.startswith(f"lib/{abi}/")} for abi in ABIS}
    for abi in ABIS:
        missing = set().union(*libraries.values()) - libraries[abi] or ({"libedgebert.so"} - libraries[abi])
        for library in sorted(missing):
            yield f"lib/{abi}/{library} is missing"
    if not any(name.endswith(".edgebert") for name in names):
        yield "there is no bundle in assets/"


# ---- what other programs say


def run(*command: str) -> str:
    """Output and errors of a command.

    Raises:
        subprocess.CalledProcessError: it failed; `output` holds what it said.
    """
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    done.check_returncode()
    return done.stdout


def signature_problems(apk: str) -> Iterator[str]:
    said = run("apksigner", "verify", "--verbose", "--min-sdk-version", str(MIN_SDK), apk)
    for scheme in ("v2", "v3"):
        if not re.search(rf"^Verified using {scheme} scheme .*: true$", said, re.MULTILINE):
            yield f"there is no good {scheme} signature"


def badging_problems(badging: str, version_name: str, version_code: str, debuggable: bool) -> Iterator[str]:
    wanted = (
        f"package: name='{APPLICATION}' versionCode='{version_code}' versionName='{version_name}' ",
        f"minSdkVersion:'{MIN_SDK}'",
        f"targetSdkVersion:'{TARGET_SDK}'",
        f"launchable-activity: name='{APPLICATION}.MainActivity' ",
        f"native-code: {' '.join(repr(abi) for abi in ABIS)}",
    )
    lines = badging.splitlines()
    for start in wanted:
        if not any(line.startswith(start) for line in lines):
            yield f"badging has no line {start.strip()!r}"
    yield from (f"it asks for a permission: {line}" for line in lines if line.startswith("uses-permission"))
    if ("application-debuggable" in lines) != debuggable:
        yield "it can be debugged" if not debuggable else "it cannot be debugged"


def dex_problems(apk: zipfile.ZipFile) -> Iterator[str]:
    """`invoke-custom` needs java.lang.invoke.LambdaMetafactory, which Android does not have."""
    names = [name for name in apk.namelist() if name.endswith(".dex")]
    if not names:
        yield "there is no classes.dex"
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            file = apk.extract(name, folder)
            try:
                run("dexdump", "-c", file)
                if "invoke-custom" in run("dexdump", "-d", file):
                    yield f"{name} has an invoke-custom: a lambda or a string concatenation that was not desugared"
            except subprocess.CalledProcessError as error:
                yield f"{name} is refused by dexdump: {error.output.strip().splitlines()[-1:]}"


def problems(path: str, aapt2: str, version_name: str, version_code: str, debuggable: bool) -> Iterator[str]:
    with zipfile.ZipFile(path) as apk:
        for entry in apk.infolist():
            yield from entry_problems(apk, entry)
        yield from library_problems(apk.namelist())
        yield from dex_problems(apk)
    try:
        yield from signature_problems(path)
        badging = run(aapt2, "dump", "badging", path)
    except subprocess.CalledProcessError as error:
        yield f"{error.cmd[0]} refuses it: {error.output.strip()}"
    else:
        yield from badging_problems(badging, version_name, version_code, debuggable)


def main() -> int:
    parser = argparse.ArgumentParser(description="Check a finished APK.")
    parser.add_argument("--aapt2", required=True)
    parser.add_argument("--version-name", required=True)
    parser.add_argument("--version-code", required=True)
    parser.add_argument("--debuggable", action="store_true")
    parser.add_argument("apk")
    options = parser.parse_args()
    found = list(problems(options.apk, options.aapt2, options.version_name, options.version_code, options.debuggable))
    for problem in found:
        print(f"{options.apk}: {problem}", file=sys.stderr)
    if not found:
        size = Path(options.apk).stat().st_size
        print(f"{options.apk}: {size / 1e6:.2f} MB; signature, manifest, alignment and dex are good")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
