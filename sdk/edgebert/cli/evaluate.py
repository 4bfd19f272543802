"""`edgebert evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from edgebert.cli.base import Command, clean_stdout, print_json
from edgebert.cli.options import PATH, column_options, given, option, threshold_option


@click.command("evaluate", cls=Command, short_help="Score a run or a bundle on labelled text.")
@click.argument("model", type=PATH, metavar="RUN|BUNDLE")
@click.option("--data", required=True, metavar="FILE|DIR", help="Labelled text; of a folder the test split, else dev.")
@option("--teacher", PATH, "DIR", "Compare with this teacher on the same rows.")
@threshold_option
@column_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool, **options: Any) -> None:
    """Print the task's metrics and, with --teacher, what the student keeps of its teacher.

    \b
    Examples:
      edgebert evaluate trec6.edgebert --data data/trec6
      edgebert evaluate trec6.edgebert --data data/trec6/test.tsv --teacher runs/teacher --json
    """
    import edgebert
    from edgebert.console import note

    with clean_stdout():
        found = edgebert.evaluate(**given(options))
    note(f"evaluated on {found['data']['file']}: {found['n']} text{'s' * (found['n'] != 1)}")
    if as_json:
        print_json(found)
    else:
        click.echo(_describe(found))


def _describe(found: Mapping[str, Any]) -> str:
    from edgebert.console import table

    metrics = [name for name, value in found.items() if isinstance(value, float) and name not in _COMPARISONS]
    teacher = found.get("teacher")
    if teacher is None:
        return table([("n", found["n"]), *((name, f"{found[name]:.4f}") for name in metrics)])
    rows = [(name, f"{found[name]:.4f}", _number(teacher.get(name))) for name in metrics]
    kept = [(name.replace("_", " "), _number(found[name])) for name in _COMPARISONS if name in found]
    parts = [table(rows, ("metric", "model", "teacher")), table(kept)]
    if flips := found.get("flips"):
        parts.append(
            f"Of {flips['n']} answers {flips['changed']} differ: {flips['lost']} were right and are wrong now, "
            f"{flips['gained']} the reverse (McNemar p = {flips['p_value']:.3g})."
        )
    return "\n\n".join(parts)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


_COMPARISONS = ("retention", "label_loyalty", "probability_loyalty", "score_loyalty")
