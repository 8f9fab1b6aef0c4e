"""The spool: standard input as it came, kept beside the shards, so that a run can go on without whoever sent it."""

import os
import threading
from pathlib import Path

from exporter.output import files
from exporter.output.failpoints import reach


class Spool:
    """A file that one thread adds to while another reads it."""

    def __init__(self, path: Path, *, keep_bytes: int) -> None:
        """Open the spool with its first `keep_bytes`. Raises MachineError."""
        self._path = path
        self._appender = files.Appender(path, keep_bytes=keep_bytes)
        self._turn = threading.Lock()  # closed by one thread while the other still adds
        with files.on_disk(path):
            self._reading = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def add(self, data: bytes) -> None:
        """Add bytes. Raises MachineError."""
        with self._turn:
            self._appender.add(data)

    def sync(self) -> None:
        """Make all that was added durable. Raises MachineError."""
        self._appender.sync()
        reach("spool-synced")

    def read(self, place: int, size: int) -> bytes:
        """Read at most `size` bytes from a place on. Raises MachineError."""
        with files.on_disk(self._path):
            return os.pread(self._reading, size, place)

    def close(self) -> None:
        """Close the file."""
        with self._turn:
            self._appender.close()
            # The number may be another file's at once: whoever still reads must not get its bytes.
            descriptor, self._reading = self._reading, -1
            with files.on_disk(self._path):
                os.close(descriptor)
