"""`edgebert profile --device`: the real adb drives the app's part on a scripted phone; each failure is a sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from phone_errors import sentence
from scripted_phone import ScriptedPhone

import edgebert
from edgebert.device import app as app_module
from edgebert.device.adb import Phone
from edgebert.device.result import PhoneProfile, read_result
from edgebert_runtime.errors import BundleError, EdgeBertError
from edgebert_runtime.profile import STAGES, profile

Run = Callable[..., Result]
MakePhone = Callable[..., ScriptedPhone]


@pytest.fixture(scope="module")
def answer(bundle: Path) -> dict[str, Any]:
    """A real profile, of this computer, with the field that only a phone has."""
    value = profile(bundle, runs=20).to_json()
    value["device"] = {"thermal": {"before": 0, "during": 1, "after": None}, "throttled": False, "p95": {"total": 1.5}}
    return json.loads(json.dumps(value))


@pytest.fixture
def answers(phone: ScriptedPhone, answer: dict[str, Any]) -> Callable[..., None]:
    """Make the app write this: bytes, or the good answer with other fields."""

    def install(content: bytes | None = None, **changes: Any) -> None:
        made = json.dumps({**answer, **changes}).encode() if content is None else content
        (phone.root / "answer").write_bytes(made)
        phone.app = 'cp "$ROOT/answer" "$FILES/$result"'

    install()
    return install


def rows_of(text: str) -> dict[str, str]:
    return {name: rest.strip() for name, _, rest in (line.partition("  ") for line in text.splitlines())}


# ---- what goes well


@pytest.mark.parametrize("features", ["shell_v2,cmd,stat_v2", "cmd"])
def test_the_whole_way(run: Run, bundle: Path, make_phone: MakePhone, tmp_path: Path, features: str) -> None:
    """From a phone without the app to the table: nothing in between is canned. Once with the old shell protocol."""
    phone = make_phone(features=features)
    apk = tmp_path / "demo.apk"
    apk.write_bytes(bytes(range(256)) * 3000)
    result = run("profile", bundle, "--device", "--apk", apk, "--threads", 2)
    assert result.exit_code == 0, result.stderr
    assert (phone.root / "installed.apk").read_bytes() == apk.read_bytes()
    rows = rows_of(result.stdout)
    assert rows["phone"] == "Scripted Phone (emulated: these are a computer's times, not a phone's)"
    assert "Scripted" not in rows["machine"] and rows["machine"].endswith("threads: 2")
    assert rows["bundle"].startswith("tiny-native") and {*STAGES, "cold load", "peak memory"} <= rows.keys()
    assert "installing" in result.stderr and "measuring" in result.stderr
    assert phone.left() == []


def test_json(run: Run, bundle: Path, phone: ScriptedPhone, answers: Any, answer: Any, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    result = run("profile", bundle, "--device", phone.serial, "--json", path)
    assert result.exit_code == 0 and result.stdout == "", result.stderr
    value = json.loads(path.read_text())
    assert value.pop("machine") == answer["machine"] | {"phone": "Scripted Phone", "emulated": True}
    assert value == {name: field for name, field in answer.items() if name != "machine"}
    assert json.loads(run("profile", bundle, "--device", "--json", "-").stdout)["device"]["thermal"]["during"] == 1


def test_a_phone_that_was_hot(run: Run, bundle: Path, answers: Callable[..., None]) -> None:
    assert "throttled" not in run("profile", bundle, "--device").stdout
    answers(device={"throttled": True})
    assert rows_of(run("profile", bundle, "--device").stdout)["throttled"].startswith("yes: ")


def test_from_python(bundle: Path, phone: ScriptedPhone, answers: Any, answer: Any) -> None:
    for device in (True, phone.serial):
        measured = edgebert.profile(bundle, device=device, threads=3)
        assert isinstance(measured, PhoneProfile)
        assert measured.stages["total"].p50 == answer["stages"]["total"]["p50"]
    starts = [service for service in phone.log if "am start" in service]
    assert len(starts) == 3 and all("com.edgebert.demo.THREADS 3" in start for start in starts[1:])
    names = {re.search(r"RESULT (profile-[0-9a-f]{12}\.json)", start)[1] for start in starts[1:]}  # type: ignore[index]
    assert len(names) == 2


def test_the_folder_is_made_by_the_app_once(run: Run, bundle: Path, phone: ScriptedPhone, answers: Any) -> None:
    phone.files.mkdir(parents=True)
    assert run("profile", bundle, "--device").exit_code == 0
    assert sum("am start" in service for service in phone.log) == 1


def test_an_app_that_ends_when_it_is_done_has_not_crashed(
    run: Run, bundle: Path, phone: ScriptedPhone, answers: Any
) -> None:
    phone.app += '; rm "$ROOT/pid"'
    assert run("profile", bundle, "--device").exit_code == 0


# ---- the app


def test_no_app_and_nothing_to_install(
    run: Run, bundle: Path, make_phone: MakePhone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_phone()
    line = sentence(run("profile", bundle, "--device", "--apk", tmp_path / "no.apk"))
    assert "no.apk" in line and "make -C android-demo apk" in line
    monkeypatch.setattr(app_module, "APK", tmp_path / "built.apk")
    assert "built.apk" in sentence(run("profile", bundle, "--device"))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Failure [INSTALL_FAILED_OLDER_SDK: Requires newer sdk version #26]", "needs Android 8"),
        ("Failure [INSTALL_FAILED_USER_RESTRICTED: Install canceled by user]", "refused to install the app. Allow it"),
        ("Failure [INSTALL_FAILED_INVALID_APK: Failed parse]", "INSTALL_FAILED_INVALID_APK"),
        ("Success\n", "is not the EdgeBERT app"),
    ],
)
def test_an_installation_that_fails(
    run: Run, bundle: Path, make_phone: MakePhone, tmp_path: Path, said: str, expected: str
) -> None:
    phone = make_phone()
    phone.install_answer, phone.installs = said, None
    (tmp_path / "demo.apk").write_bytes(b"no app")
    assert expected in sentence(run("profile", bundle, "--device", "--apk", tmp_path / "demo.apk"))


def test_no_space_for_the_app(run: Run, bundle: Path, make_phone: MakePhone, tmp_path: Path) -> None:
    make_phone().full = True
    (tmp_path / "demo.apk").write_bytes(b"an app" * 1000)
    line = sentence(run("profile", bundle, "--device", "--apk", tmp_path / "demo.apk"))
    assert "has not enough free space" in line


@pytest.mark.parametrize("installed", [True, False])
def test_an_app_too_old(run: Run, bundle: Path, make_phone: MakePhone, tmp_path: Path, installed: bool) -> None:
    phone = make_phone()
    phone.installs = (99, "0.0.99")
    if installed:
        phone.set_app(99, "0.0.99")
    (tmp_path / "demo.apk").write_bytes(b"an old app")
    line = sentence(run("profile", bundle, "--device", "--apk", tmp_path / "demo.apk"))
    assert "is version 0.0.99, and this needs 0.1.0 or newer" in line
    assert f"adb -s {phone.serial} uninstall com.edgebert.demo" in line
    assert (phone.root / "installed.apk").exists() != installed


def test_an_app_that_does_not_start(run: Run, bundle: Path, phone: ScriptedPhone) -> None:
    phone.set_start_answer("Starting: Intent\nError: Activity not started, unknown error code 102")
    assert "could not be started" in (line := sentence(run("profile", bundle, "--device")))
    assert "unknown error code 102" in line


def test_an_app_that_makes_no_folder(
    run: Run, bundle: Path, phone: ScriptedPhone, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone.first_start = ":"
    monkeypatch.setattr(app_module, "FOLDER_SECONDS", 0.1)
    assert "did not make its folder" in sentence(run("profile", bundle, "--device"))


# ---- the run


def test_no_space_for_the_bundle(run: Run, bundle: Path, phone: ScriptedPhone) -> None:
    phone.full = True
    line = sentence(run("profile", bundle, "--device"))
    assert line.endswith("has not enough free space. Free some there, and run the same command again.")


def test_the_app_crashes(run: Run, bundle: Path, phone: ScriptedPhone) -> None:
    phone.app = 'rm "$ROOT/pid"'
    line = sentence(run("profile", bundle, "--device"))
    assert "ended before it had a result" in line and "logcat -d -s EdgeBERT AndroidRuntime DEBUG` shows why" in line
    assert phone.left() == []


def test_the_app_takes_too_long(run: Run, bundle: Path, phone: ScriptedPhone, monkeypatch: pytest.MonkeyPatch) -> None:
    phone.app = ":"
    monkeypatch.setattr(app_module, "RESULT_SECONDS", 1)
    assert "had no result after 1 seconds" in sentence(run("profile", bundle, "--device"))
    assert phone.left() == [] and not (phone.root / "pid").exists()  # it was stopped


@pytest.mark.parametrize("moment", ["dumpsys", "am start", "sync:", "pidof"])
def test_the_phone_vanishes(run: Run, bundle: Path, phone: ScriptedPhone, answers: Any, moment: str) -> None:
    phone.lost_at = moment
    result = run("profile", bundle, "--device")
    assert re.search("was lost|offline", sentence(result))


def test_a_phone_that_vanishes_afterwards(run: Run, bundle: Path, phone: ScriptedPhone, answers: Any) -> None:
    phone.lost_at = "rm -f"
    assert run("profile", bundle, "--device").exit_code == 0


def test_ctrl_c_cleans_up(run: Run, bundle: Path, phone: ScriptedPhone, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*unused: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app_module, "_wait", interrupt)
    phone.app = ":"
    assert run("profile", bundle, "--device").exit_code == 130
    assert phone.left() == [] and not (phone.root / "pid").exists()


# ---- the result


def test_a_damaged_result(run: Run, bundle: Path, phone: ScriptedPhone, answers: Callable[..., None]) -> None:
    answers(b'{"schema": 1, ')
    assert "is damaged: it is not valid JSON" in sentence(run("profile", bundle, "--device"))
    assert phone.left() == []


PHONE = Phone("adb", "A1", "Model")
FACTS = {"phone": "Model", "emulated": False}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"5", b"\xff\xfe", b'{"schema": 1}', b"[" * 100000, b'{"schema": NaN}']
)
def test_what_is_no_profile(content: bytes) -> None:
    with pytest.raises(EdgeBertError, match=r"^the result of the EdgeBERT app on Model \(A1\) is damaged: "):
        read_result(content, PHONE, FACTS)


@pytest.mark.parametrize(
    "changes",
    [
        {"stages": {}},
        {"stages": {name: {"p50": 1, "p90": 1, "p99": 1} for name in STAGES}},
        {"bundle": {"name": "a"}},
        {"texts": {"count": "3", "mean_length": 2}},
        {"machine": None},
        {"device": []},
        {"cold_load_ms": True},
        {"runs": 1.5},
        {"peak_rss_mib": -1},
        {"threads": 10**400},
        {"created": 5},
        {"schema": "1"},
    ],
)
def test_a_wrong_field(answer: dict[str, Any], changes: dict[str, Any]) -> None:
    assert read_result(json.dumps(answer).encode(), PHONE, FACTS).runs == 20
    with pytest.raises(EdgeBertError, match=r"is damaged: .*(missing or wrong|missing or no object)"):
        read_result(json.dumps({**answer, **changes}).encode(), PHONE, FACTS)


def test_a_result_of_another_version(answer: dict[str, Any]) -> None:
    with pytest.raises(EdgeBertError, match="writes profiles of version 2, and this EdgeBERT reads version 1"):
        read_result(json.dumps({**answer, "schema": 2}).encode(), PHONE, FACTS)


@pytest.mark.parametrize(
    ("kind", "expected"), [("BundleError", BundleError), ("choose", EdgeBertError), (5, EdgeBertError)]
)
def test_an_error_of_the_app(kind: object, expected: type[Exception]) -> None:
    content = json.dumps({"schema": 1, "error": "no engine for it", "kind": kind}).encode()
    with pytest.raises(EdgeBertError, match=r"the EdgeBERT app on Model \(A1\) says: no engine for it") as raised:
        read_result(content, PHONE, FACTS)
    assert type(raised.value) is expected


def test_an_error_of_the_app_on_the_way(run: Run, bundle: Path, phone: ScriptedPhone) -> None:
    """The app's own check of what arrived: here its part is Python's, and the bundle is spoiled on the phone."""
    phone.app = 'printf x >> "$FILES/$bundle"\n' + phone.app
    line = sentence(run("profile", bundle, "--device"))
    assert "says: " in line and ".edgebert" in line
