"""Durable files."""

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import MachineError
from exporter.output import files
from exporter.output.lock import only_writer

UMASKS = [0o000, 0o022, 0o077]


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def failing(number: int) -> Callable[..., Any]:
    def fail(*_args: object, **_more: object) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


# Whole files


@pytest.mark.parametrize("error", [ValueError, OSError(errno.EIO, "x"), KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interrupted_file_is_absent(tmp_path: Path, error: type[BaseException] | OSError) -> None:
    """Whatever ends the writing, neither the file nor its temporary is left."""
    with pytest.raises(BaseException), files.whole_file(tmp_path / "a") as draft:  # noqa: B017, PT011, PT012 - all of them
        draft.write(b"half of it")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_file_leaves_the_old_one(tmp_path: Path) -> None:
    """A file that could not be replaced has its old content."""
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(ValueError, match="x"), files.whole_file(tmp_path / "a") as draft:  # noqa: PT012 - two steps
        draft.write(b"new")
        raise ValueError("x")
    assert (tmp_path / "a").read_bytes() == b"old"


def test_nothing_stands_under_the_name_before_the_end(tmp_path: Path) -> None:
    """While a file is written, only its temporary is there; a reader of Parquet files does not take it for one."""
    with files.whole_file(tmp_path / "a.parquet") as draft:
        draft.write(b"x")
        (temporary,) = tmp_path.iterdir()
        assert temporary.name.startswith(".")
        assert temporary.suffix != ".parquet"
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


@pytest.mark.parametrize("call", ["open", "write", "fsync", "close", "rename"])
def test_a_failed_call_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """Whichever call fails, the error is a sentence about the file, the old content stands and no temporary is left."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, call, failing(errno.ENOSPC))
    with pytest.raises(MachineError, match="a: the disk is full"):
        files.write_bytes(path, b"new")
    monkeypatch.undo()
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"a": b"old"}


def test_a_failed_fsync_is_never_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second fsync may say yes to lost data: there is none."""
    asked: list[int] = []

    def fsync(descriptor: int) -> None:
        asked.append(descriptor)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(MachineError, match="the disk failed"):
        files.write_bytes(tmp_path / "a", b"x")
    assert len(asked) == 1


def test_short_writes_are_followed_by_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that takes three bytes at a time still gets all of them, in files and in journals."""
    write, data = os.write, bytes(range(256)) * 5
    monkeypatch.setattr(os, "write", lambda descriptor, left: write(descriptor, left[:3]))
    files.write_bytes(tmp_path / "a", data)
    appender = files.Appender(tmp_path / "b", keep_bytes=0)
    appender.append(data)
    appender.close()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == data


@given(st.lists(st.binary(max_size=50) | st.binary(max_size=50).map(bytearray), max_size=6))
@settings(deadline=None, derandomize=True)
def test_a_draft_counts_and_hashes_what_is_written(
    fresh_folder: Callable[[], contextlib.AbstractContextManager[str]], parts: list[bytes]
) -> None:
    """Bytes and hash are those of the file, however it is written."""
    data = b"".join(parts)
    with fresh_folder() as name:
        path = Path(name, "draft")
        with files.whole_file(path) as draft:
            assert [draft.write(part) for part in parts] == [len(part) for part in parts]
        assert path.read_bytes() == data
    assert (draft.bytes, draft.tell(), draft.sha256) == (len(data), len(data), hashlib.sha256(data).hexdigest())


def test_a_full_disk_is_told_and_leaves_no_file(small_disk: Path) -> None:
    """Two megabytes on a disk of one: a sentence with the way out, and nothing under any name."""
    with pytest.raises(MachineError, match=r"/a: the disk is full\. Make room and run the same command again\."):
        files.write_bytes(small_disk / "a", bytes(2_000_000))
    assert list(small_disk.iterdir()) == []
    files.write_bytes(small_disk / "a", bytes(500_000))


def test_a_link_at_the_temporary_name_is_not_followed(tmp_path: Path) -> None:
    """Somebody's link where the temporary goes leads nowhere: its target keeps its content."""
    (tmp_path / "target").write_bytes(b"theirs")
    (tmp_path / ".a.tmp").symlink_to(tmp_path / "target")
    files.write_bytes(tmp_path / "a", b"ours")
    assert (tmp_path / "target").read_bytes() == b"theirs"
    assert (tmp_path / "a").read_bytes() == b"ours"
    assert not (tmp_path / "a").is_symlink()


def test_a_temporary_of_a_killed_run_is_replaced(tmp_path: Path) -> None:
    """What a kill left under the temporary name is no part of the new file."""
    (tmp_path / ".a.tmp").write_bytes(b"long rest of a killed run")
    files.write_bytes(tmp_path / "a", b"x")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"x"}


def test_the_order_of_the_calls_is_the_durable_one(tmp_path: Path, system_calls: Callable[..., list[str]]) -> None:
    """Write, fsync, close, rename, fsync of the folder: seen in the system calls."""
    code = (
        "import sys; from pathlib import Path; from exporter.output.files import write_bytes\n"
        "write_bytes(Path(sys.argv[1]) / 'a', b'12345678')"
    )
    ours = [call for call in system_calls(code, tmp_path) if str(tmp_path) in call]
    folder = rf"<{tmp_path}>"
    expected = [
        ("unlink", "/.a.tmp"),
        ("openat", "O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC, 0600"),
        ("write", "/.a.tmp>"),
        ("fsync", "/.a.tmp>"),
        ("close", "/.a.tmp>"),
        ("rename", "/.a.tmp"),
        ("openat", "O_DIRECTORY"),
        ("fsync", folder),
        ("close", folder),
    ]
    assert len(ours) == len(expected), ours
    for call, (name, argument) in zip(ours, expected, strict=True):
        assert call.startswith(name), ours
        assert argument in call, ours


# Rights


@pytest.mark.parametrize("mask", UMASKS)
def test_files_and_folders_are_private(tmp_path: Path, mask: int) -> None:
    """Files are 0600 and folders 0700, whatever the umask."""
    with umask(mask):
        files.make_folder(tmp_path / "a" / "b")
        files.write_bytes(tmp_path / "a" / "file", b"")
        files.Appender(tmp_path / "a" / "journal", keep_bytes=0).close()
        with only_writer(tmp_path / "a" / "lock"):
            pass
    assert {mode(path) for path in (tmp_path / "a", tmp_path / "a" / "b")} == {0o700}
    assert {mode(tmp_path / "a" / name) for name in ("file", "journal", "lock")} == {0o600}


@pytest.mark.parametrize("mask", UMASKS)
def test_a_copy_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: int) -> None:
    """Where the file system has no hard links, a shared file is a private copy."""
    files.write_bytes(tmp_path / "a", b"x" * 100_000)
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    with umask(mask):
        files.share(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"x" * 100_000
    assert not (tmp_path / "b").samefile(tmp_path / "a")
    assert mode(tmp_path / "b") == 0o600


# Folders, names


def test_a_shared_file_is_the_same_file(tmp_path: Path) -> None:
    """Sharing costs no disk: both names are one file."""
    files.write_bytes(tmp_path / "a", b"x")
    files.share(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").samefile(tmp_path / "a")


def test_make_folder_keeps_what_is_there(tmp_path: Path) -> None:
    """A folder that stands already stays, with its content and rights."""
    (tmp_path / "a").mkdir(mode=0o750)
    (tmp_path / "a" / "b").touch()
    files.make_folder(tmp_path / "a")
    assert mode(tmp_path / "a") == 0o750
    assert (tmp_path / "a" / "b").exists()


def test_make_folder_refuses_a_file_in_the_way(tmp_path: Path) -> None:
    """A file where a folder must be is named."""
    (tmp_path / "a").touch()
    with pytest.raises(MachineError, match="/a: "):
        files.make_folder(tmp_path / "a" / "b")


def test_remove_takes_files_folders_links_and_nothing(tmp_path: Path) -> None:
    """Whatever stands under the name is gone; what a link leads to stays."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "x").touch()
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    for name in ("link", "dangling", "file", "folder", "nothing"):
        files.remove(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]
    assert (tmp_path / "theirs" / "x").exists()


def test_move_carries_a_whole_folder(tmp_path: Path) -> None:
    """A folder is under its new name with all it holds, and no more under the old."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "c").mkdir()
    files.move(tmp_path / "a", tmp_path / "c" / "d")
    assert (tmp_path / "c" / "d" / "b").is_dir()
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("number", [*files._WAYS_OUT, errno.EIO, errno.ELOOP, errno.EFBIG])  # noqa: SLF001 - the table
def test_an_error_of_the_disk_is_a_sentence(number: int) -> None:
    """Path, reason and an end; the cause is kept for those who ask for it."""
    with pytest.raises(MachineError, match=r"^/some/path: [a-z].*\.$") as caught, files.on_disk(Path("/some/path")):
        raise OSError(number, os.strerror(number))
    assert isinstance(caught.value.__cause__, OSError)


def test_an_error_without_a_number_is_a_sentence() -> None:
    """Libraries raise OSError with nothing but a text."""
    with pytest.raises(MachineError, match=r"^/p: could not verify page integrity\.$"), files.on_disk(Path("/p")):
        raise OSError("Could not verify page integrity")


# Growing files


def test_an_appender_cuts_then_grows(tmp_path: Path) -> None:
    """The first bytes stay, the rest goes, and new records follow."""
    (tmp_path / "a").write_bytes(b"good torn")
    appender = files.Appender(tmp_path / "a", keep_bytes=5)
    appender.append(b"one ")
    appender.append(b"two")
    appender.close()
    assert (tmp_path / "a").read_bytes() == b"good one two"


def lock(path: Path) -> None:
    with only_writer(path):
        pass


@pytest.mark.parametrize("use", [lock, lambda path: files.Appender(path, keep_bytes=0)])
def test_a_link_is_refused(tmp_path: Path, use: Callable[[Path], object]) -> None:
    """Neither a journal nor a lock is opened through a link."""
    (tmp_path / "theirs").write_bytes(b"theirs")
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    with pytest.raises(MachineError, match="/link: "):
        use(tmp_path / "link")
    assert (tmp_path / "theirs").read_bytes() == b"theirs"


def test_an_appender_tells_of_a_full_disk(small_disk: Path) -> None:
    """A record that finds no room raises; those before it stay."""
    appender = files.Appender(small_disk / "a", keep_bytes=0)
    appender.append(b"x" * 500_000)
    with pytest.raises(MachineError, match="the disk is full"):
        appender.append(b"y" * 1_000_000)
    appender.close()
    assert (small_disk / "a").read_bytes().startswith(b"x" * 500_000)
