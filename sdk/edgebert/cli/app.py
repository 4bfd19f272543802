"""`edgebert`: finding the command, and turning whatever goes wrong into one sentence and an exit status.

Exit status: 0 done, 1 an error, 2 wrong usage, 130 interrupted. Nothing heavy is imported here.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

import click

from edgebert import __version__
from edgebert.cli.base import Command, State, debug_option
from edgebert_runtime.errors import EdgeBertError, resolve

# A command is one line here and one file in this folder, in the order of a day's work.
COMMANDS: dict[str, str] = {
    name: f"edgebert.cli.{name}:command"
    for name in (
        "quickstart",
        "finetune",
        "distill",
        "export",
        "cascade",
        "sign",
        "inspect",
        "predict",
        "evaluate",
        "profile",
        "formats",
        "doctor",
    )
}

_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))


class Edgebert(click.Group):
    """Loads a command's file when it is named, and handles the errors of all of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = resolve(COMMANDS[cmd_name])
        assert isinstance(command, Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            raise click.UsageError(
                f"no such command {name!r}.{_closest(name, COMMANDS)} Known: {', '.join(COMMANDS)}.", ctx
            )
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        state = State()
        extra.update(standalone_mode=False, obj=state, prog_name="edgebert")
        try:
            status = super().main(*args, **extra)
            sys.stdout.flush()  # a full disk or a closed pipe must show here, not while Python shuts down
        except BaseException as error:
            status = self._report(error, state)
        sys.exit(status if isinstance(status, int) else 0)

    def _report(self, error: BaseException, state: State) -> int:
        """Say what went wrong in one line and return the exit status."""
        if isinstance(error, SystemExit):  # click's own answer to a closed pipe
            return error.code if isinstance(error.code, int) else 1
        if isinstance(error, click.Abort) and error.__cause__ is not None:
            error = error.__cause__  # click wraps Ctrl-C, and an end of file that nobody expected
        if state.debug:
            import traceback

            traceback.print_exception(error)
        if isinstance(error, KeyboardInterrupt | click.Abort):
            again = "; run the same command again to resume" if state.resumable else ""
            return _say(f"interrupted{again}", 130)
        if isinstance(error, click.exceptions.NoArgsIsHelpError):
            click.echo(error.format_message(), err=True)
            return 2
        if isinstance(error, click.ClickException):
            return _say(f"error: {_usage_sentence(error)}", error.exit_code)
        if isinstance(error, EdgeBertError):
            return _say(f"error: {error}", error.exit_code)
        if isinstance(error, BrokenPipeError):
            # Who reads our output (`| head`) has had enough: no message, and nothing more to flush at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        if isinstance(error, OSError) and error.errno is not None:
            return _say(f"error: {_os_sentence(error)}", 1)
        if isinstance(error, MemoryError):
            return _say("error: out of memory. Try a smaller --batch-size, a shorter --max-length or less data.", 1)
        missing = _missing_package(error)
        if missing:
            return _say(f"error: {missing}", 1)
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return _say(f"error: unexpected ({text}). Run again with --debug for the traceback.", 1)


def _say(message: str, status: int) -> int:
    """Print one line to stderr, whatever the message holds, and pass the status on."""
    line = " ".join(message.split())
    line = "".join(char if char.isprintable() else "?" for char in line)
    try:
        clear = "\r\x1b[K" if sys.stderr.isatty() else ""  # a progress bar may stand there
        click.echo(f"{clear}{line}", err=True)
    except (OSError, ValueError):
        pass  # nobody listens any more
    return status


def _closest(name: str, known: Iterable[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def _usage_sentence(error: click.ClickException) -> str:
    """Click's message in our manner: one line, the closest option, and where to read on."""
    context = getattr(error, "ctx", None)
    if isinstance(error, click.NoSuchOption):
        options = [name for param in context.command.get_params(context) for name in param.opts] if context else []
        message = f"no such option {error.option_name!r}.{_closest(error.option_name, options)}"
    else:
        message = error.format_message()
        message = message[:1].lower() + message[1:] + ("" if message.endswith((".", "?")) else ".")
    return f"{message} See: {context.command_path} --help" if context else message


def _os_sentence(error: OSError) -> str:
    where = f" {error.filename}" if error.filename else ""
    reason = os.strerror(error.errno or 0)
    if error.errno in _FULL:
        return f"cannot write{where}: {reason}. Free some space and run the same command again."
    if error.errno == errno.ENOENT and where:
        return f"there is no file or folder{where}."
    return f"cannot use{where or ' a file'}: {reason}."


def _missing_package(error: BaseException) -> str | None:
    """The install command, where the error is a package of ours that is not installed."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    from edgebert.extras import extra_of, install_command

    module = error.name.split(".")[0]
    extra = extra_of(module)
    if extra is None:
        return None
    return (
        f"this needs the Python package {module!r}, which is not installed. Install it with: {install_command(extra)}"
    )


@click.group(cls=Edgebert, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="edgebert", message="%(prog)s %(version)s")
@debug_option
def cli() -> None:
    """Distil a BERT into a model that answers on a phone.

    \b
    The whole way, on your own data:
      edgebert finetune --model minilm --data data/trec6 --out runs/teacher
      edgebert distill --teacher runs/teacher --student ngram --data data/trec6 --out runs/ngram
      edgebert export runs/ngram --target android --out trec6.edgebert
      edgebert predict trec6.edgebert "How far is the moon?"

    `edgebert quickstart` shows it in ten minutes on a dataset that comes with the package.
    """


def main() -> None:
    """The console script."""
    cli()
