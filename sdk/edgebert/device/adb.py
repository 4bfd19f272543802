"""A phone behind adb: choosing it, running commands there, pushing, pulling and installing.

What adb says is written for who knows adb: here each failure is one sentence that says what to do.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from edgebert_runtime.errors import EdgeBertError

# Seconds that adb may take. An installation may wait for a person who taps on the phone.
QUICK, TRANSFER, INSTALL = 60.0, 900.0, 300.0

_AGAIN = "and run the same command again"
_CONNECT = (
    "Connect one by USB, unlock it, turn on USB debugging (Settings, Developer options), "
    f"look for it with `adb devices`, {_AGAIN}."
)
_UNTRUSTED = "{phone} does not trust this computer yet. Unlock it, tap Allow where it asks about USB debugging, "
_SILENT = "{phone} does not answer (offline). Unplug it and plug it in again, or restart it, "
_STATES = {
    "unauthorized": _UNTRUSTED + _AGAIN + ".",
    "authorizing": _UNTRUSTED + _AGAIN + ".",
    "offline": _SILENT + _AGAIN + ".",
    "connecting": _SILENT + _AGAIN + ".",
    "no permissions": "this user may not use {phone} on USB. Install the udev rules "
    "(Debian: apt install android-sdk-platform-tools-common), plug the phone in again, " + _AGAIN + ".",
}
_LOST = "the connection to {phone} was lost. Check the cable and that the phone is on, " + _AGAIN + "."
# What adb, or the phone through it, says when something fails, and what that means.
_FAILURES = (
    (r"no space left|INSUFFICIENT_STORAGE", "{phone} has not enough free space. Free some there, " + _AGAIN + "."),
    (r"device unauthorized", _STATES["unauthorized"]),
    (r"device offline", _STATES["offline"]),
    (r"device '.*' not found|no devices/emulators found|connection reset|protocol fault|(error|failed): closed", _LOST),
    (r"INSTALL_FAILED_OLDER_SDK", "the app needs Android 8 or newer, and {phone} has an older one."),
    (
        r"INSTALL_FAILED_USER_RESTRICTED|INSTALL_FAILED_ABORTED",
        "{phone} refused to install the app. Allow it in the phone's question, or under Developer options, "
        + _AGAIN
        + ".",
    ),
)
_PROPERTIES = (
    "ro.product.manufacturer",
    "ro.product.model",
    "ro.build.version.release",
    "ro.soc.model",
    "ro.kernel.qemu",  # 1 on an emulator; newer ones set the next
    "ro.boot.qemu",
)
# Ends the output of each shell command: without it adb itself has failed, whatever its exit status.
_STATUS = "edgebert-exit-status="


@dataclass(frozen=True)
class Answer:
    """What a command on the phone printed (standard output, standard error), and its exit status."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Phone:
    """One phone that is ready. `name` is its model. Every method raises EdgeBertError in one sentence."""

    adb: str
    serial: str
    name: str

    def __str__(self) -> str:
        return f"{self.name} ({self.serial})" if self.name else self.serial

    def shell(self, command: str, timeout: float = QUICK) -> Answer:
        """Run `command` in the phone's shell. A status other than 0 is the caller's to judge."""
        done = self._run("shell", f"{command}\necho {_STATUS}$?", timeout=timeout)
        out, found, status = done.stdout.rpartition(_STATUS)
        if not found or not status.strip().isdecimal():
            self._fail("run a command", done.stderr)
        return Answer(int(status), out, done.stderr)

    def push(self, source: Path, target: str) -> None:
        """Copy a file to the phone."""
        done = self._run("push", str(source), target, timeout=TRANSFER)
        if done.returncode:
            self._fail(f"write {target}", done.stdout + done.stderr)

    def pull(self, source: str, target: Path) -> None:
        """Copy a file from the phone."""
        done = self._run("pull", source, str(target), timeout=TRANSFER)
        if done.returncode:
            self._fail(f"read {source}", done.stdout + done.stderr)

    def install(self, apk: Path) -> None:
        """Install an app."""
        done = self._run("install", str(apk), timeout=INSTALL)
        said = done.stdout + done.stderr
        if done.returncode or not re.search(r"^Success\s*$", said, re.MULTILINE):
            self._fail(f"install {apk}", said)

    def facts(self) -> dict[str, Any]:
        """What it is: system, release, architecture, processor, phone, and whether it is an emulator."""
        said = self.shell("; ".join(["uname -m", *(f"getprop {name}" for name in _PROPERTIES)])).out
        lines = [line.strip() for line in said.splitlines()] + [""] * 7
        machine, maker, model, release, soc, *emulated = lines[:7]
        return {
            "system": "Android",
            "release": release,
            "architecture": machine,
            "processor": soc or machine,
            "phone": f"{maker} {model}".strip(),
            "emulated": "1" in emulated,
        }

    def _run(self, *words: str, timeout: float) -> subprocess.CompletedProcess[str]:
        return _adb(self.adb, "-s", self.serial, *words, timeout=timeout, what=f"`{words[0]}` on {self}")

    def _fail(self, doing: str, said: str) -> NoReturn:
        for pattern, sentence in _FAILURES:
            if re.search(pattern, said, re.IGNORECASE):
                raise EdgeBertError(sentence.format(phone=self))
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        if not lines:
            raise EdgeBertError(_LOST.format(phone=self))
        telling = [line for line in lines if re.match(r"(adb: )?(error|failed)", line)] or lines[-1:]
        raise EdgeBertError(f"adb could not {doing} on {self}: {telling[0][:300]}")


def connect(serial: str | None = None) -> Phone:
    """The phone called `serial`, or that of $ANDROID_SERIAL, or the only one there is.

    Raises:
        EdgeBertError: no adb, no such phone, several of them, or one that is not ready.
    """
    adb = _find_adb()
    serial = serial or os.environ.get("ANDROID_SERIAL")
    listed = _listed(adb)
    if serial:
        chosen = [phone for phone in listed if phone.serial == serial]
        if not chosen:
            others = ", ".join(f"{phone}" for phone in listed)
            there = f"Connected: {others}. Name one of these." if listed else f"Nor is any other. {_CONNECT}"
            raise EdgeBertError(f"no phone {serial!r} is connected. {there}")
    else:
        # A phone that is ready wins over a forgotten emulator that is offline.
        chosen = [phone for phone in listed if phone.state == "device"] or listed
    if not chosen:
        raise EdgeBertError(f"no phone is connected. {_CONNECT}")
    if len(chosen) > 1:
        names = ", ".join(f"{phone}" for phone in chosen)
        raise EdgeBertError(f"{len(chosen)} phones are connected: {names}. Give the serial of the one to use.")
    phone = chosen[0]
    if phone.state != "device":
        known = _STATES.get(phone.state)
        other = f"{phone} is in the state {phone.state!r}. Start Android on it, {_AGAIN}."
        raise EdgeBertError(known.format(phone=phone) if known else other)
    return Phone(adb, phone.serial, phone.name)


@dataclass(frozen=True)
class _Listed:
    """A line of `adb devices -l`."""

    serial: str
    state: str
    name: str

    def __str__(self) -> str:
        return f"{self.serial} ({self.name})" if self.name else self.serial


def _listed(adb: str) -> list[_Listed]:
    done = _adb(adb, "devices", "-l", timeout=QUICK, what="`devices`")
    head, found, lines = done.stdout.partition("List of devices attached")
    if done.returncode or not found:
        said = (done.stderr or head).strip().splitlines()
        raise EdgeBertError(f"adb does not work here: {said[-1][:300] if said else 'no answer'}")
    phones = []
    for line in lines.splitlines():
        match = re.match(r"(\S+)\s+(no permissions|\S+)", line)
        if match:
            model = re.search(r"\bmodel:(\S+)", line)
            phones.append(_Listed(match[1], match[2], model[1].replace("_", " ") if model else ""))
    return phones


def _find_adb() -> str:
    home = os.environ.get("ANDROID_HOME", "")
    found = shutil.which("adb") or (shutil.which("adb", path=f"{home}/platform-tools") if home else None)
    if found is None:
        raise EdgeBertError(
            "adb is not installed. Install it (Debian: apt install adb; macOS: brew install android-platform-tools; "
            f"or Android Studio's platform-tools, with ANDROID_HOME set), {_AGAIN}."
        )
    return found


def _adb(adb: str, *words: str, timeout: float, what: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [adb, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise EdgeBertError(
            f"adb did not finish {what} within {timeout:g} seconds. "
            f"Check the cable and that the phone is on and unlocked, {_AGAIN}."
        ) from None
    except OSError as error:
        raise EdgeBertError(f"cannot run {adb}: {error.strerror or error}") from error
