"""What tests of interrupted runs share: a double that counts how often it is asked for whom, and a command run again."""

import hashlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from exporter.output.journal import decode
from tests.conftest import CALM, Double, Ran, assert_no_secret, environment, exporter, start_double

SHARD_ROWS = 100
ROWS = 1_000
FLAGS = ("--rate", "100000", "--shard-rows", str(SHARD_ROWS), "--in-flight", "4", "--max-rejects", "100%")
TYPED = ("--types", "level=int64,score=int64")  # no score is a whole number: every one is a bad value


MEASURED = """
import json, os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=open("said", "wb"))
_, status, used = os.wait4(process.pid, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), used.ru_maxrss // 1024]), flush=True)
os._exit(0)
"""


def measured(command: list[str], folder: Path) -> tuple[int, int, str]:
    """Run a command to its end: its exit code, its peak memory in MiB, what it said on standard error."""
    # From a small process: a child's peak begins with the memory of its parent.
    small = [sys.executable, "-c", MEASURED, *command]
    done = subprocess.run(small, env=environment(), cwd=folder, capture_output=True, check=True, timeout=120)
    code, peak_mib = json.loads(done.stdout)
    return code, peak_mib, (folder / "said").read_text()


@pytest.fixture(scope="session")
def _counting_double() -> Iterator[Double]:
    double = start_double("--rate", "0", "--track-accounts")
    yield double
    double.process.terminate()
    double.process.communicate()


@pytest.fixture
def counting(_counting_double: Double) -> Double:
    """Give a double that counts how often each account is asked for; every test has accounts of its own."""
    _counting_double.control(**CALM)
    return _counting_double


@dataclass
class Input:
    """Rows of an input whose accounts nobody else has: repeats, blank lines and bad ids among them."""

    rows: int = ROWS
    prefix: str = field(default_factory=lambda: secrets.token_hex(4))

    @cached_property
    def ids(self) -> list[str]:
        """The rows in order; empty for a blank line."""
        return [self._id(number) for number in range(self.rows)]

    def _id(self, number: int) -> str:
        if number % 97 == 50:
            return ""
        if number % 61 == 30:
            return f"{self.prefix}_{number // 2:06d}"
        return f"{self.prefix}_{number:06d}" + "x" * (33 if number % 89 == 40 else 0)

    def csv(self, *, first: int = 0) -> bytes:
        """Write it as CSV, from a row on."""
        return "\n".join(["account_id", *self.ids[first:], ""]).encode()

    def written(self, path: Path) -> Path:
        """Write it to a file."""
        path.write_bytes(self.csv())
        return path

    def asked(self, double: Double) -> Counter[str]:
        """How often the double was asked for each of these accounts."""
        with urllib.request.urlopen(f"{double.address}/accounts") as answer:
            return Counter({name: n for name, n in json.load(answer).items() if name.startswith(self.prefix)})

    def asked_since(self, double: Double, before: Counter[str]) -> set[int]:
        """Tell the shards of which something was asked since; accounts that stand in two shards do not count."""
        asked = self.asked(double) - before
        times = Counter(self.ids)
        return {row // SHARD_ROWS for row, name in enumerate(self.ids) if times[name] == 1 and asked[name]}


@dataclass
class Command:
    """One `exporter run`, started as often as it takes; no end of it may show a traceback or a secret."""

    double: Double
    folder: Path
    inputs: Sequence[str]
    out: Path
    flags: Sequence[str] = FLAGS

    def line(self, *more: str) -> list[str]:
        """The command as a list of arguments."""
        return exporter("run", *self.inputs, "--out", str(self.out), *self.double.flags, *self.flags, *more)

    def start(self, *more: str, stdin: Any = subprocess.DEVNULL, **env: str) -> "subprocess.Popen[bytes]":
        """Start it, and leave it running."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self.line(*more), stdin=stdin, stdout=pipe, stderr=pipe, env=environment(**env), cwd=self.folder
        )

    def run(self, *more: str, stdin: bytes = b"", **env: str) -> Ran:
        """Run it to its end."""
        return ended(self.start(*more, stdin=subprocess.PIPE, **env), stdin)

    def done(self, *more: str, stdin: bytes = b"") -> Ran:
        """Run it to a good end."""
        ran = self.run(*more, stdin=stdin)
        assert ran.code == 0, ran.err
        return ran

    def killed(self, point: str, *more: str, stdin: bytes = b"") -> None:
        """Run it until it is killed at a fail point."""
        ran = self.run(*more, stdin=stdin, EXPORTER_FAIL_POINT=point)
        assert ran.code == -signal.SIGKILL, f"{point} was not reached: {ran}"

    @property
    def run_folder(self) -> Path:
        """Where an unfinished run lies."""
        return self.out / ".run"

    @property
    def records(self) -> list[dict[str, Any]]:
        """What the journal says."""
        path = self.run_folder / "journal"
        return [dict(record) for record in decode(path.read_bytes())[0]] if path.exists() else []

    @property
    def shards(self) -> set[int]:
        """The numbers of the shards that the journal knows."""
        return {record["number"] for record in self.records if record["op"] == "shard"}

    def has_more_than(self, shards: set[int], count: int = 1) -> bool:
        """Tell whether the journal knows some more shards than these."""
        return len(self.shards - shards) >= count

    def wait_for(self, process: "subprocess.Popen[bytes]", true: Callable[[], bool]) -> None:
        """Wait until something holds of a run that goes on."""
        until = time.monotonic() + 60
        while not true():
            assert process.poll() is None, ended(process)
            assert time.monotonic() < until
            time.sleep(0.01)


def ended(process: "subprocess.Popen[bytes]", stdin: bytes | None = None) -> Ran:
    """Wait for the end of a run; what it says is fit to be read."""
    try:
        out, err = process.communicate(stdin, timeout=90)
    finally:
        process.kill()
    assert_no_secret(out + err, "the output")
    ran = Ran(process.returncode, out.decode(), err.decode())
    assert "Traceback" not in ran.err, ran.err
    return ran


def files_of(out: Path) -> dict[str, str]:
    """The published files of an export and their hashes."""
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for name in ("data", "rejects", "bad_values")
        for path in sorted((out / name).iterdir())
    }


@pytest.fixture
def given() -> Input:
    """An input of this test alone."""
    return Input()


@pytest.fixture
def command(counting: Double, tmp_path: Path, given: Input) -> Command:
    """Give a command that exports the input of this test in ten shards."""
    given.written(tmp_path / "ids.csv")
    return Command(counting, tmp_path, ["ids.csv"], tmp_path / "export")


@pytest.fixture
def shell_path(tmp_path: Path) -> str:
    """A PATH on which `exporter` is found, as it is after an installation."""
    place = tmp_path / "bin"
    place.mkdir()
    script = place / "exporter"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m exporter "$@"\n')
    script.chmod(0o755)
    return os.pathsep.join([str(place), os.environ.get("PATH", os.defpath)])


def copied(command: Command, name: str) -> Command:
    """Give the same command with a copy of its folder."""
    out = command.folder / name
    shutil.copytree(command.out, out, symlinks=True)
    return Command(command.double, command.folder, command.inputs, out, command.flags)
