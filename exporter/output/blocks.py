"""Blocks: the answers to a fixed range of ids as record batches in memory, handed over in the order of the ids.

What a shard is on disk, a block is here, made by the same parts. Nothing is written: a block that waits for stragglers
stays in memory, so that no more than the open ones are.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from exporter.batching import Shard
from exporter.errors import MachineError
from exporter.flatten import Array, Attributes, typed
from exporter.model import Batch, Reply
from exporter.output.answers import Answers, in_input_order, rejects
from exporter.schema import Column


@dataclass(frozen=True, slots=True)
class Block:
    """What became of one range of ids: its rows as record batches (one, or none), its rejects, and its counts."""

    batches: Sequence[pa.RecordBatch]
    rejects: Sequence[Mapping[str, Any]]
    input: int
    duplicates: int
    blank: int
    bad_values: Mapping[str, int]
    ignored: Mapping[str, int]

    @property
    def rows(self) -> int:
        """Ids with a row."""
        return sum(batch.num_rows for batch in self.batches)


class BlockMaker:
    """Collect answers as columns, and hand over each block once it is complete and those before it are taken.

    `hand_over` returns when somebody has taken the block: until then the block counts as open, so that a slow reader slows
    the asking.
    """

    def __init__(
        self,
        attributes: Attributes,
        columns: Sequence[Column],
        hand_over: Callable[[Block], Awaitable[None]],
        *,
        thread: Executor,
    ) -> None:
        self._attributes = attributes
        self._columns = columns
        self._hand_over = hand_over
        self._thread = thread
        self._open: dict[int, Answers] = {}
        self._next = 0
        self._turn = asyncio.Condition()

    def add(self, batch: Batch, reply: Reply) -> None:
        """Take a batch's answers; batches come in any order."""
        self._open.setdefault(batch.shard, Answers()).add(batch, reply, self._attributes)

    async def put_aside(self, number: int) -> None:
        """There is no place aside: wait until the block is taken."""
        async with self._turn:
            await self._turn.wait_for(lambda: self._next > number)

    async def commit(self, shard: Shard) -> None:
        """Make the block of which all batches are in, and hand it over when it is its turn. Raises MachineError."""
        answers = self._open.pop(shard.number, Answers())
        block = await asyncio.get_running_loop().run_in_executor(self._thread, self._made, shard, answers)
        async with self._turn:
            await self._turn.wait_for(lambda: self._next == shard.number)
            await self._hand_over(block)
            self._next += 1
            self._turn.notify_all()

    def _made(self, shard: Shard, answers: Answers) -> Block:
        accounts, columns = in_input_order(shard, answers)
        data = typed(accounts, columns, self._columns)
        bad_values: Array = data.bad_values.column("attribute")
        block = Block(
            batches=data.table.to_batches(),
            rejects=rejects(shard, answers.rejected).to_pylist(),
            input=shard.rows,
            duplicates=shard.duplicates,
            blank=shard.blank,
            bad_values=Counter(bad_values.to_pylist()),
            ignored=answers.sighting.ignored,
        )
        if off_by := block.input - block.rows - len(block.rejects) - block.duplicates - block.blank:
            raise MachineError(
                f"block {shard.number} does not add up: {off_by:,} ids unaccounted for. Please report this."
            )
        return block
