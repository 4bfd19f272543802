"""`edgebert profile`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgebert.cli.base import Command, clean_stdout, print_json
from edgebert.cli.options import PATH, given, option

if TYPE_CHECKING:
    from edgebert.device.bench import ShellProfile
    from edgebert_runtime.profile import Profile

_ONLY_PHONE = ""  # an option without its serial


@click.command("profile", cls=Command, short_help="Measure how fast a bundle is and how much memory it takes.")
@click.argument("bundle", type=PATH)
@option("--threads", click.IntRange(min=1), "N", "Threads of the engine. Default: 1.")
@click.option(
    "--device",
    is_flag=False,
    flag_value=_ONLY_PHONE,
    metavar="[SERIAL]",
    help="Measure on a phone, by adb and the demo app. Put it behind BUNDLE; the serial is needed with several phones.",
)
@click.option(
    "--device-shell",
    is_flag=False,
    flag_value=_ONLY_PHONE,
    metavar="[SERIAL]",
    help="Measure a native bundle's model on a phone, by adb alone: no app is needed.",
)
@option("--apk", PATH, "FILE", "App to install if the phone has none. Default: the one that `make apk` built.")
@option("--json", PATH, "FILE", "Write the numbers to a JSON file; - is stdout.")
def command(
    bundle: Path,
    threads: int | None,
    device: str | None,
    device_shell: str | None,
    apk: Path | None,
    json: Path | None,
) -> None:
    """Measure cold load, the time of each stage (tokenize, infer, decode) and peak memory, one text at a time.

    \b
    Examples:
      edgebert profile trec6.edgebert --json trec6.profile.json
      edgebert profile trec6.edgebert --device
      edgebert profile trec6.edgebert --device-shell 1A2B3C4D
    """
    import edgebert
    from edgebert.console import note

    to_stdout = json is not None and str(json) == "-"
    options = {
        "threads": threads,
        "device": True if device == _ONLY_PHONE else device,
        "device_shell": True if device_shell == _ONLY_PHONE else device_shell,
        "apk": apk,
        "json": None if to_stdout else json,
    }
    with clean_stdout():
        measured = edgebert.profile(bundle, **given(options))
    if to_stdout:
        print_json(measured.to_json())
        return
    # With --json the numbers are in the file, and stdout stays empty for scripts.
    (click.echo if json is None else note)(_describe(measured))
    if json is not None:
        note(f"\nwritten to {json}")


def _describe(measured: Profile | ShellProfile) -> str:
    from edgebert.console import table
    from edgebert.device.bench import ShellProfile
    from edgebert.sizes import show_size

    bundle = measured.bundle
    rows = [
        ("bundle", f"{bundle['name']} ({bundle['student']}, {bundle['format']}, {bundle['precision']})"),
        ("size", show_size(bundle["size_bytes"])),
        *_describe_machine(measured),
    ]
    if isinstance(measured, ShellProfile):
        rows += [
            ("texts", f"{measured.texts} test vectors, read {measured.rounds} times"),
            ("texts a second", f"{measured.sentences_per_second:.0f}"),
        ]
        times = [("total", *(f"{value:.2f}" for value in (measured.p50_us, measured.p90_us, measured.p99_us)))]
        return f"{table(rows)}\n\n{table(times, ('stage, us', 'p50', 'p90', 'p99'))}"
    rows += [
        ("texts", f"{measured.texts['count']:.0f} test vectors, {measured.texts['mean_length']:.1f} long on average"),
        ("cold load", f"{measured.cold_load_ms:.1f} ms"),
        ("first prediction", f"{measured.first_prediction_ms:.2f} ms"),
        ("texts a second", f"{measured.sentences_per_second:.0f}"),
        ("peak memory", f"{measured.peak_rss_mib:.0f} MiB ({measured.base_rss_mib:.0f} MiB before the bundle)"),
    ]
    stages = [
        (name, *(f"{value:.4f}" for value in (stage.p50, stage.p90, stage.p99, stage.mean)))
        for name, stage in measured.stages.items()
    ]
    return f"{table(rows)}\n\n{table(stages, ('stage, ms', 'p50', 'p90', 'p99', 'mean'))}"


def _describe_machine(measured: Profile | ShellProfile) -> list[tuple[str, str]]:
    from edgebert.device.bench import ShellProfile

    machine = measured.machine
    used = f"{measured.kernels} kernels" if isinstance(measured, ShellProfile) else f"threads: {measured.threads}"
    rows = [("machine", f"{machine.get('processor', machine.get('architecture', 'unknown'))}, {used}")]
    if "phone" in machine:
        android = machine.get("system") == "Android" and machine.get("release")
        release = f", Android {machine['release']}" if android else ""
        emulated = " (emulated: these are a computer's times, not a phone's)" if machine["emulated"] else ""
        rows.insert(0, ("phone", f"{machine['phone']}{release}{emulated}"))
    device = getattr(measured, "device", {})
    if device.get("throttled"):
        rows.append(("throttled", "yes: the phone slowed itself down meanwhile; let it cool and measure again"))
    return rows
