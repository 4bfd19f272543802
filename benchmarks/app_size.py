"""What the Android library and an engine add to an app, per ABI: from the AARs themselves, nothing is run.

    make aar && python benchmarks/app_size.py [onnxruntime-android.aar executorch-android.aar ...]

"installed" is the `.so` as it lies in the APK and on the phone (stored and aligned, to be mapped); "download" is the
same deflated, which is what a store sends. `classes` is the jar before R8, which drops what an app does not call.
Prints a table; AARs of other engines come from their own repositories, as an app's Gradle would fetch them.
"""

from __future__ import annotations

import argparse
import zipfile
import zlib
from pathlib import Path

from edgebert.console import table

OURS = Path(__file__).resolve().parents[1] / "runtime" / "android" / "build" / "edgebert-runtime.aar"
ABIS = ("arm64-v8a", "x86_64")


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("aars", nargs="*", type=Path, metavar="AAR")
    arguments = parser.parse_args()
    missing = [str(path) for path in (OURS, *arguments.aars) if not path.is_file()]
    if missing:
        parser.error(f"no such file: {', '.join(missing)} (`make aar` builds the library)")
    rows = [row for path in (OURS, *arguments.aars) for row in measure(path)]
    print(table(rows, ("library", "ABI", "installed MB", "download MB", "classes kB")))


def measure(path: Path) -> list[list[str]]:
    """One row for each ABI that the AAR holds."""
    with zipfile.ZipFile(path) as aar:
        classes = len(aar.read("classes.jar")) if "classes.jar" in aar.namelist() else 0
        rows = []
        for abi in ABIS:
            libraries = [aar.read(name) for name in aar.namelist() if name.startswith(f"jni/{abi}/")]
            if libraries:
                installed = sum(map(len, libraries)) / 1e6
                download = sum(len(zlib.compress(library, 9)) for library in libraries) / 1e6
                rows.append([path.stem, abi, f"{installed:.2f}", f"{download:.2f}", f"{classes / 1e3:.0f}"])
    return rows


if __name__ == "__main__":
    main()
