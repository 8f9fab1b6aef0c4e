"""What all tests of whole runs share: the double as a process, the command line as a process, and a reader of exports.

Every run carries a canary key; wherever bytes come out, the key and every UserSig made with it are looked for.
"""

import asyncio
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import settings as hypothesis_settings

from exporter.api.usersig import describe
from exporter.app import Job, export
from exporter.output.manifest import Manifest
from exporter.progress import Progress
from exporter.settings import load
from exporter.simulator.config import Config
from exporter.simulator.server import FIXED
from exporter.verify import verify

# How long an example takes says nothing on a machine that others use too.
hypothesis_settings.register_profile("patient", deadline=None)
hypothesis_settings.load_profile("patient")

CANARY = f"canary-{secrets.token_hex(16)}"
APP = {"sdkappid": 1400000000, "identifier": "administrator"}
ROOT = Path(__file__).parents[1]
WITHOUT = ROOT / "tests" / "without"


def pytest_xdist_auto_num_workers() -> int:
    """Half of the time the tests wait: for a process, or for a second of the quota."""
    return 2 * len(os.sched_getaffinity(0))


def environment(**more: str) -> dict[str, str]:
    # How wide a terminal is its own to say.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("EXPORTER_", "COLUMNS", "LINES"))}
    return {**kept, "PYTHONPATH": f"{ROOT}:{WITHOUT}", "PYTHONWARNINGS": "error", "EXPORTER_SECRET_KEY": CANARY, **more}


def exporter(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "exporter", *arguments]


@dataclass
class Double:
    """The service's double in a process of its own."""

    process: subprocess.Popen[str]
    address: str

    def control(self, **changes: object) -> None:
        """Change its settings in mid-run."""
        request = urllib.request.Request(f"{self.address}/control", json.dumps(changes).encode())
        urllib.request.urlopen(request).close()

    def stats(self) -> dict[str, Any]:
        """What it has seen so far."""
        with urllib.request.urlopen(f"{self.address}/stats") as answer:
            return dict(json.load(answer))

    @property
    def flags(self) -> list[str]:
        """How to point a run at it."""
        return ["--base-url", self.address, "--sdkappid", "1400000000", "--identifier", "administrator"]


def start_double(*flags: str) -> Double:
    command = exporter("simulate", "--port", "0", *flags)
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment(), cwd=ROOT
    )
    assert process.stdout
    address = next(word for word in process.stdout.readline().split() if word.startswith("http://"))
    return Double(process, address)


@pytest.fixture
def make_double() -> Iterator[Callable[..., Double]]:
    """Start doubles with other flags; they end with the test."""
    doubles: list[Double] = []

    def make(*flags: str) -> Double:
        doubles.append(start_double(*flags))
        return doubles[-1]

    yield make
    for double in doubles:
        double.process.terminate()
        double.process.communicate()


@pytest.fixture(scope="session")
def _session_double() -> Iterator[Double]:
    double = start_double("--rate", "0")
    yield double
    double.process.terminate()
    double.process.communicate()


_KEPT = {*FIXED, "secret_key"}
CALM = {name: value for name, value in asdict(Config(rate=0)).items() if name not in _KEPT}
"""All that a test may have changed."""


@pytest.fixture
def double(_session_double: Double) -> Double:
    """Give one double for many tests, without a quota and without faults until the test asks for them."""
    _session_double.control(**CALM)
    return _session_double


def tool(name: str) -> str:
    """Find a program of the machine; without it there is nothing to test."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@dataclass
class Ran:
    """A command that ended."""

    code: int
    out: str
    err: str


def assert_no_secret(data: bytes, where: str) -> None:
    """Look for the canary key, and for anything that decodes as a UserSig."""
    assert CANARY.encode() not in data, f"the key stands in {where}"
    for token in re.findall(rb"eJ[A-Za-z0-9*_-]{60,}", data):
        with pytest.raises(ValueError):  # noqa: PT011 - any text that is no UserSig
            describe(token.decode())


def assert_no_secret_below(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            assert_no_secret(path.read_bytes(), str(path))


@pytest.fixture
def run_cli(tmp_path: Path) -> Callable[..., Ran]:
    """Run the command line in a process; no end of it may show a traceback or a secret, there or in any file."""

    def run(*arguments: str, env: dict[str, str] | None = None, stdin: bytes = b"") -> Ran:
        command = exporter(*arguments)
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            env=environment(**(env or {})),
            cwd=tmp_path,
            timeout=120,
            check=False,
        )
        ran = Ran(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "Traceback" not in ran.err, ran.err
        assert_no_secret(done.stdout + done.stderr, "the output of " + " ".join(arguments))
        assert_no_secret_below(tmp_path)
        return ran

    return run


def write_ids(path: Path, ids: Sequence[str], header: str = "account_id") -> Path:
    quoted = ('"' + text.replace('"', '""') + '"' for text in (header, *ids))
    path.write_text("\n".join(quoted) + "\n", encoding="utf-8", newline="")
    return path


@dataclass
class Export:
    """A published export, read back without any code of the writer."""

    out: Path
    manifest: dict[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    bad_values: list[dict[str, Any]] = field(default_factory=list)

    @property
    def accounts(self) -> list[str]:
        """The accounts with a row, in order."""
        return [row["account_id"] for row in self.rows]


def read_export(out: Path, *, unfinished: bool = False) -> Export:
    """Read an export and hold it against its laws: accounting, one schema, complete files, private files.

    `unfinished` says whether another run, or a retry, is left beside it.
    """
    assert (out / "_SUCCESS").exists()
    assert (out / ".run").exists() == unfinished
    found = Export(out, json.loads((out / "manifest.json").read_text()))
    schemas = set()
    for name, rows in (("data", found.rows), ("rejects", found.rejects), ("bad_values", found.bad_values)):
        for path in sorted((out / name).iterdir()):
            assert path.suffix == ".parquet"
            assert path.stat().st_mode & 0o777 == 0o600
            table = pq.read_table(path, partitioning=None, page_checksum_verification=True)
            rows.extend(table.to_pylist())
            if name == "data":
                schemas.add(str(pq.read_schema(path)))
    assert len(schemas) == 1
    made = found.manifest
    assert made["input"] == made["rows"] + made["rejects"] + made["duplicates"] + made["blank"]
    assert made["rows"] == len(found.rows) == sum(shard["rows"] for shard in made["shards"])
    assert made["rejects"] == len(found.rejects)
    assert made["rejects_by_reason"] == dict(sorted(Counter(row["reason"] for row in found.rejects).items()))
    report = verify(out)
    assert report.ok, report.findings
    return found


@dataclass
class Exporting:
    """Runs exports in this process: real files, real sockets, the double in a process of its own."""

    double: Double
    folder: Path

    def run(self, ids: Sequence[str] | Path, *, out: Path | None = None, **flags: Any) -> Export:
        """Export some ids; raises what the job raises."""
        source = ids if isinstance(ids, Path) else write_ids(self.folder / f"{time.monotonic_ns()}.csv", ids)
        place = out or self.folder / f"out-{time.monotonic_ns()}"
        self.manifest(source, place, **flags)
        assert_no_secret_below(place)
        return read_export(place)

    def manifest(self, source: Path, out: Path, *, progress: Progress | None = None, **flags: Any) -> Manifest:
        """Run the job; return what it says."""
        wanted = {"base_url": self.double.address, **APP, "secret_key": CANARY, "rate": 1e6, **flags}
        job = Job([str(source)], out, load(**wanted), progress or Progress(time.monotonic))
        return asyncio.run(export(job)).manifest


@pytest.fixture
def exporting(double: Double, tmp_path: Path) -> Exporting:
    """Run exports in this process against the double."""
    return Exporting(double, tmp_path)
