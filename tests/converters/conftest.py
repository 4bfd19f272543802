"""Conversions are slow (and importing the exporters slower), so each one is made once a session and shared."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from converter_models import MODELS
from tagging_models import DECODERS, TAGGING_MODELS

from edgebert_converters.base import Artifact, ExportableModel, Precision, converter
from edgebert_runtime import decode


class Convert:
    """convert(model name, format, precision, *modules kept in float): the artifact, made at the first call.

    Attributes:
        printed: what reached stdout and stderr during each conversion, by the arguments.
        logged: what each conversion logged.
    """

    def __init__(self, models: dict[str, ExportableModel], factory: pytest.TempPathFactory) -> None:
        self._models, self._factory = models, factory
        self._made: dict[tuple[str, ...], Artifact] = {}
        self.printed: dict[tuple[str, ...], str] = {}
        self.logged: dict[tuple[str, ...], str] = {}

    def __call__(self, name: str, format: str, precision: str, *keep: str) -> Artifact:
        key = (name, format, str(precision), *keep)
        if key not in self._made:
            folder = self._factory.mktemp("-".join(key[:3]))
            with printed() as output, logged() as log:
                self._made[key] = converter(format).convert(
                    self._models[name], Precision(precision), folder, frozenset(keep)
                )
            self.printed[key], self.logged[key] = output.getvalue(), log.getvalue()
        return self._made[key]


@contextlib.contextmanager
def printed() -> Iterator[io.StringIO]:
    """Everything that is written to descriptors 1 and 2 in the block; filled when it ends."""
    text = io.StringIO()
    saved = [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile("w+") as file:
        try:
            for number in (1, 2):
                os.dup2(file.fileno(), number)
            yield text
        finally:
            for number, copy in zip((1, 2), saved, strict=True):
                os.dup2(copy, number)
                os.close(copy)
            file.seek(0)
            text.write(file.read())


@contextlib.contextmanager
def logged() -> Iterator[io.StringIO]:
    """What our converters log in the block."""
    text = io.StringIO()
    handler, logger = logging.StreamHandler(text), logging.getLogger("edgebert_converters")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield text
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


@pytest.fixture(scope="session")
def models() -> dict[str, ExportableModel]:
    """The test models by name."""
    return {name: make() for name, make in (MODELS | TAGGING_MODELS).items()}


@pytest.fixture(scope="session")
def convert(models: dict[str, ExportableModel], tmp_path_factory: pytest.TempPathFactory) -> Convert:
    """See `Convert`."""
    return Convert(models, tmp_path_factory)


@pytest.fixture(autouse=True)
def decoders(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tasks of the test models are known."""
    for task, place in DECODERS.items():
        monkeypatch.setitem(decode.DECODERS, task, place)
