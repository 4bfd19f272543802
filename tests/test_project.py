"""The project's own files agree with each other, and skipping is refused where it must be."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import edgebert

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = ("sdk/edgebert", "converters/edgebert_converters", "runtime/edgebert_runtime")


def test_one_version() -> None:
    version = PROJECT["project"]["version"]
    assert edgebert.__version__ == version
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_dependency_has_a_tested_version() -> None:
    project = PROJECT["project"]
    wanted = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra),
    ]
    names = {re.split(r"[^A-Za-z0-9._-]", name)[0].lower().replace("_", "-") for name in wanted} - {"edgebert"}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line.split("==")[0] for line in lines if not line.startswith("#")]
    assert names <= set(pinned)
    assert len(pinned) == len(set(pinned))


def test_every_folder_of_code_is_a_package_that_the_wheel_holds() -> None:
    missing = [
        folder
        for package in PACKAGES
        for folder in {path.parent for path in (ROOT / package).rglob("*.py")}
        if not (folder / "__init__.py").is_file()
    ]
    assert not missing
    assert all((ROOT / package / "py.typed").is_file() for package in PACKAGES)


@pytest.mark.parametrize(("strict", "code", "summary"), [("0", 0, "2 skipped"), ("1", 1, "1 failed, 1 skipped")])
def test_a_skip_fails_where_none_is_allowed(tmp_path: Path, strict: str, code: int, summary: str) -> None:
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text(encoding="utf-8"))
    (tmp_path / "test_a.py").write_text(
        "import pytest\n"
        "def test_skips(): pytest.skip('no reason that is allowed')\n"
        "@pytest.mark.skip(reason='none either')\ndef test_marked(): pass\n"
        + ("def test_allowed(): pytest.skip('needs a GPU')\n" if strict == "1" else "")
    )
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:warnings", "-c", os.devnull, "--rootdir", str(tmp_path)]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "EDGEBERT_NO_SKIP": strict},
    )
    assert (result.returncode, summary in result.stdout) == (code, True), result.stdout
    assert ("1 error" in result.stdout) == (strict == "1")  # the marked one, refused at its setup
