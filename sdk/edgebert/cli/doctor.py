"""`edgebert doctor`."""

from __future__ import annotations

import click

from edgebert.cli.base import Command


@click.command("doctor", cls=Command, short_help="What is installed here, what is missing, and how to get it.")
def command() -> None:
    """Show the versions of everything EdgeBERT uses, what is missing, and the command that installs it.

    \b
    Example:
      edgebert doctor
    """
    import edgebert
    from edgebert.console import table
    from edgebert.sizes import show_size

    found = edgebert.doctor()
    machine = [
        ("edgebert", found.edgebert),
        ("Python", found.python),
        ("system", found.system),
        ("processor", found.cpu),
        ("features", " ".join(found.cpu_features) or "none that matter here"),
        ("threads", str(found.threads)),
        ("memory", show_size(found.memory) if found.memory else "unknown"),
        ("offline model minilm", "present" if found.offline_model else "missing"),
    ]
    click.echo(table(machine))
    rows = [
        (extra.name or "(base)", package.name, package.specifier or "any", package.installed or "missing",
         "yes" if package.fits else "no")
        for extra in found.extras
        for package in extra.packages
    ]  # fmt: skip
    if rows:
        click.echo("\n" + table(rows, ("extra", "package", "needs", "installed", "fits")))
    click.echo()
    for line in found.advice:
        click.echo(line)
    if not found.advice:
        click.echo("Nothing is missing.")
