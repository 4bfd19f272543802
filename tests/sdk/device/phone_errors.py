"""How a failed command must look."""

from __future__ import annotations

from click.testing import Result


def sentence(result: Result, status: int = 1) -> str:
    """The one line of the error, behind the notes; nothing is on stdout."""
    assert result.exit_code == status and result.stdout == "", result.output
    line = result.stderr.splitlines()[-1]
    assert line.startswith("error: ") and "unexpected" not in line and result.stderr.count("error: ") == 1, line
    return line
