"""The example in the documentation is the one that the build compiles."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from android_library import ANDROID, ROOT


@pytest.mark.parametrize("page", ["README.md", "docs/android.md"])
def test_the_example_is_compiled_as_it_is_shown(page: str) -> None:
    source = (ANDROID / "library/src/test/kotlin/Readme.kt").read_text("utf-8")
    lines = [line for line in source.splitlines() if line and not line.startswith(("/**", "import"))]
    assert "\n".join(lines) in (ROOT / page).read_text("utf-8")
    assert all(line in (ROOT / page).read_text("utf-8") for line in source.splitlines() if line.startswith("import"))
