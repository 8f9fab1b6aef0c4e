"""What does a run cost beside the bare wire? CPU of whole processes, in pairs, with the floor measured beside each.

    python benchmarks/cpu.py --ids 1000000 --pairs 5

The law: at most 4.5 times the CPU of a loop that posts the same bodies and throws the answers away.
"""

import argparse
import tempfile
from pathlib import Path

from rig.runs import bare, export, median, report, run, service, write_ids


def main() -> None:
    """Measure pair by pair."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--ids", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=5)
    given = parser.parse_args()
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name, service() as address:
        ids = write_ids(Path(name) / "ids.csv", given.ids)
        for pair in range(given.pairs):
            floor = run(bare(address, ids))
            ours = run(export(address, ids, Path(name) / "out", "--rate", "1000000"), log=Path(name) / "log")
            rows.append(
                {
                    "pair": pair + 1,
                    "floor_cpu_s": floor.cpu_s,
                    "floor_requests_per_s": given.ids / 100 / floor.wall_s,
                    "cpu_s": ours.cpu_s,
                    "wall_s": ours.wall_s,
                    "peak_mb": ours.peak_mb,
                    "ratio": ours.cpu_s / floor.cpu_s,
                }
            )
    ratio = median([float(str(row["ratio"])) for row in rows])
    report("cpu", rows, laws=[f"median ratio {ratio:.2f} (law: at most 4.5)"], ids=given.ids, ratio=ratio)


if __name__ == "__main__":
    main()
