"""Which cells a file of tests is about, and tiny runs for each task and student, made once by the real commands."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cells import BUNDLES, Cell, cells, daily, students, swapped
from proving import Workshop


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests with an argument `cell` are asked of the cells of their module's `STUDENT`; with `swapped_cell`, of few."""
    asked = cells if metafunc.config.getoption("--write-proved") else daily
    for name, known in (("cell", asked), ("swapped_cell", swapped)):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, known(metafunc.module.STUDENT), ids=str)


@pytest.fixture(scope="session")
def workshop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Workshop:
    """Where the runs and the bundles are made, each when it is first asked for."""
    folder = tmp_path_factory.mktemp("matrix")
    asked = cells if request.config.getoption("--write-proved") else daily
    known = {f"{cell}.edgebert" for student in students() for cell in asked(student)}
    for path in BUNDLES.glob("*.edgebert"):
        if path.name not in known:
            path.unlink(missing_ok=True)  # made on another day; another process may be faster
    os.environ["EDGEBERT_CACHE"] = str(folder / "cache")
    return Workshop(folder, tiny_encoder)


@pytest.fixture(scope="module")
def proved() -> dict[Cell, bool]:
    """The cells of this file that ran, and whether each passed."""
    return {}
