"""Whose output folder it is: only the user who runs may change it, and nothing in it leads anywhere else.

In a folder that others can write to, a link planted under one of our names would have us overwrite somebody's file, and
a named pipe would have us wait for ever. So OUT and `.run` must be ours alone, and what we open in them must be what we
make there: folders and files. Parents may be links, and may be shared: a machine's volumes are often both. (Whoever
may rename OUT itself, in a parent without the sticky bit, is trusted: volumes of containers are made like that.)
"""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from exporter.errors import OutputError
from exporter.output import files, publish

_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISREG, "a file"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a link"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)
FILE, FOLDER = "a file", "a folder"


def kind(status: os.stat_result) -> str:
    """Say what stands under a name, links not followed."""
    return next((words for is_it, words in _KINDS if is_it(status.st_mode)), "of an unknown kind")


def not_ours_alone(status: os.stat_result, user: int) -> str | None:
    """Say how somebody other than `user` could change what is in a folder, or return None."""
    if status.st_uid != user:
        return f"belongs to user {status.st_uid}, and this is user {user}"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"can be written to by others (mode {stat.S_IMODE(status.st_mode):04o})"
    return None


def refuse_hostile(out: Path, lock: Path, *, user: int) -> None:
    """Look at an output folder, which need not be there, before anything in it is opened. Raises OutputError."""
    status = _status(out)
    if status and kind(status) == "a link":
        raise OutputError(f"{out} is a link, which is not followed. Name the folder itself: --out {out.resolve()}")
    if status and kind(status) == FOLDER and (problem := not_ours_alone(status, user)):
        raise OutputError(
            f"{out} {problem}. Name a folder in it that the run makes for itself, such as --out {out / 'export'};"
            " or make this one yours alone (chown, chmod go-w)."
        )
    _refuse_kind(lock, FILE)
    _refuse_second_name(lock)


def refuse_planted(out: Path, run: Path, *, user: int) -> None:
    """Look at what stands under the names a run uses, as the holder of the lock. Raises OutputError."""
    # Whether these are of an export is judged elsewhere, once they can be opened without harm.
    for name in (*publish.PUBLISHED, publish.SUCCESS):
        _refuse_kind(out / name, FILE, FOLDER)
    _refuse_kind(run, FOLDER)
    status = _status(run)
    if status and (problem := not_ours_alone(status, user)):
        raise OutputError(f"{run} {problem}. Nobody can tell what it holds: remove it, or choose another --out.")
    _refuse_kind(run / publish.JOURNAL, FILE)
    _refuse_second_name(run / publish.JOURNAL)
    for path in _below(run):
        _refuse_kind(path, FILE, FOLDER)


def _refuse_kind(path: Path, *wanted: str) -> None:
    status = _status(path)
    if status and kind(status) not in wanted:
        raise OutputError(
            f"{path} is {kind(status)}, where a run keeps {' or '.join(wanted)} of its own. Remove it, or choose another"
            " --out."
        )


def _refuse_second_name(path: Path) -> None:
    """Refuse a file that is written in place and has another name: that one would be overwritten with it."""
    status = _status(path)
    if status and status.st_nlink > 1:
        raise OutputError(f"{path} has another name elsewhere (a hard link). Remove it, or choose another --out.")


def _below(folder: Path) -> Iterator[Path]:
    """Give every name in a folder and in the folders in it; links are given and not followed."""
    with files.on_disk(folder):
        for here, folders, names in os.walk(folder, onerror=_raise):
            yield from (Path(here, name) for name in (*folders, *names))


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # an export that was never begun has no such folder
        raise error


def _status(path: Path) -> os.stat_result | None:
    with files.on_disk(path):
        try:
            return path.lstat()
        except FileNotFoundError:
            return None
