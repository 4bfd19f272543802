"""`edgebert profile`: how fast a bundle is, here or on a phone, and how much memory it takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgebert_runtime.errors import UsageError

if TYPE_CHECKING:
    from edgebert.device.bench import ShellProfile
    from edgebert_runtime.profile import Profile


def profile(
    bundle: str | Path,
    *,
    threads: int = 1,
    device: str | bool = False,
    device_shell: str | bool = False,
    apk: str | Path | None = None,
    json: str | Path | None = None,
) -> Profile | ShellProfile:
    """Measure cold load, the stages tokenize, infer and decode (p50, p90, p99), and peak memory.

    Args:
        device: measure on a phone behind adb, in the demo app: the phone's serial, or True for the only one there is.
        device_shell: the same with the bare core and no app, for native bundles: returns a ShellProfile.
        apk: the app to install where the phone has none; None is the one built in the checkout.
        json: a file to write the numbers to.
    Raises:
        UsageError: options that do not go together.
        BundleError: the bundle cannot be used.
        EdgeBertError: the file cannot be written; the phone, the app or adb failed.
    """
    import json as json_module

    from edgebert_runtime.files import atomic_write

    _check_options(threads, device, device_shell, apk)
    measured = _measure(Path(bundle), threads, device, device_shell, None if apk is None else Path(apk))
    if json is not None:
        with atomic_write(json) as handle:
            handle.write((json_module.dumps(measured.to_json(), indent=2) + "\n").encode())
    return measured


def _check_options(threads: int, device: str | bool, device_shell: str | bool, apk: str | Path | None) -> None:
    if device and device_shell:
        raise UsageError("give --device or --device-shell, not both.")
    if apk is not None and not device:
        raise UsageError("--apk goes with --device.")
    if device_shell and threads != 1:
        raise UsageError("--device-shell measures one thread: leave out --threads.")


def _measure(
    bundle: Path, threads: int, device: str | bool, device_shell: str | bool, apk: Path | None
) -> Profile | ShellProfile:
    from edgebert_runtime.bundle import open_bundle
    from edgebert_runtime.engines import check_threads
    from edgebert_runtime.profile import profile as measure

    if not (device or device_shell):
        return measure(bundle, threads=threads)

    from edgebert.device.adb import connect
    from edgebert.device.app import profile_by_app
    from edgebert.device.bench import profile_by_bench

    check_threads(threads)
    open_bundle(bundle).close()  # a bad bundle is told before a phone is looked for
    chosen = device or device_shell
    phone = connect(chosen if isinstance(chosen, str) else None)
    return profile_by_app(bundle, phone, threads, apk) if device else profile_by_bench(bundle, phone)
