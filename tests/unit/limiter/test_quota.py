"""Several jobs draw from one quota, on a clock that leaps."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import AttemptError, Verdict
from exporter.limiter import RATE_UNLIMITED, Limiter, Quota, Window, limited
from exporter.limiter.pace import CUT, ROW
from exporter.limiter.quota import ASKS_S
from exporter.limiter.window import Sent
from exporter.model import Reply
from tests.unit.limiter.limiters import side_by_side
from tests.unit.virtual import most_in_a_second, run

Start = tuple[float, int]  # when, and by which job
GAPS = st.sampled_from([0.0, 0.005, 0.3, 0.99, 1.0, 1.001, 2.5]) | st.floats(0, 3)
BURSTS = st.lists(st.tuples(GAPS, st.integers(0, 25)), max_size=5)
JOBS = st.lists(st.tuples(st.sampled_from([1, 2, 5, 20, 99, 100]), BURSTS), min_size=1, max_size=4)


async def wanted(limiter: Limiter, job: int, starts: list[Start], bursts: Sequence[tuple[float, int]]) -> None:
    """Let calls of a job arrive, so many after each gap."""

    async def call() -> None:
        await limiter.start()
        starts.append((asyncio.get_running_loop().time(), job))

    async with asyncio.TaskGroup() as group:
        for gap, count in bursts:
            await asyncio.sleep(gap)
            for _ in range(count):
                group.create_task(call())


async def saturated(limiter: Limiter, job: int, starts: list[Start], callers: int = 4) -> None:
    """Let a job start all it can, for good."""

    async def call() -> None:
        while True:
            await limiter.start()
            starts.append((asyncio.get_running_loop().time(), job))

    await asyncio.gather(*(call() for _ in range(callers)))


def played(seconds: float, *rates: float, callers: int = 4) -> list[Start]:
    """Let jobs of these rates want all they can have for so long, side by side."""

    async def go() -> list[Start]:
        starts: list[Start] = []
        limiters = side_by_side(*rates)
        jobs = [asyncio.ensure_future(saturated(each, job, starts, callers)) for job, each in enumerate(limiters)]
        await asyncio.wait(jobs, timeout=seconds)
        await ended(*jobs)
        return starts

    return run(go())


async def ended(*jobs: "asyncio.Future[None]") -> None:
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)


@given(JOBS)
def test_no_second_with_a_start_of_a_job_holds_more_than_its_rate(
    jobs: list[tuple[int, list[tuple[float, int]]]],
) -> None:
    """Whatever jobs come and go, and all their calls start: each keeps its promise with the calls of all counted in."""

    async def go() -> list[Start]:
        starts: list[Start] = []
        limiters = side_by_side(*(rate for rate, _ in jobs))
        async with asyncio.TaskGroup() as group:
            for job, (limiter, (_, bursts)) in enumerate(zip(limiters, jobs, strict=True)):
                group.create_task(wanted(limiter, job, starts, bursts))
        return starts

    starts = run(go())
    assert len(starts) == sum(count for _, bursts in jobs for _, count in bursts)
    for place, (begin, _) in enumerate(starts):
        second = [job for at, job in starts[place : place + 101] if at < begin + 1]
        assert len(second) <= min(jobs[job][0] for job in second)


@pytest.mark.parametrize("jobs", [2, 3, 10])
@pytest.mark.parametrize("rate", [5, 100, 1000])
def test_equal_jobs_get_equal_parts_of_the_whole(rate: float, jobs: int) -> None:
    """Two, three or ten of one rate: 98 % of it is used, spread over the second, and nobody gets less than 80 % of a part."""
    seconds = max(10, 40 * jobs / rate)
    starts = played(seconds, *[rate] * jobs)
    assert len(starts) >= 0.98 * rate * seconds
    assert most_in_a_second([at for at, _ in starts]) <= rate
    assert most_in_a_second([at for at, _ in starts], 0.1) <= 0.2 * rate + jobs
    for job in range(jobs):
        assert sum(each == job for _, each in starts) >= 0.8 * len(starts) / jobs


def test_who_wants_less_leaves_the_rest() -> None:
    """Beside a job that calls ten times a second and is hardly kept waiting, the other has nine tenths."""

    async def go() -> tuple[list[Start], float]:
        starts: list[Start] = []
        clock, waited = asyncio.get_running_loop().time, 0.0
        much, little = side_by_side(100, 100)
        job = asyncio.ensure_future(saturated(much, 0, starts))
        for _ in range(100):
            await asyncio.sleep(0.1)
            began = clock()
            await little.start()
            waited += clock() - began
        await ended(job)
        return starts, waited / 100

    starts, waited_s = run(go())
    assert len(starts) / (starts[-1][0] - starts[0][0]) >= 88
    assert waited_s < 0.06


def test_the_lowest_rate_holds_as_long_as_its_job_asks() -> None:
    """A job of 100 a second beside one of 20: twenty together, half for each, and all of it a second after the other's end."""

    async def go() -> tuple[list[Start], float]:
        starts: list[Start] = []
        fast, slow = side_by_side(100, 20)
        jobs = [asyncio.ensure_future(saturated(each, job, starts)) for job, each in enumerate((fast, slow))]
        await asyncio.sleep(10)
        await ended(jobs[1])
        over = asyncio.get_running_loop().time()
        await asyncio.sleep(5)
        await ended(jobs[0])
        return starts, over

    starts, over = run(go())
    assert most_in_a_second([at for at, _ in starts if at < over]) == 20
    assert sum(job for at, job in starts if at < over) >= 0.4 * 20 * 10
    after = [at for at, _ in starts if at >= over + ASKS_S]
    assert sum(at < over + ASKS_S + 2 for at in after) >= 180
    assert most_in_a_second(after) <= 100


def test_who_is_left_alone_keeps_no_distance_any_more() -> None:
    """Nineteen of twenty jobs end, and the last one keeps no distance of theirs: it has the whole at once."""

    async def go() -> tuple[list[Start], float]:
        starts: list[Start] = []
        limiters = side_by_side(*[1] * 19, 100)
        others = [asyncio.ensure_future(saturated(each, job, starts)) for job, each in enumerate(limiters[:19])]
        await asyncio.sleep(10)
        await limiters[19].start()
        await ended(*others)
        over = asyncio.get_running_loop().time()
        last = asyncio.ensure_future(saturated(limiters[19], 19, starts))
        await asyncio.sleep(10)
        await ended(last)
        return starts, over

    starts, over = run(go())
    assert sum(over + ASKS_S <= at < over + ASKS_S + 3 for at, _ in starts) >= 250


def test_many_jobs_find_their_way_back_as_one_does() -> None:
    """Everything is refused for 20 seconds: twenty jobs then start about as much in the next ten as one alone."""

    async def go(jobs: int) -> int:
        clock = asyncio.get_running_loop().time
        served_at, served = clock() + 20, list[float]()

        async def ask(limiter: Limiter) -> None:
            while True:
                token = await limiter.token()
                token.sent()
                is_refused = clock() < served_at
                await asyncio.sleep(0.02)
                token.answered(refused=is_refused)
                if not is_refused:
                    served.append(clock())

        asking = [asyncio.ensure_future(ask(each)) for each in side_by_side(*[100] * jobs) for _ in range(4)]
        await asyncio.sleep(30)
        await ended(*asking)
        return len(served)

    assert run(go(20)) >= 0.8 * run(go(1))


def test_a_job_that_nobody_reads_on_slows_nobody() -> None:
    """One of a call a second that is there still, and asks for nothing, is no measure for the others."""

    async def go() -> list[Start]:
        starts: list[Start] = []
        slow, fast = side_by_side(1, 100)
        await slow.start()
        job = asyncio.ensure_future(saturated(fast, 1, starts))
        await asyncio.sleep(12)
        await ended(job)
        assert slow.waiting == 0
        return starts

    assert len(run(go())) >= 1000


def test_a_second_begins_when_the_request_has_left() -> None:
    """A job's rate holds until a second after its request left, which took a while, not after it had its token."""

    async def go() -> tuple[float, list[float]]:
        starts: list[Start] = []
        slow, fast = side_by_side(2, 100)
        token = await slow.token()
        job = asyncio.ensure_future(saturated(fast, 1, starts))
        await asyncio.sleep(0.8)
        token.sent()
        left_at = asyncio.get_running_loop().time()
        await asyncio.sleep(3)
        await ended(job)
        return left_at, [at for at, _ in starts]

    left_at, starts = run(go())
    assert most_in_a_second(sorted([left_at, *(at for at in starts if at < left_at + ASKS_S)])) <= 2
    assert len(starts) > 100


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.7])
def test_a_rate_below_one_holds_for_its_whole_window(rate: float) -> None:
    """A job that comes after the first call of one that may call every few seconds starts nothing in its window."""

    async def go() -> list[Start]:
        starts: list[Start] = []
        slow, fast = side_by_side(rate, 100)
        jobs = [asyncio.ensure_future(saturated(slow, 0, starts))]
        await asyncio.sleep(1.05)
        jobs.append(asyncio.ensure_future(saturated(fast, 1, starts)))
        await asyncio.sleep(10 / rate)
        await ended(*jobs)
        return starts

    assert most_in_a_second([at for at, _ in run(go())], 1 / rate) == 1


def test_without_a_limit_together_there_is_none() -> None:
    """Jobs of which none has a limit wait for nothing; one that has a limit holds them to it."""

    async def go(*rates: float) -> float:
        clock = asyncio.get_running_loop().time
        began, starts = clock(), list[Start]()
        await asyncio.gather(*(wanted(each, 0, starts, [(0, 2000)]) for each in side_by_side(*rates)))
        return clock() - began

    assert run(go(1e9, RATE_UNLIMITED)) < 0.1
    assert run(go(1e9, 1000)) > 2.7


def test_one_after_the_other_share_their_second() -> None:
    """Ten jobs that each end after 30 calls are no more than one of 300: nobody waits, and no second is overfull."""

    async def go() -> list[Start]:
        starts: list[Start] = []
        for job, limiter in enumerate(side_by_side(*[100] * 10)):
            await wanted(limiter, job, starts, [(0, 30)])
        return starts

    times = [at for at, _ in run(go())]
    assert most_in_a_second(times) <= 100
    assert times[-1] - times[0] < 3.05


def test_who_is_cancelled_gives_back() -> None:
    """A job whose calls held all tokens, none of which had left, ends: the other has them a second later."""

    async def fetch(_accounts: Sequence[str]) -> Reply:
        await asyncio.sleep(3600)  # makes its connection
        return Reply()

    async def go() -> tuple[int, float]:
        one, other = side_by_side(10, 10)
        asked = [asyncio.ensure_future(limited(fetch, one)(["a"])) for _ in range(20)]
        starts: list[Start] = []
        job = asyncio.ensure_future(saturated(other, 1, starts))
        await asyncio.sleep(3)
        held = len(starts)
        for call in asked:
            call.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        over = asyncio.get_running_loop().time()
        await asyncio.sleep(5)
        await ended(job)
        return held, starts[held][0] - over

    held, waited_s = run(go())
    assert held <= 8 * 3
    assert waited_s < 1.1


def test_a_loop_that_nobody_runs_any_more_gives_back_after_a_minute() -> None:
    """Tokens whose requests never left, nor were given up, are not lost for the others for good."""

    async def go() -> float:
        one, other = side_by_side(3, 3)
        lost = [await one.token() for _ in range(3)]
        began = asyncio.get_running_loop().time()
        await other.start()
        assert len(lost) == 3
        return asyncio.get_running_loop().time() - began

    assert run(go()) == pytest.approx(Window.LEAVES_S_MAX, abs=2)


def test_refusals_slow_all_and_all_hear_of_it_in_their_own_time() -> None:
    """A row of refusals met by one job cuts the pace of the other, which counts it with its next call; a third one later not."""

    async def go() -> tuple[list[int], list[float]]:
        quota, heard = Quota(asyncio.get_running_loop().time), [0, 0, 0]

        def limiter(number: int) -> Limiter:
            def hear() -> None:
                heard[number] += 1

            return Limiter(quota.join(100), on_slow_down=hear)

        one, other = limiter(0), limiter(1)
        await asyncio.gather(wanted(one, 0, [], [(0, 150)]), wanted(other, 1, [], [(0, 150)]))
        for _ in range(ROW):
            now = asyncio.get_running_loop().time()
            one.answered(Sent(now, now), refused=True)
        assert heard == [1, 0, 0]
        late = limiter(2)
        await asyncio.gather(other.start(), late.start())
        return heard, [each.pace() for each in (one, other, late)]

    heard, paces = run(go())
    assert heard == [1, 1, 0]
    assert paces == pytest.approx([100 * CUT] * 3, rel=0.1)


def test_one_pace_is_found_together() -> None:
    """A service that allows 50 where two jobs may ask 100: nine tenths of it are used, and few refused."""

    async def go() -> tuple[int, int]:
        clock = asyncio.get_running_loop().time
        accepted: list[float] = []
        refused: list[float] = []

        async def fetch(_accounts: Sequence[str]) -> Reply:
            await asyncio.sleep(0.02)
            if sum(at > clock() - 1 for at in accepted[-50:]) == 50:
                refused.append(clock())
                raise AttemptError("too frequent", verdict=Verdict.SLOW_DOWN, code=60007)
            accepted.append(clock())
            return Reply()

        async def ask(limiter: Limiter) -> None:
            fetching = limited(fetch, limiter)
            while True:
                try:
                    await fetching(["a"])
                except AttemptError:
                    await asyncio.sleep(0.5)

        jobs = [asyncio.ensure_future(ask(each)) for each in side_by_side(100, 100) for _ in range(30)]
        await asyncio.sleep(30)
        await ended(*jobs)
        return len(accepted), len(refused)

    accepted, refused = run(go())
    assert accepted >= 0.9 * 50 * 30
    assert refused <= 0.03 * accepted


def test_the_pace_is_never_above_its_own_rate() -> None:
    """What a job is told of the rate in force is at most what it may have, whatever the others may."""

    async def go() -> list[float]:
        fast, slow = side_by_side(100, 20)
        await fast.start()
        return [fast.pace(), slow.pace()]

    assert run(go()) == [100, 20]


def test_what_was_refused_long_ago_is_forgotten() -> None:
    """A job that was refused to its end is still held by somebody: one that begins a minute later begins at the whole rate."""

    async def go() -> tuple[float, float]:
        clock = asyncio.get_running_loop().time
        quota = Quota(clock)
        before = Limiter(quota.join(100))
        for _ in range(2 * ROW):
            await before.start()
            before.answered(Sent(clock(), clock()), refused=True)
        await asyncio.sleep(30)
        soon = Limiter(quota.join(100)).pace()
        await asyncio.sleep(61)
        return soon, Limiter(quota.join(100)).pace()

    soon, late = run(go())
    assert soon < 10
    assert late == 100
