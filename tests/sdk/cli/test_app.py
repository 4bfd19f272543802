"""Finding commands, and what a person sees when something goes wrong."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result

import edgebert
from edgebert.cli.app import COMMANDS
from edgebert_runtime.errors import DataError, resolve

Run = Callable[..., Result]
ROOT = Path(__file__).parents[3]


def program(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The real program, in its own process."""
    command = [sys.executable, "-m", "edgebert", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from edgebert.cli import main\n"
        "sys.argv = ['edgebert', '--help']\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'transformers', 'numpy', 'onnxruntime', 'tokenizers', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(run: Run, name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert "Example" in result.stdout and f"edgebert {name}" in result.stdout
    command = resolve(COMMANDS[name])
    assert isinstance(command, click.Command)
    assert command.short_help and len(command.short_help) < 80
    for option in command.params:
        assert not isinstance(option, click.Option) or option.help, option.name


def test_version_is_the_one_of_the_distribution(run: Run) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert run("--version").stdout == f"edgebert {project['version']}\n"


def test_unknown_command(run: Run) -> None:
    result = run("exprot")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "no such command 'exprot'" in result.stderr and "Did you mean 'export'?" in result.stderr
    assert result.stderr.count("\n") == 1


def test_unknown_option(run: Run) -> None:
    result = run("predict", "x.edgebert", "--fiel", "a.txt")
    assert result.exit_code == 2
    assert "'--fiel'" in result.stderr and "Did you mean '--file'" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["inspect", "predict", "evaluate", "export", "finetune", "profile"])
def test_missing_argument(run: Run, name: str) -> None:
    result = run(name)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: missing ") and result.stderr.count("\n") == 1


def test_nothing_shows_the_help(run: Run) -> None:
    result = run()
    assert result.exit_code == 2
    assert "quickstart" in result.stderr and result.stdout == ""


def test_python_dash_m_and_exit_status(tmp_path: Path) -> None:
    done = program("inspect", tmp_path / "no.edgebert")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ") and "no.edgebert" in done.stderr and done.stderr.count("\n") == 1


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Make `edgebert doctor` fail with a given exception: the handler is the same for each command."""

    def install(error: BaseException) -> None:
        def doctor() -> None:
            raise error

        monkeypatch.setattr(edgebert, "doctor", doctor)

    return install


def test_our_errors_are_one_line(run: Run, breaking: Callable[[BaseException], None]) -> None:
    breaking(DataError("a.csv:3: the text\nis \x1b[31mred. Paint it."))
    result = run("doctor")
    assert result.exit_code == 1
    assert result.stderr == "error: a.csv:3: the text is ?[31mred. Paint it.\n"


def test_unexpected_errors_name_the_way_to_the_traceback(run: Run, breaking: Callable[[BaseException], None]) -> None:
    breaking(ZeroDivisionError("by zero"))
    result = run("doctor")
    assert result.exit_code == 1
    wanted = "error: unexpected (ZeroDivisionError: by zero). Run again with --debug for the traceback.\n"
    assert result.stderr == wanted


@pytest.mark.parametrize("arguments", [("--debug", "doctor"), ("doctor", "--debug")])
def test_debug_shows_the_traceback(
    run: Run, breaking: Callable[[BaseException], None], arguments: tuple[str, ...]
) -> None:
    breaking(ZeroDivisionError("by zero"))
    result = run(*arguments)
    assert result.exit_code == 1
    assert "Traceback (most recent call last)" in result.stderr and "in doctor" in result.stderr


def test_an_end_of_file_nobody_expected_is_no_interruption(run: Run, breaking: Callable[[BaseException], None]) -> None:
    breaking(EOFError("half a file"))
    result = run("doctor")
    assert result.exit_code == 1
    assert "unexpected (EOFError: half a file)" in result.stderr


@pytest.mark.parametrize("number", [28, 27])  # ENOSPC, EFBIG
def test_a_full_disk_is_one_sentence(run: Run, breaking: Callable[[BaseException], None], number: int) -> None:
    breaking(OSError(number, os.strerror(number), "runs/x"))
    result = run("doctor")
    assert result.exit_code == 1
    assert result.stderr == (
        f"error: cannot write runs/x: {os.strerror(number)}. Free some space and run the same command again.\n"
    )


def test_a_missing_package_names_its_extra(run: Run, breaking: Callable[[BaseException], None]) -> None:
    breaking(ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn"))
    result = run("doctor")
    assert result.exit_code == 1
    assert 'pip install "edgebert[train]"' in result.stderr and "'torch'" in result.stderr


def without(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The program on an installation that lacks `module`."""
    script = f"import sys; sys.modules[{module!r}] = None; from edgebert.cli import main; main()"
    return subprocess.run([sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True)


def test_base_install_inspects_and_names_the_engine_it_lacks(bundle: Path) -> None:
    assert without("onnxruntime", "inspect", bundle).returncode == 0
    done = without("onnxruntime", "predict", bundle, "great")
    assert done.returncode == 1 and done.stdout == ""
    assert 'pip install "edgebert[onnx]"' in done.stderr and done.stderr.count("\n") == 1


def test_training_without_torch_names_its_extra(tmp_path: Path) -> None:
    data = tmp_path / "train.csv"
    data.write_text("text,label\n" + "".join(f"text {i},{'ab'[i % 2]}\n" for i in range(40)))
    done = without("torch", "finetune", "--model", "minilm", "--train", data, "--out", tmp_path / "out")
    assert done.returncode == 1 and done.stdout == ""
    assert 'pip install "edgebert[train]"' in done.stderr.splitlines()[-1]


def test_evaluating_a_run_without_torch_names_its_extra(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    done = without("torch", "evaluate", tmp_path, "--data", tmp_path / "x.csv")
    assert done.returncode == 1
    assert 'pip install "edgebert[train]"' in done.stderr and done.stderr.count("\n") == 1


def test_memory(run: Run, breaking: Callable[[BaseException], None]) -> None:
    breaking(MemoryError())
    assert run("doctor").stderr.startswith("error: out of memory.")


def test_interrupted(run: Run, breaking: Callable[[BaseException], None], monkeypatch: pytest.MonkeyPatch) -> None:
    breaking(KeyboardInterrupt())
    result = run("doctor")
    assert result.exit_code == 130
    assert result.stderr.strip() == "interrupted"

    def quickstart(**options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(edgebert, "quickstart", quickstart, raising=False)
    result = run("quickstart")
    assert result.exit_code == 130
    assert result.stderr.strip() == "interrupted; run the same command again to resume"


def test_interrupted_by_a_real_signal(bundle: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "edgebert", "predict", str(bundle)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell's background job ignores SIGINT, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdin and process.stdout and process.stderr
    process.stdin.write(b"great\n" * 32)  # one batch: its answers show that the program is at work
    process.stdin.flush()
    assert process.stdout.readline().startswith(b"good")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.decode().strip() == "interrupted"


def test_a_closed_pipe_is_quiet(bundle: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("great film\n" * 20000)
    command = f"'{sys.executable}' -m edgebert predict '{bundle}' --file '{texts}' | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("good\t")
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_stdout(bundle: Path) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "edgebert", "predict", str(bundle), "great"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot write: No space left on device.")
    assert "Traceback" not in done.stderr and done.stderr.count("\n") == 1


def test_public_functions_are_functions_whatever_is_imported() -> None:
    script = (
        "import types, edgebert\n"
        "import edgebert.data, edgebert.evaluation.metrics, edgebert.quickstart, edgebert.console\n"
        "from edgebert.evaluation import accuracy\n"
        "for name in ('inspect', 'predict', 'evaluate', 'profile', 'formats', 'doctor', 'quickstart', 'finetune'):\n"
        "    assert isinstance(getattr(edgebert, name), types.FunctionType), name\n"
        "assert isinstance(edgebert.EdgeModel, type)\n"
        "assert 'torch' not in __import__('sys').modules\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_import_is_light() -> None:
    script = "import sys, edgebert; assert not {'numpy', 'click', 'torch', 'edgebert_runtime.model'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_unknown_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'destill'"):
        edgebert.destill  # noqa: B018
    assert set(edgebert.__all__) <= set(dir(edgebert))


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("predict", "inspect")])
def test_flags_are_the_arguments_of_the_function(name: str) -> None:
    command = resolve(COMMANDS[name])
    assert isinstance(command, click.Command)
    flags = {param.name for param in command.params if param.name not in ("as_json", "debug", "help")}
    arguments = set(inspect.signature(getattr(edgebert, name)).parameters)
    assert flags <= arguments, flags - arguments


@pytest.mark.parametrize("name", ["finetune", "distill", "export", "quickstart"])
def test_the_defaults_that_help_names_are_those_of_the_function(name: str) -> None:
    command = resolve(COMMANDS[name])
    assert isinstance(command, click.Command)
    signature = inspect.signature(getattr(edgebert, name)).parameters
    for param in command.params:
        if isinstance(param, click.Option) and param.help and " Default: " in param.help:
            said = param.help.rpartition(" Default: ")[2].removesuffix(".")
            default = signature[str(param.name)].default
            assert default is None or said == str(default), param.name


def test_json_of_numbers_that_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    from edgebert.cli.base import print_json

    print_json({"a": float("nan"), "b": [1, float("inf")], "c": "é"})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [1, None], "c": "é"}


def test_libraries_cannot_write_to_stdout() -> None:
    script = (
        "import os, ctypes\n"
        "from edgebert.cli.base import clean_stdout\n"
        "with clean_stdout():\n"
        "    print('python'); os.write(1, b'descriptor\\n'); ctypes.CDLL(None).puts(b'c library')\n"
        "print('result')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "result\n"
    assert sorted(done.stderr.split("\n")) == ["", "c library", "descriptor", "python"]
