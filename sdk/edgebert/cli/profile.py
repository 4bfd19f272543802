"""`edgebert profile`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgebert.cli.base import Command, clean_stdout, print_json
from edgebert.cli.options import PATH, given, option

if TYPE_CHECKING:
    from edgebert_runtime.profile import Profile


@click.command("profile", cls=Command, short_help="Measure how fast a bundle is and how much memory it takes.")
@click.argument("bundle", type=PATH)
@option("--threads", click.IntRange(min=1), "N", "Threads of the engine. Default: 1.")
@option("--json", PATH, "FILE", "Write the numbers to a JSON file; - is stdout.")
def command(bundle: Path, threads: int | None, json: Path | None) -> None:
    """Measure cold load, the time of each stage (tokenize, infer, decode) and peak memory, one text at a time.

    \b
    Example:
      edgebert profile trec6.edgebert --json trec6.profile.json
    """
    import edgebert
    from edgebert.console import note

    to_stdout = json is not None and str(json) == "-"
    with clean_stdout():
        measured = edgebert.profile(bundle, **given({"threads": threads, "json": None if to_stdout else json}))
    if to_stdout:
        print_json(measured.to_json())
        return
    # With --json the numbers are in the file, and stdout stays empty for scripts.
    (click.echo if json is None else note)(_describe(measured))
    if json is not None:
        note(f"\nwritten to {json}")


def _describe(measured: Profile) -> str:
    from edgebert.console import table
    from edgebert.sizes import show_size

    bundle, texts = measured.bundle, measured.texts
    rows = [
        ("bundle", f"{bundle['name']} ({bundle['student']}, {bundle['format']}, {bundle['precision']})"),
        ("size", show_size(bundle["size_bytes"])),
        ("machine", f"{measured.machine['processor']}, {measured.threads} thread(s)"),
        ("texts", f"{texts['count']} test vectors, {texts['mean_length']:.1f} long on average"),
        ("cold load", f"{measured.cold_load_ms:.1f} ms"),
        ("first prediction", f"{measured.first_prediction_ms:.2f} ms"),
        ("texts a second", f"{measured.sentences_per_second:.0f}"),
        ("peak memory", f"{measured.peak_rss_mib:.0f} MiB ({measured.base_rss_mib:.0f} MiB before the bundle)"),
    ]
    times = [
        (name, *(f"{value:.3f}" for value in (stage.p50, stage.p90, stage.p99, stage.mean)))
        for name, stage in measured.stages.items()
    ]
    return f"{table(rows)}\n\n{table(times, ('stage, ms', 'p50', 'p90', 'p99', 'mean'))}"
