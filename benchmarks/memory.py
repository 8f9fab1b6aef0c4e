"""Does memory grow with the input? Peak of whole runs of 200,000 and 1,000,000 accounts against the double, without a limit.

Prints a table and JSON; the law is the ratio of the peaks: at most 1.2.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZES = (200_000, 1_000_000)
RUNS = 3
KEY = "simulated-secret-key"
EXPORTER = [sys.executable, "-m", "exporter"]


def measure(accounts: int, folder: Path, address: str) -> dict[str, float]:
    """Run one export in a process of its own; return its peak resident memory, CPU and wall time."""
    ids = folder / f"{accounts}.csv"
    if not ids.exists():
        ids.write_text("account_id\n" + "".join(f"user_{number:08d}\n" for number in range(accounts)))
    command = [
        *EXPORTER, "run", str(ids), "--out", str(folder / "export"), "--overwrite", "--json",
        "--base-url", address, "--sdkappid", "1400000000", "--identifier", "administrator", "--rate", "1000000",
    ]  # fmt: skip
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "EXPORTER_SECRET_KEY": KEY})
    _, status, used = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"the export of {accounts:,} accounts failed")
    return {
        "accounts": accounts,
        "peak_mb": used.ru_maxrss / 1024,
        "cpu_s": used.ru_utime + used.ru_stime,
        "wall_s": time.monotonic() - began,
    }


def main() -> None:
    """Measure in turn, so that a drifting machine meets both sizes alike; report the worst peak of each."""
    server = subprocess.Popen(
        [*EXPORTER, "simulate", "--port", "0", "--rate", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "EXPORTER_SECRET_KEY": KEY},
    )
    try:
        address = next(word for word in (server.stdout or sys.stdin).readline().split() if word.startswith("http://"))
        with tempfile.TemporaryDirectory() as folder:
            rows = [measure(size, Path(folder), address) for _ in range(RUNS) for size in SIZES]
    finally:
        server.terminate()
        server.communicate()
    print(f"{'accounts':>12} {'peak MB':>9} {'CPU s':>7} {'wall s':>7}")
    for row in rows:
        print(f"{row['accounts']:>12,} {row['peak_mb']:>9.0f} {row['cpu_s']:>7.1f} {row['wall_s']:>7.1f}")
    small, large = (max(row["peak_mb"] for row in rows if row["accounts"] == size) for size in SIZES)
    print(f"peak of {SIZES[1]:,} over peak of {SIZES[0]:,}: {large / small:.2f} (law: at most 1.20)")
    print(json.dumps({"benchmark": "memory", "ratio": round(large / small, 3), "runs": rows}))


if __name__ == "__main__":
    main()
