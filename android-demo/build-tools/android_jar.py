"""Writes an android.jar that D8 and R8 can read: API 36 as Robolectric publishes it, and Java 8 from the JDK.

Robolectric's jar has no java.*; the JDK keeps the signatures of every older Java in lib/ct.sym. D8 and R8 read only the
declarations of library classes, so a lower class-file version does no harm: older ones of them refuse Java 21's.

usage: android_jar.py ANDROID_ALL.jar JDK_HOME OUT.jar
"""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

ANDROID = ("android/", "com/android/internal/", "dalvik/", "org/json/", "org/xml", "org/w3c/")
JAVA_8 = "8"
CLASS_FILE_8 = (52).to_bytes(4, "big")


def android_classes(jar: zipfile.ZipFile) -> Iterator[tuple[str, bytes]]:
    for name in jar.namelist():
        if name.startswith(ANDROID) and name.endswith(".class"):
            content = jar.read(name)
            yield name, content[:4] + CLASS_FILE_8 + content[8:]


def java_8_classes(signatures: zipfile.ZipFile) -> Iterator[tuple[str, bytes]]:
    """Entries are RELEASES/[MODULE/]path/Class.sig: "879A/java.base/java/lang/Object.sig" is one for 7, 8, 9 and 10."""
    for name in signatures.namelist():
        releases, _, path = name.partition("/")
        if JAVA_8 not in releases or not path.endswith(".sig"):
            continue
        first, _, rest = path.partition("/")
        path = rest if "." in first else path
        if path.startswith(("java/", "javax/")):
            yield path.removesuffix(".sig") + ".class", signatures.read(name)


def write(android_all: Path, jdk: Path, out: Path) -> None:
    part = out.with_suffix(".part")
    written: set[str] = set()
    with (
        zipfile.ZipFile(android_all) as android,
        zipfile.ZipFile(jdk / "lib" / "ct.sym") as java,
        zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as jar,
    ):
        for classes in (android_classes(android), java_8_classes(java)):
            for name, content in classes:
                if name not in written:
                    written.add(name)
                    jar.writestr(name, content)
    os.replace(part, out)


if __name__ == "__main__":
    write(*(Path(argument) for argument in sys.argv[1:]))
