"""One token per attempt, on a clock that leaps."""

import asyncio
import contextlib
import math
import random
import selectors
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import AttemptError, Verdict
from exporter.limiter import CUT, PACE_MIN, RATE_UNLIMITED, Limiter, Pace, limited
from exporter.model import ON_SENT, Reply

TURN_S = 1e-6  # a turn of the loop takes a moment, as everywhere
RATES = st.integers(1, 20) | st.floats(0.3, 30) | st.sampled_from([0.3, 0.5, 1, 1.5, 2.7, 49.5, 50, 99.9, 100, 500])


class LeapingSelector(selectors.SelectSelector):
    """Never waits: its clock leaps to the end of each wait."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Leap to the end of the wait."""
        assert timeout is not None, "nothing is left that could happen"
        self.now += max(timeout, TURN_S)
        return super().select(0)


class LeapingLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time: hours pass in no time, and the same way in every run."""

    def __init__(self) -> None:
        self._leaping = LeapingSelector()
        super().__init__(self._leaping)

    def time(self) -> float:
        """Tell the virtual time, in seconds."""
        return self._leaping.now


def run(job: Awaitable[Any]) -> Any:
    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        return runner.run(job)  # type: ignore[arg-type] # a coroutine


async def starts_of(limiter: Limiter, arrivals: Sequence[tuple[float, int]]) -> list[tuple[float, int]]:
    """Let calls arrive, so many after each gap; return when each started, and its number in order of arrival."""
    clock, started = asyncio.get_running_loop().time, []

    async def call(number: int) -> None:
        await limiter.start()
        started.append((clock(), number))

    calls = 0
    async with asyncio.TaskGroup() as group:
        for gap, count in arrivals:
            await asyncio.sleep(gap)
            for _ in range(count):
                group.create_task(call(calls))
                calls += 1
    return started


def most_in_a_second(times: Sequence[float], second: float = 1.0) -> int:
    """Count the starts in the fullest stretch [start, start + second)."""
    most = first = 0
    for place, time in enumerate(times):
        while times[first] <= time - second:
            first += 1
        most = max(most, place - first + 1)
    return most


GAPS = st.sampled_from([0.0, 0.001, 0.005, 0.1, 0.5, 0.99, 0.999, 1.0, 1.001, 2.5, 60.0]) | st.floats(0, 3)
BURSTS = st.lists(st.tuples(GAPS, st.integers(0, 30)), max_size=10)


@settings(deadline=None)
@given(RATES, BURSTS, st.sampled_from([1, 1, 40]))
def test_no_rolling_second_holds_more_than_the_rate(rate: float, bursts: list[tuple[float, int]], times: int) -> None:
    """Whatever the arrivals, no second has more starts than the rate; below one a second, no 1/rate seconds two."""
    times = times if rate > 40 else 1

    async def go() -> list[tuple[float, int]]:
        return await starts_of(Limiter(rate), [(gap, count * times) for gap, count in bursts])

    started = run(go())
    assert len(started) == sum(count * times for _, count in bursts)
    assert most_in_a_second([time for time, _ in started], max(1.0, 1.0 / rate)) <= max(rate, 1)


@settings(deadline=None)
@given(RATES, BURSTS)
def test_first_come_first_served(rate: float, bursts: list[tuple[float, int]]) -> None:
    """Calls start in the order in which they came."""

    async def go() -> list[tuple[float, int]]:
        return await starts_of(Limiter(rate), bursts)

    numbers = [number for _, number in run(go())]
    assert numbers == sorted(numbers)


@settings(deadline=None)
@given(RATES, BURSTS, st.lists(GAPS, max_size=6))
def test_refusals_never_quicken(rate: float, bursts: list[tuple[float, int]], refusals: list[float]) -> None:
    """However often the service says "too frequent", the promise holds, and every call starts in the end."""

    async def refuse(limiter: Limiter) -> None:
        for gap in refusals:
            await asyncio.sleep(gap)
            limiter.slow_down()

    async def go() -> list[tuple[float, int]]:
        limiter = Limiter(rate)
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
        limiter, clock = Limiter(rate), asyncio.get_running_loop().time
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
    return [time for time, _ in await starts_of(Limiter(rate), [(0.0, calls)])]


def test_starts_are_spread() -> None:
    """A burst of a hundred does not go at once: no tenth of a second holds more than about its share."""
    assert most_in_a_second(run(_steady(100, 300)), 0.1) <= 13


def test_a_huge_rate_is_no_limit() -> None:
    """From 100,000 a second nothing waits, and a refusal still slows."""

    async def go() -> tuple[float, float]:
        limiter, clock = Limiter(1e9), asyncio.get_running_loop().time
        began = clock()
        for _ in range(5000):
            await limiter.start()
        waited = clock() - began
        limiter.slow_down()
        return waited, limiter.pace()

    waited, pace = run(go())
    assert waited == 0
    assert pace == pytest.approx(CUT * 5000)


def test_a_cancelled_call_keeps_nobody_waiting() -> None:
    """A call that is cancelled in the queue leaves its place to the next."""

    async def go() -> float:
        limiter, clock = Limiter(2), asyncio.get_running_loop().time
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
        limiter = Limiter(10)
        await limiter.start()
        token = await limiter.token()
        limiter.slow_down()
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
        limiter, clock = Limiter(2), asyncio.get_running_loop().time
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
        paced = limited(fetch, Limiter(rate))
        async with asyncio.TaskGroup() as group:
            for gap, count in bursts:
                await asyncio.sleep(gap)
                for _ in range(count):
                    group.create_task(paced(["a"]))  # type: ignore[arg-type] # a coroutine

    run(go())
    assert len(left) == sum(count for _, count in bursts)
    assert most_in_a_second(left, max(1.0, 1.0 / rate)) <= max(rate, 1)


def test_a_refusal_cuts_what_was_measured_and_the_pace_climbs_back() -> None:
    """At 100 a second a refusal lets 70 through in the next second, and the full rate is back within ten."""

    async def go() -> tuple[list[float], list[float], float]:
        limiter, loop = Limiter(100), asyncio.get_running_loop()
        cut_at = loop.time() + 3
        loop.call_at(cut_at, limiter.slow_down)
        paces: list[float] = []
        for tick in range(1, 120):
            loop.call_at(cut_at + tick / 10, lambda: paces.append(limiter.pace()))
        started = await starts_of(limiter, [(0.0, 1400)])
        return [time - cut_at for time, _ in started], paces, limiter.pace()

    times, paces, last = run(go())
    assert 65 <= sum(0 < time <= 1 for time in times) <= 80
    assert paces[0] == pytest.approx(70, abs=5)
    assert all(before <= after + 1e-9 for before, after in pairwise(paces))
    assert last == 100
    assert sum(9 < time <= 10 for time in times) >= 98


def test_refusals_within_a_second_cut_once() -> None:
    """A hundred calls refused together are one refusal; a second later the next one counts."""

    async def go() -> list[float]:
        limiter = Limiter(100)
        await starts_of(limiter, [(0.0, 300)])
        paces = []
        for gap in (0.0, 0.3, 0.3, 0.3, 0.2):
            await asyncio.sleep(gap)
            limiter.slow_down()
            paces.append(limiter.pace())
        return paces

    paces = run(go())
    assert paces[0] == pytest.approx(0.7 * 100, rel=0.02)
    assert paces[0] < paces[1] < paces[2] < paces[3] > paces[4]


def test_what_was_measured_is_the_last_second() -> None:
    """Starts of longer ago do not count: a refusal after an idle time cuts to the least."""

    async def go() -> float:
        limiter = Limiter(100)
        await starts_of(limiter, [(0.0, 100)])
        await asyncio.sleep(1.2)
        limiter.slow_down()
        return limiter.pace()

    assert run(go()) == pytest.approx(CUT)


# ---- the pace alone

STEPS = st.lists(st.tuples(st.floats(0, 5), st.none() | st.floats(1, 1000)), max_size=30)


@given(st.floats(0.5, 1000), STEPS)
def test_the_pace_stays_between_its_bounds(rate: float, steps: list[tuple[float, float | None]]) -> None:
    """Whatever is refused and when, the pace is at least half a call a second and never above the rate."""
    pace, now = Pace(rate), 0.0
    for gap, measured in steps:
        now += gap
        if measured is not None:
            pace.cut(now, measured)
        reduced = pace.at(now)
        assert reduced is None or PACE_MIN <= reduced <= rate


def test_a_pace_below_the_least_is_never_raised() -> None:
    """Where the rate is under half a call a second, a refusal does not make it more."""
    pace = Pace(0.3)
    pace.cut(0.0, 1.0)
    assert (pace.at(0.1) or 0.3) <= 0.3


@given(st.floats(1, 1000), st.floats(1, 1000), st.floats(0, 60))
def test_a_cut_is_to_seven_tenths(rate: float, measured: float, later: float) -> None:
    """Right after a refusal the pace is 0.7 of what was measured, or of the pace where that was less; then it grows."""
    pace = Pace(rate)
    pace.cut(0.0, measured)
    assert pace.at(0.0) == pytest.approx(max(PACE_MIN, CUT * min(rate, measured)))
    curve = [pace.at(later * part / 10) or rate for part in range(11)]
    assert curve == sorted(curve)


@given(st.floats(2, 1000), st.floats(1, 3), st.floats(1, 1000))
def test_a_second_cut_is_from_the_pace_in_force(rate: float, later: float, measured: float) -> None:
    """A burst that was measured does not make up for a refusal before: the lower of the two is cut."""
    pace = Pace(rate)
    pace.cut(0.0, rate)
    in_force = pace.at(later) or rate
    pace.cut(later, measured)
    assert pace.at(later) == pytest.approx(max(PACE_MIN, CUT * min(in_force, measured)))


@given(st.floats(1, 1000), st.floats(1, 1000), st.lists(st.floats(0, 0.999), max_size=5))
def test_the_pace_is_cut_at_most_once_a_second(rate: float, measured: float, moments: list[float]) -> None:
    """Refusals within a second after a cut change nothing, whatever was looked at in between."""
    pace, same = Pace(rate), Pace(rate)
    pace.cut(0.0, measured)
    same.cut(0.0, measured)
    for now in sorted(moments):
        pace.cut(now, 1.0)
        assert pace.at(now) == same.at(now)


# ---- the wrapper


@pytest.mark.parametrize("verdict", Verdict)
def test_every_attempt_pays_and_refusals_slow(verdict: Verdict) -> None:
    """Each call takes a token whatever becomes of it; "too frequent" alone slows the pace; the error goes on."""

    async def fetch(_accounts: Sequence[str]) -> Reply:
        raise AttemptError("no", verdict=verdict)

    async def go() -> tuple[float, float]:
        limiter, clock = Limiter(10), asyncio.get_running_loop().time
        paced, began = limited(fetch, limiter), clock()
        for _ in range(11):
            with pytest.raises(AttemptError, match="no"):
                await paced(["a"])
        return clock() - began, limiter.pace()

    waited, pace = run(go())
    assert waited >= 1
    assert (pace < 10) is (verdict is Verdict.SLOW_DOWN)


def test_answers_pass_through() -> None:
    """An answer is handed on as it is."""
    reply = Reply(found={"a": {}})

    async def fetch(_accounts: Sequence[str]) -> Reply:
        return reply

    async def go() -> Reply:
        return await limited(fetch, Limiter(RATE_UNLIMITED))(["a"])

    assert run(go()) is reply


def test_the_clock_can_be_given() -> None:
    """Time comes in as an argument."""

    async def go(clock: Callable[[], float]) -> float:
        limiter = Limiter(10, clock=clock)
        await limiter.start()
        limiter.slow_down()
        return limiter.pace()

    assert run(go(lambda: 5.0)) == pytest.approx(0.7)


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
        limiter = Limiter(2)
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
        limiter = Limiter(10)
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
        before = asyncio.create_task(starts_for(Limiter(rate), stopped_after))
        started = await before
        after = Limiter(rate)
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
        limiter, clock = Limiter(RATE_UNLIMITED), asyncio.get_running_loop().time
        limiter.spend_all()
        began = clock()
        await limiter.start()
        return clock() - began

    assert run(go()) < 0.01
