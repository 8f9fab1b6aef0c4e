"""What each way to end means to the shell: one table, and the only place where an error is printed."""

import signal
import traceback
from collections.abc import Mapping

import typer

from exporter import errors
from exporter.cli.console import say

COMPLETE = 0
TOO_MANY_REJECTS = 3

EXIT_CODES: Mapping[type[errors.ExporterError], int] = {
    errors.SettingsError: 2,
    errors.InputError: 2,
    errors.OutputError: 2,
    errors.ServiceRefusal: 4,
    errors.MachineError: 5,
    errors.ServiceUnreachable: 75,
}
SIGNAL_CODES: Mapping[int, int] = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
BUG = 1


class Stopped(Exception):  # noqa: N818 - no error: somebody asked for it
    """A signal ended the run."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def exit_code(app: typer.Typer) -> int:
    """Run the command line and say how it ended; an error is one line on standard error, never a traceback."""
    try:
        app()
    except SystemExit as ended:  # what the library ends with: a command's own code, or 2 for wrong usage
        return ended.code if isinstance(ended.code, int) else COMPLETE
    except Stopped as stopped:
        return SIGNAL_CODES[stopped.number]
    except KeyboardInterrupt:
        return SIGNAL_CODES[signal.SIGINT]
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is told, and ends with one of the codes
        return _told(error)
    return COMPLETE


def _told(error: BaseException) -> int:
    """Say what went wrong: a sentence, or for a bug of ours its traceback."""
    if isinstance(error, MemoryError):
        error = errors.MachineError(
            "there is not enough memory. Lower --in-flight or --shard-rows, and run the same command again."
        )
    if isinstance(error, errors.ExporterError):
        say(f"Error: {error}")
        return EXIT_CODES.get(type(error), BUG)
    say("".join(traceback.format_exception(error)))
    say("This is a bug in exporter: please report it with the lines above. _SUCCESS tells whether OUT is complete.")
    return BUG
