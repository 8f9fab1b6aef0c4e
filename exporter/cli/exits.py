"""What each way to end means to the shell: one table, and the only place where an error is printed."""

import contextlib
import os
import signal
import traceback
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from exporter import errors
from exporter.cli import console
from exporter.cli.console import ERROR, say, show_failure
from exporter.settings import SECRETS, Settings, flag, variable

if TYPE_CHECKING:
    from exporter.output.manifest import Manifest

COMPLETE = 0
TOO_MANY_REJECTS = 3

EXIT_CODES: Mapping[type[BaseException], int] = {
    errors.SettingsError: 2,
    errors.InputError: 2,
    errors.OutputError: 2,
    errors.ServiceRefusal: 4,
    errors.MachineError: 5,
    errors.ServiceUnreachable: 75,
    errors.TooManyRejects: TOO_MANY_REJECTS,
}
SIGNAL_CODES: Mapping[int, int] = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
BUG = 1
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""What the library raises for a command that it cannot read: it has no public name of its own."""


class Stopped(Exception):  # noqa: N818 - no error: somebody asked for it
    """A signal ended the run."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def exit_code(app: typer.Typer) -> int:
    """Run the command line and say how it ended; an error is one line on standard error, never a traceback."""
    try:
        # Or the library would print usage errors by itself, in three lines.
        code = app(standalone_mode=False, prog_name="exporter")
    except SystemExit as ended:  # how the library ends a shell's request for completions
        return ended.code if isinstance(ended.code, int) else COMPLETE
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is told, and ends with one of the codes
        code = code_of(error)
        show_failure(_told(error, code), code)
        return code
    return code if isinstance(code, int) else COMPLETE


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C unwind a command. Before and after it there is nothing to unwind: there it ends the process at once."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def stop_at_once(number: int, _frame: FrameType | None = None) -> NoReturn:
    """End by a signal where nothing is to be drained, with the JSON object if it was not shown before."""
    show_failure(_stopped_by(number), SIGNAL_CODES[number])
    os._exit(SIGNAL_CODES[number])


def _stopped_by(number: int) -> str:
    return f"stopped by {signal.Signals(number).name}"


def code_of(error: BaseException) -> int:
    """Return the exit code that an error ends the process with."""
    if isinstance(error, Stopped):
        return SIGNAL_CODES[error.number]
    if isinstance(error, KeyboardInterrupt):
        return SIGNAL_CODES[signal.SIGINT]
    if isinstance(error, _UsageError):
        return EXIT_CODES[errors.SettingsError]
    return EXIT_CODES.get(errors.MachineError if isinstance(error, MemoryError) else type(error), BUG)


def _told(error: BaseException, code: int) -> str:
    """Say what went wrong, and return it: a sentence, or for a bug of ours its traceback. A stop was told already."""
    if isinstance(error, Stopped | KeyboardInterrupt):
        return _stopped_by(next(number for number, ends in SIGNAL_CODES.items() if ends == code))
    if isinstance(error, MemoryError):
        sentence = "there is not enough memory. Lower --in-flight or --shard-rows, and run the same command again."
        error = errors.MachineError(sentence)
    if isinstance(error, _UsageError):
        words = _usage(error)
        if "\n" in words:  # nothing was given: the help says it all
            say(words)
            return words
        error = errors.SettingsError(words)
    if isinstance(error, errors.ExporterError):
        say(str(error), ERROR, exit_code=code)
        return str(error)
    say("".join(traceback.format_exception(error)), console.BUG)
    bug = "This is a bug in exporter: please report it with the lines above. _SUCCESS tells whether OUT is complete."
    say(bug, console.BUG, exit_code=code)
    return bug


def _usage(error: Any) -> str:
    """Say in one line what the library cannot read, and where to look; or the help, where it has no more to say."""
    name = getattr(error, "option_name", None)
    if secret := next((secret for secret in SECRETS if flag(secret) == name), None):
        return (
            f"{name} is no flag, for others on this machine can read flags: set {variable(secret)} in the environment."
        )
    words: str = error.format_message()
    if "\n" in words:
        return words
    command = error.ctx.command_path if error.ctx else "exporter"
    return f"{words}{'' if words.endswith(('.', '?')) else '.'} `{command} --help` lists what there is."


def judge(manifest: "Manifest", settings: Settings) -> int:
    """Tell how a complete export ends: whether so many failures are allowed."""
    from exporter.app import excess

    return TOO_MANY_REJECTS if excess(manifest.failures, manifest.input, settings) else COMPLETE
