"""Carry every batch from the ids to the sink, a bounded number at a time; commit a shard when its last batch is in.

Meets neither the network nor a file format: it takes a Fetch, and a Sink (see `room.py`).

Latency costs no rate. A batch is begun when the line for a token is short, so that what is in flight follows from rate
and latency by itself (rate x latency), and a repeated attempt never stands behind hundreds of new ones.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from exporter.batching import Shard
from exporter.model import ON_TURN, Batch, Fetch, Reply
from exporter.pipeline.room import STRAGGLES_S, Room, Sink

WAITING_MAX = 4  # batches in line for their first token: enough that the limiter always has somebody to give it to
DRAIN_S_MAX = 8.0  # for what is in flight when a run is stopped: with the last commit it ends within ten seconds


async def carry_all(  # noqa: PLR0913 - the joint of all parts
    events: AsyncIterator[Batch | Shard],
    fetch: Fetch,
    sink: Sink,
    *,
    in_flight_max: int,
    shards_open_max: int,
    waiting_max: int = WAITING_MAX,
    on_batch: Callable[[Batch], None] = lambda _batch: None,
    on_reply: Callable[[Batch, Reply], None] = lambda _batch, _reply: None,
    is_hopeless: Callable[[], bool] = lambda: False,
    on_stop: Callable[[], None] = lambda: None,
    straggles_s: float = STRAGGLES_S,
    drain_s_max: float = DRAIN_S_MAX,
) -> None:
    """Run until every shard is committed. The first final error cancels all and is raised as it is.

    At most `in_flight_max` batches are asked at a time, of at most `shards_open_max` shards in memory and ASIDE_MAX others
    whose stragglers are awaited; at most `waiting_max` of them wait for their first token, which `in_turn` tells. `on_batch`
    sees the batches in input order, `on_reply` as they are answered. Cancelled, it starts no new batch, waits for those in
    flight, at most `drain_s_max` and not at all when that is hopeless (`on_stop` is told before), and commits the shards
    that they complete.
    """
    slots, line = asyncio.Semaphore(in_flight_max), asyncio.Semaphore(waiting_max)
    carrier = _Carrier(events, fetch, sink, on_batch, on_reply, slots, line, Room(sink, shards_open_max, straggles_s))
    work = asyncio.create_task(carrier.carry_each(), name="carry")
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        on_stop()
        carrier.start_no_more()
        await drained(work, 0.0 if is_hopeless() else drain_s_max)
        raise


@dataclass(slots=True)
class _Place:
    """A batch's place in the line, which it leaves once."""

    line: asyncio.Semaphore | None

    def leave(self) -> None:
        if self.line:
            self.line.release()
            self.line = None


def in_turn(fetch: Fetch) -> Fetch:
    """Wrap a fetch so that a batch leaves the line with its first request. Stands behind the limiter."""

    async def fetch_in_turn(accounts: Sequence[str]) -> Reply:
        if on_turn := ON_TURN.get(None):
            on_turn()
        return await fetch(accounts)

    return fetch_in_turn


@dataclass(slots=True)
class _Carrier:
    events: AsyncIterator[Batch | Shard]
    fetch: Fetch
    sink: Sink
    on_batch: Callable[[Batch], None]
    on_reply: Callable[[Batch, Reply], None]
    slots: asyncio.Semaphore
    line: asyncio.Semaphore
    room: Room
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
            if number not in self.room.pending:
                await self.room.begin(number)
            if isinstance(event, Batch):
                await self.slots.acquire()
                await self.line.acquire()
                self.on_batch(event)
                group.create_task(self._carry(event), name=f"shard {event.shard} batch {event.seq}")
            else:
                self.room.begun(event)
                group.create_task(self.room.commit_if_complete(number), name=f"shard {number}")

    async def _carry(self, batch: Batch) -> None:
        place = _Place(self.line)
        ON_TURN.set(place.leave)
        try:
            reply = await self.fetch(batch.accounts)
        finally:
            place.leave()
            self.slots.release()
        self.on_reply(batch, reply)
        self.sink.add(batch, reply)
        self.room.pending[batch.shard].done += 1
        await self.room.commit_if_complete(batch.shard)


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
