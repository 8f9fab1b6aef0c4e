"""How well is a lowered quota found? Whole runs at `--rate 100` whose quota falls to 50 and comes back, in mid-run.

    python benchmarks/adaptive.py --runs 2 --low-s 25

Refused calls use the quota up as well, or do not. Judged by the service's own clock: seconds until the new quota is found
(from then on a whole second has 80 % of what is allowed, and at most 5 % refused), the share of the allowed that is used
while it is low, what is refused then, and seconds until the full rate is back (a whole second at 95 %). The laws: found
within 5 s, 90 % used, under 2 % refused, and the rate climbs back.
"""

import argparse
import json
import os
import tempfile
import threading
import time
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

from rig.runs import Address, export, report, run, service, write_ids

RATE, LOW = 100, 50
CALM_S, AFTER_S = 8.0, 20.0
STEP_S = 0.05
FOUND_S_MAX, USED_MIN, REFUSED_MAX = 5.0, 0.9, 0.02


def within(times: Sequence[float], begin: float, end: float) -> int:
    """Count the moments from `begin` on and before `end`."""
    return bisect_left(times, end) - bisect_left(times, begin)


def found_s(seen: Sequence[float], accepted: Sequence[float], began: float, ended: float) -> float:
    """Seconds until a whole second goes well."""
    at = began
    while at < ended - 1:
        good, asked = within(accepted, at, at + 1), within(seen, at, at + 1)
        if good >= 0.8 * LOW and asked - good <= 0.05 * asked:
            return at - began
        at += STEP_S
    return float("inf")


def back_s(accepted: Sequence[float], began: float) -> float:
    """Seconds until a whole second has the full rate."""
    at = began
    while at < accepted[-1] - 1:
        if within(accepted, at, at + 1) >= 0.95 * RATE:
            return at - began
        at += STEP_S
    return float("inf")


def measure(address: Address, folder: Path, low_s: float, weather: dict[str, object]) -> dict[str, object]:
    """Run one export while the quota falls and comes back."""
    ids = write_ids(folder / "ids.csv", round(CALM_S * RATE + low_s * LOW + AFTER_S * RATE) * 100)
    address.weather(rate=RATE, **weather)
    command = export(address, ids, folder / "out", "--rate", str(RATE))
    running = threading.Thread(target=run, args=(command,), kwargs={"log": folder / "log"})
    running.start()
    while address.facts()["requests"] < CALM_S * RATE:
        time.sleep(0.05)
    address.change(rate=LOW, **weather)
    low_at = time.monotonic()  # the service's clock, too
    time.sleep(low_s)
    address.change(rate=RATE, **weather)
    back_at = time.monotonic()
    running.join()
    facts = address.facts()
    seen, accepted = facts["seen_at"], facts["accepted_at"]
    asked, good = within(seen, low_at, back_at), within(accepted, low_at, back_at)
    told = json.loads((folder / "out" / "manifest.json").read_text())
    return {
        "found_s": found_s(seen, accepted, low_at, back_at),
        "used_%": 100 * good / (LOW * (back_at - low_at)),
        "refused": asked - good,
        "refused_%": 100 * (asked - good) / asked,
        "refused_of_run_%": 100 * facts["refused"] / facts["requests"],
        "back_s": back_s(accepted, back_at),
        "worst_second": facts["worst_second"],
        "slow_downs": told["slow_downs"],
        "rate_min": told["rate_min"],
    }


def main() -> None:
    """Measure both kinds so many times."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--low-s", type=float, default=25.0)
    given = parser.parse_args()
    rows: list[dict[str, object]] = []
    missed: list[str] = []
    with tempfile.TemporaryDirectory() as name, service() as address:
        for count in (False, True):
            for turn in range(given.runs):
                weather: dict[str, object] = {"count_refused": count, "answer_ms": (20, 20)}
                kind = "refused calls count" if count else "refused calls are free"
                row = measure(address, Path(name), given.low_s, weather)
                rows.append({"quota": kind, "run": turn + 1, **row})
                found, used, refused, back = (float(str(row[k])) for k in ("found_s", "used_%", "refused_%", "back_s"))
                kept = found <= FOUND_S_MAX and used >= 100 * USED_MIN and refused < 100 * REFUSED_MAX
                if not kept or back == float("inf"):
                    missed.append(f"{kind}, run {turn + 1}")
    laws = ["laws: found within 5 s, 90 % used, under 2 % refused, full rate again: "]
    laws[0] += f"missed by {'; '.join(missed)}" if missed else "kept by every run"
    report("adaptive", rows, laws=laws, low_s=given.low_s, load=os.getloadavg(), missed=missed)


if __name__ == "__main__":
    main()
