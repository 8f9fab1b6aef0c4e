"""Does memory grow with the input? Peaks of whole runs of 200,000 and 5,000,000 accounts, at default settings but without a limit.

    python benchmarks/memory.py --large 5000000 --runs 3

The laws: the worst peak of the long run at most 1.2 times that of the short one, and under 300 MB.
"""

import argparse
import tempfile
from pathlib import Path

from rig.runs import export, report, run, service, write_ids

SMALL = 200_000


def main() -> None:
    """Measure in turn, so that a drifting machine meets both sizes alike."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--large", type=int, default=5_000_000)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    rows: list[dict[str, object]] = []
    peaks: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as name, service() as address:
        place = Path(name)
        inputs = {size: write_ids(place / f"{size}.csv", size) for size in (SMALL, given.large)}
        for _ in range(given.runs):
            for size, ids in inputs.items():
                used = run(export(address, ids, place / "out", "--rate", "1000000"), log=place / "log")
                peaks[size] = max(peaks.get(size, 0), used.peak_mb)
                rows.append({"ids": size, "peak_mb": used.peak_mb, "cpu_s": used.cpu_s, "wall_s": used.wall_s})
    ratio = peaks[given.large] / peaks[SMALL]
    laws = [f"peaks {ratio:.2f} (law: at most 1.20)", f"worst peak {max(peaks.values()):.0f} MB (law: under 300)"]
    report("memory", rows, laws=laws, ratio=ratio)


if __name__ == "__main__":
    main()
