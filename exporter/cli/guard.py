"""What holds before any command begins: memory is not dumped, files are private, and every way out is redacted.

Each way on which Python writes by itself is taken over: uncaught exceptions of any thread, exceptions nobody can catch,
warnings and log records. The event loop's own handler writes log records, so it needs no hook here. Redaction sits where
a record is made: filters would have to be put on every handler, and miss those that a library adds later.
"""

import contextlib
import ctypes
import logging
import os
import resource
import sys
import threading
import traceback
import warnings
from types import TracebackType
from typing import Any, TextIO

from exporter.cli.console import BUG, ERROR, WARNING, say
from exporter.redaction import hide, redacted
from exporter.settings import SECRETS, variable

PR_SET_DUMPABLE = 4  # linux/prctl.h

_ExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


def keep_secrets() -> None:
    """Close what would let a secret out past `say` and `show`. For the whole process, before anything else."""
    _dump_nothing()
    os.umask(0o077)  # also for files that a library makes: they hold ids, and so personal data
    os.environ.pop("SSLKEYLOGFILE", None)  # our client ignores it; whatever else speaks TLS in this process shall too
    # Known before the settings are read, so that a mistake in these cannot repeat them.
    for name in SECRETS:
        hide(os.environ.get(variable(name), "").strip())
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable
    warnings.showwarning = _warned
    logging.setLogRecordFactory(RedactedRecord)
    logging.lastResort = Said(logging.WARNING)


def _dump_nothing() -> None:
    """No core file, and none for a program that collects them: such a one is not bound by the limit.

    It also keeps other processes of the same user from the memory and the environment of this one. Signals, locks and
    root's tools work as before; a debugger has to be root's, or has to start the process itself.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(AttributeError, OSError):  # a system without prctl has the limit alone
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


class RedactedRecord(logging.LogRecord):
    """A log record that holds no secret: message and arguments are joined at once, a traceback is text at once."""

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
        self.msg, self.args = redacted(_message(self)), ()
        if self.exc_info:
            self.exc_text, self.exc_info = redacted(_traceback(self.exc_info).rstrip()), None
        if self.stack_info:
            self.stack_info = redacted(self.stack_info)


class Said(logging.Handler):
    """Says what a library logs where nobody set up logging, as everything else is said: also as JSON."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it: what is less than an error is a warning."""
        say(self.format(record), ERROR if record.levelno >= logging.ERROR else WARNING)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - a record whose arguments do not fit: what logging would print, it prints unredacted
        return f"{record.msg!s} {record.args!r}"


def _traceback(info: _ExcInfo) -> str:
    return "".join(traceback.format_exception(*info))


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    say(_traceback((kind, error, trace)).rstrip(), BUG)


def _uncaught_in_thread(failed: threading.ExceptHookArgs) -> None:
    name = failed.thread.name if failed.thread else "unknown"
    say(f"Exception in thread {name}:\n{_traceback(failed[:3])}".rstrip(), BUG)


def _unraisable(failed: "sys.UnraisableHookArgs") -> None:
    what = f"{failed.err_msg or 'Exception ignored in'}: {failed.object!r}\n"
    say(f"{what}{_traceback((failed.exc_type, failed.exc_value, failed.exc_traceback))}".rstrip(), BUG)


def _warned(  # noqa: PLR0913, PLR0917 - the shape that the library calls
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001 - a warning is for the person who runs the command
    line: str | None = None,
) -> None:
    say(warnings.formatwarning(message, category, filename, lineno, line).rstrip(), WARNING)
