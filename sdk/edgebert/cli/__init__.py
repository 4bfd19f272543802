"""The command line: one file per command, each a thin wrapper of the public function of the same name."""

from edgebert.cli.app import cli, main

__all__ = ["cli", "main"]
