"""The journal: what a run has made durable, one JSON line a record, each with a sequence number and a CRC.

A record is written after what it names, so whatever the journal says is on disk. A torn last line is cut off; damage
anywhere else is refused, because then nothing in the journal can be trusted.
"""

import threading
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import orjson

from exporter.errors import OutputError
from exporter.output import files

Record = Mapping[str, object]


def encode(record: Record) -> bytes:
    """Write a record as a line: eight hex digits of CRC32, a space, the JSON."""
    text = orjson.dumps(record)
    return b"%08x %s\n" % (zlib.crc32(text), text)


def decode(data: bytes) -> tuple[list[Record], int]:
    """Read all whole records; return them with the number of bytes they take. Raises ValueError for a damaged middle."""
    records: list[Record] = []
    good = 0
    while (end := data.find(b"\n", good)) >= 0:
        record = _record(data[good:end])
        if record is None or record.get("seq") != len(records):
            if data.find(b"\n", end + 1) >= 0:
                raise ValueError(f"record {len(records)} at byte {good}")
            break
        records.append(record)
        good = end + 1
    return records, good


def _record(line: bytes) -> Record | None:
    try:
        record: object = orjson.loads(line[9:]) if int(line[:8], 16) == zlib.crc32(line[9:]) else None
    except ValueError:
        return None
    return record if isinstance(record, dict) and line[8:9] == b" " else None


class Journal:
    """An open journal: the records so far, and a place for more. Any thread may append."""

    def __init__(self, path: Path, records: Iterable[Record] | None = None) -> None:
        """Make a journal of these records, or go on with those that stand there, without a torn tail.

        It is always written anew, as a whole: after a sync that failed the kernel may still show a record that never
        reached the disk. Raises OutputError when it is damaged, MachineError when the disk fails.
        """
        kept = read(path)[0] if records is None else records
        self.records: list[Record] = [{**record, "seq": seq} for seq, record in enumerate(kept)]
        whole = b"".join(map(encode, self.records))
        files.write_bytes(path, whole)
        self._appender = files.Appender(path, keep_bytes=len(whole))
        self._turn = threading.Lock()

    def append(self, op: str, **facts: object) -> None:
        """Add a record, durably. Raises MachineError."""
        with self._turn:
            record = {"seq": len(self.records), "op": op, **facts}
            self._appender.append(encode(record))
            self.records.append(record)

    def close(self) -> None:
        """Close the file."""
        self._appender.close()


def read(path: Path) -> tuple[list[Record], int]:
    """Read a journal that may not be there; return its records and their bytes. Raises OutputError, MachineError."""
    with files.on_disk(path):
        data = path.read_bytes() if path.exists() else b""
    try:
        return decode(data)
    except ValueError as error:
        raise OutputError(
            f"{path} is damaged ({error}). Run again with --restart to start over; what is published stays as it is."
        ) from None
