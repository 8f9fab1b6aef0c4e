"""What does an outage cost? A run at the full quota whose service is gone for a minute, in each of three ways.

Prints a table and JSON: requests sent into the outage, of them after the first 10 s, seconds from the service's return
to the full rate, and the share of the quota used in the 10 s after the return. The law: nothing given up, at most 5 s
between probes, back at the full rate within 10 s.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from rig.runs import HERE, environment, export, report, write_ids

KINDS = ("http502", "refuse", "hang")
RATE = 100
CALM_S, OUTAGE_S, AFTER_S = 10.0, 60.0, 20.0
BURST_S = 10.0
Samples = list[tuple[float, int]]


def watch(address: str, seconds: float) -> Samples:
    """Ask for the number of requests ten times a second."""
    samples: Samples = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with urllib.request.urlopen(f"{address}/stats") as answer:
            samples.append((time.monotonic(), json.load(answer)["requests"]))
        time.sleep(0.1)
    return samples


def control(address: str, outages: list[str]) -> None:
    """Begin or end an outage."""
    urllib.request.urlopen(f"{address}/control", json.dumps({"outages": outages}).encode()).close()


def full_rate_after_s(samples: Samples) -> float:
    """Find the first moment from which on a whole second had at least 95 % of the quota."""
    began = samples[0][0]
    for at, requests in samples:
        later = next((row for row in samples if row[0] >= at + 1), None)
        if later and (later[1] - requests) / (later[0] - at) >= 0.95 * RATE:
            return at - began
    return float("inf")


def measure(kind: str, folder: Path) -> dict[str, float | str]:
    """Run one export through one outage."""
    server = subprocess.Popen(
        [sys.executable, "-m", "exporter", "simulate", "--port", "0", "--rate", str(RATE), "--latency-ms", "20-60"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
        cwd=HERE,
    )
    address = next(word for word in (server.stdout or sys.stdin).readline().split() if word.startswith("http://"))
    out = folder / kind
    command = export(address, folder / "ids.csv", out, "--rate", str(RATE))
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(), cwd=HERE)
    try:
        watch(address, CALM_S)
        control(address, [f"{kind}:seconds=0-1000000"])
        gone = watch(address, OUTAGE_S)
        control(address, [])
        back = watch(address, AFTER_S)
        if run.wait():
            raise SystemExit(f"the export through an outage of kind {kind} failed")
    finally:
        run.kill()
        run.wait()
        server.terminate()
        server.communicate()
    burst = next(row[1] for row in gone if row[0] >= gone[0][0] + BURST_S) - gone[0][1]
    ten_s_later = next(row[1] for row in back if row[0] >= back[0][0] + 10)
    rejected = json.loads((out / "manifest.json").read_text())["rejects_by_reason"]
    return {
        "outage": kind,
        "sent": gone[-1][1] - gone[0][1],
        "first_10_s": burst,
        "later": gone[-1][1] - gone[0][1] - burst,
        "full_rate_after_s": full_rate_after_s(back),
        "share_of_10_s_quota": (ten_s_later - back[0][1]) / (10 * RATE),
        "given_up": rejected.get("exhausted", 0) + rejected.get("refused", 0),
    }


def main() -> None:
    """Measure one kind after the other."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kinds", nargs="*", default=KINDS)
    given = parser.parse_args()
    accounts = round((CALM_S + AFTER_S) * RATE * 100)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_ids(folder / "ids.csv", accounts)
        rows = [measure(kind, folder) for kind in given.kinds]
    lost, slowest = sum(int(row["given_up"]) for row in rows), max(float(row["full_rate_after_s"]) for row in rows)
    fewest, calm_s = min(int(row["later"]) for row in rows), OUTAGE_S - BURST_S
    laws = [
        f"accounts given up: {lost} (law: none)",
        f"probes after the first 10 s: {fewest} in {calm_s:.0f} s (law: at least {calm_s / 5:.0f})",
        f"full rate after {slowest:.1f} s (law: within 10)",
    ]
    report("outage", rows, laws=laws, outage_s=OUTAGE_S, rate=RATE)


if __name__ == "__main__":
    main()
