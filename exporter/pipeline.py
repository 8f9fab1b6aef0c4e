"""Carry every batch from the ids to the sink, a bounded number at a time; commit a shard when its last batch is in.

Meets neither the network nor a file format: it takes a Fetch, and declares the three-method Sink it needs.

Latency costs no rate. A batch is begun when the line for a token is short, so that what is in flight follows from rate
and latency by itself (rate x latency), and a repeated attempt never stands behind hundreds of new ones. A straggler idles
nothing: where too many shards are open, one that waits for its last answers is put aside, out of memory, and a new one begun.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from exporter.batching import Shard
from exporter.errors import ServiceRefusal
from exporter.model import ANSWERS, ON_TURN, Batch, Fetch, Reply

T = TypeVar("T")

SAMPLE_ACCOUNTS = 1000  # enough to see that an app or a column is the wrong one
WAITING_MAX = 4  # batches in line for their first token: enough that the limiter always has somebody to give it to
ASIDE_MAX = 32  # shards put aside at a time: of the usual size ten minutes' work at 100 requests a second
STRAGGLES_S = 1.0  # after its last batch was begun, a shard that is still open waits for stragglers
DRAIN_S_MAX = 8.0  # for what is in flight when a run is stopped: with the last commit it ends within ten seconds


class Sink(Protocol):
    """Where answers go."""

    def add(self, batch: Batch, reply: Reply) -> None:
        """Take a batch's answers; batches come in any order."""

    async def put_aside(self, number: int) -> None:
        """Keep a shard's answers so far out of memory: the others may take long."""

    async def commit(self, shard: Shard) -> None:
        """Make a shard durable: all its batches are in."""


@dataclass(slots=True)
class _Pending:
    """A shard whose batches are on their way: `begun_at` says when the last of them was begun."""

    done: int = 0
    shard: Shard | None = None
    begun_at: float = 0.0
    is_aside: bool = False

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
    straggles_s: float = STRAGGLES_S,
    drain_s_max: float = DRAIN_S_MAX,
) -> None:
    """Run until every shard is committed. The first final error cancels all and is raised as it is.

    At most `in_flight_max` batches are asked at a time, of at most `shards_open_max` shards in memory and ASIDE_MAX others
    whose stragglers are awaited; at most WAITING_MAX of them wait for their first token, which `in_turn` tells. `on_batch`
    sees the batches in input order, `on_reply` as they are answered. Cancelled, it starts no new batch, waits for those in
    flight, at most `drain_s_max` and not at all when that is hopeless (`on_stop` is told before), and commits the shards
    that they complete.
    """
    slots, line = asyncio.Semaphore(in_flight_max), asyncio.Semaphore(WAITING_MAX)
    carrier = _Carrier(events, fetch, sink, on_batch, on_reply, slots, line, _Room(sink, shards_open_max, straggles_s))
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
class _Room:
    """The shards that are open: those in memory, at most `open_max`, and those put aside."""

    sink: Sink
    open_max: int
    straggles_s: float
    pending: dict[int, _Pending] = field(default_factory=dict)
    open: int = 0
    aside: int = 0
    committed: asyncio.Event = field(default_factory=asyncio.Event)

    async def begin(self, number: int) -> None:
        """Begin a shard, once there is room for it."""
        while self.open >= self.open_max:
            straggling = self._straggling()
            if straggling is not None:
                await self._put_aside(straggling)
                continue
            self.committed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.straggles_s):
                    await self.committed.wait()
        self.open += 1
        self.pending[number] = _Pending()

    def begun(self, shard: Shard) -> None:
        """Take note that all batches of a shard are begun."""
        self.pending[shard.number].shard = shard
        self.pending[shard.number].begun_at = asyncio.get_running_loop().time()

    async def commit_if_complete(self, number: int) -> None:
        """Commit a shard whose batches are all in: whoever comes last finds it so, and takes it out; nobody else does."""
        pending = self.pending.get(number)
        if pending is None or not pending.complete() or pending.shard is None:
            return
        del self.pending[number]
        await self.sink.commit(pending.shard)
        self.open -= not pending.is_aside
        self.aside -= pending.is_aside
        self.committed.set()

    def _straggling(self) -> int | None:
        """Tell which shard to put aside: of those in memory the oldest, if it should long have been complete."""
        in_memory = ((number, pending) for number, pending in self.pending.items() if not pending.is_aside)
        number, oldest = next(in_memory, (None, None))
        if oldest is None or oldest.shard is None or self.aside >= ASIDE_MAX:
            return None
        age_s = asyncio.get_running_loop().time() - oldest.begun_at
        return number if age_s >= self.straggles_s else None

    async def _put_aside(self, number: int) -> None:
        self.pending[number].is_aside = True
        self.aside += 1
        await self.sink.put_aside(number)
        self.open -= 1


@dataclass(slots=True)
class _Carrier:
    events: AsyncIterator[Batch | Shard]
    fetch: Fetch
    sink: Sink
    on_batch: Callable[[Batch], None]
    on_reply: Callable[[Batch, Reply], None]
    slots: asyncio.Semaphore
    line: asyncio.Semaphore
    room: _Room
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
