"""Does the event loop stay responsive? The longest of its turns in whole runs without a limit.

A turn is one call that the loop makes: an answer decoded and flattened, a batch begun. While it lasts, no request leaves. A
shard is written in a thread of its own; what its thread holds the interpreter for shows in the turns all the same.

    python benchmarks/stalls.py --ids 1000000 --runs 3

The law: under 20 ms. A turn takes some 0.3 ms by itself, so the longest shows what the machine was up to as well.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from rig.runs import export, report, run, service, write_ids

SHARD_ROWS = (20_000, 200_000)


def main() -> None:
    """Measure both sizes of shards in turn."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--ids", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name, service() as address:
        ids, told = write_ids(Path(name) / "ids.csv", given.ids), Path(name) / "longest"
        for number in range(given.runs):
            for shard_rows in SHARD_ROWS:
                plain = export(address, ids, Path(name) / "out", "--rate", "1000000", "--shard-rows", str(shard_rows))
                after = plain.index("exporter") + 1
                used = run([sys.executable, "-m", "rig.stalled", str(told), *plain[after:]], log=Path(name) / "log")
                longest_ms = 1000 * float(told.read_text())
                rows.append(
                    {"shard_rows": shard_rows, "run": number + 1, "longest_ms": longest_ms, "wall_s": used.wall_s}
                )
    most = max(float(str(row["longest_ms"])) for row in rows)
    report("stalls", rows, laws=[f"longest {most:.1f} ms (law: under 20)"], ids=given.ids)


if __name__ == "__main__":
    main()
