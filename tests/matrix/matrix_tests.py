"""What is asked of each student's cells. A file a student, because `make test` gives files to processes."""

from __future__ import annotations

import pytest
from cells import Cell, cells, read_list, write_list
from proving import Workshop


def test_cell(workshop: Workshop, proved: dict[Cell, bool], cell: Cell) -> None:
    """Trained, exported, replayed, evaluated and measured."""
    proved[cell] = False
    workshop.prove(cell)
    proved[cell] = True


def test_swapped_columns_are_found(workshop: Workshop, swapped_cell: Cell) -> None:
    workshop.swap(swapped_cell)


def test_the_list_holds_what_was_proved(request: pytest.FixtureRequest, proved: dict[Cell, bool]) -> None:
    """All that passed in this session, and nothing that this code does not know."""
    student = request.module.STUDENT
    passed = [cell for cell in cells(student) if proved.get(cell)]
    if request.config.getoption("--write-proved") and set(proved) == set(cells(student)):
        write_list(student, passed)
    listed = {cell for cell in read_list() if cell.student == student}
    assert set(passed) <= listed <= set(cells(student)), "run make matrix and commit sdk/edgebert/proved.json"
