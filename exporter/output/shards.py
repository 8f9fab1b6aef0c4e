"""Shards: the answers to a fixed range of input rows as Parquet files. The only writer of Parquet.

One write path for every shard, chunks combined first: the bytes are a function of rows and schema alone.
"""

import asyncio
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from exporter.batching import Shard
from exporter.errors import SettingsError
from exporter.flatten import Array, Attributes, Sighting, arrow_schema, texts, typed
from exporter.model import Batch, Mark, Rejection, Reply
from exporter.output import files, memory
from exporter.output.failpoints import reach
from exporter.output.spill import Spill
from exporter.schema import ACCOUNT, Layout

ROW_GROUP_ROWS = 100_000
DATA, REJECTS, BAD = "data", "rejects", "bad_values"
FOLDERS = (DATA, REJECTS, BAD)

REJECT_SCHEMA = arrow_schema(
    {
        "account_id": pa.string(),
        "reason": pa.string(),
        "code": pa.int64(),
        "message": pa.string(),
        "source": pa.string(),
        "row_number": pa.int64(),
    }
)


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One written file."""

    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ShardFacts:
    """One durable shard: where its rows come from, what became of them, and its files by folder.

    `attributes` have a column in its data, `seen` those of them that an account had; `ignored` counts the accounts that had
    one without a column. `ends` and `share` tell where the next shard begins, as in `batching.Shard`.
    """

    number: int
    first_row: int
    last_row: int
    blank: int
    duplicates: int
    spaced: int
    ids_hash: str
    attributes: Sequence[str]
    seen: Sequence[str]
    ignored: Mapping[str, int]
    rejects: Mapping[str, int]
    bad_values: Mapping[str, int]
    files: Mapping[str, FileFacts]
    ends: Mark | None = None
    share: float | None = None

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "ShardFacts":
        """Read the facts back from plain data (see `asdict`). Raises KeyError or TypeError for other data."""
        facts = {name: record[name] for name in cls.__slots__}
        facts["files"] = {folder: FileFacts(**record["files"][folder]) for folder in FOLDERS}
        facts["ends"] = Mark(**record["ends"]) if record["ends"] else None
        return cls(**facts)

    @property
    def off_by(self) -> int:
        """Rows of the input that are not accounted for: anything but 0 is a bug."""
        read = self.last_row - self.first_row + 1
        return read - self.files[DATA].rows - self.files[REJECTS].rows - self.duplicates - self.blank


def file_name(number: int) -> str:
    """Name a shard's file: the same range of input rows always has the same name."""
    return f"part-{number:06d}.parquet"


def write_table(path: Path, table: pa.Table) -> FileFacts:
    """Write one Parquet file, whole and durable. Raises MachineError."""
    with files.whole_file(path) as draft:
        pq.write_table(
            table.combine_chunks(),
            pa.PythonFile(draft, mode="w"),  # type: ignore[arg-type] # a draft is as much of a file as it takes
            compression="zstd",
            row_group_size=ROW_GROUP_ROWS,
            # No account repeats: a dictionary of them costs a seventh of the time, and a tenth of the bytes.
            use_dictionary=[name for name in table.column_names if name != ACCOUNT],  # type: ignore[arg-type] # or names
            write_page_checksum=True,
        )
    return FileFacts(table.num_rows, draft.bytes, draft.sha256)


@dataclass(frozen=True, slots=True)
class _Part:
    """What was found of one batch: accounts, the columns of the attributes that one of them has, and input rows."""

    accounts: pa.StringArray
    columns: Mapping[str, Array]
    rows: Sequence[int]

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle copies of the columns: each that is a slice would bring the whole of the array that all are cut from."""
        columns = {name: pa.concat_arrays([column, column.slice(0, 0)]) for name, column in self.columns.items()}
        return _Part, (self.accounts, columns, self.rows)


@dataclass(slots=True)
class _Answers:
    """What is known of one shard so far: what was found, by batch."""

    found: dict[int, _Part] = field(default_factory=dict)
    sighting: Sighting = field(default_factory=Sighting)
    rejected: list[tuple[int, str, Rejection]] = field(default_factory=list)
    spill: Spill | None = None

    def put_aside(self, folder: Path) -> Spill:
        """Leave what is known so far to a spill; what comes later is kept beside it."""
        self.spill = Spill(folder, [*self.found.items(), (None, self.rejected)])
        self.found, self.rejected = {}, []
        return self.spill

    def take_back(self) -> None:
        """Take in again what was put aside. Raises MachineError."""
        things: Iterable[Any] = self.spill.take() if self.spill else ()
        for seq, thing in things:
            if seq is None:
                self.rejected += thing
            else:
                self.found[seq] = thing
        self.spill = None


class ShardWriter:
    """Collect answers as columns, and write a shard once it is complete.

    `add` runs on the event loop and keeps a batch as Arrow arrays, some tens of bytes a value; `commit` writes in a
    thread, one shard at a time, and calls `on_durable` when the files are on disk.
    """

    def __init__(
        self,
        folder: Path,
        attributes: Attributes,
        layout: Layout,
        *,
        thread: Executor,
        on_durable: Callable[[ShardFacts], None],
    ) -> None:
        self._folder = folder
        self._attributes = attributes
        self._layout = layout
        self._thread = thread
        self._on_durable = on_durable
        self._open: dict[int, _Answers] = {}
        self._failed = False

    def add(self, batch: Batch, reply: Reply) -> None:
        """Take a batch's answers; batches come in any order. Raises ServiceRefusal for too many attribute names."""
        answers = self._open.setdefault(batch.shard, _Answers())
        accounts, rows = batch.accounts, batch.rows
        if len(reply.found) < len(accounts):
            places = list(zip(rows, accounts, strict=True))
            answers.rejected += [(row, name, reply.rejected[name]) for row, name in places if name in reply.rejected]
            found = [(row, name) for row, name in places if name in reply.found]
            accounts, rows = [name for _, name in found], [row for row, _ in found]
        if accounts:
            made = texts(reply.found, accounts)
            answers.sighting.add(self._attributes.see(made.accounts))
            answers.found[batch.seq] = _Part(pa.array(accounts, pa.string()), made.columns, array("q", rows))

    async def put_aside(self, number: int) -> None:
        """Move what is known of a shard to the disk until it is complete. Raises MachineError."""
        if answers := self._open.get(number):
            spill = answers.put_aside(self._folder)
            for work in spill.write, memory.give_back:
                await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def commit(self, shard: Shard) -> None:
        """Write a shard whose batches are all in. Raises MachineError."""
        answers = self._open.pop(shard.number, _Answers())
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._write, shard, answers)

    def _write(self, shard: Shard, answers: _Answers) -> None:
        if self._failed:
            return  # the run is ending for it: after a failure nothing is recorded any more
        self._failed = True
        answers.take_back()
        facts = self._written(shard, answers)
        reach("shard-written")
        self._on_durable(facts)
        reach("shard-recorded")
        self._failed = False
        memory.give_back()

    def _written(self, shard: Shard, answers: _Answers) -> ShardFacts:
        try:
            accounts, columns = _in_input_order(shard, answers)
        except pa.ArrowInvalid:
            raise SettingsError(
                f"shard {shard.number} has more than 2 GiB of text in one column."
                " Run again with --restart and a smaller --shard-rows."
            ) from None
        names = sorted(answers.sighting.seen | self._attributes.first)
        data = typed(accounts, columns, self._layout.columns(names))
        rejects = _rejects(shard, answers.rejected)
        written = {DATA: data.table, REJECTS: rejects, BAD: data.bad_values}
        facts = {
            folder: write_table(self._folder / folder / file_name(shard.number), table)
            for folder, table in written.items()
        }
        return ShardFacts(
            number=shard.number,
            first_row=shard.first_row,
            last_row=shard.last_row,
            blank=shard.blank,
            duplicates=shard.duplicates,
            spaced=shard.spaced,
            ids_hash=shard.ids_hash,
            attributes=names,
            seen=sorted(answers.sighting.seen),
            ignored=dict(sorted(answers.sighting.ignored.items())),
            rejects=count(rejects, "reason"),
            bad_values=count(data.bad_values, "attribute"),
            files=facts,
            ends=shard.ends,
            share=shard.share,
        )


def count(table: pa.Table, column: str) -> dict[str, int]:
    """Count the rows of a table by the text in a column, most frequent first."""
    values: Array = table.column(column)
    return dict(Counter(values.to_pylist()).most_common())


def _in_input_order(shard: Shard, answers: _Answers) -> tuple[pa.StringArray, dict[str, Array]]:
    """Join a shard's batches in order, and repeat what stands again in the input. Takes the answers apart."""
    parts = [answers.found.pop(seq) for seq in sorted(answers.found)]
    accounts = pa.concat_arrays([part.accounts for part in parts]) if parts else pa.array([], pa.string())
    rows = [row for part in parts for row in part.rows] if shard.repeats else []
    chunks = {name: [_column(part, name) for part in parts] for name in sorted(answers.sighting.seen)}
    del parts
    # One column at a time, so that the batches' small arrays and the joined ones never stand side by side as a whole.
    columns = {name: pa.concat_arrays(chunks.pop(name)) for name in sorted(chunks)}
    if shard.repeats:
        order = _with_repeats(shard, accounts, rows, answers)
        accounts = accounts.take(order)
        columns = {name: column.take(order) for name, column in columns.items()}
    return accounts, columns


def _column(part: _Part, name: str) -> Array:
    """Give a column of a batch; all null where no account of the batch has the attribute."""
    column = part.columns.get(name)
    return pa.nulls(len(part.accounts), pa.string()) if column is None else column


def _with_repeats(shard: Shard, accounts: pa.StringArray, rows: Sequence[int], answers: _Answers) -> pa.Int64Array:
    """Give the order of found accounts in which each repeated row shows its account again; add repeated rejects."""
    found = {name: place for place, name in enumerate(accounts.to_pylist())}
    rejected = {name: rejection for _, name, rejection in answers.rejected}
    placed = list(zip(rows, range(len(rows)), strict=True))
    placed += [(row, found[name]) for row, name in shard.repeats if name in found]
    answers.rejected += [(row, name, rejected[name]) for row, name in shard.repeats if name in rejected]
    return pa.array([place for _, place in sorted(placed)], pa.int64())


def _rejects(shard: Shard, rejected: Sequence[tuple[int, str | None, Rejection]]) -> pa.Table:
    """Lay out all accounts without a row in input order."""
    bad = [(row, bad.text, Rejection(bad.reason, None, bad.message)) for row, bad in shard.bad]
    rows = []
    for row, account, why in sorted([*rejected, *bad], key=lambda item: item[0]):
        source, source_row = shard.place(row)
        rows.append((account, str(why.reason), why.code, why.message, source, source_row))
    columns = list(zip(*rows, strict=True)) or [()] * len(REJECT_SCHEMA)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, REJECT_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=REJECT_SCHEMA)
