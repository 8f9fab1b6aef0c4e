"""What does an outage cost? A run at the full quota whose service is gone for a minute, in each of three ways.

Prints a table and JSON: requests sent into the outage, of them after the first 10 s, seconds from the service's return
to the full rate, and the share of the quota used in the 10 s after the return. The law: nothing given up, at most 5 s
between probes, back at the full rate within 10 s.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

KINDS = ("http502", "refuse", "hang")
RATE = 100
CALM_S, OUTAGE_S, AFTER_S = 10.0, 60.0, 20.0
BURST_S = 10.0
KEY = "simulated-secret-key"
EXPORTER = [sys.executable, "-m", "exporter"]
ENVIRONMENT = {**os.environ, "EXPORTER_SECRET_KEY": KEY}

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
        [*EXPORTER, "simulate", "--port", "0", "--rate", str(RATE), "--latency-ms", "20-60"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=ENVIRONMENT,
    )
    address = next(word for word in (server.stdout or sys.stdin).readline().split() if word.startswith("http://"))
    out = folder / kind
    command = [
        *EXPORTER, "run", str(folder / "ids.csv"), "--out", str(out), "--rate", str(RATE),
        "--base-url", address, "--sdkappid", "1400000000", "--identifier", "administrator",
    ]  # fmt: skip
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
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
        "kind": kind,
        "sent": gone[-1][1] - gone[0][1],
        "burst": burst,
        "probes": gone[-1][1] - gone[0][1] - burst,
        "full_rate_s": round(full_rate_after_s(back), 2),
        "share_of_ten_s": round((ten_s_later - back[0][1]) / (10 * RATE), 3),
        "given_up": rejected.get("exhausted", 0) + rejected.get("refused", 0),
    }


def main() -> None:
    """Measure one kind after the other."""
    accounts = round((CALM_S + AFTER_S) * RATE * 100)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ids.csv").write_text("account_id\n" + "".join(f"user_{number:08d}\n" for number in range(accounts)))
        rows = [measure(kind, folder) for kind in sys.argv[1:] or KINDS]
    print(
        f"{'outage':>8} {'sent':>6} {'first 10 s':>11} {'later':>6} {'full rate after s':>18} {'of 10 s quota':>14} {'lost':>5}"
    )
    for row in rows:
        print(
            f"{row['kind']:>8} {row['sent']:>6} {row['burst']:>11} {row['probes']:>6} {row['full_rate_s']:>18}"
            f" {row['share_of_ten_s']:>14.0%} {row['given_up']:>5}"
        )
    print(json.dumps({"benchmark": "outage", "outage_s": OUTAGE_S, "rate": RATE, "runs": rows}))


if __name__ == "__main__":
    main()
