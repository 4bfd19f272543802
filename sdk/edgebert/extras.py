"""Which optional packages each extra of this distribution installs, read from its own metadata."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

DISTRIBUTION = "edgebert"
GROUPS = ("all", "dev")  # extras that only gather others, or are for working on EdgeBERT itself

# Where the name in `import` is not the name in `pip install` (with dashes for underscores).
MODULES = {"pyyaml": "yaml", "scikit-learn": "sklearn", "pillow": "PIL", "protobuf": "google.protobuf"}


@dataclass(frozen=True)
class Package:
    """One requirement: `specifier` as in ">=2.13,<2.15"; `installed` is the version found here, or None."""

    name: str
    specifier: str
    installed: str | None

    @property
    def fits(self) -> bool:
        """Whether the installed version satisfies the requirement."""
        return self.installed is not None and satisfies(self.installed, self.specifier)


def packages() -> dict[str, list[Package]]:
    """Extra name -> what it installs; the base install stands under "" and comes first."""
    found: dict[str, list[Package]] = {"": []}
    for requirement in _requirements():
        head, _, marker = requirement.partition(";")
        match = re.match(r"\s*([A-Za-z0-9._-]+)\s*(?:\[[^]]*])?\s*\(?([^)]*)\)?\s*$", head)
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", marker)
        if match is None or _normal(match[1]) == DISTRIBUTION:
            continue
        entry = Package(match[1], match[2].replace(" ", ""), version(match[1]))
        found.setdefault(extra[1] if extra else "", []).append(entry)
    return found


def extra_of(module: str) -> str | None:
    """The extra that installs the import package `module`, or None if no extra of ours does."""
    for extra, entries in packages().items():
        if extra and extra not in GROUPS and any(module_name(entry.name) == module for entry in entries):
            return extra
    return None


def module_name(distribution: str) -> str:
    """The name to import for the name to install: "ai-edge-litert" -> "ai_edge_litert"."""
    name = _normal(distribution)
    return MODULES.get(name, name.replace("-", "_"))


def version(distribution: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def install_command(extra: str) -> str:
    """What to type to get an extra (or, for "", the base)."""
    return f'pip install "{DISTRIBUTION}[{extra}]"' if extra else f"pip install {DISTRIBUTION}"


def satisfies(installed: str, specifier: str) -> bool:
    """Whether a version meets ">=2.13,<2.15" and the like. Only the release numbers are compared."""
    have = _release(installed)
    for clause in filter(None, specifier.split(",")):
        match = re.match(r"(===?|>=|<=|~=|!=|>|<)\s*([0-9][0-9.]*)", clause)
        if match is None:
            continue
        operator, want = match[1], _release(match[2])
        width = max(len(have), len(want))
        left = have + (0,) * (width - len(have))
        right = want + (0,) * (width - len(want))
        if clause.endswith(".*"):
            left, right = left[: len(want)], want
        passed = {
            "==": left == right,
            "===": left == right,
            "!=": left != right,
            ">=": left >= right,
            "<=": left <= right,
            ">": left > right,
            "<": left < right,
            "~=": left >= right and left[: len(want) - 1] == want[:-1],
        }[operator]
        if not passed:
            return False
    return True


def _release(version: str) -> tuple[int, ...]:
    match = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else (0,)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _requirements() -> list[str]:
    try:
        return metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return _from_checkout(Path(__file__).parents[2] / "pyproject.toml")


def _from_checkout(path: Path) -> list[str]:
    """The same list out of pyproject.toml, for a checkout that runs without being installed."""
    import tomllib

    try:
        project = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
    except (OSError, tomllib.TOMLDecodeError):
        return []
    listed = list(project.get("dependencies", []))
    for extra, requirements in project.get("optional-dependencies", {}).items():
        for requirement in requirements:
            head, _, marker = requirement.partition(";")
            listed.append(f'{head}; {f"({marker.strip()}) and " if marker else ""}extra == "{extra}"')
    return listed
