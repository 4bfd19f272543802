"""Every public member of the Android library is documented, and no module but `library` knows Android."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

from android_library import ANDROID

KINDS = "val|var|fun|class|interface|object|typealias|constructor"
DECLARED = re.compile(rf"\s*public (?!companion)(?:[a-z]+ )*?(?:{KINDS})\b")


def sources() -> list[Path]:
    found = sorted(ANDROID.glob("*/src/main/kotlin/**/*.kt")) + sorted(
        ANDROID.glob("engines/*/src/main/kotlin/**/*.kt")
    )
    assert len(found) > 20
    return found


def undocumented(text: str) -> Iterator[str]:
    """Public declarations without KDoc of their own; those in a constructor need an `@property` of the class."""
    comment, ended = "", False
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("/**"):
            comment, ended = stripped, stripped.endswith("*/")
            continue
        if comment and not ended:
            comment, ended = f"{comment}\n{stripped}", stripped.endswith("*/")
            continue
        if re.match(r"\s*public (val|var) \w+: .*,$", line) or re.match(r".*class \w+.*\(public val", line):
            names = re.findall(r"public (?:val|var) (\w+)", line)
            yield from (name for name in names if not re.search(rf"@property [\w, ]*\b{name}\b", comment))
            continue
        if DECLARED.match(line) and not comment:
            yield stripped
        if stripped and not stripped.startswith("@") and not stripped.endswith("("):
            comment = comment if stripped.startswith("private val") else ""


def test_the_check_finds_what_is_missing() -> None:
    text = "/** A. */\npublic class A(\n    public val b: Int,\n) {\n    public fun c() {}\n"
    text += "    /** D. */\n    public val d = 1\n}"
    assert list(undocumented(text)) == ["b", "public fun c() {}"]


def test_every_public_member_is_documented() -> None:
    missing = [
        f"{path.relative_to(ANDROID)}: {item}" for path in sources() for item in undocumented(path.read_text("utf-8"))
    ]
    assert not missing, "\n".join(missing)


def test_only_the_library_module_knows_android() -> None:
    for path in sources():
        if "library" not in path.relative_to(ANDROID).parts:
            assert not re.search(r"^import android", path.read_text("utf-8"), flags=re.MULTILINE), path
