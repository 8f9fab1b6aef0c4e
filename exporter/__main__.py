"""`python -m exporter`, and the command `exporter`."""

import os
import signal
from types import FrameType


def main() -> None:
    """Run the command line; always ends the process."""
    # While the libraries are loaded, Ctrl-C ends the process at once, and without a traceback.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        # The first process of a container is not ended by a signal that it does nothing about: SIGTERM would be lost
        # wherever a command does not drain.
        signal.signal(signal.SIGTERM, _end)
    from exporter.cli import main as run

    signal.signal(signal.SIGINT, before)
    run()


def _end(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)


if __name__ == "__main__":
    main()
