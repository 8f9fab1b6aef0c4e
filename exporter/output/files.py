"""Durable files: a file is complete under its final name, or absent. The only fsync of the project.

The order is always: temporary file in the same folder, write, fsync, close, rename, fsync of the folder. A failed fsync is
never asked again: the kernel may have dropped the data and say yes the second time.
"""

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from exporter.errors import MachineError
from exporter.output.failpoints import reach

FILE_MODE = 0o600
FOLDER_MODE = 0o700

_WAYS_OUT = {
    errno.ENOSPC: "the disk is full. Make room and run the same command again.",
    errno.EDQUOT: "the disk quota is used up. Make room and run the same command again.",
    errno.EROFS: "the file system is read-only. Choose another --out, or mount it writable.",
    errno.EACCES: "permission denied. Run as the owner of the folder, or choose another --out.",
    errno.EPERM: "not permitted. Run as the owner of the folder, or choose another --out.",
    errno.ENOENT: "it does not exist, or no longer: nobody may remove the output folder during a run.",
    errno.EEXIST: "something that is no folder stands there. Choose another --out.",
    errno.ELOOP: "it is a link, which is not followed. Choose another --out.",
    errno.ENOTDIR: "a part of the path is a file. Choose another --out.",
    errno.EIO: "the disk failed. Check it, then run the same command again.",
    errno.EFBIG: "a file may not grow that large here (ulimit -f). Raise the limit and run the same command again.",
    errno.EMFILE: "too many open files. Raise the limit (ulimit -n) and run the same command again.",
}


@contextlib.contextmanager
def on_disk(path: Path) -> Iterator[None]:
    """Turn an OSError inside into a MachineError that names the path and the way out."""
    try:
        yield
    except OSError as error:
        # Arrow's own errors have a kind, and no number.
        number = error.errno or (errno.ENOENT if isinstance(error, FileNotFoundError) else 0)
        way_out = _WAYS_OUT.get(number, f"{(error.strerror or str(error)).lower()}.")
        raise MachineError(f"{path}: {way_out}") from error


class Draft:
    """A file in the making: counts and hashes what is written. Looks like a binary file to a writer."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._sha256 = hashlib.sha256()
        self.bytes = 0
        self.closed = False

    @property
    def sha256(self) -> str:
        """Hex digest of everything written."""
        return self._sha256.hexdigest()

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Write all of it: a short write is followed by another, so that a full disk is seen."""
        left = memoryview(data).cast("B")
        size = len(left)
        self._sha256.update(left)
        while left:
            left = left[os.write(self._descriptor, left) :]
        self.bytes += size
        return size

    def tell(self) -> int:
        """Bytes written so far."""
        return self.bytes

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Left to the owner of the draft, who syncs first."""

    def readable(self) -> bool:
        """Tell a writer's library that this is no file to read."""
        return False

    def writable(self) -> bool:
        """Tell a writer's library that this is a file to write."""
        return True

    def seekable(self) -> bool:
        """Tell a writer's library that bytes once written stay."""
        return False


def draft_name(name: str) -> str:
    """Name a file while it is in the making."""
    return f".{name}.tmp"


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Draft]:
    """Write a file that is complete and durable under its name, or absent. Raises MachineError."""
    temporary = path.with_name(draft_name(path.name))
    with on_disk(path):
        temporary.unlink(missing_ok=True)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, FILE_MODE)
        try:
            try:
                yield Draft(descriptor)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            reach("file-written")
            temporary.rename(path)
            reach("file-named")
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole small file durably. Raises MachineError."""
    with whole_file(path) as draft:
        draft.write(data)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def private(path: str, flags: int) -> int:
    """Open a file as nobody else can, whatever the umask: for `open(..., opener=private)`."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)


def make_folder(path: Path) -> None:
    """Make a private folder, and its parents, durably. Raises MachineError."""
    with on_disk(path):
        if not path.is_dir():
            if not path.parent.is_dir():
                make_folder(path.parent)
            path.mkdir(mode=FOLDER_MODE)
            sync_folder(path.parent)


def move(source: Path, target: Path) -> None:
    """Rename a file or folder, durably. Raises MachineError."""
    with on_disk(target):
        source.rename(target)
        sync_folder(target.parent)
        if source.parent != target.parent:
            sync_folder(source.parent)


def share(source: Path, target: Path) -> None:
    """Give a finished file a second name, or a copy where the file system has no hard links. Raises MachineError."""
    with on_disk(target):
        try:
            os.link(source, target)
        except OSError:
            with source.open("rb") as file, whole_file(target) as draft:
                shutil.copyfileobj(file, draft)
            return
        sync_folder(target.parent)


def share_all(pairs: Iterable[tuple[Path, Path]]) -> None:
    """Give many finished files a second name: the folders are synced once, at the end. Raises MachineError."""
    folders: set[Path] = set()
    for source, target in pairs:
        with on_disk(target):
            try:
                os.link(source, target)
            except FileExistsError:
                raise
            except OSError:  # no hard links here
                share(source, target)
        folders.add(target.parent)
    for folder in sorted(folders):
        with on_disk(folder):
            sync_folder(folder)


def remove(path: Path) -> None:
    """Remove a file or a whole folder, durably; nothing there is fine. Raises MachineError."""
    with on_disk(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.exists() or path.is_symlink():
            path.unlink()
        else:
            return
        sync_folder(path.parent)


def same_file(descriptor: int, path: Path) -> bool:
    """Tell whether an open file is still the one under its name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


class Appender:
    """A file that only grows: what is appended is durable before `append` returns."""

    def __init__(self, path: Path, *, keep_bytes: int) -> None:
        """Open or make the file, cut to its first `keep_bytes`. Raises MachineError."""
        self._path = path
        self._whole = keep_bytes
        with on_disk(path):
            flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(path, flags, FILE_MODE)
            os.ftruncate(self._descriptor, keep_bytes)
            os.fsync(self._descriptor)
            sync_folder(path.parent)

    def append(self, data: bytes) -> None:
        """Add bytes and make them durable. Raises MachineError, also when the file is no longer under its name."""
        if not same_file(self._descriptor, self._path):
            raise MachineError(f"{self._path} was removed during this run. Run the same command again.")
        self.add(data)
        reach("journal-appended")
        self.sync()

    def add(self, data: bytes) -> None:
        """Add all of these bytes or none; they are durable after the next `sync`. Raises MachineError."""
        with on_disk(self._path):
            left = memoryview(data)
            try:
                while left:
                    left = left[os.write(self._descriptor, left) :]
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._descriptor, self._whole)
                raise
            self._whole += len(data)

    def sync(self) -> None:
        """Make what was added durable. Raises MachineError."""
        with on_disk(self._path):
            os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Close the file; nothing is added any more."""
        descriptor, self._descriptor = self._descriptor, -1
        with on_disk(self._path):
            os.close(descriptor)
