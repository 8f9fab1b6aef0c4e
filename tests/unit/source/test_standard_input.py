"""Standard input: kept as it comes, read from what is kept, and never read twice."""

import io
import os
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import InputError, MachineError
from exporter.output.spool import Spool
from exporter.source import StandardInput, fingerprint
from exporter.source.files import FINGERPRINT_BYTES

BLOCKS = st.lists(st.binary(min_size=1, max_size=9), max_size=30)


class Kept:
    """A spool in memory."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.data = b""
        self.synced = False
        self._room = room

    def add(self, data: bytes) -> None:
        """Keep it, as long as there is room."""
        if len(self.data) + len(data) > self._room:
            raise MachineError("the disk is full")
        self.data += data

    def sync(self) -> None:
        """It is durable."""
        self.synced = True

    def read(self, place: int, size: int) -> bytes:
        """Give it back."""
        return self.data[place : place + size]


class InBlocks(io.RawIOBase):
    """A pipe that hands out what was written into it in just these pieces."""

    def __init__(self, blocks: list[bytes]) -> None:
        super().__init__()
        self._blocks = iter(blocks)

    def read1(self, _size: int) -> bytes:
        """Give the next piece."""
        return next(self._blocks, b"")


def read_all(stream: StandardInput, size: int) -> bytes:
    return b"".join(iter(lambda: stream.read1(size), b""))


@given(BLOCKS, st.integers(1, 20))
def test_what_is_read_is_what_was_sent(blocks: list[bytes], size: int) -> None:
    """In whatever pieces it comes and is read: all of it, in order, kept durably before `on_end` is told of it."""
    sent, kept, told = b"".join(blocks), Kept(), []

    def on_end(found: Mapping[str, object]) -> None:
        told.append((kept.synced, kept.data, dict(found)))

    stream = StandardInput(InBlocks(blocks))  # type: ignore[arg-type] # as much of a stream as it takes
    stream.spool_to(kept, on_end)
    assert read_all(stream, size) == sent
    stream.settle()
    assert told == [(True, sent, stream.fingerprint())]
    assert stream.is_empty is (not sent)
    again = StandardInput(io.BytesIO(b"other"))
    again.replay(kept, told[0][2])
    assert read_all(again, size) == sent
    assert again.fingerprint() == told[0][2]


@pytest.mark.parametrize("size", [0, 1, FINGERPRINT_BYTES - 1, FINGERPRINT_BYTES, FINGERPRINT_BYTES + 1, 300_000])
def test_its_fingerprint_is_that_of_the_same_file(tmp_path: Path, size: int) -> None:
    """Drained, spooled or as a file: the same bytes are the same input."""
    data = bytes(number * 7 % 251 for number in range(size))
    (tmp_path / "file").write_bytes(data)
    expected = fingerprint(tmp_path / "file")
    drained, spooled = (StandardInput(io.BytesIO(data)) for _ in range(2))
    drained.drain()
    spooled.spool_to(Kept(), lambda _found: None)
    spooled.settle()
    assert drained.fingerprint() == spooled.fingerprint() == expected


def test_it_is_copied_ahead_of_whoever_reads() -> None:
    """Whoever sends is not kept waiting: all of it lies in the spool before the first byte is read."""
    kept, done = Kept(), threading.Event()
    stream = StandardInput(io.BytesIO(bytes(1_000_000)))
    stream.spool_to(kept, lambda _found: done.set())
    assert done.wait(30)
    assert len(kept.data) == 1_000_000
    assert len(read_all(stream, 1 << 20)) == 1_000_000


def test_what_has_come_is_read_while_the_rest_is_waited_for() -> None:
    """A pipe that stays open keeps nothing back."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as pipe:
        stream = StandardInput(pipe)
        stream.spool_to(Kept(), lambda _found: None)
        os.write(writer, b"first")
        assert stream.read1() == b"first"
        os.write(writer, b"second")
        assert stream.read1() == b"second"
        os.close(writer)
        assert stream.read1() == b""


def test_the_end_is_seen_before_it_is_noted() -> None:
    """Noting the end may have to wait until all was read: the reader does not wait for it."""
    go_on, told = threading.Event(), threading.Event()

    def on_end(_found: Mapping[str, object]) -> None:
        assert go_on.wait(30)
        told.set()

    stream = StandardInput(io.BytesIO(b"all"))
    stream.spool_to(Kept(), on_end)
    assert read_all(stream, 10) == b"all"
    assert not told.is_set()
    go_on.set()
    stream.settle()
    assert told.is_set()


def test_a_full_disk_reaches_the_reader() -> None:
    """What was kept is read, then comes the error, and never an end that is none."""
    stream = StandardInput(InBlocks([b"123", b"456", b"789"]))  # type: ignore[arg-type] # as above
    stream.spool_to(Kept(room=6), lambda _found: pytest.fail("it did not end"))
    assert [stream.read1(3) for _ in range(2)] == [b"123", b"456"]
    with pytest.raises(MachineError, match="the disk is full"):
        stream.read1()


def test_what_fails_at_the_end_is_raised_where_it_is_settled() -> None:
    """All was read, and the note of it failed: nobody goes on as if it stood there."""

    def on_end(_found: Mapping[str, object]) -> None:
        raise MachineError("the disk is full")

    stream = StandardInput(io.BytesIO(b"all"))
    stream.spool_to(Kept(), on_end)
    with pytest.raises(MachineError, match="the disk is full"):
        stream.settle()


def test_a_stream_that_cannot_be_read_is_told() -> None:
    """The system's refusal is a sentence, drained or spooled."""
    for read in (StandardInput.drain, StandardInput.read1):
        with Path("/proc/self/mem").open("rb", buffering=0) as file, pytest.raises(InputError, match="standard input"):
            read(StandardInput(file))
    with Path("/proc/self/mem").open("rb", buffering=0) as file:
        stream = StandardInput(file)
        stream.spool_to(Kept(), lambda _found: None)
        with pytest.raises(InputError, match="standard input"):
            stream.read1()


@pytest.fixture
def uncaught(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Errors that ended a thread."""
    found: list[object] = []
    monkeypatch.setattr(threading, "excepthook", found.append)
    return found


@pytest.mark.parametrize("late", [MachineError("closed"), RuntimeError("begin or resume comes first"), OSError(9, "x")])
def test_a_run_that_ends_first_hurts_nobody(tmp_path: Path, uncaught: list[object], late: Exception) -> None:
    """The folder is closed while the thread still copies, or notes the end: it ends, without a word."""

    def on_end(_found: Mapping[str, object]) -> None:
        raise late

    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as pipe:
        spool = Spool(tmp_path / "stdin", keep_bytes=0)
        stream = StandardInput(pipe)
        stream.spool_to(spool, on_end)
        os.write(writer, b"first")
        assert stream.read1() == b"first"
        spool.close()
        os.write(writer, b"second")
        os.close(writer)
        with pytest.raises(MachineError):
            stream.settle()
    ended = StandardInput(io.BytesIO(b"all"))
    ended.spool_to(Kept(), on_end)
    with pytest.raises(type(late)):
        ended.settle()
    assert uncaught == []
