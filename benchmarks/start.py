"""How soon does it begin? `--help`, and the first request of a run, beside what its libraries alone take.

    python benchmarks/start.py --ids 10000000 --runs 9

The laws: `--help` under 0.5 s, the first request within 1 s of the start, medians on an input of 10,000,000 lines.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable  # noqa: TC003 - no import is saved by moving it
from pathlib import Path

from rig.runs import Address, environment, export, median, report, run, service, write_ids

EXPORTER = [sys.executable, "-m", "exporter"]
BARE = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import aiohttp, pyarrow": [sys.executable, "-c", "import aiohttp, pyarrow.parquet"],
    "exporter --help": [*EXPORTER, "--help"],
    "exporter run --help": [*EXPORTER, "run", "--help"],
}
FIRST = "first request"


def main() -> None:
    """Measure all in turn."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ids", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=9)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, service() as address:
        place = Path(name)
        ids = write_ids(place / "ids.csv", given.ids)
        ways: dict[str, Callable[[], float]] = {
            **{what: lambda command=command: run(command).wall_s for what, command in BARE.items()},  # type: ignore[misc]
            FIRST: lambda: first_request_s(export(address, ids, place / "out"), address),
        }
        seconds = [{what: measure() for what, measure in ways.items()} for _ in range(given.runs + 1)][1:]  # warm
    middle = {what: median([each[what] for each in seconds]) for what in ways}
    python, libraries = middle["python -c pass"], middle["import aiohttp, pyarrow"]
    rows = [
        {
            "what": what,
            "median_s": middle[what],
            "worst_s": max(each[what] for each in seconds),
            "times_python": middle[what] / python,
            "times_libraries": middle[what] / libraries,
        }
        for what in ways
    ]
    laws = [
        f"help after {middle['exporter --help']:.2f} s (law: under 0.5)",
        f"first request after {middle[FIRST]:.2f} s (law: within 1)",
    ]
    report("start", rows, laws=laws, ids=given.ids)


def first_request_s(command: list[str], address: Address) -> float:
    """Seconds from the start of a run to its first request; the run is then killed."""
    address.weather()
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    try:
        while not (seen_at := address.facts()["seen_at"]) and process.poll() is None:
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    return float(seen_at[0]) - began  # one clock for all processes of a machine


if __name__ == "__main__":
    main()
