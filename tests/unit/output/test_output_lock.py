"""The lock: one writer."""

import contextlib
import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import exporter
from exporter.errors import MachineError, OutputError
from exporter.output.lock import holder, only_writer

HOLDER = """
import sys
from pathlib import Path
from exporter.output.lock import only_writer
with only_writer(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def failing(number: int) -> Callable[..., Any]:
    def fail(*_args: object, **_more: object) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


@contextlib.contextmanager
def holding(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    environment = {**os.environ, "PYTHONPATH": str(Path(exporter.__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_forked_process_neither_keeps_nor_ends_the_lock(tmp_path: Path) -> None:
    """A program forks while an export is at work: the lock is that of the export, and ends with it."""
    path = tmp_path / ".lock"
    forked = """
import os, signal, sys
from pathlib import Path
from exporter.output.lock import holder, only_writer
path = Path(sys.argv[1])
with only_writer(path):
    stays = os.fork()
    if stays == 0:
        signal.pause()
    with only_writer(path.with_name("other")):
        leaves = os.fork()
    if leaves == 0:
        sys.exit()  # out of the blocks
    os.waitpid(leaves, 0)
    print(holder(path) == str(os.getpid()))
print(holder(path))
os.kill(stays, signal.SIGKILL)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(exporter.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", forked, str(path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.split() == ["True", "None"]


def test_the_lock_names_its_holder_and_dies_with_it(tmp_path: Path) -> None:
    """A second run is refused at once with the pid of the first; when that is killed, the way is free."""
    path = tmp_path / ".lock"
    assert holder(path) is None
    with holding(path) as process:
        assert holder(path) == str(process.pid)
        with (
            pytest.raises(MachineError, match=rf"another run \(pid {process.pid}\) is writing here"),
            only_writer(path),
        ):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        with only_writer(path):
            assert path.read_text() == f"{os.getpid()}\n"
    assert path.exists()


def test_the_lock_holds_within_one_process_too(tmp_path: Path) -> None:
    """Two runs of one process exclude each other; after the first, the second may."""
    path = tmp_path / ".lock"
    with (
        only_writer(path),
        pytest.raises(MachineError, match=f"pid {os.getpid()}"),
        only_writer(path),
    ):
        pass
    with only_writer(path):
        pass


def test_a_lock_that_was_replaced_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who locks a file that is no longer under the name holds nothing, and is told so."""
    path, flock = tmp_path / ".lock", fcntl.flock

    def deleted_first(descriptor: int, operation: int) -> None:
        path.unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", deleted_first)
    with pytest.raises(OutputError, match="was replaced"), only_writer(path):
        pass


def test_a_lock_that_is_removed_holds_no_longer(tmp_path: Path) -> None:
    """Deleted in mid-run, another run could slip in: whoever checks before a commit is told."""
    with only_writer(tmp_path / ".lock") as lock:
        lock.check()
        (tmp_path / ".lock").unlink()
        with pytest.raises(MachineError, match="was removed"):
            lock.check()
        (tmp_path / ".lock").touch()
        with pytest.raises(MachineError, match="was removed"):
            lock.check()


def test_a_look_at_the_lock_stops_no_run(tmp_path: Path) -> None:
    """A shared lock that is held for a moment, as by a look, is waited for."""
    with only_writer(tmp_path / ".lock"):
        pass
    descriptor = os.open(tmp_path / ".lock", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    threading.Timer(0.1, os.close, [descriptor]).start()
    with only_writer(tmp_path / ".lock"):
        assert holder(tmp_path / ".lock") == str(os.getpid())


def test_a_lock_on_a_full_disk_is_told(small_disk: Path) -> None:
    """No room for the pid is no traceback: the sentence of a full disk."""
    with contextlib.suppress(OSError), (small_disk / "fill").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with (
        pytest.raises(MachineError, match="the disk is full"),
        only_writer(small_disk / ".lock"),
    ):
        pass


def test_a_file_system_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems have no locks: a sentence, no traceback."""
    monkeypatch.setattr(fcntl, "flock", failing(errno.ENOLCK))
    with pytest.raises(MachineError, match=r"\.lock: "), only_writer(tmp_path / ".lock"):
        pass
