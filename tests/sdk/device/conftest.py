"""A real adb server of the tests' own, and phones played by this computer for it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

# pytest's importlib mode puts no folder of tests on the path
sys.path += [str(Path(__file__).parent), *(str(Path(__file__).parents[2] / "runtime" / name) for name in ("", "core"))]

from scripted_phone import ScriptedPhone

MakePhone = Callable[..., ScriptedPhone]


@pytest.fixture(scope="session")
def adb_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Environment of an adb server with its own port and keys: nobody's server is touched, no phone is found by it."""
    if shutil.which("adb") is None:
        pytest.skip("adb is not installed (Debian: adb)")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"ANDROID_ADB_SERVER_PORT": str(port), "HOME": str(tmp_path_factory.mktemp("adb"))}
    # No emulators, and (where adb knows the second one) no USB.
    settings |= {"ADB_LOCAL_TRANSPORT_MAX_PORT": "0", "ADB_USB": "0", "ADB_MDNS": "0"}
    adb(settings, "start-server")
    yield settings
    adb(settings, "kill-server")


def adb(settings: dict[str, str], *words: str) -> str:
    done = subprocess.run(["adb", *words], env={**os.environ, **settings}, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


@pytest.fixture
def no_phone(adb_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The tests' adb, with nothing connected; call it to run adb itself."""
    for name, value in adb_settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    if adb(adb_settings, "devices").split("attached")[1].strip():
        pytest.skip("a real phone is connected to this computer, and these tests must not touch it: unplug it")
    return lambda *words: adb(adb_settings, *words)


@pytest.fixture
def make_phone(no_phone: Callable[..., str], tmp_path: Path) -> Iterator[MakePhone]:
    """Connect a phone: `make_phone("unauthorized")`. All are disconnected at the end."""
    made: list[ScriptedPhone] = []

    def make(state: str = "device", **options: Any) -> ScriptedPhone:
        root = tmp_path / f"phone{len(made)}"
        root.mkdir()
        made.append(ScriptedPhone(root, state, **options))
        said = no_phone("connect", made[-1].serial)
        assert "connected to" in said or "failed to" in said, said
        return made[-1]

    yield make
    for phone in made:
        no_phone("disconnect", phone.serial)
        phone.stop()


@pytest.fixture
def phone(make_phone: MakePhone) -> ScriptedPhone:
    """A phone that is ready, with the app on it."""
    made = make_phone()
    made.set_app(100, "0.1.0")
    return made


@pytest.fixture
def run() -> Callable[..., Result]:
    """Call the command line in this process."""
    from edgebert.cli import cli

    return lambda *words, **options: CliRunner().invoke(cli, [str(word) for word in words], **options)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A native bundle: an n-gram student for the core."""
    import runtime_graphs

    return runtime_graphs.write_native(tmp_path_factory.mktemp("native"))
