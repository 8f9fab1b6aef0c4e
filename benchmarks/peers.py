"""What do other tools take for the same work? Each as its own users would write it, against one service, in turn.

    make .venv-peers/run                                   once: the environment of the peers
    python benchmarks/peers.py --ids 200000 --rounds 5     all three tables
    python benchmarks/peers.py --tables kill quota

cost    whole processes without a limit: median CPU, peak and wall of the rounds, and CPU over the floor of the same round
kill    at the quota: kill -9 when three quarters of the requests are accepted, then the same command again
quota   100 requests a second, a refusal for each one more, 0-50 ms on the way; each at the throttle that it has

CPU and peak are those of wait4 on the top process: the kernel adds the CPU of children that it has waited for, and the
peak is that of the largest of them, or of this process when it starts one: so it stays small, and others read for it. An output is read to its end: a peer whose rows are not the ids that were asked is no
peer. Only the bare loop has none: it throws the answers away.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rig.runs import HERE, Address, Used, bare, export, median, report, run, service, write_ids

RATE = 100
BATCH = 100
AT_THE_QUOTA: dict[str, Any] = {"rate": RATE, "way_ms": (0, 50)}
PACKAGES = ("aiohttp", "aiolimiter", "dlt", "pandas", "pyarrow", "scrapy")
ENVIRONMENT = {**os.environ, "EXPORTER_SECRET_KEY": "benchmark-secret-key", "PYTHONPATH": str(HERE.parent)}


@dataclass(frozen=True, slots=True)
class Peer:
    """A tool, its command line, where its Parquet lies, and its flags in each table; none where it has no part."""

    name: str
    script: str
    files: str
    cost: tuple[str, ...] | None = None
    kill: tuple[str, ...] | None = None
    quota: tuple[str, ...] | None = None


SCRIPT, DLT, SCRAPY = "aiohttp_pandas.py", "dlt_pipeline.py", "scrapy_spider.py"
AT_RATE = ("--rate", str(RATE))
PEERS = (
    Peer("bare loop", "", "", cost=()),
    Peer("exporter", "", "data/*.parquet", ("--rate", "1000000"), (*AT_RATE, "--shard-rows", "20000"), AT_RATE),
    Peer("aiohttp + pandas", SCRIPT, "*.parquet", cost=()),
    Peer("aiohttp + pandas, aiolimiter", SCRIPT, "*.parquet", kill=AT_RATE, quota=AT_RATE),
    Peer("dlt", DLT, "export/chat/accounts/*.parquet", cost=(), kill=(), quota=()),
    Peer("Scrapy", SCRAPY, "*.parquet", cost=()),
    Peer("Scrapy, DOWNLOAD_DELAY, JOBDIR", SCRAPY, "*.parquet", kill=(*AT_RATE, "--jobdir", "{out}/job")),
    Peer("Scrapy, DOWNLOAD_DELAY", SCRAPY, "*.parquet", quota=AT_RATE),
    Peer("Scrapy, AutoThrottle", SCRAPY, "*.parquet", quota=(*AT_RATE, "--autothrottle")),
)


@dataclass(frozen=True, slots=True)
class Bench:
    """The service, the input, the interpreter of the peers, and room to work in."""

    address: Address
    ids: Path
    count: int
    python: str
    folder: Path

    @property
    def log(self) -> Path:
        """What the last process said."""
        return self.folder / "log"

    def command(self, peer: Peer, flags: tuple[str, ...]) -> list[str]:
        """The command line of a peer that has no output yet."""
        out = self.out(peer)
        shutil.rmtree(out, ignore_errors=True)
        if peer.script:
            flags = tuple(flag.format(out=out) for flag in flags)
            return [self.python, f"peers/{peer.script}", self.address, str(self.ids), str(out), *flags]
        return export(self.address, self.ids, out, *flags) if peer.files else bare(self.address, self.ids)

    def out(self, peer: Peer) -> Path:
        """The folder of a peer's output."""
        return self.folder / peer.name.replace(" ", "-")

    def lost_and_too_many(self, peer: Peer) -> tuple[int, int]:
        """How many accounts have no row, and how many rows are one too many."""
        files = sorted(str(file) for file in self.out(peer).glob(peer.files))
        command = [sys.executable, "-m", "rig.rows", str(self.ids), *files]
        seen = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=HERE).stdout)
        return seen["lost"], seen["too_many"]

    def accepted(self) -> int:
        """How many requests the quota has let through."""
        return len(self.address.facts()["accepted_at"])

    def tried(self, command: list[str]) -> tuple[float, str]:
        """Run a command that may fail: seconds, and how it ends."""
        began = time.monotonic()
        with self.log.open("wb") as words:
            ended = subprocess.run(command, stdout=words, stderr=words, env=ENVIRONMENT, cwd=HERE, check=False)
        return time.monotonic() - began, f"fails: {last_words(self.log)}" if ended.returncode else "complete"


def cost(bench: Bench, rounds: int) -> list[dict[str, object]]:
    """Run each in turn, round by round."""
    bench.address.weather()
    used: dict[str, list[Used]] = {}
    peers = [(peer, peer.cost) for peer in PEERS if peer.cost is not None]
    for _ in range(rounds):
        for peer, flags in peers:
            used.setdefault(peer.name, []).append(run(bench.command(peer, flags), log=bench.log))
            if peer.files and any(bench.lost_and_too_many(peer)):
                raise SystemExit(f"{peer.name} wrote other rows than the {bench.count:,} accounts that it was given.")
    floor = used[PEERS[0].name]
    return [
        {
            "peer": name,
            "cpu_s": median([each.cpu_s for each in runs]),
            "peak_mb": median([each.peak_mb for each in runs]),
            "wall_s": median([each.wall_s for each in runs]),
            "over_floor": median([each.cpu_s / bare.cpu_s for each, bare in zip(runs, floor, strict=True)]),
        }
        for name, runs in used.items()
    ]


def kill(bench: Bench, _: int) -> list[dict[str, object]]:
    """Kill each at three quarters, start it again, and look at what it asked twice and wrote."""
    return [killed(bench, peer, peer.kill) for peer in PEERS if peer.kill is not None]


def killed(bench: Bench, peer: Peer, flags: tuple[str, ...]) -> dict[str, object]:
    """Kill one peer once. Requests over one a batch were asked again; below zero, so many batches were never asked."""
    command, ideal = bench.command(peer, flags), bench.count // BATCH
    bench.address.weather(**AT_THE_QUOTA)
    with bench.log.open("wb") as words:
        process = subprocess.Popen(command, stdout=words, stderr=words, env=ENVIRONMENT, cwd=HERE)
    while process.poll() is None and bench.accepted() < 0.75 * ideal:
        time.sleep(0.05)
    process.kill()
    if process.wait() >= 0:
        raise SystemExit(f"{peer.name} ended before it could be killed. {last_words(bench.log)}")
    before = bench.accepted()
    _, ends = bench.tried(command)
    lost, too_many = bench.lost_and_too_many(peer)
    return {
        "peer": peer.name,
        "killed_at": before / ideal,
        "requests_over": bench.accepted() - ideal,
        "lost_rows": lost,
        "rows_too_many": too_many,
        "second_run": ends,
    }


def quota(bench: Bench, _: int) -> list[dict[str, object]]:
    """Run each at the quota."""
    return [throttled(bench, peer, peer.quota) for peer in PEERS if peer.quota is not None]


def throttled(bench: Bench, peer: Peer, flags: tuple[str, ...]) -> dict[str, object]:
    """Run one peer once. The share used is what was accepted over what is allowed between the first of it and the last."""
    command = bench.command(peer, flags)
    bench.address.weather(**AT_THE_QUOTA)
    wall_s, ends = bench.tried(command)
    facts = bench.address.facts()
    accepted = facts["accepted_at"]
    return {
        "peer": peer.name,
        "wall_s": wall_s,
        "used_share": (len(accepted) - 1) / (RATE * (accepted[-1] - accepted[0])),
        "requests": facts["requests"],
        "refused": facts["refused"],
        "refused_share": facts["refused"] / facts["requests"],
        "lost_rows": bench.lost_and_too_many(peer)[0],
        "ends": ends,
    }


def last_words(log: Path) -> str:
    """The last line that a process said."""
    return (log.read_text(errors="replace").strip().splitlines() or ["nothing said"])[-1][:80]


TABLES: dict[str, Callable[[Bench, int], list[dict[str, object]]]] = {"cost": cost, "kill": kill, "quota": quota}


def versions(python: str) -> dict[str, str]:
    """What the environment of the peers holds."""
    code = f"import json, importlib.metadata as m; print(json.dumps({{name: m.version(name) for name in {PACKAGES}}}))"
    return dict(json.loads(subprocess.run([python, "-c", code], stdout=subprocess.PIPE, check=True).stdout))


def main() -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ids", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5, help="of the table of costs")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--python", default=str(HERE.parent / ".venv-peers/bin/python"))
    given = parser.parse_args()
    if not Path(given.python).exists():
        raise SystemExit(f"There is no {given.python}: make .venv-peers/run first, or name another with --python.")
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = ENVIRONMENT["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    facts = {
        "ids": given.ids,
        "at": datetime.now(UTC).date(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "versions": versions(given.python),
    }
    with tempfile.TemporaryDirectory() as name, service() as address:
        ids = write_ids(Path(name) / "ids.csv", given.ids)
        bench = Bench(address, ids, given.ids, given.python, Path(name))
        for table in given.tables:
            report(f"peers {table}", TABLES[table](bench, given.rounds), **facts)


if __name__ == "__main__":
    main()
