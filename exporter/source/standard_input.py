"""Standard input, which can be read only once: copied to a spool as fast as it comes, and read from there.

Whoever sends it is not kept waiting for hours, and a run that was stopped goes on without asking for it again.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping
from typing import BinaryIO, Protocol

from exporter.errors import ExporterError
from exporter.source.files import FINGERPRINT_BYTES, readable

NAME = "standard input"


class Spool(Protocol):
    """Where the bytes are kept: one thread adds, another reads."""

    def add(self, data: bytes) -> None:
        """Add bytes."""

    def sync(self) -> None:
        """Make all that was added durable."""

    def read(self, place: int, size: int) -> bytes:
        """Read at most so many bytes from a place on."""


class StandardInput:
    """A stream that remembers what a fingerprint needs: its size, its first and its last 64 KiB.

    Either `drain` it, or `spool_to` a spool and read it as a file; or `replay` a spool that holds all of it.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._spool: Spool | None = None
        self._place = self._bytes = 0
        self._head = self._tail = b""
        self._known: Mapping[str, object] | None = None
        self._ended = False
        self._error: Exception | None = None
        self._copying: threading.Thread | None = None
        self._news = threading.Condition()

    def drain(self) -> None:
        """Read to the end, and keep nothing but the fingerprint. Raises InputError."""
        while self._next():
            pass

    def spool_to(self, spool: Spool, on_end: Callable[[Mapping[str, object]], None]) -> None:
        """Copy all of it to a spool, in a thread; `on_end` is told the fingerprint once the spool is durable.

        What fails on the way is raised by whoever reads; what fails in `on_end`, by `settle`.
        """
        self._spool = spool
        # A read from a pipe cannot be interrupted: it must not keep a process from ending.
        self._copying = threading.Thread(target=self._copy, args=(spool, on_end), name="spool", daemon=True)
        self._copying.start()

    def settle(self) -> None:
        """Wait until `on_end` is through, once all was read. Raises MachineError."""
        if self._copying:
            self._copying.join()
        if self._error:
            raise self._error

    def replay(self, spool: Spool, fingerprint: Mapping[str, object]) -> None:
        """Read what a spool holds, in place of the stream."""
        self._spool, self._known, self._ended = spool, fingerprint, True
        self._bytes = int(str(fingerprint["bytes"]))

    def read1(self, size: int = FINGERPRINT_BYTES) -> bytes:
        """Read what has arrived, waiting only while there is nothing. Raises InputError, MachineError."""
        if self._spool is None:
            return self._next()
        with self._news:
            self._news.wait_for(lambda: self._place < self._bytes or self._ended)
            left = self._bytes - self._place
        if not left and self._error:
            raise self._error
        data = self._spool.read(self._place, min(size, left)) if left else b""
        self._place += len(data)
        return data

    read = read1

    @property
    def is_empty(self) -> bool:
        """Whether nothing came."""
        return not self._bytes

    def fingerprint(self) -> Mapping[str, object]:
        """Say what was read, in the form of a file's fingerprint."""
        head, tail = (hashlib.sha256(part).hexdigest() for part in (self._head, self._tail))
        return self._known or {"bytes": self._bytes, "head": head, "tail": tail}

    def _next(self) -> bytes:
        read1 = getattr(self._stream, "read1", self._stream.read)
        with readable(NAME):
            data: bytes = read1(FINGERPRINT_BYTES)
        self._head += data[: FINGERPRINT_BYTES - len(self._head)]
        self._tail = (self._tail + data)[-FINGERPRINT_BYTES:]
        self._bytes += 0 if self._spool else len(data)
        return data

    def _copy(self, spool: Spool, on_end: Callable[[Mapping[str, object]], None]) -> None:
        try:
            while data := self._next():
                spool.add(data)
                self._tell(len(data))
            spool.sync()
            self._end()
            on_end(self.fingerprint())
        except (
            ExporterError,
            RuntimeError,
            ValueError,
            OSError,
        ) as error:  # the others: closed while the run was ending
            self._error = error
        finally:
            self._end()

    def _end(self) -> None:
        self._ended = True
        self._tell(0)

    def _tell(self, arrived: int) -> None:
        with self._news:
            self._bytes += arrived
            self._news.notify_all()
