"""A tiny teacher, made once a session by `finetune` itself, and a soft-label store of the session's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MINI = {"name": "mobilebert-mini", "hidden": 32, "bottleneck": 16, "embedding": 16, "feedforward": 32}
MINI |= {"heads": 2, "layers": 2}
NGRAM = {"name": "ngram", "min_count": 1, "hidden": 16}


@pytest.fixture(scope="session", autouse=True)
def soft_label_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """No test reads or writes the store in the home folder, nor do the processes that tests start."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["EDGEBERT_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_teacher(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path, tiny_data: Path) -> Path:
    """A run folder of a teacher that has learned `tiny_data`."""
    pytest.importorskip("torch")
    import edgebert

    out = tmp_path_factory.mktemp("teacher") / "run"
    return edgebert.finetune(
        tiny_encoder, out, data=tiny_data, epochs=8, learning_rate=3e-3, max_length=32, precision="fp32", batch_size=20
    )


@pytest.fixture(scope="session")
def write_recipe() -> Callable[..., Path]:
    """Write a recipe file: `write_recipe(folder, teacher=..., student=...)`; the run goes to `folder/run`."""

    def write(folder: Path, **values: Any) -> Path:
        import yaml

        path = folder / "recipe.yaml"
        values = {"out": folder / "run", **values}
        plain = {key: str(value) if isinstance(value, Path) else value for key, value in values.items()}
        path.write_text(yaml.safe_dump(plain), encoding="utf-8")
        return path

    return write
