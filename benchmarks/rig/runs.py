"""Whole processes, measured by the operating system's own accounting of each."""

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent.parent
KEY = "benchmark-secret-key"


@dataclass(frozen=True, slots=True)
class Used:
    """What one process took: seconds, and MB at its peak.

    The peak of a process begins with that of the one that starts it: a benchmark holds no data itself.
    """

    cpu_s: float
    wall_s: float
    peak_mb: float


def environment(python_path: str = str(HERE.parent)) -> dict[str, str]:
    """What a process of ours needs to know: the key, and which package to take."""
    return {**os.environ, "EXPORTER_SECRET_KEY": KEY, "PYTHONPATH": python_path}


def run(command: Sequence[str], *, python_path: str = str(HERE.parent), log: Path | None = None) -> Used:
    """Run a command to its end, in the folder of the benchmarks. Raises SystemExit, with its words, when it fails."""
    log = log or Path(os.devnull)
    began = time.monotonic()
    with log.open("wb") as words:
        process = subprocess.Popen(
            command, stdout=words, stderr=subprocess.STDOUT, env=environment(python_path), cwd=HERE
        )
        _, status, used = os.wait4(process.pid, 0)
    wall_s = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        said = log.read_text()[-2_000:] if log.is_file() else ""
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}. {said}")
    return Used(used.ru_utime + used.ru_stime, wall_s, used.ru_maxrss / 1024)


class Address(str):
    """A running service's address, and what to say to it."""

    __slots__ = ()

    def weather(self, **settings: Any) -> None:
        """Set the weather, and begin to count anew."""
        urllib.request.urlopen(f"{self}/weather", json.dumps(settings).encode()).close()

    def change(self, **settings: Any) -> None:
        """Set the weather, and go on counting."""
        urllib.request.urlopen(f"{self}/change", json.dumps(settings).encode()).close()

    def facts(self) -> dict[str, Any]:
        """What the service has seen since."""
        with urllib.request.urlopen(f"{self}/facts") as answer:
            facts: dict[str, Any] = json.load(answer)
        return facts


@contextlib.contextmanager
def service() -> Iterator[Address]:
    """Run the benchmarks' service."""
    process = subprocess.Popen([sys.executable, "-m", "rig.service"], stdout=subprocess.PIPE, text=True, cwd=HERE)
    try:
        yield Address((process.stdout or sys.stdin).readline().strip())
    finally:
        process.kill()
        process.communicate()


def write_ids(path: Path, ids: int) -> Path:
    """Write a CSV of so many different ids."""
    with path.open("w") as file:
        file.write("account_id\n")
        for first in range(0, ids, 100_000):
            file.write("".join(f"user_{number:09d}\n" for number in range(first, min(first + 100_000, ids))))
    return path


def export(address: str, ids: Path, out: Path, *flags: str) -> list[str]:
    """The command line of an export into a folder that does not exist yet."""
    shutil.rmtree(out, ignore_errors=True)
    return [
        sys.executable, "-m", "exporter", "run", str(ids), "--out", str(out), "--base-url", address,
        "--sdkappid", "1400000000", "--identifier", "administrator", *flags,
    ]  # fmt: skip


def bare(address: str, ids: Path) -> list[str]:
    """The command line of the floor."""
    return [sys.executable, "-m", "rig.bare", address, str(ids)]


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def report(name: str, rows: Sequence[Mapping[str, object]], *, laws: Sequence[str] = (), **facts: object) -> None:
    """Print a table of rows that have the same columns, what the laws say of it, and all of it as one line of JSON."""
    columns = list(rows[0])
    cells = [columns, *([_cell(row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(columns))]
    for line in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
    for law in laws:
        print(law)
    print(json.dumps({"benchmark": name, "rows": list(rows), **facts}, default=str), flush=True)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
