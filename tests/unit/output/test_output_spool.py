"""The spool: one thread adds, another reads, and what is synced survives."""

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import MachineError
from exporter.output.spool import Spool


@given(st.lists(st.binary(max_size=50), max_size=20), st.integers(0, 300), st.integers(0, 300))
def test_any_place_is_read_as_it_was_added(
    fresh_folder: Callable[[], contextlib.AbstractContextManager[str]], blocks: list[bytes], place: int, size: int
) -> None:
    """At most so many bytes from a place on, fewer at the end, none behind it."""
    with fresh_folder() as name:
        spool = Spool(Path(name) / "stdin", keep_bytes=0)
        for block in blocks:
            spool.add(block)
        assert spool.read(place, size) == b"".join(blocks)[place : place + size]
        spool.close()


def test_it_is_opened_with_what_was_kept_and_no_more(tmp_path: Path) -> None:
    """What a killed run wrote behind what was recorded is cut off; what lies before it stays."""
    path = tmp_path / "stdin"
    path.write_bytes(b"kept and torn")
    spool = Spool(path, keep_bytes=4)
    assert spool.read(0, 100) == b"kept"
    spool.add(b" on")
    spool.sync()
    spool.close()
    assert path.read_bytes() == b"kept on"


def test_a_new_spool_is_private(tmp_path: Path) -> None:
    """Ids are nobody else's business."""
    Spool(tmp_path / "stdin", keep_bytes=0).close()
    assert (tmp_path / "stdin").stat().st_mode & 0o777 == 0o600


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """What stands under the name and is a link is somebody else's."""
    (tmp_path / "theirs").write_bytes(b"precious")
    (tmp_path / "stdin").symlink_to(tmp_path / "theirs")
    with pytest.raises(MachineError, match="link"):
        Spool(tmp_path / "stdin", keep_bytes=0)
    assert (tmp_path / "theirs").read_bytes() == b"precious"


def test_a_full_disk_takes_all_or_nothing(small_disk: Path) -> None:
    """The part of a block that found room is taken back: what is read is always whole blocks."""
    spool = Spool(small_disk / "stdin", keep_bytes=0)
    spool.add(b"x" * 700_000)
    with pytest.raises(MachineError, match="the disk is full"):
        spool.add(b"y" * 700_000)
    assert (small_disk / "stdin").stat().st_size == 700_000
    assert spool.read(699_990, 100) == b"x" * 10
    spool.close()


def test_closed_while_another_adds(tmp_path: Path) -> None:
    """The adding thread gets an error of ours; nothing is written elsewhere."""
    for number in range(50):
        spool = Spool(tmp_path / f"stdin-{number}", keep_bytes=0)
        errors: list[Exception] = []
        began = threading.Event()
        thread = threading.Thread(target=_add_for_ever, args=(spool, began, errors))
        thread.start()
        assert began.wait(30)
        spool.close()
        other = tmp_path / f"other-{number}"
        with other.open("xb") as file:
            thread.join(30)
            assert not thread.is_alive()
            assert file.tell() == other.stat().st_size == 0
        assert [type(error) for error in errors] == [MachineError]


def _add_for_ever(spool: Spool, began: threading.Event, errors: list[Exception]) -> None:
    try:
        while True:
            spool.add(b"more")
            began.set()
    except Exception as error:  # noqa: BLE001 - whatever it is, the test judges it
        errors.append(error)


def test_nothing_is_read_from_a_closed_spool(tmp_path: Path) -> None:
    """Its descriptor may be another file's by then: the reader gets an error, never that file's bytes."""
    spool = Spool(tmp_path / "stdin", keep_bytes=0)
    spool.add(b"mine")
    spool.close()
    (tmp_path / "theirs").write_bytes(b"theirs")
    with (tmp_path / "theirs").open("rb"), (tmp_path / "theirs").open("rb"), pytest.raises(MachineError):
        spool.read(0, 100)
