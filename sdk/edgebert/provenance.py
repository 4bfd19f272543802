"""What a result came from: settings, data fingerprints, versions, machine."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from typing import Any

PACKAGES = ("edgebert", "torch", "transformers", "tokenizers", "numpy", "accelerate")


def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Installed versions of `packages` and of Python."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def provenance(job: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """For run.json and the manifest: the job, how long it trained (s), versions and processor kind."""
    return {
        "job": dict(job),
        "training_seconds": round(seconds, 1),
        "versions": versions(),
        "machine": platform.machine(),
    }
