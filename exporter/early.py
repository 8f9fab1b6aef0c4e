"""What holds before the libraries are loaded, which takes a moment: a signal ends the process with its promised exit code.

And with the one JSON object, where that was asked for. Whoever stops a job in its first second is told no less than later.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WITH_SETTINGS = frozenset({"run", "plan", "check", "config", "retry"})
"""The commands that settings are for."""
WITH_JSON = WITH_SETTINGS | {"status", "verify"}

Handler = Callable[[int, FrameType | None], None]


def wants_json(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Tell whether one JSON object is wanted on standard output, as far as flags and environment say."""
    if not {*arguments[:1]} & WITH_JSON:
        return False
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in before or environment.get("EXPORTER_JSON", "").lower() in {"1", "true", "t", "yes", "y", "on"}


def on_signals(handler: Handler) -> None:
    """Let signals be handled so from now on, but for those that whoever started us has us ignore, as nohup does."""
    # The first process of a container is not ended by a signal that it does nothing about.
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def end(number: int, _frame: FrameType | None) -> None:
    """End at once: nothing was begun. Standard output is written to past the library, which may be at it."""
    code = 128 + number
    if sys.stdout is not None and wants_json(sys.argv[1:], os.environ):
        said = f'{{"complete":false,"exit_code":{code},"error":"stopped by {signal.Signals(number).name}"}}\n'
        with contextlib.suppress(OSError):
            os.write(1, said.encode())
    os._exit(code)
