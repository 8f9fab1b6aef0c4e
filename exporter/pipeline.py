"""Carry every batch from the ids to the sink, a bounded number at a time; commit a shard when its last batch is in.

Meets neither the network nor a file format: it takes a Fetch, and declares the two-method Sink it needs.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from exporter.batching import Shard
from exporter.errors import ServiceRefusal
from exporter.model import ANSWERS, Batch, Fetch, Reply

T = TypeVar("T")

SAMPLE_ACCOUNTS = 1000  # enough to see that an app or a column is the wrong one
DRAIN_S_MAX = 8.0  # for what is in flight when a run is stopped: with the last commit it ends within ten seconds


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
    is_hopeless: Callable[[], bool] = lambda: False,
    on_stop: Callable[[], None] = lambda: None,
    drain_s_max: float = DRAIN_S_MAX,
) -> None:
    """Run until every shard is committed. The first final error cancels all and is raised as it is.

    At most `in_flight_max` batches are asked at a time, of at most `shards_open_max` shards. `on_batch` sees the batches
    in input order, `on_reply` as they are answered. Cancelled, it starts no new batch, waits for those in flight, at most
    `drain_s_max` and not at all when that is hopeless (`on_stop` is told before), and commits the shards that they complete.
    """
    slots, shards = asyncio.Semaphore(in_flight_max), asyncio.Semaphore(shards_open_max)
    carrier = _Carrier(events, fetch, sink, on_batch, on_reply, slots, shards)
    work = asyncio.create_task(carrier.carry_each(), name="carry")
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        on_stop()
        carrier.start_no_more()
        await drained(work, 0.0 if is_hopeless() else drain_s_max)
        raise


@dataclass(slots=True)
class _Carrier:
    events: AsyncIterator[Batch | Shard]
    fetch: Fetch
    sink: Sink
    on_batch: Callable[[Batch], None]
    on_reply: Callable[[Batch, Reply], None]
    slots: asyncio.Semaphore
    shards: asyncio.Semaphore
    pending: dict[int, _Pending] = field(default_factory=dict)
    feeder: asyncio.Task[None] | None = None

    async def carry_each(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                # A task like the others, so that whichever fails first comes first.
                self.feeder = group.create_task(self._feed(group), name="feed")
        except BaseExceptionGroup as errors:
            raise first_of(errors) from None

    def start_no_more(self) -> None:
        if self.feeder:
            self.feeder.cancel()

    async def _feed(self, group: asyncio.TaskGroup) -> None:
        async for event in self.events:
            number = event.shard if isinstance(event, Batch) else event.number
            if number not in self.pending:
                await self.shards.acquire()
                self.pending[number] = _Pending()
            if isinstance(event, Batch):
                await self.slots.acquire()
                self.on_batch(event)
                group.create_task(self._carry(event), name=f"shard {event.shard} batch {event.seq}")
            else:
                self.pending[number].shard = event
                group.create_task(self._commit_if_complete(number), name=f"shard {number}")

    async def _carry(self, batch: Batch) -> None:
        try:
            reply = await self.fetch(batch.accounts)
        finally:
            self.slots.release()
        self.on_reply(batch, reply)
        self.sink.add(batch, reply)
        self.pending[batch.shard].done += 1
        await self._commit_if_complete(batch.shard)

    async def _commit_if_complete(self, number: int) -> None:
        # Whoever comes last finds it complete, and takes it out: nobody else commits it.
        if number in self.pending and self.pending[number].complete() and (shard := self.pending.pop(number).shard):
            await self.sink.commit(shard)
            self.shards.release()


async def drained(work: asyncio.Task[None], seconds: float) -> None:
    """Let a task come to its end, for so long; then cancel it. Raises what it fails with."""
    try:
        async with asyncio.timeout(seconds):
            await asyncio.shield(work)
    except TimeoutError:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


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


async def through(call: Callable[[], T]) -> T:
    """Run a blocking call in a thread, to its end also when this is cancelled: what it works on is held until then."""
    work = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.gather(work, return_exceptions=True)
        raise


async def abandonable(call: Callable[[], T]) -> T:
    """Run a blocking call in a thread of its own, which nobody waits for when this is cancelled."""
    thread = ThreadPoolExecutor(1, "abandonable")
    try:
        return await asyncio.get_running_loop().run_in_executor(thread, call)
    finally:
        thread.shutdown(wait=False)


class KnownCheck:
    """Stop a run whose first thousand accounts are mostly unknown to the service: wrong app, or wrong column.

    `known` and `absent` count the accounts that an earlier start of the run had answers for: they are of the sample.
    """

    def __init__(self, absent_share_max: float | None, *, known: int = 0, absent: int = 0) -> None:
        self._absent_share_max = absent_share_max
        self._left = SAMPLE_ACCOUNTS - known - absent
        self._sample: set[tuple[int, int]] = set()
        self._known = known
        self._absent = absent
        if self._left <= 0:
            judge_absent(absent, known + absent, None)

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
