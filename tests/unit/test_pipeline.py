"""Every batch from the ids to the sink, a bounded number at a time."""

import asyncio
import contextlib
import gc
import random
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.batching import Shard
from exporter.errors import ExporterError, InputError, MachineError, ServiceRefusal
from exporter.model import ANSWERS, Batch, Reason, Rejection, Reply
from exporter.pipeline import (
    ASIDE_MAX,
    SAMPLE_ACCOUNTS,
    STRAGGLES_S,
    WAITING_MAX,
    KnownCheck,
    carry_all,
    first_of,
    in_turn,
    judge_absent,
    read_ahead,
)

Event = Batch | Shard


def shard_of(number: int, batches: int) -> list[Event]:
    """Make the events of a shard: its batches, then itself."""
    made: list[Event] = [Batch(number, seq, [f"{number}/{seq}"], [1]) for seq in range(batches)]
    return [*made, Shard(number=number, first_row=1, last_row=batches, batches=batches)]


def events_of(shards: Sequence[int]) -> list[Event]:
    return [event for number, batches in enumerate(shards) for event in shard_of(number, batches)]


@dataclass
class World:
    """A source, a service and a sink that take a while and record what they see."""

    events: list[Event]
    pause: Callable[[], int] = lambda: 1
    read_pause: Callable[[], int] = lambda: 0
    fails: dict[object, Exception] = field(default_factory=dict)
    on_cancel: Exception | None = None
    read: int = 0
    asked: list[str] = field(default_factory=list)
    seen: list[Batch] = field(default_factory=list)
    replied: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    committed: list[tuple[int, int]] = field(default_factory=list)
    put: list[int] = field(default_factory=list)
    cancelled: int = 0
    under_way: int = 0
    under_way_most: int = 0
    open: set[int] = field(default_factory=set)
    open_most: int = 0

    async def source(self) -> AsyncIterator[Event]:
        """Give the events."""
        for event in self.events:
            await self._take_a_while(self.read_pause())
            self._fail(("read", self.read))
            self.read += 1
            yield event
        self._fail("end")

    async def fetch(self, accounts: Sequence[str]) -> Reply:
        """Find every account; nobody waits for a token."""
        return await in_turn(self._fetch)(accounts)

    async def _fetch(self, accounts: Sequence[str]) -> Reply:
        self.asked.append(accounts[0])
        self.under_way += 1
        self.under_way_most = max(self.under_way_most, self.under_way)
        try:
            await self._take_a_while(self.pause())
        finally:
            self.under_way -= 1
        self._fail(("fetch", accounts[0]))
        return Reply(found={accounts[0]: {"of": accounts[0]}})

    def add(self, batch: Batch, reply: Reply) -> None:
        """Take a batch's answers."""
        assert list(reply.found) == list(batch.accounts)
        self._fail(("add", batch.accounts[0]))
        self.added.append(batch.accounts[0])

    async def put_aside(self, number: int) -> None:
        """Put a shard aside."""
        await self._take_a_while(self.pause())
        self._fail(("put aside", number))
        self.put.append(number)
        self.open.discard(number)

    async def commit(self, shard: Shard) -> None:
        """Make a shard durable."""
        await self._take_a_while(self.pause())
        self._fail(("commit", shard.number))
        self.committed.append((shard.number, sum(name.startswith(f"{shard.number}/") for name in self.added)))
        self.open.discard(shard.number)

    def on_batch(self, batch: Batch) -> None:
        """See a batch before it is asked."""
        self._fail(("on_batch", batch.accounts[0]))
        self.open.add(batch.shard)
        self.open_most = max(self.open_most, len(self.open))
        self.seen.append(batch)

    def on_reply(self, batch: Batch, reply: Reply) -> None:
        """See a batch when it is answered."""
        assert list(reply.found) == list(batch.accounts)
        self._fail(("on_reply", batch.accounts[0]))
        self.replied.append(batch.accounts[0])

    async def carry(
        self, *, in_flight_max: int = 3, shards_open_max: int = 2, straggles_s: float = STRAGGLES_S
    ) -> None:
        """Carry all of it; leave nothing under way."""
        before = asyncio.all_tasks()
        try:
            await carry_all(
                self.source(),
                self.fetch,
                self,
                in_flight_max=in_flight_max,
                shards_open_max=shards_open_max,
                on_batch=self.on_batch,
                on_reply=self.on_reply,
                straggles_s=straggles_s,
            )
        finally:
            assert asyncio.all_tasks() == before, "nothing is left under way"

    async def _take_a_while(self, turns: int) -> None:
        try:
            for _ in range(turns):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled += 1
            if self.on_cancel:
                raise self.on_cancel from None
            raise

    def _fail(self, where: object) -> None:
        if where in self.fails:
            raise self.fails[where]


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what it waits for happens on another thread, or knows no events
        await asyncio.sleep(0)


def run(job: Coroutine[Any, Any, None]) -> None:
    """Run to the end, unless it never ends."""
    asyncio.run(asyncio.wait_for(job, 20))


SHARDS = st.lists(st.integers(0, 6), max_size=7)
STRAGGLES = st.sampled_from([0.0, STRAGGLES_S])


def world_of(shards: Sequence[int], seed: int) -> World:
    chance = random.Random(seed)
    pause = lambda: chance.choice([0, 0, 1, 2, 5, 20])  # noqa: E731 - one line
    return World(events_of(shards), pause=pause, read_pause=pause)


@given(SHARDS, st.integers(), st.integers(1, 8), st.integers(1, 4), STRAGGLES)
def test_every_batch_is_carried_once(
    shards: list[int], seed: int, in_flight: int, shards_open: int, straggles_s: float
) -> None:
    """Whatever the order of answers, each batch is asked and added once; each shard committed once, when all are in."""
    world = world_of(shards, seed)
    run(world.carry(in_flight_max=in_flight, shards_open_max=shards_open, straggles_s=straggles_s))
    batches = [event for event in world.events if isinstance(event, Batch)]
    names = sorted(batch.accounts[0] for batch in batches)
    assert sorted(world.asked) == sorted(world.replied) == sorted(world.added) == names
    assert sorted(world.committed) == list(enumerate(shards))
    assert world.seen == batches


@given(SHARDS, st.integers(), st.integers(1, 8), st.integers(1, 4), STRAGGLES)
def test_the_bounds_hold(shards: list[int], seed: int, in_flight: int, shards_open: int, straggles_s: float) -> None:
    """Never more batches under way, nor shards begun and neither committed nor put aside, than allowed."""
    world = world_of(shards, seed)
    run(world.carry(in_flight_max=in_flight, shards_open_max=shards_open, straggles_s=straggles_s))
    assert len(set(world.put)) == len(world.put)
    assert world.under_way_most <= in_flight
    assert world.open_most <= shards_open


def test_what_is_allowed_is_used() -> None:
    """With answers that take long, as many batches as allowed are under way, of as many shards as allowed."""
    many_shards, one_shard = World(events_of([1] * 40), pause=lambda: 50), World(events_of([40]), pause=lambda: 50)
    for world in (many_shards, one_shard):
        run(world.carry(in_flight_max=8, shards_open_max=4))
    assert (many_shards.under_way_most, many_shards.open_most) == (4, 4)
    assert (one_shard.under_way_most, one_shard.open_most) == (8, 1)


def test_the_input_waits_for_the_service() -> None:
    """While nothing is answered, no more of the input is read than can be asked, and one event."""
    world = World(events_of([100]))

    async def go() -> None:
        answered = asyncio.Event()

        async def fetch(accounts: Sequence[str]) -> Reply:
            await answered.wait()
            return await world.fetch(accounts)

        carrying = asyncio.create_task(
            carry_all(world.source(), in_turn(fetch), world, in_flight_max=5, shards_open_max=2)
        )
        for _ in range(500):
            await asyncio.sleep(0)
        assert world.read == 6
        answered.set()
        await carrying

    run(go())
    assert world.committed == [(0, 100)]


def test_few_stand_in_line_for_their_first_token() -> None:
    """While no token is given, few batches are begun; each token lets one more begin, a repeated attempt's none."""
    world = World(events_of([40]))

    async def go() -> None:
        tokens, begun = asyncio.Semaphore(0), 0

        async def fetch(accounts: Sequence[str]) -> Reply:
            nonlocal begun
            begun += 1
            for _ in range(2):
                await tokens.acquire()
                reply = await in_turn(world.fetch)(accounts)
            return reply

        carrying = asyncio.create_task(carry_all(world.source(), fetch, world, in_flight_max=40, shards_open_max=2))
        for taken in range(5):
            for _ in range(100):
                await asyncio.sleep(0)
            assert begun == WAITING_MAX + taken
            tokens.release()
        for _ in range(75):
            tokens.release()
        await carrying

    run(go())
    assert world.committed == [(0, 40)]


def test_who_never_gets_a_token_leaves_the_line() -> None:
    """Batches that are settled without a request, as in a retry, keep nobody from beginning."""
    world = World(events_of([40]))

    async def settled(accounts: Sequence[str]) -> Reply:
        return Reply(found={accounts[0]: {}})

    run(carry_all(world.source(), settled, world, in_flight_max=8, shards_open_max=2))
    assert world.committed == [(0, 40)]


def stragglers_of(number: int) -> set[str]:
    return {f"{shard}/1" for shard in range(number)}


@pytest.mark.parametrize("straggling", [1, 5, ASIDE_MAX])
def test_stragglers_keep_nobody_waiting(straggling: int) -> None:
    """While one batch of each of many shards has no answer, all the others are asked and the other shards committed."""
    world = World(events_of([4] * (straggling + 9)))

    async def go() -> None:
        answered = asyncio.Event()

        async def fetch(accounts: Sequence[str]) -> Reply:
            if accounts[0] in stragglers_of(straggling):
                await in_turn(answered_later)(accounts)
            return await world.fetch(accounts)

        async def answered_later(_accounts: Sequence[str]) -> Reply:
            await answered.wait()
            return Reply()

        carrying = asyncio.create_task(
            carry_all(world.source(), fetch, world, in_flight_max=100, shards_open_max=2, straggles_s=0.0)
        )
        await until(lambda: len(world.committed) == 9)
        assert {*range(straggling - 1)} <= {*world.put}  # one has room in memory
        assert len(world.added) == 4 * len(world.committed) + 3 * straggling
        answered.set()
        await carrying

    run(go())
    assert sorted(world.committed) == [(number, 4) for number in range(straggling + 9)]


def test_no_more_is_put_aside_than_allowed() -> None:
    """Where every shard has its straggler, the input waits once so many shards are aside, and goes on as they are complete."""
    world = World(events_of([2] * (ASIDE_MAX + 20)))

    async def go() -> None:
        answered = asyncio.Semaphore(0)

        async def fetch(accounts: Sequence[str]) -> Reply:
            if accounts[0].endswith("/1"):
                await in_turn(answered_later)(accounts)
            return await world.fetch(accounts)

        async def answered_later(_accounts: Sequence[str]) -> Reply:
            await answered.acquire()
            return Reply()

        carrying = asyncio.create_task(
            carry_all(world.source(), fetch, world, in_flight_max=100, shards_open_max=2, straggles_s=0.0)
        )
        for settled in range(18):
            await until(lambda settled=settled: len(world.added) == ASIDE_MAX + 2 + 2 * settled)  # type: ignore[misc] # a default
            for _ in range(50):
                await asyncio.sleep(0)
            assert len(world.added) == ASIDE_MAX + 2 + 2 * settled
            assert len(world.put) == ASIDE_MAX + settled
            answered.release()
        for _ in range(ASIDE_MAX + 20):
            answered.release()
        await carrying

    run(go())
    assert len(world.committed) == ASIDE_MAX + 20


def test_a_shard_that_is_only_busy_is_not_put_aside() -> None:
    """A shard begun a moment ago waits for its answers in memory: the disk is for stragglers."""
    world = World(events_of([6] * 10), pause=lambda: 20)
    run(world.carry(in_flight_max=6, shards_open_max=2))
    assert not world.put


def test_a_shard_without_batches_is_committed() -> None:
    """A shard of bad rows alone has a file all the same, and so has an empty input."""
    world = World(events_of([0, 2, 0]))
    run(world.carry())
    assert sorted(world.committed) == [(0, 0), (1, 2), (2, 0)]


PLACES = [
    *(("read", 5), "end", ("fetch", "1/0"), ("add", "1/0"), ("commit", 0)),
    *(("on_batch", "1/0"), ("on_reply", "1/0"), ("fetch", "0/0"), ("commit", 2)),
]


@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_the_first_error_ends_the_run_as_itself(place: object, seed: int) -> None:
    """A final error anywhere is raised as it is; what is under way is cancelled, and nothing is left behind."""
    error = ExporterError("as it is")
    world = world_of([3, 3, 3], seed)
    world.fails = {place: error}
    with pytest.raises(ExporterError) as caught:
        run(world.carry())
    assert caught.value is error
    assert not world.under_way
    if isinstance(place, tuple) and place[0] == "commit":
        assert place[1] not in [number for number, _ in world.committed]


@pytest.mark.parametrize(
    "place", [("read", 4), ("fetch", "0/0"), ("add", "0/0"), ("on_reply", "0/0"), ("on_batch", "0/2")], ids=str
)
def test_what_fails_in_the_wake_of_an_error_is_not_told(place: object) -> None:
    """The error that ended the run is told, not those of the others that were cancelled for it."""
    first = InputError("first")
    world = World(events_of([8, 8]), pause=lambda: 5 if len(world.asked) < 2 else 40, fails={place: first})
    world.read_pause = lambda: 1
    world.on_cancel = MachineError("in its wake")
    with pytest.raises(ExporterError) as caught:
        run(world.carry())
    assert caught.value is first
    assert world.cancelled


def test_a_shard_with_a_failed_batch_is_never_committed() -> None:
    """A batch whose answer is refused leaves its shard unfinished; shards that were complete before stay."""
    world = World(events_of([2, 2]), fails={("on_reply", "1/1"): ServiceRefusal("unknown to the service")})
    with pytest.raises(ServiceRefusal):
        run(world.carry(in_flight_max=1))
    assert world.committed == [(0, 2)]


def test_a_stopped_run_ends_what_is_in_flight() -> None:
    """Cancelled, no batch is begun any more; those under way are answered, and the shard that they complete is committed."""
    world = World(events_of([3, 9]), pause=lambda: 5)

    async def go() -> None:
        carrying = asyncio.create_task(
            carry_all(world.source(), world.fetch, world, in_flight_max=5, shards_open_max=2)
        )
        await until(lambda: len(world.asked) >= 5)
        begun = list(world.asked)
        carrying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await carrying
        assert world.asked == begun == world.added
        assert world.committed == [(0, 3)]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(go())


def test_a_stopped_run_does_not_wait_for_ever() -> None:
    """What is not answered when the time is up is cancelled, and nothing is left under way."""
    world = World(events_of([9, 9]), pause=lambda: 10**9)

    async def go() -> None:
        carrying = asyncio.create_task(
            carry_all(world.source(), world.fetch, world, in_flight_max=3, shards_open_max=2, drain_s_max=0.01)
        )
        await until(lambda: len(world.asked) >= 3)
        carrying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await carrying
        assert not world.under_way
        assert world.cancelled == 3
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(go())


def test_what_fails_while_a_run_stops_is_told() -> None:
    """A disk that fills up during the last commit is no clean stop."""
    world = World(events_of([3]), pause=lambda: 5)
    world.fails = {("commit", 0): MachineError("the disk is full")}

    async def go() -> None:
        carrying = asyncio.create_task(
            carry_all(world.source(), world.fetch, world, in_flight_max=5, shards_open_max=2)
        )
        await until(lambda: len(world.asked) >= 3 and world.read == 4)
        carrying.cancel()
        with pytest.raises(MachineError, match="full"):
            await carrying

    asyncio.run(go())


def test_the_first_of_nested_errors_is_found() -> None:
    """Groups in groups are opened to the first error."""
    first = InputError("first")
    inner = BaseExceptionGroup("inner", [first, MachineError("second")])
    assert first_of(BaseExceptionGroup("outer", [inner, MachineError("third")])) is first


# ---- reading ahead


@dataclass
class Lists:
    """A generator of lists that knows how far it was read, on which thread, and whether it was closed."""

    lists: list[list[int]]
    error: Exception | None = None
    hold: threading.Event | None = None
    read: int = 0
    threads: set[int] = field(default_factory=set)
    closed: threading.Event = field(default_factory=threading.Event)

    def has_read(self, lists: int) -> bool:
        """Tell whether so many lists were read."""
        return self.read >= lists

    def generate(self) -> Generator[list[int], None, None]:
        """Give the lists."""
        try:
            for items in self.lists:
                self.threads.add(threading.get_ident())
                self.read += 1
                yield items
            if self.hold:
                self.read += 1
                self.hold.wait(20)
            if self.error:
                raise self.error
        finally:
            self.closed.set()


async def taken(lists: Lists) -> list[int]:
    async with aclosing(read_ahead(lists.generate())) as ahead:
        return [item async for item in ahead]


@given(st.lists(st.lists(st.integers(), max_size=3), max_size=6))
def test_reading_ahead_keeps_the_order(lists: list[list[int]]) -> None:
    """Every item comes, in order, read on one other thread; then the generator is closed."""
    source = Lists(lists)
    assert asyncio.run(taken(source)) == [item for items in lists for item in items]
    assert source.closed.wait(10)
    assert len(source.threads) <= 1
    assert threading.get_ident() not in source.threads


@pytest.mark.parametrize("good", [0, 1, 3])
def test_an_error_of_the_reader_comes_after_what_it_gave(good: int) -> None:
    """What was read before a bad line is handed on; then the error is raised as it is."""
    error = InputError("line 7 is cut")
    source = Lists([[number] for number in range(good)], error=error)
    items: list[int] = []

    async def go() -> None:
        async for item in read_ahead(source.generate()):
            items.append(item)  # noqa: PERF401 - kept when it fails

    with pytest.raises(InputError) as caught:
        asyncio.run(go())
    assert caught.value is error
    assert items == list(range(good))
    assert source.closed.wait(10)


def test_one_list_is_read_ahead() -> None:
    """While a list is worked on, the next one is read, and no more."""
    source = Lists([[number] for number in range(10)])
    ahead_of: list[int] = []
    worked_on = 0

    def generate() -> Generator[list[int], None, None]:
        for items in source.generate():
            ahead_of.append(items[0] - worked_on)
            yield items

    async def go() -> None:
        nonlocal worked_on
        async with aclosing(read_ahead(generate())) as ahead:
            async for worked_on in ahead:
                await until(partial(source.has_read, min(worked_on + 2, 10)))

    asyncio.run(asyncio.wait_for(go(), 20))
    assert ahead_of == [0, *[1] * 9]


def test_leaving_early_closes_the_reader() -> None:
    """When the run ends early, the generator is closed, so that its file is, whoever else holds it."""
    source = Lists([[1, 2], [3], [4]])
    held = source.generate()

    async def go() -> None:
        async with aclosing(read_ahead(held)) as ahead:
            assert await anext(ahead) == 1

    asyncio.run(go())
    assert source.closed.wait(10)
    assert source.read <= 2


def test_leaving_does_not_wait_for_a_pipe_that_gives_nothing() -> None:
    """A read that never returns does not keep a run from ending; once it returns, the generator is closed."""
    source = Lists([[1]], hold=threading.Event())
    assert source.hold

    async def go() -> None:
        async with aclosing(read_ahead(source.generate())) as ahead:
            assert await anext(ahead) == 1
            await until(lambda: source.read == 2)
        assert not source.closed.is_set()

    asyncio.run(asyncio.wait_for(go(), 10))
    source.hold.set()
    assert source.closed.wait(10)


def test_cancelling_a_wait_for_a_pipe_ends_it() -> None:
    """A run that waits for a pipe can be cancelled."""
    source = Lists([], hold=threading.Event())
    assert source.hold

    async def go() -> None:
        waiting = asyncio.create_task(taken(source))
        await until(lambda: source.read == 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(asyncio.wait_for(go(), 10))
    source.hold.set()
    assert source.closed.wait(10)


def test_an_error_that_nobody_waits_for_is_not_printed() -> None:
    """When a run ends for another reason, an error of the list ahead is not told as a stray traceback."""
    source = Lists([[1]], error=InputError("line 2 is cut"))
    stray: list[object] = []

    async def go() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: stray.append(context))
        async with aclosing(read_ahead(source.generate())) as ahead:
            await anext(ahead)
            await until(source.closed.is_set)
            for _ in range(100):
                await asyncio.sleep(0)
        gc.collect()
        await asyncio.sleep(0)

    asyncio.run(go())
    assert not stray


# ---- accounts that nobody knows


def sample(number: int, size: int = 100) -> list[Batch]:
    return [Batch(0, seq, [f"{seq}/{place}" for place in range(size)], range(size)) for seq in range(number)]


def reply_of(batch: Batch, absent: int, reason: Reason = Reason.MISSING) -> Reply:
    accounts = list(batch.accounts)
    return Reply(
        found={account: {} for account in accounts[absent:]},
        rejected=dict.fromkeys(accounts[:absent], Rejection(reason)),
    )


@pytest.mark.parametrize("reason", sorted(ANSWERS))
@pytest.mark.parametrize("seed", range(3))
def test_a_thousand_unknown_accounts_stop_the_run(reason: Reason, seed: int) -> None:
    """When not one of the first thousand is known, the last answer among them ends the run, whatever their order."""
    check, batches = KnownCheck(None), sample(12)
    for batch in batches:
        check.start(batch)
    *others, last = random.Random(seed).sample(batches[:10], 10)
    for batch in [*batches[10:], *others]:
        check.reply(batch, reply_of(batch, 100, reason))
    with pytest.raises(ServiceRefusal, match="knows 0 of 1,000 accounts"):
        check.reply(last, reply_of(last, 100, reason))


@given(st.lists(st.integers(0, 100), min_size=10, max_size=14), st.none() | st.floats(0, 1), st.randoms())
def test_the_first_thousand_are_judged(absent: list[int], share_max: float | None, chance: random.Random) -> None:
    """The sample is the first thousand in input order, judged once, when the last of them is answered."""
    check, batches = KnownCheck(share_max), sample(len(absent))
    for batch in batches:
        check.start(batch)
    missing = sum(absent[:10])
    refused = missing == 1000 if share_max is None else missing > 1000 * share_max
    pairs = list(zip(batches, absent, strict=True))
    chance.shuffle(pairs)
    judged_at = max(place for place, (batch, _) in enumerate(pairs) if batch.seq < 10)
    stopped_at = None
    for place, (batch, number) in enumerate(pairs):
        try:
            check.reply(batch, reply_of(batch, number))
        except ServiceRefusal:
            stopped_at = place
            break
    assert stopped_at == (judged_at if refused else None)


def test_failures_are_not_taken_for_unknown_accounts() -> None:
    """Accounts that were refused say nothing about the app: with no answer at all there is nothing to judge."""
    check, batches = KnownCheck(None), sample(10)
    for batch in batches:
        check.start(batch)
    for batch in batches:
        check.reply(batch, reply_of(batch, 100, Reason.REFUSED))


def test_small_inputs_are_not_judged_early() -> None:
    """Below a thousand accounts the sample is never complete."""
    check, batches = KnownCheck(0.0), sample(9)
    for batch in batches:
        check.start(batch)
        check.reply(batch, reply_of(batch, 100))
    assert SAMPLE_ACCOUNTS == 1000


@pytest.mark.parametrize(
    ("absent", "answered", "share_max", "refused"),
    [
        *((0, 0, None, False), (0, 0, 0.0, False), (5, 5, None, True), (4, 5, None, False)),
        *((5, 100, 0.05, False), (6, 100, 0.05, True), (1, 100, 0.0, True), (0, 100, 0.0, False), (9, 9, 1.0, False)),
    ],
)
def test_a_share_of_unknown_accounts_is_allowed(
    absent: int, answered: int, share_max: float | None, *, refused: bool
) -> None:
    """More than the share stops the run; without a share only when all are unknown; nobody answered, nobody judged."""
    refusal = pytest.raises(ServiceRefusal, match=f"{answered - absent:,} of {answered:,} accounts")
    with refusal if refused else contextlib.nullcontext():
        judge_absent(absent, answered, share_max)
