"""Packs an APK: what aapt2 linked, the dex files and the native libraries, each entry where a phone can map it.

Libraries and models are STORED at multiples of 16 KiB, so that a phone with pages of that size maps them out of the
APK; other stored entries lie at multiples of 4. Times are fixed: the same input gives the same bytes. Signing comes
after.

usage: pack_apk.py LINKED.apk DEX_FOLDER JNI_FOLDER OUT.apk     (JNI_FOLDER/ABI/*.so)
"""

from __future__ import annotations

import os
import struct
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

PAGE = 16384
MAPPED = (".so", ".edgebert", ".onnx", ".tflite", ".pte")
STORED = (*MAPPED, ".arsc", ".png", ".webp")
TIME = (1981, 1, 1, 1, 1, 2)  # what Android's own build uses
LOCAL_HEADER = 30
ALIGNMENT_FIELD = 0xD935  # Android's extra field for padding; apksigner keeps it


def alignment(name: str) -> int:
    """The multiple of bytes at which the data of a stored entry must start."""
    return PAGE if name.endswith(MAPPED) else 4


def padding(start: int, align: int) -> bytes:
    """An extra field that moves data which would start at `start` to a multiple of `align`."""
    head = struct.calcsize("<HHH")
    zeros = -(start + head) % align
    return struct.pack("<HHH", ALIGNMENT_FIELD, 2 + zeros, align) + bytes(zeros)


def add(apk: zipfile.ZipFile, raw: BinaryIO, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, TIME)
    entry.external_attr = 0o644 << 16
    entry.create_system = 3
    entry.compress_type = zipfile.ZIP_DEFLATED
    if name.endswith(STORED):
        entry.compress_type = zipfile.ZIP_STORED
        entry.extra = padding(raw.tell() + LOCAL_HEADER + len(name.encode()), alignment(name))
    apk.writestr(entry, content)


def contents(linked: Path, dex: Path, jni: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(linked) as archive:
        for name in archive.namelist():
            yield name, archive.read(name)
    for file in sorted(dex.glob("*.dex")):
        yield file.name, file.read_bytes()
    for file in sorted(jni.glob("*/*.so")):
        yield f"lib/{file.parent.name}/{file.name}", file.read_bytes()


def pack(linked: Path, dex: Path, jni: Path, out: Path) -> None:
    part = out.with_suffix(".part")
    with open(part, "wb") as raw, zipfile.ZipFile(raw, "w") as apk:
        for name, content in contents(linked, dex, jni):
            add(apk, raw, name, content)
    os.replace(part, out)


if __name__ == "__main__":
    pack(*(Path(argument) for argument in sys.argv[1:]))
