"""Parts of a run at scale, each to be measured as a process of its own: see `benchmarks/scale.py`.

python -m rig.parts make|plan|duplicates FOLDER IDS
"""

import argparse
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exporter.batching import Batch, Planner
from exporter.output.duplicates import Later
from exporter.output.facts import DATA, ShardFacts, file_name
from exporter.output.shards import write_table
from exporter.source import Reading, open_source
from rig.runs import service
from rig.unfinished import SHARD_ROWS, template, unfinished

SCATTER, SPACE = 387_420_489, 10**9  # without a common factor: every number goes to another one
REPEATING, REPEATED = 10, SHARD_ROWS // 100


def accounts(first: int, count: int) -> Any:
    """Ids of so many rows of the input, from a row on (counted from 0)."""
    rows: Any = pc.multiply(pa.array(range(first, first + count), pa.int64()), pa.scalar(SCATTER))
    space = pa.scalar(SPACE)
    digits = pc.subtract(rows, pc.multiply(pc.divide(rows, space), space)).cast(pa.string())
    return pc.binary_join_element_wise(pa.scalar("user_"), pc.utf8_lpad(digits, 9, "0"), "")


def of_shard(number: int) -> Any:
    """Ids of one shard: some of them those of the shard before."""
    first, repeated = number * SHARD_ROWS, REPEATED if number % REPEATING == REPEATING - 1 else 0
    again, new = accounts(first - SHARD_ROWS, repeated), accounts(first + repeated, SHARD_ROWS - repeated)
    return pa.concat_arrays([again, new]) if repeated else new


def make(place: Path, count: int) -> None:
    """Write the input, and the shards and the journal of a run that has asked for all of it."""
    with service() as address:
        made_of = template(place, address)
    shards = count // SHARD_ROWS
    with (place / "ids.csv").open("w") as file:
        file.write("account_id\n")
        for number in range(shards):
            file.write("\n".join(of_shard(number).to_pylist()) + "\n")

    def change(folder: Path, facts: ShardFacts) -> ShardFacts:
        path = folder / DATA / file_name(facts.number)
        table = pq.read_table(path, partitioning=None)
        path.unlink()
        written = write_table(path, table.set_column(0, table.schema.field(0), of_shard(facts.number)))
        return replace(facts, files={**facts.files, DATA: written})

    unfinished(place / "out", place / "ids.csv", made_of, shards, change)


def plan(place: Path, count: int) -> None:
    """Read the input and cut it into batches."""
    planner, asked = Planner(shard_rows=SHARD_ROWS), 0
    for chunk in open_source([str(place / "ids.csv")], Reading()).chunks():
        asked += sum(len(event.accounts) for event in planner.add(chunk) if isinstance(event, Batch))
    planner.finish()
    if asked != count:
        raise SystemExit(f"{asked:,} accounts were planned, not {count:,}")


def duplicates(place: Path, count: int) -> None:
    """Find the accounts that are to go."""
    scratch = place / "duplicates"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    later, shards = Later(scratch, count), count // SHARD_ROWS
    files = (place / "out" / ".run" / DATA / file_name(number) for number in range(shards))
    later.find(pq.read_table(file, columns=["account_id"], partitioning=None)[0].combine_chunks() for file in files)
    found = sum(len(later.among(number * SHARD_ROWS, SHARD_ROWS)) for number in range(shards))
    shutil.rmtree(scratch)
    if found != shards // REPEATING * REPEATED:
        raise SystemExit(f"{found:,} duplicates were found, not {shards // REPEATING * REPEATED:,}")


PARTS: dict[str, Callable[[Path, int], None]] = {"make": make, "plan": plan, "duplicates": duplicates}

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("ids", type=int)
    given = parser.parse_args()
    PARTS[given.part](given.folder, given.ids)
