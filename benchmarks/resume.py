"""What does it cost to go on? Seconds from the start to the first request, with all but the last shard done.

The shards that are done are one real shard under many names, and a journal that says so. Ids are read from one CSV file,
plain and gzipped. Nobody is asked again: the service counts.

    python benchmarks/resume.py                      10,000,000 ids
    python benchmarks/resume.py --ids 100000000      needs 4 GB of disk
"""

import argparse
import gzip
import shutil
import tempfile
import time
from pathlib import Path

from rig.runs import Address, export, report, run, service, write_ids
from rig.unfinished import SHARD_ROWS, Template, template, unfinished

FLAGS = ("--rate", "1000000", "--duplicates", "keep")


def main() -> None:
    """Measure plain and gzipped input."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ids", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, service() as address:
        place = Path(name)
        made_of = template(place, address, *FLAGS)
        plain = write_ids(place / "ids.csv", given.ids)
        packed = pack(plain)
        rows = [measured(place, address, made_of, ids, given.ids) for ids in (plain, packed) for _ in range(given.runs)]
    again = sum(int(str(row["requests_too_many"])) for row in rows)
    report("resume", rows, laws=[f"requests beyond those of the last shard: {again:,} (law: none)"], ids=given.ids)


def pack(path: Path) -> Path:
    """Write the same, gzipped."""
    packed = path.with_suffix(".csv.gz")
    with path.open("rb") as source, gzip.open(packed, "wb", compresslevel=1) as target:
        shutil.copyfileobj(source, target, 1 << 20)
    return packed


def measured(place: Path, address: Address, made_of: Template, ids: Path, count: int) -> dict[str, object]:
    """Go on with a run of which all but the last shard is done."""
    out = place / "out"
    command = export(address, ids, out, *FLAGS)
    unfinished(out, ids, made_of, count // SHARD_ROWS - 1)
    address.weather()
    began = time.monotonic()
    used = run(command, log=place / "log")
    facts = address.facts()
    left = count - (count // SHARD_ROWS - 1) * SHARD_ROWS
    return {
        "input": ids.name,
        "ids": count,
        "first_request_s": facts["seen_at"][0] - began,  # one clock for all processes of a machine
        "requests_too_many": facts["requests"] - -(-left // 100),
        "wall_s": used.wall_s,
        "cpu_s": used.cpu_s,
        "peak_mb": used.peak_mb,
    }


if __name__ == "__main__":
    main()
