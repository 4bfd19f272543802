"""`python -m edgebert`: the same as the console script `edgebert`."""

from __future__ import annotations

from edgebert.cli import main

if __name__ == "__main__":
    main()
