"""A profile by the demo app: install it if it is missing, push the bundle, start, wait, pull the result.

The app answers an intent's extras by writing a JSON file into its own folder, which adb may read: the profile of a
workstation with what a phone has to add, or {"error": "one sentence", "kind": "BundleError"}.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import tempfile
import time
from pathlib import Path

from edgebert.console import note
from edgebert.device import CHECKOUT
from edgebert.device.adb import Phone
from edgebert.device.result import PhoneProfile, read_result
from edgebert.sizes import show_size
from edgebert_runtime.errors import EdgeBertError

PACKAGE = "com.edgebert.demo"
ACTIVITY = f"{PACKAGE}/.MainActivity"
FOLDER = f"/sdcard/Android/data/{PACKAGE}/files"
APK = CHECKOUT / "android-demo" / "build" / "edgebert-demo.apk"
# The first version that understands the extras below, as its versionCode: 10000 * major + 100 * minor + patch.
NEEDED, NEEDED_NAME = 100, "0.1.0"
FOLDER_SECONDS, RESULT_SECONDS, POLL_SECONDS = 20.0, 600.0, 0.5


def profile_by_app(bundle: Path, phone: Phone, threads: int, apk: Path | None) -> PhoneProfile:
    """Measure a bundle in the app. What was pushed is deleted again, whatever happens.

    Args:
        apk: the app to install if the phone has none; None is the one built in the checkout.
    Raises:
        EdgeBertError: one sentence; the app's own errors as the class that it names.
    """
    facts = phone.facts()
    _ensure_app(phone, apk)
    _ensure_folder(phone)
    run = f"profile-{secrets.token_hex(6)}"
    name, result = f"{run}.edgebert", f"{run}.json"
    try:
        note(f"pushing {show_size(bundle.stat().st_size)} to {phone}")
        phone.push(bundle, f"{FOLDER}/{name}")
        note("measuring; leave the phone alone")
        _start(phone, f"--es {PACKAGE}.PROFILE {name} --es {PACKAGE}.RESULT {result} --ei {PACKAGE}.THREADS {threads}")
        _wait(phone, f"{FOLDER}/{result}")
        content = _pull(phone, f"{FOLDER}/{result}")
    except BaseException:
        with contextlib.suppress(EdgeBertError):
            phone.shell(f"am force-stop {PACKAGE}")
        raise
    finally:
        with contextlib.suppress(EdgeBertError):
            phone.shell(f"rm -f {FOLDER}/{name} {FOLDER}/{result}")
    return read_result(content, phone, facts)


def _ensure_app(phone: Phone, apk: Path | None) -> None:
    found = _installed(phone)
    if found is None:
        apk = apk or APK
        if not apk.is_file():
            raise EdgeBertError(
                f"the EdgeBERT app is not on {phone}, and there is no {apk} to install. "
                "Build it with `make -C android-demo apk` in a checkout of EdgeBERT, or name one with --apk FILE."
            )
        note(f"installing {apk} on {phone}")
        phone.install(apk)
        found = _installed(phone)
        if found is None:
            raise EdgeBertError(f"{apk} is not the EdgeBERT app: {phone} has no {PACKAGE} after installing it.")
    code, name = found
    if code < NEEDED:
        raise EdgeBertError(
            f"the EdgeBERT app on {phone} is version {name}, and this needs {NEEDED_NAME} or newer. Remove it with "
            f"`adb -s {phone.serial} uninstall {PACKAGE}`, and run the same command again: it installs a new one."
        )


def _installed(phone: Phone) -> tuple[int, str] | None:
    """The app's version code and name, or None where there is no app."""
    said = phone.shell(f"dumpsys package {PACKAGE}").out
    code, name = re.search(r"\bversionCode=(\d+)", said), re.search(r"\bversionName=(\S+)", said)
    return (int(code[1]), name[1] if name else code[1]) if code else None


def _ensure_folder(phone: Phone) -> None:
    """The app makes its folder when it first starts; made by adb, it would belong to another user."""
    if phone.shell(f"ls -d {FOLDER}").status == 0:
        return
    _start(phone, "")
    end = time.monotonic() + FOLDER_SECONDS
    while phone.shell(f"ls -d {FOLDER}").status != 0:
        if time.monotonic() > end:
            raise EdgeBertError(
                f"the EdgeBERT app on {phone} did not make its folder {FOLDER}. Unlock the phone, open the app once, "
                "and run the same command again."
            )
        time.sleep(POLL_SECONDS)


def _start(phone: Phone, extras: str) -> None:
    answer = phone.shell(f"am start -W -S -n {ACTIVITY} {extras}".strip())
    said = answer.out + answer.err
    wrong = re.search(r"^\s*(?:Error|Exception|java\.lang).*", said, re.MULTILINE)
    if wrong or answer.status:
        reason = wrong[0].strip() if wrong else f"exit status {answer.status}"
        raise EdgeBertError(f"the EdgeBERT app could not be started on {phone}: {reason[:300]}")


def _wait(phone: Phone, path: str) -> None:
    """Until the result is there. The app renames it into place, so what is there is whole."""
    end = time.monotonic() + RESULT_SECONDS
    while True:
        # In this order: an app that wrote its result and ended is no crash.
        lives = phone.shell(f"pidof {PACKAGE}").status == 0
        if phone.shell(f"ls {path}").status == 0:
            return
        if not lives:
            raise EdgeBertError(
                f"the EdgeBERT app on {phone} ended before it had a result. "
                f"`adb -s {phone.serial} logcat -d -s EdgeBERT AndroidRuntime DEBUG` shows why."
            )
        if time.monotonic() > end:
            raise EdgeBertError(
                f"the EdgeBERT app on {phone} had no result after {RESULT_SECONDS:g} seconds. Unlock the phone, "
                "keep its screen on, and run the same command again."
            )
        time.sleep(POLL_SECONDS)


def _pull(phone: Phone, path: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="edgebert-profile-") as folder:
        here = Path(folder) / "profile.json"
        phone.pull(path, here)
        return here.read_bytes()
