"""Assembling: the staged shards brought to one schema, each account once.

The final folders are built in `.run/publish` beside the staged shards, which are never changed: it may be killed at any
point and begun again.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exporter.errors import MachineError
from exporter.flatten import Array, nulls, schema_of
from exporter.model import NEVER_ASKED
from exporter.output import files, memory
from exporter.output.apart import lie_apart
from exporter.output.duplicates import Later
from exporter.output.facts import BAD, DATA, FOLDERS, REJECTS, ShardFacts, file_name
from exporter.output.publish import STAGE
from exporter.output.shards import count, write_table
from exporter.schema import ACCOUNT, Column

NOT_ASKED = pa.array(sorted(NEVER_ASKED), pa.string())

NONE: Array = pa.array([], pa.int64())


def assemble(
    run: Path,
    shards: Sequence[ShardFacts],
    columns: Sequence[Column],
    *,
    drop_duplicates: bool,
    stop: threading.Event | None = None,
) -> list[ShardFacts]:
    """Build the final folders from the staged shards; return the facts of what they hold now. Raises MachineError.

    Once `stop` is set it ends with the shard at hand.

    Every shard gets the same columns, and an account that stands in an earlier shard is dropped from the later ones.
    """
    stage = run / STAGE
    files.remove(stage)
    for folder in FOLDERS:
        files.make_folder(stage / folder)
    attributes = {column.attribute for column in columns}
    final: list[ShardFacts] = []
    same: list[tuple[Path, Path]] = []
    with _later(run, shards, stop, drop=drop_duplicates) as later:
        first = 0
        for shard in shards:
            if stop and stop.is_set():
                return final
            gone = later.among(first, asked(shard)) if later else NONE
            first += asked(shard)
            if not len(gone) and attributes == set(shard.attributes):
                same += [
                    (run / folder / file_name(shard.number), stage / folder / file_name(shard.number))
                    for folder in FOLDERS
                ]
                final.append(shard)
            else:
                final.append(_written(run, shard, columns, gone))
    files.share_all(same)
    return final


@contextmanager
def _later(
    run: Path, shards: Sequence[ShardFacts], stop: threading.Event | None, *, drop: bool
) -> Iterator[Later | None]:
    """Find the accounts that are to go; the scratch files are gone with it."""
    if not drop or len(shards) <= 1 or (stop and stop.is_set()) or lie_apart(run, shards):
        yield None
        return
    scratch = run / "duplicates"
    files.remove(scratch)
    files.make_folder(scratch)
    try:
        later = Later(scratch, sum(map(asked, shards)))
        later.find(_asked(run, shards, stop), stop)
        yield later
    finally:
        files.remove(scratch)


def asked(shard: ShardFacts) -> int:
    """How many accounts were asked for in a shard, as its facts tell."""
    return shard.files[DATA].rows + sum(number for reason, number in shard.rejects.items() if reason not in NEVER_ASKED)


def _asked(run: Path, shards: Sequence[ShardFacts], stop: threading.Event | None) -> Iterator[Array]:
    """Give the asked accounts of each shard: those of its data, then those of its rejects."""
    for shard in shards:
        if stop and stop.is_set():
            return
        data = read(run / DATA / file_name(shard.number), [ACCOUNT]).column(ACCOUNT)
        rejects = _asked_rejects(read(run / REJECTS / file_name(shard.number), [ACCOUNT, "reason"])).column(ACCOUNT)
        yield pa.chunked_array([*data.chunks, *rejects.chunks], pa.string()).combine_chunks()


def _asked_rejects(rejects: pa.Table) -> pa.Table:
    return rejects.filter(_was_asked(rejects))


def _was_asked(rejects: pa.Table) -> Array:
    return pc.invert(pc.is_in(rejects.column("reason"), value_set=NOT_ASKED))


def _written(run: Path, shard: ShardFacts, columns: Sequence[Column], places: Array) -> ShardFacts:
    """Write one shard again, by the same path, with these columns and without the accounts at these places."""
    name = file_name(shard.number)
    data, rejects, bad = (read(run / folder / name) for folder in FOLDERS)
    gone = _at(data.column(ACCOUNT), places, 0)
    data = _without(data, places, 0)
    gone_rejects = _at(_asked_rejects(rejects).column(ACCOUNT), places, shard.files[DATA].rows)
    # Within a shard an account is asked once, but a bad row may show the same text: that one stays.
    twice = pc.and_(_was_asked(rejects), pc.is_in(rejects.column(ACCOUNT), value_set=gone_rejects))
    rejects = rejects.filter(pc.invert(twice))
    bad = bad.filter(pc.invert(pc.is_in(bad.column(ACCOUNT), value_set=gone)))
    written = {DATA: with_columns(data, columns), REJECTS: rejects, BAD: bad}
    facts = {folder: write_table(run / STAGE / folder / name, table) for folder, table in written.items()}
    memory.give_back()
    return replace(
        shard,
        attributes=sorted(column.attribute for column in columns),
        duplicates=shard.duplicates + len(places),
        rejects=count(rejects, "reason"),
        bad_values=count(bad, "attribute"),
        files=facts,
    )


def _here(places: Array, first: int, rows: int) -> Array:
    """Of places in a shard's data and rejects, those from `first` on, counted from there."""
    begin: Array = pa.scalar(first)
    mine = places.filter(pc.and_(pc.greater_equal(places, begin), pc.less(places, pa.scalar(first + rows))))
    return pc.subtract(mine, begin)


def _at(accounts: Array, places: Array, first: int) -> Array:
    return accounts.take(_here(places, first, len(accounts))).combine_chunks()


def _without(table: pa.Table, places: Array, first: int) -> pa.Table:
    rows = pa.arange(0, table.num_rows)  # type: ignore[attr-defined] # newer than the stubs
    return table.filter(pc.invert(pc.is_in(rows, value_set=_here(places, first, table.num_rows))))


def with_columns(data: pa.Table, columns: Sequence[Column]) -> pa.Table:
    """Give a data table exactly these columns; one that it lacks is all null."""
    has = set(data.column_names)
    arrays = [data.column(ACCOUNT)]
    for column in columns:
        missing = column.name not in has
        arrays.append(nulls(len(data), column) if missing else data.column(column.name))
    return pa.Table.from_arrays(arrays, schema=schema_of(columns))


def read(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read back a Parquet file of ours, with its page checksums. Raises MachineError."""
    with files.on_disk(path):
        try:
            return pq.read_table(path, columns=columns, page_checksum_verification=True, partitioning=None)
        except pa.ArrowException as error:
            damage = str(error).partition("\n")[0]
    raise MachineError(f"{path} is damaged ({damage}). Check the disk, then run the same command with --restart.")
