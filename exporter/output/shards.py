"""Shards: the answers to a fixed range of input rows as Parquet files. The only writer of Parquet.

One write path for every shard, chunks combined first: the bytes are a function of rows and schema alone.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from exporter.batching import Shard
from exporter.flatten import Array, Attributes, typed
from exporter.model import Batch, Reply
from exporter.output import files, memory
from exporter.output.answers import Answers, in_input_order, rejects
from exporter.output.facts import BAD, DATA, REJECTS, FileFacts, ShardFacts, file_name
from exporter.output.failpoints import reach
from exporter.schema import ACCOUNT, Layout

ROW_GROUP_ROWS = 100_000


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
        self._open: dict[int, Answers] = {}
        self._failed = False

    def add(self, batch: Batch, reply: Reply) -> None:
        """Take a batch's answers; batches come in any order. Raises ServiceRefusal for too many attribute names."""
        self._open.setdefault(batch.shard, Answers()).add(batch, reply, self._attributes)

    async def put_aside(self, number: int) -> None:
        """Move what is known of a shard to the disk until it is complete. Raises MachineError."""
        if answers := self._open.get(number):
            spill = answers.put_aside(self._folder)
            for work in spill.write, memory.give_back:
                await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def commit(self, shard: Shard) -> None:
        """Write a shard whose batches are all in. Raises MachineError."""
        answers = self._open.pop(shard.number, Answers())
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._write, shard, answers)

    def _write(self, shard: Shard, answers: Answers) -> None:
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

    def _written(self, shard: Shard, answers: Answers) -> ShardFacts:
        accounts, columns = in_input_order(shard, answers)
        names = sorted(answers.sighting.seen | self._attributes.first)
        data = typed(accounts, columns, self._layout.columns(names))
        rejected = rejects(shard, answers.rejected)
        written = {DATA: data.table, REJECTS: rejected, BAD: data.bad_values}
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
            rejects=count(rejected, "reason"),
            bad_values=count(data.bad_values, "attribute"),
            files=facts,
            ends=shard.ends,
            share=shard.share,
        )


def count(table: pa.Table, column: str) -> dict[str, int]:
    """Count the rows of a table by the text in a column, most frequent first."""
    values: Array = table.column(column)
    return dict(Counter(values.to_pylist()).most_common())
