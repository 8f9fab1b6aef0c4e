"""One export, made again and again whatever happens to it: its input, its command, its undisturbed result, and the double.

The double counts how often each account is asked for: what a run asks again after a kill is seen there, not believed.
"""

import json
import math
import random
import subprocess
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import ROOT, WITHOUT, Double, Ran, assert_no_secret, environment, exporter, write_ids
from tests.durability import oracle
from tests.durability.oracle import Whole

RUN_S_MAX = 60.0
BATCH = 100  # accounts in a request


@dataclass(frozen=True)
class Work:
    """An export to be made: how many rows, cut into shards how, asked for how fast.

    With `old` rows it takes the place of an export of so many rows (--overwrite); with `piped` it reads standard input.
    """

    name: str
    count: int
    shard_rows: int
    in_flight: int = 1
    rate: int = 100_000
    old: int = 0
    piped: bool = False

    @property
    def again_max(self) -> int:
        """Rows of the shards that a run may have open: at most these are asked for again after a kill."""
        return self.shard_rows * (2 + math.ceil(self.in_flight * BATCH / self.shard_rows))

    @property
    def flags(self) -> list[str]:
        """Few columns, so that a file takes few writes; one of them mostly does not parse."""
        rows, flight, rate = map(str, (self.shard_rows, self.in_flight, self.rate))
        shape = ["--shard-rows", rows, "--attributes", "level,nick", "--types", "level=int64,nick=int64"]
        return [*shape, "--in-flight", flight, "--rate", rate, "--max-rejects", "100%"]


SMALL = Work("small", 60, 20)
MIDDLE = Work("middle", 3_000, 300, in_flight=2, rate=100)
LARGE = Work("large", 20_000, 1_000, in_flight=8, rate=130)


def rows(count: int, shard_rows: int) -> list[str]:
    """Rows of an input, with what any input has: repeats in a shard and across shards, blanks, ids that cannot be."""
    made: list[str] = []
    for number in range(count):
        place = number % shard_rows
        odd = {3: made[-1:], 5: made[-shard_rows:][:1], 7: [""], 11: ["x" * 33]}.get(place)
        made.append(odd[0] if odd else f"user_{number:06d}")
    return made


@dataclass
class Rig:
    """Runs exports of one package (the one that is tested, or one with a seeded bug) against one double.

    What is begun lies in `folder`; inputs and undisturbed runs, which many tests share, in `home`.
    """

    double: Double
    home: Path
    folder: Path
    package: Path = ROOT
    seed: int = 1
    failures_max: int = 20
    wholes: dict[tuple[Work, int], Whole] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def input(self, work: Work, count: int = 0) -> Path:
        """Give the file with the rows of an export."""
        path = self.home / f"{work.name}-{count or work.count}.csv"
        if not path.exists():
            write_ids(path, rows(count or work.count, work.shard_rows))
            path.write_text(path.read_text().replace('""', ""))  # a blank line, not an empty id
        return path

    def command(self, work: Work, out: Path, count: int = 0) -> list[str]:
        """Give the command that makes an export in `out`, always the same."""
        given = "-" if work.piped else str(self.input(work, count))
        more = ["--overwrite"] if work.old and not count else []
        return exporter("run", given, "--out", str(out), *self.double.flags, *work.flags, *more)

    def start(self, work: Work, out: Path, *under: str, count: int = 0, **env: str) -> subprocess.Popen[bytes]:
        """Start the command, under another program or on its own."""
        with self.input(work, count).open("rb") as rows_of_input:
            return subprocess.Popen(
                [*under, *self.command(work, out, count)],
                stdin=rows_of_input,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment(PYTHONPATH=f"{self.package}:{WITHOUT}", **env),
                cwd=self.folder,
            )

    def run(self, work: Work, out: Path, *under: str, count: int = 0, **env: str) -> Ran:
        """Run the command to whatever end it comes."""
        return ended(self.start(work, out, *under, count=count, **env))

    def prepare(self, work: Work, out: Path) -> Path:
        """Make the place as it is before the export: empty, or with the export that is to be replaced."""
        out.parent.mkdir(parents=True, exist_ok=True)
        if work.old:
            ran = self.run(work, out, count=work.old)
            assert ran.code == 0, ran.err
        return out

    def whole(self, work: Work, count: int = 0) -> Whole:
        """Give the result of an undisturbed run, made once and held against the laws."""
        if (work, count) not in self.wholes:
            out = self.home / f"undisturbed-{work.name}-{count}"
            before, began = self.asked(), time.monotonic()
            ran = self.run(work, out, count=count or work.count)
            assert ran.code == 0, f"the undisturbed run failed: {ran.err}"
            seconds = time.monotonic() - began
            given = rows(count or work.count, work.shard_rows)
            self.wholes[work, count] = oracle.read_whole(out, given, asked=self.asked() - before, seconds=seconds)
        return self.wholes[work, count]

    def allowed(self, work: Work) -> list[Whole]:
        """Give the exports that may lie in the place at any time: the new one, and the one it replaces."""
        return [self.whole(work), *([self.whole(work, work.old)] if work.old else [])]

    def at_rest(self, work: Work, out: Path) -> str:
        """Hold what a killed run left against the laws; return the phase in which it ended."""
        return oracle.at_rest(out, self.allowed(work))

    def finish(self, work: Work, out: Path) -> Ran:
        """Run the same command again, which must complete; hold the export against the undisturbed one."""
        ran = self.run(work, out)
        assert ran.code == 0, f"the same command ended with {ran.code}: {ran.err}"
        oracle.complete(out, self.whole(work))
        return ran

    def verified(self, out: Path) -> None:
        """Let the verifier of the package look at it too, where it has one."""
        if not (self.package / "exporter/cli/verify.py").exists():
            return
        command, pipe = exporter("verify", str(out)), subprocess.PIPE
        ran = ended(subprocess.Popen(command, stdout=pipe, stderr=pipe, env=environment(), cwd=self.folder))
        assert ran.code == 0, ran.err

    def asked(self) -> Counter[str]:
        """Tell how often each account was asked for since the double began."""
        with urllib.request.urlopen(f"{self.double.address}/accounts") as answer:
            return Counter(json.load(answer))

    def moment(self, process: subprocess.Popen[bytes], out: Path, seconds: float) -> None:
        """Wait for a random moment of a run of so many seconds: any, one after it took the lock, or one of its publishing."""
        began = time.time()
        locked = (".lock", seconds * 0.7)  # what is left once the libraries are loaded
        place, span = self.chance.choice([("", seconds), locked, locked, (".run/publish", 0.05)])
        while place and process.poll() is None and not _touched_since(out / place, began):
            time.sleep(0.001)
        try:
            process.wait(self.chance.uniform(0, span))
        except subprocess.TimeoutExpired:
            return


def _touched_since(path: Path, moment: float) -> bool:
    """Tell whether a file or folder is there that is not as an earlier run left it."""
    try:
        return path.stat().st_ctime > moment
    except FileNotFoundError:
        return False


def ended(process: subprocess.Popen[bytes]) -> Ran:
    """Wait for the end of a run, which never shows a traceback or a secret."""
    try:
        out, err = process.communicate(timeout=RUN_S_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"a run did not end within {RUN_S_MAX:.0f} s: {process.args!r}") from None
    assert_no_secret(out + err, "the output of a run")
    ran = Ran(process.returncode, out.decode(), err.decode())
    assert "Traceback" not in ran.err, " … ".join(line for line in ran.err.splitlines() if line[:1].strip())[-600:]
    return ran


def killed(process: subprocess.Popen[bytes]) -> bool:
    """Kill a run, and tell whether it was still there."""
    process.kill()
    process.communicate(timeout=RUN_S_MAX)
    return process.returncode == -9
