"""One token per attempt, on a clock that leaps."""

import asyncio
import contextlib
import math
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import AttemptError, Verdict
from exporter.limiter import RATE_UNLIMITED, Limiter, limited
from exporter.limiter.pace import CUT, ROW
from exporter.limiter.window import Sent
from exporter.model import ON_SENT, Reply
from tests.unit.limiter.limiters import alone
from tests.unit.virtual import most_in_a_second, run

RATES = st.integers(1, 20) | st.floats(0.3, 30) | st.sampled_from([0.3, 0.5, 1, 1.5, 2.7, 49.5, 50, 99.9, 100, 500])


async def refused(limiter: Limiter) -> None:
    """Let the answer come that a call which has just left was too frequent."""
    now = asyncio.get_running_loop().time()
    limiter.answered(Sent(now, now), refused=True)


async def starts_of(
    limiter: Limiter, arrivals: Sequence[tuple[float, int]], *, answered: bool = False
) -> list[tuple[float, int]]:
    """Let calls arrive, so many after each gap; return when each started, and its number in order of arrival."""
    clock, started = asyncio.get_running_loop().time, []

    async def call(number: int) -> None:
        token = await limiter.token()
        token.sent()
        started.append((clock(), number))
        if answered:
            token.answered(refused=False)

    calls = 0
    async with asyncio.TaskGroup() as group:
        for gap, count in arrivals:
            await asyncio.sleep(gap)
            for _ in range(count):
                group.create_task(call(calls))
                calls += 1
    return started


GAPS = st.sampled_from([0.0, 0.001, 0.005, 0.1, 0.5, 0.99, 0.999, 1.0, 1.001, 2.5, 60.0]) | st.floats(0, 3)
BURSTS = st.lists(st.tuples(GAPS, st.integers(0, 30)), max_size=10)


@settings(deadline=None)
@given(RATES, BURSTS, st.sampled_from([1, 1, 40]))
def test_no_rolling_second_holds_more_than_the_rate(rate: float, bursts: list[tuple[float, int]], times: int) -> None:
    """Whatever the arrivals, no second has more starts than the rate; below one a second, no 1/rate seconds two."""
    times = times if rate > 40 else 1

    async def go() -> list[tuple[float, int]]:
        return await starts_of(alone(rate), [(gap, count * times) for gap, count in bursts])

    started = run(go())
    assert len(started) == sum(count * times for _, count in bursts)
    assert most_in_a_second([time for time, _ in started], max(1.0, 1.0 / rate)) <= max(rate, 1)


@settings(deadline=None)
@given(RATES, BURSTS)
def test_first_come_first_served(rate: float, bursts: list[tuple[float, int]]) -> None:
    """Calls start in the order in which they came."""

    async def go() -> list[tuple[float, int]]:
        return await starts_of(alone(rate), bursts)

    numbers = [number for _, number in run(go())]
    assert numbers == sorted(numbers)


@settings(deadline=None)
@given(RATES, BURSTS, st.lists(GAPS, max_size=6))
def test_refusals_never_quicken(rate: float, bursts: list[tuple[float, int]], refusals: list[float]) -> None:
    """However often the service says "too frequent", the promise holds, and every call starts in the end."""

    async def refuse(limiter: Limiter) -> None:
        for gap in refusals:
            await asyncio.sleep(gap)
            await refused(limiter)

    async def go() -> list[tuple[float, int]]:
        limiter = alone(rate)
        refusing = asyncio.create_task(refuse(limiter))
        started = await starts_of(limiter, bursts)
        await refusing
        return started

    started = run(go())
    assert [number for _, number in started] == list(range(sum(count for _, count in bursts)))
    assert most_in_a_second([time for time, _ in started], max(1.0, 1.0 / rate)) <= max(rate, 1)


@pytest.mark.parametrize("rate", [0.3, 0.7, 1, 2, 3, 10, 50, 80, 100, 333, 500])
def test_a_steady_demand_uses_the_rate(rate: float) -> None:
    """At least 98 % of the rate is used, from the first second on, also by one caller that waits for each start."""

    async def demand(callers: int, seconds: float) -> int:
        limiter, clock = alone(rate), asyncio.get_running_loop().time
        end, calls = clock() + seconds, 0

        async def call() -> None:
            nonlocal calls
            while True:
                await limiter.start()
                calls += 1

        tasks = [asyncio.create_task(call()) for _ in range(callers)]
        await asyncio.sleep(end - clock())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return calls

    seconds = max(5.0, 60 / rate)
    for callers in (1, 20):
        calls = run(demand(callers, seconds))
        assert 0.98 * rate * seconds <= calls <= rate * (seconds + 1)


@pytest.mark.parametrize("rate", [1.5, 2.7, 10.5, 99.9])
def test_of_a_broken_rate_the_whole_part_is_used(rate: float) -> None:
    """No second may hold part of a call: 10.5 a second is 10 in every second, at least 98 % of them used."""
    started = run(_steady(rate, 20 * int(rate) + 1))
    assert most_in_a_second(started) == int(rate)
    assert 20 / (started[-1] - started[0]) >= 0.98


async def _steady(rate: float, calls: int) -> list[float]:
    return [time for time, _ in await starts_of(alone(rate), [(0.0, calls)])]


def test_starts_are_spread() -> None:
    """A burst of a hundred does not go at once: no tenth of a second holds more than about its share."""
    assert most_in_a_second(run(_steady(100, 300)), 0.1) <= 15


def test_a_huge_rate_is_no_limit() -> None:
    """From 100,000 a second nothing waits, and refusals still slow."""

    async def go() -> tuple[float, float]:
        limiter, clock = alone(1e9), asyncio.get_running_loop().time
        began = clock()
        await starts_of(limiter, [(0.0, 5000)], answered=True)
        waited = clock() - began
        for _ in range(ROW):
            await refused(limiter)
        return waited, limiter.pace()

    waited, pace = run(go())
    assert waited < 0.01
    assert pace == pytest.approx(CUT * 5000, rel=0.01)


def test_a_cancelled_call_keeps_nobody_waiting() -> None:
    """A call that is cancelled in the queue leaves its place to the next."""

    async def go() -> float:
        limiter, clock = alone(2), asyncio.get_running_loop().time
        tasks = [asyncio.create_task(limiter.start()) for _ in range(10)]
        began = clock()
        await asyncio.sleep(0.1)
        for task in tasks[1:9]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not tasks[9].cancelled()
        return clock() - began

    assert run(go()) < 1.6


@pytest.mark.parametrize("turns", range(4))
def test_a_call_that_is_cancelled_as_another_leaves_is_cancelled(turns: int) -> None:
    """A run that ends with the answer of one call ends for those that wait for their token as well."""

    async def go() -> bool:
        limiter = alone(2)
        await limiter.start()
        token = await limiter.token()
        waiting = asyncio.create_task(limiter.token())
        await asyncio.sleep(0.3)
        token.sent()
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return waiting.cancelled()

    assert run(go())


def test_a_token_counts_until_a_second_after_its_request_left() -> None:
    """While a request makes its connection its token is in use; the second begins when it leaves, and only once."""

    async def go() -> tuple[float, list[float]]:
        limiter, clock = alone(2), asyncio.get_running_loop().time
        tokens = [await limiter.token(), await limiter.token()]
        later = [asyncio.create_task(limiter.start()) for _ in range(2)]
        times: list[float] = []
        for task in later:
            task.add_done_callback(lambda _task: times.append(clock()))
        await asyncio.sleep(7)
        assert not times
        left = clock()
        for token in tokens * 2:
            token.sent()
        await asyncio.gather(*later)
        await asyncio.sleep(0)
        return left, times

    left, times = run(go())
    assert all(1 <= time - left < 1.6 for time in times)


@settings(deadline=None)
@given(RATES, BURSTS, st.integers())
def test_no_rolling_second_sees_more_requests_leave(rate: float, bursts: list[tuple[float, int]], seed: int) -> None:
    """However long each request takes to leave, no second sees more of them leave than the rate."""
    chance = random.Random(seed)
    left: list[float] = []

    async def fetch(_accounts: Sequence[str]) -> Reply:
        leaves = ON_SENT.get()
        await asyncio.sleep(chance.choice([0, 0, 0.001, 0.05, 0.5, 2.0]))
        left.append(asyncio.get_running_loop().time())
        if chance.random() < 0.9:
            leaves()
        await asyncio.sleep(0)
        return Reply()

    async def go() -> None:
        paced = limited(fetch, alone(rate))
        async with asyncio.TaskGroup() as group:
            for gap, count in bursts:
                await asyncio.sleep(gap)
                for _ in range(count):
                    group.create_task(paced(["a"]))  # type: ignore[arg-type] # a coroutine

    run(go())
    assert len(left) == sum(count for _, count in bursts)
    assert most_in_a_second(left, max(1.0, 1.0 / rate)) <= max(rate, 1)


def test_refusals_in_a_row_cut_and_the_pace_climbs_back() -> None:
    """At 100 a second a row of refusals lets fewer through, and without another the full rate is back within ten."""

    async def go() -> tuple[list[float], list[float]]:
        cuts: list[float] = []
        limiter, loop = alone(100, on_slow_down=lambda: cuts.append(limiter.pace())), asyncio.get_running_loop()
        await starts_of(limiter, [(0.0, 300)], answered=True)
        for _ in range(ROW + 2):
            await refused(limiter)
        cut_at = loop.time()
        started = await starts_of(limiter, [(0.0, 1400)], answered=True)
        return [time - cut_at for time, _ in started], cuts

    times, cuts = run(go())
    assert len(cuts) == 1
    assert cuts[0] == pytest.approx(CUT * 100, rel=0.2)
    assert sum(0 < time <= 1 for time in times) <= 100 * CUT
    assert sum(9 < time <= 10 for time in times) >= 98


def test_one_refusal_costs_a_pause_alone() -> None:
    """A single refusal at the full rate cuts nothing: the next start waits for two."""

    async def go() -> tuple[float, float]:
        limiter, clock = alone(10), asyncio.get_running_loop().time
        await starts_of(limiter, [(0.0, 40)], answered=True)
        await asyncio.sleep(2)
        await refused(limiter)
        began = clock()
        await limiter.start()
        return clock() - began, limiter.pace()

    waited, pace = run(go())
    assert waited == pytest.approx(0.2, abs=0.01)
    assert pace == 10


# ---- the wrapper


@pytest.mark.parametrize("verdict", Verdict)
def test_every_attempt_pays_and_refusals_slow(verdict: Verdict) -> None:
    """Each call takes a token whatever becomes of it; "too frequent" alone slows the pace; the error goes on."""

    async def fetch(_accounts: Sequence[str]) -> Reply:
        raise AttemptError("no", verdict=verdict, code=1)

    async def go() -> tuple[float, float]:
        limiter, clock = alone(10), asyncio.get_running_loop().time
        paced, began = limited(fetch, limiter), clock()
        for _ in range(11):
            with pytest.raises(AttemptError, match="no"):
                await paced(["a"])
        return clock() - began, limiter.pace()

    waited, pace = run(go())
    assert waited >= 1
    assert (pace < 10) is (verdict is Verdict.SLOW_DOWN)


@pytest.mark.parametrize(("code", "is_news"), [(91000, True), (None, False)])
def test_only_what_the_service_says_counts_as_accepted(code: int | None, is_news: bool) -> None:  # noqa: FBT001
    """Between refusals any answer of the service ends their row; a call without an answer tells nothing of the quota."""
    errors = [AttemptError("slow", verdict=Verdict.SLOW_DOWN, code=60007) for _ in range(ROW)]
    errors.insert(ROW - 1, AttemptError("?", verdict=Verdict.RETRY, code=code))

    async def fetch(_accounts: Sequence[str]) -> Reply:
        raise errors.pop(0)

    async def go() -> float:
        limiter = alone(2)
        for _ in range(len(errors)):
            with pytest.raises(AttemptError):
                await limited(fetch, limiter)(["a"])
        return limiter.pace()

    assert (run(go()) == 2) is is_news


def test_answers_pass_through() -> None:
    """An answer is handed on as it is."""
    reply = Reply(found={"a": {}})

    async def fetch(_accounts: Sequence[str]) -> Reply:
        return reply

    async def go() -> Reply:
        return await limited(fetch, alone(RATE_UNLIMITED))(["a"])

    assert run(go()) is reply


def test_the_clock_can_be_given() -> None:
    """Time comes in as an argument."""

    async def go(clock: Callable[[], float]) -> float:
        limiter = alone(10, clock=clock)
        await limiter.start()
        for _ in range(ROW):
            limiter.answered(Sent(5.0, 5.0), refused=True)
        return limiter.pace()

    assert run(go(lambda: 5.0)) == pytest.approx(0.5)


def test_who_gives_up_in_turn_keeps_nobody_waiting() -> None:
    """A hundred that wait for tokens and give up when it is their turn cost those behind them no time, and no token."""
    given_up = False

    def check() -> None:
        if given_up:
            raise LookupError

    async def fetch(_accounts: Sequence[str]) -> Reply:
        return Reply()

    async def go() -> tuple[int, float]:
        nonlocal given_up
        limiter = alone(2)
        clock = asyncio.get_running_loop().time
        waiting = [asyncio.ensure_future(limited(fetch, limiter, check)(["a"])) for _ in range(100)]
        await asyncio.sleep(3)
        given_up, began = True, clock()
        await limiter.start()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        return sum(isinstance(end, LookupError) for end in ended), clock() - began

    given, waited_s = run(go())
    assert given > 90
    assert waited_s < 3


def test_what_others_may_have_spent_is_waited_for() -> None:
    """After `spend_all` no call starts for a second, and the first second that follows holds no more than the rate."""

    async def go() -> list[float]:
        limiter = alone(10)
        began = asyncio.get_running_loop().time()
        limiter.spend_all()
        return [start - began for start, _ in await starts_of(limiter, [(0.0, 30)])]

    starts = run(go())
    assert starts[0] > 1
    assert all(later - first > 1 for first, later in zip(starts, starts[10:], strict=False))


@settings(deadline=None)
@given(RATES, BURSTS, st.floats(0, 3))
def test_two_starts_at_once_keep_the_promise_together(
    rate: float, bursts: list[tuple[float, int]], stopped_after: float
) -> None:
    """A limiter that follows another at any moment, all spent: no second that spans both has more than the rate."""

    async def go() -> list[float]:
        before = asyncio.create_task(starts_for(alone(rate), stopped_after))
        started = await before
        after = alone(rate)
        after.spend_all()
        return started + [time for time, _ in await starts_of(after, [(0.0, math.ceil(rate) + 1), *bursts])]

    started = run(go())
    assert most_in_a_second(started, max(1.0, 1.0 / rate)) <= max(rate, 1)


async def starts_for(limiter: Limiter, seconds: float) -> list[float]:
    """Start as many calls as the limiter lets through in so long; return when."""
    clock, started = asyncio.get_running_loop().time, []

    async def demand() -> None:
        while True:
            await limiter.start()
            started.append(clock())

    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(demand(), seconds)
    return started


def test_an_unlimited_rate_has_nothing_to_spend() -> None:
    """Where nothing is limited nobody waits for what was before."""

    async def go() -> float:
        limiter, clock = alone(RATE_UNLIMITED), asyncio.get_running_loop().time
        limiter.spend_all()
        began = clock()
        await limiter.start()
        return clock() - began

    assert run(go()) < 0.01
