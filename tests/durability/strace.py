"""System calls of a run: seen one by one, and each of them killed or failed.

strace counts `when=N` for each thread on its own, so a bare N names no certain call. A call is named here by its kind, its
path and its number among those of its thread: the same in every run of the same work. (--seccomp-bpf would be quicker,
but strace 6.1 injects nothing under it.)
"""

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CHANGES = (
    *("write", "pwrite64", "fsync", "fdatasync", "ftruncate", "close", "flock"),
    *("openat", "link", "linkat", "mkdir", "mkdirat", "rename", "renameat", "renameat2", "rmdir", "unlink", "unlinkat"),
)
"""Calls that change a disk, or may tell that a change failed."""

_LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+|\?)(.*)")
_STARTED = re.compile(r"(\d+) +(\w+)\((.*) <unfinished \.\.\.>$")
_ENDED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)")
_HANDLE = re.compile(r"(?:\d+|AT_FDCWD)<([^>]*)>")
_NAME = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Call:
    """A finished call: its thread, what it works on, and its first text argument; `began` and `ended` are lines."""

    thread: int
    kind: str
    text: str
    handle: str
    names: tuple[str, ...]
    result: int | None
    injected: bool
    began: int
    ended: int

    @property
    def path(self) -> str:
        """The file or folder it works on."""
        if self.kind.endswith(("at", "at2")) and self.names:
            return str(Path(self.handle) / self.names[0])
        return self.handle or (self.names[0] if self.names else "")

    @property
    def target(self) -> str:
        """The new name that it gives."""
        return str(Path(self.handle) / self.names[-1])

    @property
    def key(self) -> str:
        """What strace can be told to look for: an open handle's path, or a name as it is given."""
        absolute = bool(self.names) and self.names[0].startswith("/")
        by_name = self.kind in {"openat", "mkdir", "rename", "link", "rmdir", "unlink"} or absolute
        return self.names[0] if by_name and self.kind != "write" else self.handle

    def matches(self, key: str) -> bool:
        """Tell whether strace, told to look for `key`, would count this call."""
        return key == self.handle or (self.kind not in {"write", "pwrite64"} and key in self.names[:1])


@dataclass(frozen=True, slots=True)
class Point:
    """One call of a run, to be met again in another run of the same work: the first of `keys` is what it works on."""

    kind: str
    keys: tuple[str, ...]
    number: int

    def under(self, what: str, log: str = "/dev/null", *, on: bool = False) -> list[str]:
        """Give the program to run under: at this call (and, with `on`, at all that follow on its paths) `what` happens."""
        when = f"{self.number}{'+' if on else ''}"
        keys = [word for key in self.keys for word in ("-P", key)]
        return [*watching(log), *keys, "-e", f"inject={self.kind}:{what}:when={when}"]


def watching(log: str, kinds: str = ",".join(CHANGES)) -> list[str]:
    """Give the program to run under so that its calls are written to a log."""
    return ["strace", "-f", "-qq", "-y", "-s", "4096", "-e", "signal=none", "-o", log, "-e", f"trace={kinds}"]


def calls(log: Path) -> list[Call]:
    """Read a log: the calls in the order of their ends."""
    started: dict[tuple[str, str], tuple[str, int]] = {}
    found: list[Call] = []
    for place, line in enumerate(log.read_text(errors="replace").splitlines()):
        began = place
        if match := _STARTED.match(line):
            started[match[1], match[2]] = (match[3], place)
            continue
        if match := _ENDED.match(line):
            arguments, began = started.pop((match[1], match[2]))
            line = f"{match[1]} {match[2]}({arguments}{match[3]}"  # noqa: PLW2901 - put together again
        if match := _LINE.match(line):
            found.append(_call(match, began, place))
    return found


def _call(match: re.Match[str], began: int, ended: int) -> Call:
    thread, kind, text, result, rest = match.groups()
    by_handle = _HANDLE.match(text)
    handle = by_handle[1] if by_handle and not text.startswith("AT_FDCWD") else ""
    names = () if kind in {"write", "pwrite64"} else tuple(_NAME.findall(text))
    number = None if result == "?" else int(result)
    return Call(int(thread), kind, text, handle, names, number, "(INJECTED)" in rest, began, ended)


def points(found: Sequence[Call], out: Path, *, beside: Sequence[str] = ()) -> Iterator[Point]:
    """Name each call that may change something below a folder; calls on the paths `beside` are to be seen as well."""
    for place, call in enumerate(found):
        if _below(call, out) and not (call.kind == "openat" and "O_CREAT" not in call.text):
            keys = (call.key, *beside)
            alike = (one for one in found[: place + 1] if (one.thread, one.kind) == (call.thread, call.kind))
            yield Point(call.kind, keys, sum(any(one.matches(key) for key in keys) for one in alike))


def _below(call: Call, out: Path) -> bool:
    return any(place == str(out) or place.startswith(f"{out}/") for place in (call.path, call.key))


def usable() -> str:
    """Say why strace cannot be used here; empty when it can."""
    if not shutil.which("strace"):
        return "strace is not installed"
    tried = subprocess.run([*watching("/dev/null"), "true"], capture_output=True, check=False)
    return "this machine does not allow strace" if tried.returncode else ""
