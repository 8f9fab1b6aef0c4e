"""What does it cost to go on? Seconds from the start to the first request, with all but the last shard done.

The shards that are done are one real shard under many names, and a journal that says so. Ids are read from one CSV file,
plain and gzipped. Nobody is asked again: the double counts.

    python benchmarks/resume.py                      10,000,000 ids
    python benchmarks/resume.py --ids 100000000      needs 4 GB of disk
"""

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self

from exporter.model import Mark
from exporter.output import journal, publish
from exporter.output.shards import FOLDERS, ShardFacts, file_name
from exporter.source import fingerprint

SHARD_ROWS = 200_000
LINE = len("user_000000000\n")
HEADER = "account_id\n"


def main() -> None:
    """Measure plain and gzipped input; print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ids", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name, Double() as double:
        place = Path(name)
        template = real_shard(place, double)
        plain = write_ids(place, wanted.ids)
        rows = [measured(place, double, plain, template, wanted.ids) for _ in range(wanted.runs)]
        packed = pack(plain)
        rows += [measured(place, double, packed, template, wanted.ids) for _ in range(wanted.runs)]
    print(f"{'input':<12} {'ids':>12} {'to the first request':>22} {'ids asked again':>16} {'peak MB':>8}")
    for row in rows:
        print(
            f"{row['input']:<12} {row['ids']:>12,} {row['seconds']:>20.1f} s {row['again']:>16,} {row['peak_mb']:>8.0f}"
        )
    print(json.dumps(rows))


class Double:
    """The service's double, without a quota."""

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "exporter", "simulate", "--port", "0", "--rate", "0"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.address = next(word for word in self.process.stdout.readline().split() if word.startswith("http://"))
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()

    def stats(self) -> dict[str, Any]:
        """Tell what it has seen so far."""
        with urllib.request.urlopen(f"{self.address}/stats") as answer:
            return dict(json.load(answer))

    def command(self, ids: Path, out: Path) -> list[str]:
        """Give the command of a run against it."""
        flags = {
            "out": out,
            "base-url": self.address,
            "sdkappid": 1400000000,
            "identifier": "administrator",
            "rate": 1e6,
        }
        given = [f"--{name}={value}" for name, value in flags.items()]
        return [sys.executable, "-m", "exporter", "run", str(ids), "--duplicates=keep", *given]


ENVIRONMENT = {**os.environ, "EXPORTER_SECRET_KEY": "simulated-secret-key"}


def real_shard(place: Path, double: Double) -> tuple[Path, dict[str, Any]]:
    """Export two shards, stop before publishing, and keep the first with its record."""
    ids, out = write_ids(place, 2 * SHARD_ROWS), place / "template"
    command = double.command(ids, out)
    subprocess.run(command, env={**ENVIRONMENT, "EXPORTER_FAIL_POINT": "assembled"}, check=False, capture_output=True)
    records, _ = journal.read(out / ".run" / publish.JOURNAL)
    return out, {record["op"]: record for record in reversed(records)}


def write_ids(place: Path, count: int) -> Path:
    """Write a CSV of ids, all of the same width."""
    path = place / f"ids-{count}.csv"
    with path.open("w") as file:
        file.write(HEADER)
        for first in range(0, count, 1_000_000):
            last = min(count, first + 1_000_000)
            file.write("".join(f"user_{number:09d}\n" for number in range(first, last)))
    return path


def pack(path: Path) -> Path:
    """Write the same, gzipped."""
    packed = path.with_suffix(".csv.gz")
    with path.open("rb") as source, gzip.open(packed, "wb", compresslevel=1) as target:
        shutil.copyfileobj(source, target, 1 << 20)
    return packed


def measured(
    place: Path, double: Double, ids: Path, template: tuple[Path, dict[str, Any]], count: int
) -> dict[str, Any]:
    """Go on with a run of which all but the last shard is done."""
    out = place / "out"
    shutil.rmtree(out, ignore_errors=True)
    unfinished(out, ids, template, count)
    before = double.stats()
    began = time.monotonic()
    process = subprocess.Popen(double.command(ids, out), env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    while double.stats()["requests"] == before["requests"]:
        time.sleep(0.02)
    seconds = time.monotonic() - began
    while process.poll() is None and double.stats()["accounts_asked"] < before["accounts_asked"] + SHARD_ROWS:
        time.sleep(0.1)
    peak = int(
        next(line for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if "VmHWM" in line).split()[
            1
        ]
    )
    process.kill()
    process.wait()
    again = double.stats()["accounts_asked"] - before["accounts_asked"] - SHARD_ROWS
    return {
        "input": "gzip" if ids.suffix == ".gz" else "plain",
        "ids": count,
        "seconds": round(seconds, 2),
        "again": again,
        "peak_mb": peak / 1024,
    }


def unfinished(out: Path, ids: Path, template: tuple[Path, dict[str, Any]], count: int) -> None:
    """Make an output folder in which every shard but the last is done."""
    source, records = template
    facts = ShardFacts.of(records["shard"])
    begin = {**records["begin"]}
    begin["fingerprint_of"] = {**begin["fingerprint_of"], "inputs": [fingerprint(ids)]}
    kept = [begin]
    for folder in FOLDERS:
        (out / ".run" / folder).mkdir(parents=True)
    out.chmod(0o700)
    for number in range(count // SHARD_ROWS - 1):
        last = (number + 1) * SHARD_ROWS
        place = (len(HEADER) + LINE * (last - 1), last, last - 1, 0, 1)
        facts = replace(
            facts, number=number, first_row=last - SHARD_ROWS + 1, last_row=last, ends=Mark(0, last - 1, place, 1), share=last / count
        )  # fmt: skip
        kept.append({"op": "shard", **asdict(facts)})
        for folder in FOLDERS:
            os.link(
                source / ".run" / folder / file_name(records["shard"]["number"]),
                out / ".run" / folder / file_name(number),
            )
    lines = (journal.encode({**record, "seq": seq}) for seq, record in enumerate(kept))
    (out / ".run" / publish.JOURNAL).write_bytes(b"".join(lines))


if __name__ == "__main__":
    main()
