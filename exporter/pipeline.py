"""Carry every batch from the ids to the sink, a bounded number at a time; commit a shard when its last batch is in.

Meets neither the network nor a file format: it takes a Fetch, and declares the two-method Sink it needs.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

from exporter.batching import Shard
from exporter.errors import ServiceRefusal
from exporter.model import ANSWERS, Batch, Fetch, Reply

T = TypeVar("T")

SAMPLE_ACCOUNTS = 1000  # enough to see that an app or a column is the wrong one


class Sink(Protocol):
    """Where answers go."""

    def add(self, batch: Batch, reply: Reply) -> None:
        """Take a batch's answers; batches come in any order."""

    async def commit(self, shard: Shard) -> None:
        """Make a shard durable: all its batches are in."""


@dataclass(slots=True)
class _Pending:
    """A shard whose batches are on their way."""

    done: int = 0
    shard: Shard | None = None

    def complete(self) -> bool:
        return self.shard is not None and self.done == self.shard.batches


async def carry_all(  # noqa: PLR0913 - the joint of all parts
    events: AsyncIterator[Batch | Shard],
    fetch: Fetch,
    sink: Sink,
    *,
    in_flight_max: int,
    shards_open_max: int,
    on_batch: Callable[[Batch], None] = lambda _batch: None,
    on_reply: Callable[[Batch, Reply], None] = lambda _batch, _reply: None,
) -> None:
    """Run until every shard is committed. The first final error cancels all and is raised as it is.

    At most `in_flight_max` batches are asked at a time, of at most `shards_open_max` shards. `on_batch` sees the batches
    in input order, `on_reply` as they are answered.
    """
    slots = asyncio.Semaphore(in_flight_max)
    shards = asyncio.Semaphore(shards_open_max)
    pending: dict[int, _Pending] = {}

    async def carry(batch: Batch) -> None:
        try:
            reply = await fetch(batch.accounts)
        finally:
            slots.release()
        on_reply(batch, reply)
        sink.add(batch, reply)
        pending[batch.shard].done += 1
        await commit_if_complete(batch.shard)

    async def commit_if_complete(number: int) -> None:
        if pending[number].complete() and (shard := pending.pop(number).shard):
            await sink.commit(shard)
            shards.release()

    async def feed(group: asyncio.TaskGroup) -> None:
        async for event in events:
            number = event.shard if isinstance(event, Batch) else event.number
            if number not in pending:
                await shards.acquire()
                pending[number] = _Pending()
            if isinstance(event, Batch):
                await slots.acquire()
                on_batch(event)
                group.create_task(carry(event), name=f"shard {event.shard} batch {event.seq}")
            else:
                pending[number].shard = event
                await commit_if_complete(number)

    try:
        async with asyncio.TaskGroup() as group:
            # A task like the others, so that whichever fails first comes first.
            group.create_task(feed(group), name="feed")
    except BaseExceptionGroup as errors:
        raise first_of(errors) from None


def first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that ended the run: its siblings were only cancelled, or failed in its wake."""
    first = errors.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first


async def read_ahead(lists: Generator[Sequence[T], None, None]) -> AsyncGenerator[T, None]:
    """Read a generator in a thread, one list ahead, so that a slow disk or pipe never stops the event loop."""
    loop = asyncio.get_running_loop()
    reader = ThreadPoolExecutor(1, "read")
    ahead = loop.run_in_executor(reader, next, lists, None)
    try:
        while (items := await ahead) is not None:
            ahead = loop.run_in_executor(reader, next, lists, None)
            for item in items:
                yield item
    finally:
        ahead.cancel()
        reader.submit(lists.close)
        # A read from a pipe cannot be interrupted: it must not keep a failed run from ending.
        reader.shutdown(wait=False)


async def abandonable(call: Callable[[], T]) -> T:
    """Run a blocking call in a thread of its own, which nobody waits for when this is cancelled."""
    thread = ThreadPoolExecutor(1, "abandonable")
    try:
        return await asyncio.get_running_loop().run_in_executor(thread, call)
    finally:
        thread.shutdown(wait=False)


class KnownCheck:
    """Stop a run whose first thousand accounts are mostly unknown to the service: wrong app, or wrong column."""

    def __init__(self, absent_share_max: float | None) -> None:
        self._absent_share_max = absent_share_max
        self._left = SAMPLE_ACCOUNTS
        self._sample: set[tuple[int, int]] = set()
        self._known = 0
        self._absent = 0

    def start(self, batch: Batch) -> None:
        """Take note of a batch that is about to be asked; the first of them are the sample."""
        if self._left > 0:
            self._left -= len(batch.accounts)
            self._sample.add((batch.shard, batch.seq))

    def reply(self, batch: Batch, reply: Reply) -> None:
        """Judge once the sample is complete. Raises ServiceRefusal."""
        if (batch.shard, batch.seq) not in self._sample:
            return
        self._sample.remove((batch.shard, batch.seq))
        self._known += len(reply.found)
        self._absent += sum(rejection.reason in ANSWERS for rejection in reply.rejected.values())
        if self._left <= 0 and not self._sample:
            judge_absent(self._absent, self._known + self._absent, self._absent_share_max)


def judge_absent(absent: int, answered: int, share_max: float | None) -> None:
    """Raise ServiceRefusal when more than a share of the answered accounts (None: all of them) is unknown."""
    if answered and (absent == answered if share_max is None else absent > answered * share_max):
        raise ServiceRefusal(
            f"the service knows {answered - absent:,} of {answered:,} accounts. Check that --sdkappid and --region are"
            " those of the app whose ids these are, and that --column names the account ids; else raise --max-missing."
        )
