"""Scratch folders: they lie where TMPDIR says, and go with whoever made them, or with the next one where that was killed.

A folder is held by a lock, which a process cannot outlive: one that nobody holds is left over. So neither a number of a
process nor a time has to tell, and what another plan works with is never touched. Nor is what somebody else called so: a
folder is removed only where it has the form that we give it, and nothing in it but what we write there.
"""

import contextlib
import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "exporter-scratch-"
MODE = 0o700  # as mkdtemp makes it
WRITTEN = re.compile(r"accounts|(?:partition|later)(?:-\d+)+")
"""What `repeats` and `duplicates` call their files."""


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Make a folder that is gone in the end, and remove those of killed processes. Raises OSError."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        _remove_left(left)
    folder, held = _made()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        os.close(held)


def _made() -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        # Before it is held, somebody else may take it for one that is left over.
        with contextlib.suppress(FileNotFoundError):
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            with contextlib.suppress(OSError):  # a file system without locks: nobody can tell there what is left over
                fcntl.flock(held, fcntl.LOCK_EX)
            if folder.exists():
                return folder, held
            os.close(held)


def _remove_left(folder: Path) -> None:
    """Remove a folder of ours that nobody holds; whatever stands in the way of that is for a later one."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_ours(handle):
                shutil.rmtree(folder)
        finally:
            os.close(handle)


def _is_ours(handle: int) -> bool:
    status = os.fstat(handle)
    with os.scandir(handle) as entries:
        return (
            status.st_uid == os.geteuid()
            and stat.S_IMODE(status.st_mode) == MODE
            and all(WRITTEN.fullmatch(entry.name) and entry.is_file(follow_symlinks=False) for entry in entries)
        )
