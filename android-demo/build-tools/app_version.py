"""Prints the app's version for a Makefile: versionName and versionCode, both from the Python package's version.

usage: app_version.py PYPROJECT
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path


def version_code(name: str) -> int:
    """10000 * major + 100 * minor + patch; a suffix such as "rc1" counts for nothing.

    Raises:
        ValueError: not such a version, or a part over 99, which would run into the next one.
    """
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", name)
    if not found:
        raise ValueError(f"the version {name!r} does not begin with MAJOR.MINOR.PATCH")
    major, minor, patch = (int(part) for part in found.groups())
    if max(minor, patch) > 99:
        raise ValueError(f"the version {name!r} has a part over 99")
    return 10000 * major + 100 * minor + patch


def main(pyproject: str) -> None:
    name = tomllib.loads(Path(pyproject).read_text("utf-8"))["project"]["version"]
    print(name, version_code(name))


if __name__ == "__main__":
    main(*sys.argv[1:])
