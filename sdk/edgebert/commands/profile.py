"""`edgebert profile`: how fast a bundle is here, and how much memory it takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgebert_runtime.profile import Profile


def profile(bundle: str | Path, *, threads: int = 1, json: str | Path | None = None) -> Profile:
    """Measure cold load, the stages tokenize, infer and decode (p50, p90, p99), and peak memory.

    Args:
        json: a file to write the numbers to.
    Raises:
        BundleError: the bundle cannot be used.
        EdgeBertError: the file cannot be written.
    """
    import json as json_module

    from edgebert_runtime.files import atomic_write
    from edgebert_runtime.profile import profile as measure

    measured = measure(bundle, threads=threads)
    if json is not None:
        with atomic_write(json) as handle:
            handle.write((json_module.dumps(measured.to_json(), indent=2) + "\n").encode())
    return measured
