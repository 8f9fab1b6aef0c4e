"""Does latency cost rate? Runs at 100 requests a second, with answers that take long, never come, or come to nothing.

    python benchmarks/latency.py                 every part, 8 minutes
    python benchmarks/latency.py answers tail    some of them, see PARTS
    python benchmarks/latency.py --runs 5

The service has no quota here: whatever is missing at 100 is ours. `share` is of the quota, from the first request to the
last of the first pass; `longest gap` is between two arrivals there, in seconds, the wait for the first answer aside.
"""

import argparse
import json
import math
import tempfile
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

from rig.runs import Address, export, report, run, service, write_ids

RATE = 100
TIMEOUT_S = 5.0
Row = dict[str, object]


def measure(address: Address, folder: Path, accounts: int, *flags: str, **weather: object) -> Row:
    """Export so many accounts in this weather, and look at it from the service's side."""
    address.weather(**weather)
    ids = folder / f"{accounts}.csv"
    if not ids.exists():
        write_ids(ids, accounts)
    used = run(export(address, ids, folder / "out", "--rate", str(RATE), *flags), log=folder / "log")
    facts, manifest = address.facts(), json.loads((folder / "out" / "manifest.json").read_text())
    batches = math.ceil(accounts / 100)
    first, *seen = facts["seen_at"][:batches]  # the first goes alone until it has its answer
    return {
        "requests": facts["requests"],
        "share": (len(seen) - 1) / (seen[-1] - seen[0]) / RATE,
        "alone s": seen[0] - first,
        "longest gap": max(after - before for before, after in pairwise(seen)),
        "in flight": facts["in_flight_most"],
        "connections": facts["connections"],
        "wall s": used.wall_s,
        "peak MB": used.peak_mb,
        "rejects": manifest["rejects"],
    }


def answers(address: Address, folder: Path, runs: int) -> None:
    """Answers that take 20 ms, 500 ms and 3 s."""
    rows: list[Row] = [
        {"answer": f"{ms} ms", **measure(address, folder, 300_000, answer_ms=(ms, ms))}
        for _ in range(runs)
        for ms in (20, 500, 3_000)
    ]
    lowest = min(float(str(row["share"])) for row in rows)
    report("latency: answers", rows, laws=[f"lowest share {lowest:.3f} (law: the same, whatever an answer takes)"])


def shards(address: Address, folder: Path, runs: int) -> None:
    """Boundaries between shards: many small ones, and two of the usual size."""
    rows: list[Row] = [
        {"shard rows": size, **measure(address, folder, 500_000, "--shard-rows", str(size), answer_ms=(20, 60))}
        for _ in range(runs)
        for size in (1_000, 20_000, 200_000)
    ]
    longest = max(float(str(row["longest gap"])) for row in rows)
    report("latency: shards", rows, laws=[f"longest gap {longest * 1000:.0f} ms (law: no dip between shards)"])


def stragglers(address: Address, folder: Path, runs: int) -> None:
    """One request that takes a minute; and accounts that are never answered, one in each of ten shards of fifteen."""
    poison = [f"user_{number:09d}" for number in range(10_000, 210_000, 20_000)]
    kinds: Mapping[str, Mapping[str, object]] = {
        "one request of 60 s": {"straggler": 500, "straggler_s": 60.0},
        "ten accounts never answered": {"poison": poison},
    }
    rows: list[Row] = []
    for _ in range(runs):
        for kind, weather in kinds.items():
            flags = ("--shard-rows", "20000", "--max-rejects", "10")
            rows.append({"straggler": kind, **measure(address, folder, 300_000, *flags, answer_ms=(20, 60), **weather)})
    longest = max(float(str(row["longest gap"])) for row in rows)
    report(
        "latency: stragglers", rows, laws=[f"longest gap {longest * 1000:.0f} ms (law: no straggler idles the quota)"]
    )


def tail(address: Address, folder: Path, runs: int) -> None:
    """3,000 requests of which 2 % are answered with 91000 and 1 % never."""
    rows: list[Row] = []
    for _ in range(runs):
        row = measure(address, folder, 300_000, answer_ms=(20, 60), again_share=0.02, hang_share=0.01)
        bound = int(str(row["requests"])) / RATE * 1.02 + TIMEOUT_S + 3.0
        rows.append({**row, "bound s": bound, "held": bool(float(str(row["wall s"])) <= bound)})
    held = sum(bool(row["held"]) for row in rows)
    report(
        "latency: tail",
        rows,
        laws=[f"{held} of {len(rows)} within 2 % + one timeout + 3 s of requests / rate (law: all)"],
    )


PARTS: Mapping[str, Callable[[Address, Path, int], None]] = {
    "answers": answers,
    "shards": shards,
    "stragglers": stragglers,
    "tail": tail,
}


def main() -> None:
    """Measure one part after the other."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--runs", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, service() as address:
        for part in given.parts or PARTS:
            PARTS[part](address, Path(name), given.runs)


if __name__ == "__main__":
    main()
