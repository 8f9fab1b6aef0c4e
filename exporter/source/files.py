"""Which files are the input: files, folders, patterns and `-`, resolved once, in reading order."""

import contextlib
import glob
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from exporter.errors import InputError
from exporter.source import kinds

STANDARD_INPUT = "-"
FINGERPRINT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file of the input. Of a stream (`-`, a named pipe) `bytes` is None, and its compression is told while reading.

    `name` is what the user sees; `kind` is `csv` or `parquet`; `compression` is None, `gzip`, `bzip2` or `zstd`.
    """

    name: str
    path: Path | None
    kind: str = "csv"
    compression: str | None = None
    bytes: int | None = None
    stream: BinaryIO | None = field(default=None, repr=False, compare=False)

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Its bytes, unbuffered. Closes what it opened, and no stream that it was given. Raises InputError."""
        if self.stream is not None:
            yield self.stream
            return
        with readable(self.name):
            handle = Path(self.path or self.name).open("rb", buffering=0)  # noqa: SIM115 - closed below, outside the mapping
        with handle:
            yield handle


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn the system's refusal into ours."""
    try:
        yield
    except OSError as error:
        way_out = " Run as a user who may read it (chmod, chown)." if isinstance(error, PermissionError) else ""
        raise InputError(f"{name}: cannot be read: {(error.strerror or str(error)).lower()}.{way_out}") from error


def find_files(inputs: Sequence[str], encoding: str, standard_input: BinaryIO | None = None) -> list[InputFile]:
    """The input's files in reading order; each regular file's head and tail are looked at. Raises InputError."""
    if list(inputs).count(STANDARD_INPUT) > 1:
        raise InputError("Standard input (-) can be read only once; name it once.")
    if not inputs:
        raise InputError("There is no input; name at least one file, folder or pattern, or - for standard input.")
    found: list[InputFile] = []
    for each in inputs:
        if each == STANDARD_INPUT:
            found.append(_standard(standard_input))
        else:
            found += [_inspected(path, encoding) for path in _paths(each)]
    return found


def fingerprint(path: str | os.PathLike[str]) -> dict[str, int | str]:
    """Size in bytes and the SHA-256 of the first and the last 64 KiB: what tells one input from another."""
    with readable(_shown(path)), Path(path).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(FINGERPRINT_BYTES)
        file.seek(max(0, size - FINGERPRINT_BYTES))
        tail = file.read(FINGERPRINT_BYTES)
    return {"bytes": size, "head": hashlib.sha256(head).hexdigest(), "tail": hashlib.sha256(tail).hexdigest()}


def _standard(stream: BinaryIO | None) -> InputFile:
    if stream is None:
        raise InputError("There is no standard input to read (-); pass a file instead.")
    return InputFile(STANDARD_INPUT, None, stream=stream)


def _paths(each: str) -> list[str]:
    if "://" in each:
        # What stands behind the question mark of an address may be a signature.
        raise InputError(f"{each.partition('?')[0]}: only local files are read; copy it here, or pipe it into -.")
    # A file may be called like a pattern: the file itself comes first.
    matches = [each] if os.path.lexists(each) else sorted(glob.glob(each, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
    if not matches:
        raise InputError(f"{_shown(each)}: no such file or folder, and no file matches it. {_nothing(each)}")
    # Not `Path.is_dir`, which raises where nobody may look.
    paths = [path for match in matches for path in (_walked(match) if os.path.isdir(match) else [match])]  # noqa: PTH112
    if not paths:
        raise InputError(
            f"{_shown(each)}: there is no file in it (hidden names and names with _ in front do not count)."
        )
    return paths


def _nothing(each: str) -> str:
    """Say what to do about a name that nothing has."""
    if each.startswith("~"):
        return "Take the ~ out of its quotes: the shell alone knows what it stands for."
    with readable(_shown(each)), contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.lstat(each)  # raises where nobody may look
    return "Mend the path." if each.startswith("/") else f"Mend the path: it is looked for in {Path.cwd()}."


def _walked(folder: str) -> list[str]:
    def failed(error: OSError) -> None:
        raise InputError(f"{_shown(error.filename)}: cannot be read: {error.strerror}.") from error

    found: list[str] = []
    seen: set[tuple[int, int]] = set()
    for here, folders, names in os.walk(folder, onerror=failed, followlinks=True):
        status = Path(here).stat()
        # A link may lead back up: each folder counts once.
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        found += [str(Path(here, name)) for name in names if not name.startswith((".", "_"))]
    return sorted(found)


def _inspected(path: str, encoding: str) -> InputFile:
    name = _shown(path)
    with readable(name):
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            return InputFile(name, Path(path))
        with Path(path).open("rb") as file:
            head = file.read(kinds.HEAD_BYTES)
            file.seek(max(0, status.st_size - kinds.TAIL_BYTES))
            tail = file.read(kinds.TAIL_BYTES)
    if kinds.is_parquet(name, head, tail):
        return InputFile(name, Path(path), "parquet", bytes=status.st_size)
    kinds.refuse_foreign(name, head, tail, encoding)
    return InputFile(name, Path(path), "csv", kinds.compression_of(head), status.st_size)


def _shown(path: str | os.PathLike[str]) -> str:
    # A name need not be text: what is not becomes U+FFFD, for it will stand in the rejects.
    return os.fsencode(path).decode("utf-8", "replace")
