"""The breaker: what opens it, who asks for the service meanwhile, and that an outage costs no account."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.errors import AttemptError, ServiceRefusal, ServiceUnreachable, Verdict
from exporter.model import Fetch, Reason, Reply
from exporter.retry import Breaker, Gate, Policy, held, hold, leading, retrying
from exporter.retry.apart import Apart
from exporter.retry.breaker import NEWS_S, PROBE_S_MAX, ROW_MAX, WINDOW_CALLS_MAX, WINDOW_S, probe_gap_s, span
from tests.unit.virtual import run

LATENCY_S = 0.5
TIMEOUT_S = 5.0


def failure(verdict: Verdict = Verdict.RETRY, code: int | None = None, **kind: bool | int) -> AttemptError:
    return AttemptError(f"{code}: {verdict.value}", verdict=verdict, code=code, **kind)  # type: ignore[arg-type] # rest


Answer = Callable[[Sequence[str], float], Reply | AttemptError | float]
"""What a call gets that came at a moment: a reply, a failure, or a failure after so many seconds."""


def answer(accounts: Sequence[str], _now: float) -> Reply:
    return Reply(found={account: {} for account in accounts})


def never(_accounts: Sequence[str], _now: float) -> AttemptError:
    return failure()


@dataclass
class World:
    """A service in virtual time with a run's layers before it; knows when which call came, and went."""

    rule: Answer
    outage_s_max: float = 3600.0
    unreachable_s_max: float = 1e9
    seed: int = 1
    pace_s: float = 0.0
    calls: list[tuple[float, float, Sequence[str]]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    opened: list[float] = field(default_factory=list)
    closed: list[float] = field(default_factory=list)
    retries: int = 0
    began: float = 0.0

    def now(self) -> float:
        """Tell the seconds since the start."""
        return asyncio.get_running_loop().time() - self.began

    async def fetch(self, accounts: Sequence[str]) -> Reply:
        """Answer one call by the rule."""
        began = self.now()
        result = self.rule(accounts, began)
        try:
            await asyncio.sleep(result if isinstance(result, float) else LATENCY_S)
        finally:  # a probe may be given up before
            self.calls.append((began, self.now(), accounts))
        if isinstance(result, float):
            result = failure()
        if isinstance(result, AttemptError):
            raise result
        return result

    def paced(self, fetch: Fetch) -> Fetch:
        """Let calls start so many seconds apart, first come, first served, as behind a limiter."""
        turn = asyncio.Lock()

        async def fetch_in_time(accounts: Sequence[str]) -> Reply:
            async with turn:
                await asyncio.sleep(self.pace_s)
            return await fetch(accounts)

        return fetch_in_time

    def layered(self) -> Fetch:
        """Put the layers of a run before it."""
        self.began = asyncio.get_running_loop().time()
        chance = random.Random(self.seed).random
        self.breaker = Breaker(self.outage_s_max)
        first_alone = leading(
            self.paced(held(self.fetch, hold(self.breaker))),
            clock=self.now,
            unreachable_s_max=self.unreachable_s_max,
            on_retry=self.retried,
        )
        gate = Gate(
            first_alone,
            self.breaker,
            self.now,
            chance,
            on_retry=self.retried,
            tell=self.told.append,
            on_open=self._open,
            on_close=self._close,
        )
        return retrying(first_alone, Policy(), gate, jitter=chance, on_retry=self.retried)

    def retried(self) -> None:
        """Count a repeated call."""
        self.retries += 1

    def _open(self, _why: str) -> None:
        self.opened.append(self.now())

    def _close(self) -> None:
        self.closed.append(self.now())

    def carry(self, batches: Sequence[Sequence[str]], in_flight: int) -> Reply:
        """Settle all batches, so many at a time; raises the first error, and checks that no task is left behind."""
        return run(self._carry(batches, in_flight))

    async def _carry(self, batches: Sequence[Sequence[str]], in_flight: int) -> Reply:
        fetch, slots, total = self.layered(), asyncio.Semaphore(in_flight), Reply()
        others = asyncio.all_tasks()

        async def one(batch: Sequence[str]) -> None:
            async with slots:
                reply = await fetch(batch)
            total.found = {**total.found, **reply.found}
            total.rejected.update(reply.rejected)

        try:
            async with asyncio.TaskGroup() as group:
                for batch in batches:
                    group.create_task(one(batch))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            assert asyncio.all_tasks() == others
        return total

    def during(self, begin: float, end: float) -> list[tuple[float, float, Sequence[str]]]:
        """Return the calls that came in a stretch of time, in order."""
        return sorted((call for call in self.calls if begin <= call[0] < end), key=lambda call: call[0])


def batches_of(number: int, size: int) -> list[list[str]]:
    return [[f"b{place}u{account}" for account in range(size)] for place in range(number)]


def every(batches: Sequence[Sequence[str]]) -> set[str]:
    return {account for batch in batches for account in batch}


# ---- what opens it


def should_open(calls: Sequence[tuple[float, bool]]) -> bool:
    """Tell the rule over again, from all calls since the breaker closed."""
    row = [failed for _, failed in calls[-ROW_MAX:]]
    recent = [failed for at, failed in calls if at > calls[-1][0] - WINDOW_S]
    half = len(recent) >= 100 and sum(recent) * 2 >= len(recent)
    return calls[-1][1] and ((len(row) == ROW_MAX and all(row)) or half)


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.01, 0.05, 0.2, 3.0]), st.integers(0, 9)), min_size=1, max_size=400),
    st.integers(1, 10),
)
@example([(0.0, place % 2) for place in range(200)], 1)
@example([(0.0, 1 - place % 2) for place in range(200)], 1)
@example([(0.0, 0)] * 20, 10)
@example([*[(0.0, 0), (0.0, 1)] * 49, (0.0, 0), (10.0, 0), (0.0, 1)], 1)
def test_it_opens_on_twenty_in_a_row_or_half_of_a_hundred(calls: list[tuple[float, int]], share: int) -> None:
    """Exactly then, on a failure alone, and each time from the beginning; while it is open nothing is counted."""
    breaker, now, seen = Breaker(), 0.0, list[tuple[float, bool]]()
    for gap, draw in calls:
        now += gap
        seen.append((now, draw < share))
        assert breaker.count(now, failed=draw < share) == should_open(seen)
        if should_open(seen):
            breaker.open(now, 1.0)
            for _ in range(ROW_MAX):
                assert not breaker.count(now, failed=True)
            breaker.close(now)
            seen.clear()
    assert breaker.outages <= len(calls) // ROW_MAX + len(calls) // 100


def test_what_it_remembers_is_bounded() -> None:
    """However many calls a second, and however many accounts a call."""
    breaker = Breaker()
    for _ in range(WINDOW_CALLS_MAX + 500):
        breaker.count(0.0, failed=False)
    breaker.hear(0.0, [str(number) for number in range(500)])
    assert len(breaker._calls) == WINDOW_CALLS_MAX  # noqa: SLF001 - the bound is inside
    assert len(breaker.known) == 100


@pytest.mark.parametrize(
    ("heard", "since", "proof"), [(9.5, 9.0, True), (9.5, 9.6, False), (9.5, 9.5, False), (8.9, 1.0, False)]
)
def test_an_answer_proves_something_when_it_is_later_and_new(heard: float, since: float, *, proof: bool) -> None:
    """Later than the failure in question, and not older than a second."""
    breaker = Breaker()
    assert not breaker.heard_since(-1e9, 10.0)
    breaker.hear(heard)
    assert breaker.heard_since(since, 10.0) == proof


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_probes_come_at_most_five_seconds_apart(probes: int, chance: float) -> None:
    """The first within a second, later ones between half and the whole of a gap that doubles to 5 s."""
    most = probe_gap_s(probes, 1.0)
    assert most == min(PROBE_S_MAX, 2.0 ** min(probes, 10))
    assert most / 2 <= probe_gap_s(probes, chance) <= most


@pytest.mark.parametrize(("seconds", "told"), [(1.234, "1.23 s"), (45, "45 s"), (119, "119 s"), (3600, "60 min")])
def test_spans_are_told_as_people_say_them(seconds: float, told: str) -> None:
    """Seconds up to two minutes, then minutes."""
    assert span(seconds) == told


# ---- an outage costs no account


@dataclass(frozen=True)
class Outage:
    """Calls that come in a stretch of time fail after so many seconds."""

    begin: float
    end: float
    fails_s: float = LATENCY_S


def gone_in(*outages: Outage, then: Answer = answer) -> Answer:
    def rule(accounts: Sequence[str], now: float) -> Reply | AttemptError | float:
        fails = [outage.fails_s for outage in outages if outage.begin <= now < outage.end]
        return fails[0] if fails else then(accounts, now)

    return rule


@st.composite
def outages(draw: st.DrawFn) -> list[Outage]:
    """Up to three, of any length, with calm between them for longer than the waits of one batch."""
    made, at = list[Outage](), draw(st.floats(0.3, 10))
    for _ in range(draw(st.integers(1, 3))):
        lasts_s = draw(st.floats(0.1, 200))
        made.append(Outage(at, at + lasts_s, draw(st.sampled_from([LATENCY_S, TIMEOUT_S]))))
        at += lasts_s + draw(st.floats(15, 60))
    return made


def poisonous(*poison: str, code: int | None = 91000) -> Answer:
    return lambda accounts, now: failure(code=code) if {*poison} & {*accounts} else answer(accounts, now)


@settings(max_examples=60, deadline=None)
@given(outages(), st.sampled_from([1, 2, 3, 30, 100]), st.sampled_from([1, 2, 7]), st.integers(), st.booleans())
@example([Outage(0.7, 42, TIMEOUT_S)], 1, 1, 0, False)
@example([Outage(0.7, 42, TIMEOUT_S)], 2, 1, 3, True)
def test_outages_cost_no_account(
    gone: list[Outage],
    in_flight: int,
    size: int,
    seed: int,
    poisoned: bool,  # noqa: FBT001 - drawn
) -> None:
    """However many batches are in flight, whoever can be answered is answered; poison alone is given up."""
    poison = "b9u0" if poisoned else "nobody"
    batches = batches_of(60 + 6 * in_flight, size)
    world = World(gone_in(*gone, then=poisonous(poison)), seed=seed)
    reply = world.carry(batches, in_flight)
    assert set(reply.found) == every(batches) - {poison}
    assert set(reply.rejected) == {poison} & every(batches)
    assert len(world.opened) == len(world.closed) == world.breaker.outages
    assert len(world.calls) == len(batches) + world.retries


@pytest.mark.parametrize("fails_s", [LATENCY_S, TIMEOUT_S])
@pytest.mark.parametrize("in_flight", [1, 400])
def test_in_an_outage_one_probe_at_a_time_goes_out(in_flight: int, fails_s: float) -> None:
    """Never two at once, at most 5 s between two starts, for accounts that were answered; and then all go on at once."""
    batches = batches_of(2000, 1)
    world = World(gone_in(Outage(0.7, 301, fails_s)))
    world.carry(batches, in_flight)
    probes = world.during(50, 301)  # by then everybody waits at the gate
    assert 50 <= len(probes) <= 110
    assert all(
        later[0] >= earlier[1] - 1e-6 and later[0] - earlier[0] <= PROBE_S_MAX + 1e-6
        for earlier, later in pairwise(probes)
    )
    answered_before = every([accounts for _, _, accounts in world.during(0, 0.7)])
    assert {account for _, _, accounts in probes for account in accounts} <= answered_before
    (back,) = world.during(301, 301 + TIMEOUT_S + 2 * LATENCY_S)[:1]
    assert len(world.during(back[1], back[1] + LATENCY_S)) == in_flight


def test_those_who_wait_for_a_token_do_not_go_out() -> None:
    """Of 400 in flight at 100 a second most wait for the limiter when the breaker opens: they come back to the gate."""
    world = World(gone_in(Outage(10, 60)), pace_s=0.01)
    world.carry(batches_of(5000, 1), 400)
    first = world.during(10, 10 + 5)
    assert len(first) <= ROW_MAX + LATENCY_S / 0.01 + 10
    assert len(world.during(60, 70)) >= 0.4 * 1000


@pytest.mark.parametrize(("size", "calls"), [(1, 8), (2, 8 + 8)])
def test_what_fails_while_it_is_open_counts_for_nothing(size: int, calls: int) -> None:
    """Poison has all its 8 attempts in calm, and another 8 alone, and begins anew at most once for a proof that failed."""
    poison = "b70u0"
    for begin in range(1, 40, 4):
        world = World(gone_in(Outage(begin / 2, begin / 2 + 40, TIMEOUT_S), then=poisonous(poison)), seed=begin)
        assert list(world.carry(batches_of(2000, size), 30).rejected) == [poison]
        (opened,), (closed,) = world.opened, world.closed
        calm = [accounts for at, end, accounts in world.calls if poison in accounts and (end < opened or at >= closed)]
        assert calls <= len(calm) < calls + 8


def test_an_outage_that_ends_within_the_last_timeout_costs_nothing() -> None:
    """One account and one batch at a time, each attempt a timeout: the last of 8 is made with the service proved alive."""
    for begin in range(40, 60):
        world = World(gone_in(Outage(0.1, begin + 0.5, TIMEOUT_S)), seed=begin)
        assert not world.carry(batches_of(10, 1), 1).rejected


# ---- what it does not take for an outage


def test_poisonous_batches_at_the_end_are_no_outage() -> None:
    """Nothing but failures any more, and still the service is there: at most one pause, no longer than a probe takes."""
    batches = batches_of(30, 5)
    poison = ["b27u0", "b28u1", "b29u4"]
    world = World(poisonous(*poison))
    reply = world.carry(batches, 3)
    assert sorted(reply.rejected) == poison
    assert {(found.reason, found.code) for found in reply.rejected.values()} == {(Reason.REFUSED, 91000)}
    assert len(world.opened) <= 1
    assert all(closed - opened <= 1 + LATENCY_S for opened, closed in zip(world.opened, world.closed, strict=True))


@pytest.mark.parametrize(("in_flight", "probes"), [(1, 1), (2, 0), (30, 0)])
def test_whoever_is_answered_meanwhile_is_the_proof(in_flight: int, probes: int) -> None:
    """Before the last attempt a probe is made only when nobody else was answered since the one before, and just now."""
    world = World(poisonous("b9u0"))
    assert list(world.carry(batches_of(2000, 1), in_flight).rejected) == ["b9u0"]
    assert len(world.calls) == 1999 + 8 + probes
    assert not world.opened


@pytest.mark.parametrize(
    "refusal",
    [failure(Verdict.ACCOUNT, 70107), failure(Verdict.SPLIT, 90018), failure(Verdict.SLOW_DOWN, 60007)],
    ids=lambda error: error.verdict.value,
)
def test_words_of_a_service_that_is_there_do_not_move_it(refusal: AttemptError) -> None:
    """Accounts at fault, batches too large and calls too frequent, as many as you like."""
    seen = Counter[str]()

    def rule(accounts: Sequence[str], now: float) -> Reply | AttemptError:
        seen[" ".join(accounts)] += 1
        tired = len(accounts) > 1 if refusal.verdict is not Verdict.SLOW_DOWN else seen[" ".join(accounts)] < 3
        return refusal if tired else answer(accounts, now)

    world = World(rule)
    assert set(world.carry(batches_of(200, 2), 50).found) == every(batches_of(200, 2))
    assert not world.opened


def test_pieces_do_not_move_it() -> None:
    """Of 10 bisected batches every account fails 8 times, and the breaker stays closed."""
    batches = batches_of(40, 10)
    rotten = every(batches[30:])
    world = World(lambda accounts, now: at_fault_or_gone(accounts, rotten, now))
    reply = world.carry(batches, 10)
    assert set(reply.rejected) == rotten
    assert not world.opened


def at_fault_or_gone(accounts: Sequence[str], rotten: set[str], now: float) -> Reply | AttemptError:
    if not rotten & {*accounts}:
        return answer(accounts, now)
    return failure(Verdict.ACCOUNT, 70107) if len(accounts) == 10 else failure()


# ---- before anybody was answered


@pytest.mark.parametrize(("number", "size", "in_flight"), [(1, 1, 1), (1, 100, 1), (100, 3, 50)])
def test_nobody_listening_ends_the_run_after_thirty_seconds(number: int, size: int, in_flight: int) -> None:
    """Not before, not much later, and no account is given up, be it the only one."""
    world = World(never, unreachable_s_max=30.0)
    with pytest.raises(ServiceUnreachable, match="no answer in 30 s"):
        world.carry(batches_of(number, size), in_flight)
    assert 30 <= max(end for _, end, _ in world.calls) <= 30 + 2 * PROBE_S_MAX + 7


def test_a_poisonous_first_account_waits_behind_the_others() -> None:
    """Alone in its batch, first in the run: the others are asked before it is given up."""
    world = World(poisonous("b0u0", "b0u1", code=None))
    reply = world.carry(batches_of(1, 10), 1)
    assert sorted(reply.rejected) == ["b0u0", "b0u1"]
    assert not world.opened


def test_poison_in_every_batch_in_flight_does_not_stop_the_probes() -> None:
    """As long as nobody was answered those who wait probe in turn, each for its own piece."""
    world = World(poisonous(*(f"b{place}u0" for place in range(25))), seed=4)
    reply = world.carry([["b0u0"], *batches_of(40, 1)[1:]], 40)
    assert len(reply.rejected) == 25
    assert len(reply.found) == 15


# ---- how it ends


@pytest.mark.parametrize("in_flight", [1, 100])
def test_an_outage_longer_than_allowed_ends_the_run(in_flight: int) -> None:
    """Measured from the opening; the sentence says how long, what failed last, and how to go on."""
    world = World(gone_in(Outage(0.7, 1e9)), outage_s_max=600.0)
    with pytest.raises(ServiceUnreachable, match=r"out of reach for 10 min; the same command goes on .* None: retry"):
        world.carry(batches_of(300, 1), in_flight)
    assert world.told[0].startswith("Paused: the service is out of reach")
    assert "for at most 10 min" in world.told[0]
    assert [sentence.startswith("Still paused") for sentence in world.told[1:]] == [True]
    assert NEWS_S == 300


def test_a_fatal_answer_to_a_probe_ends_the_run() -> None:
    """The key was taken away meanwhile: that is no outage."""
    fatal = failure(Verdict.FATAL, 70003)
    world = World(gone_in(Outage(0.7, 20), then=lambda accounts, now: fatal if now > 1 else answer(accounts, now)))
    with pytest.raises(ServiceRefusal) as caught:
        world.carry(batches_of(300, 1), 5)
    assert caught.value.code == 70003
    assert len(world.during(20, 1e9)) == 1


@pytest.mark.parametrize("verdict", [Verdict.ACCOUNT, Verdict.SPLIT, Verdict.SLOW_DOWN])
def test_any_word_of_a_service_that_is_there_ends_the_pause(verdict: Verdict) -> None:
    """A probe need not be answered well: too frequent, too large or at fault is said by a service within reach."""

    def rule(accounts: Sequence[str], now: float) -> Reply | AttemptError:
        return failure(verdict, 1) if world.breaker.is_open else answer(accounts, now)

    world = World(gone_in(Outage(0.7, 20), then=rule))
    assert not world.carry(batches_of(300, 1), 5).rejected
    assert len(world.opened) == len(world.closed) == 1
    assert world.closed[0] < 20 + PROBE_S_MAX + LATENCY_S


def test_a_stale_usersig_is_renewed_by_the_probe() -> None:
    """Expired in the outage: asked again at once, and that closes it; refused for good it ends the run."""
    stale, left = failure(Verdict.RESIGN, 70001, attempts_max=2), [1, 99]

    def rule(accounts: Sequence[str], now: float) -> Reply | AttemptError:
        if now < 20 or not left[0]:
            return answer(accounts, now)
        left[0] -= 1
        return stale

    for left[0], ended in ((1, False), (99, True)):
        world = World(gone_in(Outage(0.7, 20), then=rule))
        if ended:
            with pytest.raises(ServiceRefusal):
                world.carry(batches_of(300, 1), 5)
        else:
            assert not world.carry(batches_of(300, 1), 5).rejected


@pytest.mark.parametrize("at", [5.0, 6.1, 9.99, 33.3])
def test_a_paused_run_is_cancelled_at_once(at: float) -> None:
    """Whoever waits, probes or sleeps: nothing hangs, and no task is left behind."""
    world = World(gone_in(Outage(0.7, 1e9, TIMEOUT_S)))

    async def go() -> float:
        run = asyncio.ensure_future(world._carry(batches_of(300, 1), 50))  # noqa: SLF001 - its own test
        await asyncio.sleep(at)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert len(asyncio.all_tasks()) == 1
        return world.now()

    assert run(go()) == pytest.approx(at, abs=1e-3)


def test_when_the_prober_is_cancelled_another_one_probes() -> None:
    """The turn is handed on, and the pause ends all the same."""
    world = World(gone_in(Outage(0.2, 60, TIMEOUT_S)))

    async def go() -> list[Reply | BaseException]:
        fetch = world.layered()
        await fetch(["first"])
        tasks = [asyncio.ensure_future(fetch([f"u{place}"])) for place in range(30)]
        await asyncio.sleep(10)
        while world.breaker.is_open:
            await asyncio.sleep(3.7)
            next((task for task in tasks[:-5] if not task.done()), tasks[0]).cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    results = run(go())
    assert any(isinstance(result, asyncio.CancelledError) for result in results)
    assert all(isinstance(result, (Reply, asyncio.CancelledError)) for result in results)
    assert all(isinstance(result, Reply) for result in results[-5:])


# ---- too many batches taken apart


@pytest.mark.parametrize(("number", "failing", "stops"), [(600, 29, False), (600, 31, True), (499, 40, False)])
def test_over_five_percent_of_batches_taken_apart_stop_the_run(number: int, failing: int, *, stops: bool) -> None:
    """From 500 batches on; the sentence has both numbers and the last failure."""
    batches = batches_of(number, 2)
    rotten = {f"b{place * 12 + 1}u0" for place in range(failing)}
    world = World(poisonous(*rotten))
    if stops:
        with pytest.raises(ServiceRefusal, match=r"3[01] of [56]\d\d batches .* over 5% .* 91000: retry"):
            world.carry(batches, 100)
    else:
        assert set(world.carry(batches, 100).rejected) == rotten


@pytest.mark.parametrize(("batches", "failed", "stops"), [(499, 499, False), (500, 25, False), (500, 26, True)])
def test_five_percent_is_not_over_five_percent(batches: int, failed: int, *, stops: bool) -> None:
    """The count itself, to the batch."""
    apart = Apart()
    for _ in range(failed):
        apart.count(failure())
    for _ in range(batches - failed - 1):
        apart.count(Reply())
    if stops:
        with pytest.raises(ServiceRefusal, match="26 of 500 batches"):
            apart.count(Reply())
    elif failed < batches:
        apart.count(Reply())


def test_batches_that_were_too_large_or_at_fault_do_not_count() -> None:
    """A thousand batches with an account at fault, or over the size, are the data's or the service's matter."""
    world = World(
        lambda accounts, now: failure(Verdict.ACCOUNT, 70107) if len(accounts) == 2 else answer(accounts, now)
    )
    assert len(world.carry(batches_of(1000, 2), 50).found) == 2000
