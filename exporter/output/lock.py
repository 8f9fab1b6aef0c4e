"""One writer: a lock on a permanent file, which is never deleted, because a second holder could slip in.

The lock dies with its holder, also by kill -9. It is one machine's: two hosts on one network folder are not kept apart.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from exporter.errors import MachineError, OutputError
from exporter.output.files import FILE_MODE, on_disk, same_file

PATIENCE_S = 0.5  # a look at the lock by `status` is over by then; so is the end of a run that was just stopped
TICK_S = 0.02


@dataclass(frozen=True, slots=True)
class Lock:
    """The held lock of an output folder."""

    path: Path
    descriptor: int

    def check(self) -> None:
        """Raise MachineError when the file was removed or replaced: then another run may hold a lock too."""
        if not same_file(self.descriptor, self.path):
            raise MachineError(f"{self.path} was removed during this run. Never delete it; run the same command again.")


@contextlib.contextmanager
def only_writer(path: Path) -> Iterator[Lock]:
    """Hold the lock. Raises MachineError when another process keeps it for half a second, naming its pid."""
    with on_disk(path):
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    ours = os.getpid()
    try:
        with on_disk(path):
            _take(descriptor, path)
        yield Lock(path, descriptor)
    finally:
        with on_disk(path):
            if os.getpid() == ours:  # a process that was forked meanwhile has the lock too, until its holder lets go
                with contextlib.suppress(OSError):
                    fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)


def holder(path: Path) -> str | None:
    """Return the pid of the process that holds a lock, None when nobody does. Raises MachineError."""
    with on_disk(path):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            return None if _locked(descriptor, fcntl.LOCK_SH) else _written(descriptor)
        finally:
            os.close(descriptor)


def _take(descriptor: int, path: Path) -> None:
    until = time.monotonic() + PATIENCE_S
    while not _locked(descriptor, fcntl.LOCK_EX):
        if time.monotonic() >= until:
            raise MachineError(
                f"{path.parent}: another run (pid {_written(descriptor)}) is writing here."
                " Wait for it, or stop it and run again."
            )
        time.sleep(TICK_S)
    if not same_file(descriptor, path):
        raise OutputError(f"{path} was replaced while this run started. Never delete it; run the command again.")
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _written(descriptor: int) -> str:
    return os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
