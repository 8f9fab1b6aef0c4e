"""Standard input as it flows by: it can be read only once, so its fingerprint is taken on the way."""

import hashlib
from collections.abc import Mapping
from typing import BinaryIO

from exporter.source.files import FINGERPRINT_BYTES


class Tally:
    """A stream that remembers what a fingerprint needs: its size, its first and its last 64 KiB."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._bytes = 0
        self._head = b""
        self._tail = b""

    def read1(self, size: int = -1) -> bytes:
        """Read what has arrived, waiting only while there is nothing."""
        read1 = getattr(self._stream, "read1", self._stream.read)
        data: bytes = read1(size)
        self._bytes += len(data)
        self._head += data[: FINGERPRINT_BYTES - len(self._head)]
        self._tail = (self._tail + data)[-FINGERPRINT_BYTES:]
        return data

    read = read1

    def drain(self) -> None:
        """Read to the end."""
        while self.read1(FINGERPRINT_BYTES):
            pass

    def fingerprint(self) -> Mapping[str, object]:
        """Say what was read, in the form of a file's fingerprint."""
        head, tail = (hashlib.sha256(part).hexdigest() for part in (self._head, self._tail))
        return {"bytes": self._bytes, "head": head, "tail": tail}
