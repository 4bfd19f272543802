"""`edgebert inspect`: what a bundle is, from a full check of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def inspect(bundle: str | Path, *, public_key: str | Path | None = None) -> dict[str, Any]:
    """Verify a bundle and describe it. The model is not run, and no engine is needed.

    Args:
        public_key: of a signed bundle, in PEM.

    Returns:
        the manifest's fields, and `path`, `size` (bytes of the file), `parts` (bytes of the model, tokenizer, test
        vectors, model card and the rest) and `golden` (number of test vectors).
    Raises:
        BundleError: it is damaged, unsafe or made by a newer EdgeBERT.
    """
    from edgebert_runtime.bundle import open_bundle

    with open_bundle(bundle, public_key) as opened:
        manifest = opened.manifest
        parts = {"model": manifest.files[opened.model_name].size, "tokenizer": 0, "golden": 0, "card": 0, "other": 0}
        for name, info in manifest.files.items():
            if name != opened.model_name:
                parts[_part(name)] += info.size
        parts["other"] += opened.size - sum(parts.values())  # the manifest, the archive's own headers and alignment
        return {
            "path": str(bundle),
            "size": opened.size,
            "parts": parts,
            "golden": len(opened.golden()),
            **manifest.to_json(),
        }


def _part(name: str) -> str:
    if name.startswith("tokenizer/"):
        return "tokenizer"
    return {"golden.jsonl": "golden", "MODEL_CARD.md": "card"}.get(name, "other")
