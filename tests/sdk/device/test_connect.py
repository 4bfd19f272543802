"""Which phone is meant, and what is said when none is ready."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from phone_errors import sentence
from scripted_phone import ScriptedPhone

from edgebert.device.adb import connect
from edgebert_runtime.errors import EdgeBertError

Run = Callable[..., Result]
MakePhone = Callable[..., ScriptedPhone]


@pytest.fixture
def stub_adb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Another adb in place of the real one, for what only USB or a broken adb gives: it runs these shell commands."""

    def install(script: str) -> Path:
        path = tmp_path / "platform-tools" / "adb"
        path.parent.mkdir()
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(path.parent))
        return path

    return install


def test_no_adb(run: Run, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("ANDROID_HOME", str(tmp_path / "sdk"))
    for option in ("--device", "--device-shell"):
        line = sentence(run("profile", bundle, option))
        assert line.startswith("error: adb is not installed.") and "apt install adb" in line


def test_adb_of_android_studio(
    stub_adb: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub_adb("echo 'List of devices attached'; echo 'A1  device model:Some_Model'")
    monkeypatch.setenv("ANDROID_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    assert str(connect()) == "Some Model (A1)"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo 'could not install *smartsocket* listener' >&2; exit 1", "could not install *smartsocket*"),
        ("exit 0", "no answer"),
    ],
)
def test_an_adb_that_does_not_work(
    run: Run, bundle: Path, stub_adb: Callable[[str], Path], script: str, expected: str
) -> None:
    stub_adb(script)
    line = sentence(run("profile", bundle, "--device"))
    assert "adb does not work here" in line and expected in line


def test_an_adb_that_cannot_be_run(run: Run, bundle: Path, stub_adb: Callable[[str], Path]) -> None:
    stub_adb("").write_bytes(b"\x7fELF no program")
    assert "cannot run" in sentence(run("profile", bundle, "--device"))


def test_no_permission_on_usb(run: Run, bundle: Path, stub_adb: Callable[[str], Path]) -> None:
    state = "no permissions (user in plugdev group; are your udev rules wrong?); see [a page] usb:1-4 transport_id:1"
    stub_adb(f"echo 'List of devices attached'; echo 'A1                     {state}'")
    line = sentence(run("profile", bundle, "--device"))
    assert "may not use A1 on USB" in line and "android-sdk-platform-tools-common" in line


@pytest.mark.parametrize("option", ["--device", "--device-shell"])
def test_no_phone(run: Run, bundle: Path, no_phone: object, option: str) -> None:
    line = sentence(run("profile", bundle, option))
    assert line.startswith("error: no phone is connected. Connect one by USB")
    line = sentence(run("profile", bundle, option, "A1"))
    assert line.startswith("error: no phone 'A1' is connected. Nor is any other. Connect one")


def test_several_phones(run: Run, bundle: Path, make_phone: MakePhone) -> None:
    one, two = make_phone(), make_phone()
    line = sentence(run("profile", bundle, "--device"))
    assert line.startswith("error: 2 phones are connected: ") and one.serial in line and two.serial in line
    assert "Give the serial of the one to use" in line
    assert connect(two.serial).serial == two.serial


def test_the_phone_of_the_environment(make_phone: MakePhone, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = make_phone(), make_phone()
    monkeypatch.setenv("ANDROID_SERIAL", one.serial)
    assert connect().serial == one.serial and connect(two.serial).serial == two.serial


def test_a_wrong_serial(run: Run, bundle: Path, phone: ScriptedPhone) -> None:
    line = sentence(run("profile", bundle, "--device", "A1"))
    assert f"no phone 'A1' is connected. Connected: {phone.serial} (Scripted Phone). Name one of these." in line


def test_a_phone_that_does_not_trust_this_computer(run: Run, bundle: Path, make_phone: MakePhone) -> None:
    phone = make_phone("unauthorized")
    line = sentence(run("profile", bundle, "--device"))
    assert f"{phone.serial} does not trust this computer yet" in line and "tap Allow" in line


def test_a_phone_that_is_offline(run: Run, bundle: Path, make_phone: MakePhone) -> None:
    phone = make_phone()
    phone.stop()
    for words in ((), (phone.serial,)):
        line = sentence(run("profile", bundle, "--device", *words))
        assert "does not answer (offline)" in line and phone.serial in line


def test_a_phone_in_recovery(run: Run, bundle: Path, make_phone: MakePhone) -> None:
    phone = make_phone("recovery")
    line = sentence(run("profile", bundle, "--device"))
    assert f"{phone.serial} (Scripted Phone) is in the state 'recovery'. Start Android on it" in line


def test_a_ready_phone_wins_over_one_that_is_not(make_phone: MakePhone) -> None:
    make_phone("unauthorized")
    ready = make_phone()
    assert connect().serial == ready.serial


def test_adb_that_hangs(phone: ScriptedPhone) -> None:
    with pytest.raises(EdgeBertError, match=r"adb did not finish `shell` on .* within 0.5 seconds. Check the cable"):
        connect().shell("sleep 3", timeout=0.5)


def test_what_a_command_answers(phone: ScriptedPhone) -> None:
    answer = connect().shell("printf out; echo err >&2; (exit 7)")
    assert (answer.status, answer.out, answer.err) == (7, "out", "err\n")


def test_what_the_phone_is(phone: ScriptedPhone) -> None:
    phone.set("ro.product.manufacturer", "Somebody")
    phone.set("ro.build.version.release", "15")
    facts = connect().facts()
    assert facts["phone"] == "Somebody Scripted Phone" and facts["release"] == "15"
    assert facts["architecture"] == facts["processor"] == "aarch64" and facts["emulated"] is True
    phone.set("ro.kernel.qemu", "")
    phone.set("ro.soc.model", "SM8650")
    assert connect().facts()["emulated"] is False and connect().facts()["processor"] == "SM8650"


def test_a_file_that_is_not_there(phone: ScriptedPhone, tmp_path: Path) -> None:
    with pytest.raises(EdgeBertError, match=r"adb could not read /data/local/tmp/no on .*No such file or directory"):
        connect().pull("/data/local/tmp/no", tmp_path / "no")
    with pytest.raises(EdgeBertError, match=r"adb could not write /data/local/tmp/a/b on .*No such file or directory"):
        connect().push(Path(__file__), "/data/local/tmp/a/b")
