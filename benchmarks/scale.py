"""What does a million ids cost as the input grows, the service left aside? Whole processes, one for each part of a run.

    python benchmarks/scale.py                                  1 and 10 million ids
    python benchmarks/scale.py --ids 1000000 10000000 100000000      needs 10 GB of disk; half an hour

plan        the input read and cut into batches
duplicates  accounts that stand in several shards found; of every tenth shard one in a hundred does
go on       `exporter run` where every shard is done: its files hashed, duplicates dropped, all of it published
verify      `exporter verify` of that export

Ids have 14 bytes and come in no order. Every shard is one real one with other accounts: nobody is asked for them. `disk_mb`
is what lay in scratch files at most. A process that only starts takes some 0.3 s, which shows at a million.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from rig.runs import export, report, run

PART = [sys.executable, "-m", "rig.parts"]


def main() -> None:
    """Measure every size, part by part."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ids", type=int, nargs="+", default=[1_000_000, 10_000_000])
    given = parser.parse_args()
    rows: list[dict[str, object]] = []
    for count in given.ids:
        with tempfile.TemporaryDirectory() as name:
            rows += measured(Path(name), count)
    report("scale", rows)


def measured(place: Path, count: int) -> Iterator[dict[str, object]]:
    """Make what a run of so many ids leaves before it publishes, then measure each part."""
    out, ids = place / "out", place / "ids.csv"
    run([*PART, "make", str(place), str(count)], log=place / "log")
    commands = {
        "plan": [*PART, "plan", str(place), str(count)],
        "duplicates": [*PART, "duplicates", str(place), str(count)],
        "go on": [*export("http://127.0.0.1:9", ids, place / "none"), "--out", str(out)],  # where nobody listens
        "verify": [sys.executable, "-m", "exporter", "verify", str(out)],
    }
    for part, command in commands.items():
        with scratch_of(out, place) as most:
            used = run(command, log=place / "log")
        millions = count / 1_000_000
        yield {
            "ids": count,
            "part": part,
            "cpu_s_per_million": used.cpu_s / millions,
            "wall_s_per_million": used.wall_s / millions,
            "peak_mb": used.peak_mb,
            "disk_mb": most[0] / 1e6,
        }


@contextlib.contextmanager
def scratch_of(out: Path, place: Path) -> Iterator[list[float]]:
    """Watch how much lies in scratch files at most: in folders for them, and in files without a name."""
    most, ended = [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            named = sum(size(path) for folder in (out / ".run", place) for path in folder.glob("duplicates/*"))
            most[0] = max(most[0], named + sum(map(size, nameless(place))))

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield most
    ended.set()
    watcher.join()


def size(path: Path) -> int:
    """Bytes of a file that may be gone."""
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def nameless(place: Path) -> Iterator[Path]:
    """Open files without a name of the processes that this one has started."""
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
            for path in Path(f"/proc/{child}/fd").iterdir():
                target = str(path.readlink())
                if target.startswith(f"{place.parent}/") and target.endswith(" (deleted)"):
                    yield path


if __name__ == "__main__":
    main()
