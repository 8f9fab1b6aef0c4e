"""Whether and when to try again, and when to split."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.errors import AttemptError, ServiceRefusal, ServiceUnreachable, Verdict
from exporter.model import Fetch, Reason, Rejection, Reply
from exporter.retry import (
    Breaker,
    Gate,
    Patience,
    Policy,
    Tried,
    calls_max,
    delay_s,
    leading,
    patient,
    probes_max,
    retrying,
)
from exporter.retry.gate import PROBING
from exporter.retry.patience import HASTY

POLICY = Policy()
MISSING = Rejection(Reason.MISSING)


def failure(verdict: Verdict = Verdict.RETRY, code: int | None = None, **kind: bool | int) -> AttemptError:
    return AttemptError(f"{code}: {verdict.value}", verdict=verdict, code=code, **kind)  # type: ignore[arg-type] # rest


def timeout() -> AttemptError:
    return failure()


def busy() -> AttemptError:
    return failure(Verdict.RETRY, 91000)


def too_frequent() -> AttemptError:
    return failure(Verdict.SLOW_DOWN, 60007)


def stale() -> AttemptError:
    return failure(Verdict.RESIGN, 70001, attempts_max=2)


def stale_check() -> AttemptError:
    return failure(Verdict.RESIGN, 60004, attempts_max=4)


def at_fault() -> AttemptError:
    return failure(Verdict.ACCOUNT, 70107)


def too_much() -> AttemptError:
    return failure(Verdict.SPLIT, 90018)


def unknown() -> AttemptError:
    return failure(Verdict.RETRY, 12345, attempts_max=3, known=False)


def fatal() -> AttemptError:
    return failure(Verdict.FATAL, 70003)


def answer(accounts: Sequence[str]) -> Reply:
    return Reply(found={account: {} for account in accounts})


Answer = Callable[[Sequence[str]], Reply | AttemptError]


SOMEBODY = "somebody"  # was answered before


@dataclass
class Service:
    """Answers each call by a rule; records what was asked and how long was waited. Probes are answered by another."""

    rule: Answer
    there: Answer = answer
    known: Sequence[str] = (SOMEBODY,)
    asked: list[Sequence[str]] = field(default_factory=list)
    probes: list[Sequence[str]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    retries: int = 0
    now: float = 0.0

    async def fetch(self, accounts: Sequence[str]) -> Reply:
        """Answer one call."""
        probe = PROBING.get()
        (self.probes if probe else self.asked).append(list(accounts))
        result = (self.there if probe else self.rule)(accounts)
        if isinstance(result, AttemptError):
            raise result
        return result

    async def sleep(self, seconds: float) -> None:
        """Note a wait."""
        self.slept.append(seconds)
        self.now += seconds

    def retried(self) -> None:
        """Count a repeated call."""
        self.retries += 1

    def fetching(self, policy: Policy = POLICY, jitter: Callable[[], float] = lambda: 1.0) -> Fetch:
        """Wrap it as the calls of a run."""
        gate = Gate(
            self.fetch,
            Breaker(known=self.known),
            lambda: self.now,
            jitter,
            self.sleep,
            on_retry=self.retried,
            tell=self.told.append,
        )
        return retrying(self.fetch, policy, gate, jitter=jitter, on_retry=self.retried, sleep=self.sleep)

    def settle(
        self, accounts: Sequence[str], policy: Policy = POLICY, jitter: Callable[[], float] = lambda: 1.0
    ) -> Reply:
        """Ask under the policy until all is settled."""
        return asyncio.run(self.fetching(policy, jitter)(accounts))  # type: ignore[arg-type] # a Fetch is a coroutine here


def names(number: int) -> list[str]:
    return [f"u{place}" for place in range(number)]


def always(make: Callable[[], AttemptError]) -> Answer:
    return lambda _accounts: make()


def first(errors: Iterable[AttemptError], then: Answer = answer) -> Answer:
    rest = iter(errors)
    return lambda accounts: next(rest, None) or then(accounts)


# One answer of an adversary: what it makes of a piece, given chance.
Move = Callable[[Sequence[str], random.Random], Reply | AttemptError]


def _settles(accounts: Sequence[str], chance: random.Random) -> Reply:
    known = accounts if chance.random() < 0.5 else accounts[::2]
    return Reply(
        found={account: {"n": account} for account in known},
        rejected={account: MISSING for account in accounts if account not in known},
    )


def _settles_some(accounts: Sequence[str], chance: random.Random) -> Reply:
    left = set(chance.sample(list(accounts), chance.randint(0, len(accounts))))
    passing = Rejection(Reason.REFUSED, chance.choice([None, 91000]), "later")
    return Reply(
        found={account: {} for account in accounts if account not in left},
        again={account: passing for account in accounts if account in left},
    )


def _settles_one(accounts: Sequence[str], _chance: random.Random) -> Reply:
    passing = Rejection(Reason.REFUSED, 91000, "later")
    return Reply(found={accounts[0]: {}}, again=dict.fromkeys(accounts[1:], passing))


def _raising(make: Callable[[], AttemptError]) -> Move:
    return lambda _accounts, _chance: make()


MOVES: dict[str, Move] = {
    "settles": _settles,
    "settles some": _settles_some,
    "settles one": _settles_one,
    "timeout": _raising(timeout),
    "busy": _raising(busy),
    "at fault": _raising(at_fault),
    "too much": _raising(too_much),
    "unknown": _raising(unknown),
    "too frequent": _raising(too_frequent),
    "fatal": _raising(fatal),
    "stale": _raising(stale),
    "stale check": _raising(stale_check),
}

POLICIES = st.builds(Policy, st.integers(2, 8), st.integers(1, 3), st.integers(2, 8), slow_s_max=st.just(200.0))


def adversary(moves: Sequence[str], seed: int) -> Answer:
    chance = random.Random(seed)
    return lambda accounts: MOVES[chance.choice(moves)](accounts, chance)


def check_settled(service: Service, accounts: Sequence[str], reply: Reply) -> None:
    assert sorted([*reply.found, *reply.rejected]) == sorted(accounts)
    assert not reply.again
    assert service.retries == len(service.asked) + len(service.probes) - 1
    for piece in service.asked:
        assert piece
        assert len(set(piece)) == len(piece)
        assert [account for account in accounts if account in piece] == piece


@given(st.integers(1, 30), st.lists(st.sampled_from(sorted(MOVES)), min_size=1, max_size=5), st.integers(), POLICIES)
@example(100, ["timeout"], 0, POLICY)
@example(100, ["settles one"], 0, POLICY)
def test_no_answers_cost_more_than_the_bound(number: int, moves: list[str], seed: int, policy: Policy) -> None:
    """Whatever the answers, a batch costs at most the bound on calls, those aside that were too frequent, one renewal, and probes."""
    rule, failed = adversary(moves, seed), Counter[Verdict]()

    def counting(accounts: Sequence[str]) -> Reply | AttemptError:
        result = rule(accounts)
        if isinstance(result, AttemptError):
            failed[result.verdict] += 1
        return result

    service = Service(counting)
    with contextlib.suppress(ServiceRefusal, ServiceUnreachable):
        service.settle(names(number), policy)
    free = failed[Verdict.SLOW_DOWN] + min(1, failed[Verdict.RESIGN])
    assert len(service.asked) - free <= calls_max(number, policy)
    assert len(service.probes) <= probes_max(number)
    assert sum(service.slept) <= (len(service.asked) + 1) * policy.delay_s_max


@given(st.integers(1, 20), st.lists(st.sampled_from(sorted(MOVES)), min_size=1, max_size=5), st.integers(), POLICIES)
def test_each_account_is_settled_once_or_the_run_ends_for_a_reason(
    number: int, moves: list[str], seed: int, policy: Policy
) -> None:
    """Every asked account is found or rejected, never both, unless the last answer was one that no call gets over."""
    last: list[Reply | AttemptError] = []
    rule = adversary(moves, seed)

    def remembering(accounts: Sequence[str]) -> Reply | AttemptError:
        last[:] = [rule(accounts)]
        return last[0]

    service = Service(remembering)
    ended: ServiceRefusal | ServiceUnreachable | None = None
    try:
        reply = service.settle(names(number), policy)
    except (ServiceRefusal, ServiceUnreachable) as error:
        ended = error
    if ended is None:
        check_settled(service, names(number), reply)
        return
    (final,) = last
    assert isinstance(final, AttemptError)
    assert str(final) in str(ended)
    if isinstance(ended, ServiceUnreachable):
        assert final.verdict is Verdict.SLOW_DOWN
        assert sum(service.slept) >= policy.slow_s_max
    else:
        assert final.verdict in {Verdict.FATAL, Verdict.RESIGN}
        assert ended.code == final.code


@pytest.mark.parametrize(
    ("make", "number", "calls"),
    [
        (timeout, 1, 8),
        (timeout, 2, 8 + 2 * 8),
        (timeout, 3, 8 + 2 + 3 * 8),
        (timeout, 100, 1004),
        (unknown, 1, 3),
        (unknown, 4, 3 + 2 * 2 + 4 * 3),
        (at_fault, 1, 1),
        (at_fault, 100, 199),
        (too_much, 1, 8),
        (too_much, 4, 1 + 2 + 4 * 8),
        (too_much, 100, 1 + 98 + 800),
    ],
)
def test_calls_of_a_batch_that_always_fails(make: Callable[[], AttemptError], number: int, calls: int) -> None:
    """A whole batch has 8 attempts, a piece 2, a single 8; unknown codes 3; a fault or a size splits at once."""
    service = Service(always(make))
    reply = service.settle(names(number))
    assert len(service.asked) == calls
    assert list(reply.rejected) == names(number)
    code = make().code
    reason = Reason.EXHAUSTED if code is None else Reason.REFUSED
    assert set(reply.rejected.values()) == {Rejection(reason, code, str(make()))}


@pytest.mark.parametrize("number", [1, 2, 3, 17, 100])
def test_the_bound_is_the_formula_and_is_reached(number: int) -> None:
    """8 + 2 (n - 2) + 8 n, or 8 for a single account; and one when the signature was renewed."""
    bound = 8 if number == 1 else 8 + 2 * (number - 2) + 8 * number
    assert calls_max(number, POLICY) == bound
    for before, calls in ([], bound), ([stale()], bound + 1):
        service = Service(first(before, then=always(timeout)))
        service.settle(names(number))
        assert len(service.asked) == calls


def test_a_signature_that_wavers_gains_no_attempts() -> None:
    """Of all the stale signatures of a batch one is free: the pieces pay for theirs."""
    tries: Counter[tuple[str, ...]] = Counter()

    def wavering(accounts: Sequence[str]) -> AttemptError:
        tries[tuple(accounts)] += 1
        return stale_check() if 1 < len(accounts) < 100 and tries[tuple(accounts)] < 4 else timeout()

    service = Service(wavering)
    assert len(service.settle(names(100)).rejected) == 100
    assert len(service.asked) <= calls_max(100, POLICY) + 1


@given(st.integers(2, 100), st.data())
def test_accounts_at_fault_are_found_by_halving(number: int, data: st.DataObject) -> None:
    """A fault costs its own accounts alone; one in a hundred is found in at most 15 calls."""
    wrong = set(data.draw(st.lists(st.sampled_from(names(number)), max_size=3)))
    service = Service(lambda accounts: at_fault() if wrong & set(accounts) else answer(accounts))
    reply = service.settle(names(number))
    assert set(reply.rejected) == wrong
    assert set(reply.found) == set(names(number)) - wrong
    assert len(service.asked) <= 1 + 14 * len(wrong)
    assert not service.slept


@given(st.integers(1, 100), st.integers(1, 100))
def test_too_much_is_halved_until_it_fits(number: int, fits: int) -> None:
    """However few accounts a call may have, all are found; halves are asked in input order and at once."""
    service = Service(lambda accounts: too_much() if len(accounts) > fits else answer(accounts))
    reply = service.settle(names(number))
    assert list(reply.found) == names(number)
    assert not service.slept
    assert len(service.asked) <= 2 * number - 1


def test_a_batch_is_halved() -> None:
    """The halves of a batch differ by at most one account, and lose none."""
    service = Service(lambda accounts: too_much() if len(accounts) == 5 else answer(accounts))
    service.settle(names(5))
    assert [len(piece) for piece in service.asked] == [5, 2, 3]


def test_only_what_is_left_is_asked_again() -> None:
    """Accounts with a passing error of their own are asked again, as a piece; the others are settled."""
    passing = Rejection(Reason.REFUSED, 91000, "later")
    half = Reply(found={"u0": {"a": "1"}}, rejected={"u1": MISSING}, again={"u2": passing, "u3": passing})
    service = Service(lambda accounts: half if len(accounts) == 4 else answer(accounts))
    reply = service.settle(names(4))
    assert service.asked == [names(4), ["u2", "u3"]]
    assert (reply.found, reply.rejected) == ({"u0": {"a": "1"}, "u2": {}, "u3": {}}, {"u1": MISSING})


def test_an_answer_that_settles_nobody_is_a_failed_attempt() -> None:
    """When all accounts have a passing error, the call is repeated 8 times; alone at last, each has its words."""
    passing = Rejection(Reason.REFUSED, 91000, "later")
    service = Service(lambda accounts: Reply(again=dict.fromkeys(accounts, passing)))
    reply = service.settle(names(2))
    assert [len(piece) for piece in service.asked] == [2] * 8 + [1] * 16
    assert reply.rejected == dict.fromkeys(names(2), Rejection(Reason.REFUSED, 91000, "later"))


def test_a_renewed_signature_is_used_at_once() -> None:
    """After a stale signature the same call goes again without a wait."""
    service = Service(first([stale()]))
    assert list(service.settle(names(3)).found) == names(3)
    assert service.slept == [0.0]


def test_a_signature_that_is_refused_again_ends_the_run() -> None:
    """Renewed once and still refused: no call can succeed."""
    service = Service(always(stale))
    with pytest.raises(ServiceRefusal) as caught:
        service.settle(names(3))
    assert caught.value.code == 70001
    assert len(service.asked) == 2


@pytest.mark.parametrize("before", [1, 2, 6])
def test_a_stale_signature_after_other_failures_is_renewed_all_the_same(before: int) -> None:
    """Failures of another kind do not take from the renewed signature its attempt."""
    service = Service(first([*(timeout() for _ in range(before)), stale()]))
    assert list(service.settle(["u0"]).found) == ["u0"]


@pytest.mark.parametrize(("code", "message"), [(70003, "the UserSig is illegal"), (None, "HTTP status 403")])
def test_a_fatal_answer_ends_the_run(code: int | None, message: str) -> None:
    """One call, and the service's words and code are told."""
    service = Service(lambda _accounts: AttemptError(message, verdict=Verdict.FATAL, code=code))
    with pytest.raises(ServiceRefusal, match=message) as caught:
        service.settle(names(100))
    assert (caught.value.code, len(service.asked)) == (code, 1)


@given(st.lists(st.sampled_from([timeout, too_frequent]), max_size=60))
def test_slowing_down_spends_no_attempt(makes: list[Callable[[], AttemptError]]) -> None:
    """A single account is given up after its 8th failure, however often it was too frequent between them."""
    service = Service(first([make() for make in makes]))
    reply = service.settle(["u0"], Policy(slow_s_max=1e9))
    assert ("u0" in reply.found) is (makes.count(timeout) < 8)


def test_slowing_down_ends_as_out_of_reach() -> None:
    """A batch that is slowed down for an hour ends the run, resumable; not before, and not much later."""
    service = Service(always(too_frequent))
    with pytest.raises(ServiceUnreachable, match="60 minutes"):
        service.settle(names(3))
    assert POLICY.slow_s_max <= sum(service.slept) <= POLICY.slow_s_max + POLICY.delay_s_max
    assert {len(piece) for piece in service.asked} == {3}


def test_waits_double_up_to_the_cap() -> None:
    """From 0.1 s for passing failures, from 1 s when too frequent; 20 s at most."""
    service = Service(first([timeout() for _ in range(7)]))
    service.settle(["u0"])
    assert service.slept == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4])
    service = Service(first([too_frequent() for _ in range(7)]))
    service.settle(["u0"])
    assert service.slept == pytest.approx([1, 2, 4, 8, 16, 20, 20])


@given(
    st.sampled_from([timeout, too_frequent, stale, unknown]), st.integers(1, 10**6), st.integers(1, 10**6), st.floats(0, 1)
)  # fmt: skip
def test_waits_have_full_jitter(make: Callable[[], AttemptError], attempts: int, slowed: int, chance: float) -> None:
    """A wait is a share of the doubled base, of the full range, however many failures there were."""
    error, tried = make(), Tried(["u0"], whole=True, attempts=attempts, stale=attempts, slowed=slowed)
    drawn, most = (delay_s(error, tried, POLICY, partial(float, share)) for share in (chance, 1.0))
    assert drawn == pytest.approx(chance * most)
    assert 0 <= most <= POLICY.delay_s_max
    assert delay_s(error, tried, POLICY, lambda: 0.0) == 0


def test_other_errors_pass_through() -> None:
    """What is no failed attempt is not touched: neither counted nor repeated."""

    def gone(_accounts: Sequence[str]) -> Reply:
        raise ServiceUnreachable("no answer in 30 s")

    service = Service(gone)
    with pytest.raises(ServiceUnreachable, match="no answer in 30 s"):
        service.settle(["a"])
    assert len(service.asked) == 1


# ---- the proof before the last attempt


@pytest.mark.parametrize(
    ("make", "number", "probes"),
    [
        (timeout, 1, 1),
        (busy, 1, 1),
        (timeout, 5, 6),
        (unknown, 1, 0),
        (unknown, 5, 0),
        (at_fault, 5, 0),
        (too_much, 5, 0),
    ],
)
def test_probes_of_a_batch_that_always_fails(make: Callable[[], AttemptError], number: int, probes: int) -> None:
    """One for the whole and one for each account given up, where the failure may be an outage; none for other words."""
    service = Service(always(make))
    assert len(service.settle(names(number)).rejected) == number
    assert len(service.probes) == probes
    assert not service.told


@pytest.mark.parametrize("lasts", [1, 2, 5])
def test_a_proof_that_fails_is_an_outage_after_which_the_piece_begins_anew(lasts: int) -> None:
    """Seven attempts, no proof, a pause until the service answers, and all eight attempts again."""
    gone = [timeout() for _ in range(lasts)]
    service = Service(always(timeout), there=first(gone))
    assert list(service.settle(["u0"]).rejected) == ["u0"]
    assert len(service.asked) == 7 + 8
    assert len(service.probes) == lasts + 1 + 1
    assert [sentence.split(":")[0] for sentence in service.told] == [
        "Paused",
        f"The service answers again after {service.told[1].split('after ')[1]}",
    ]


@given(st.integers(2, 40), st.data())
def test_until_somebody_was_answered_no_account_is_given_up(number: int, data: st.DataObject) -> None:
    """The others of its batch are asked before it; it alone has its attempts, and the bound on calls holds."""
    wrong = set(data.draw(st.lists(st.sampled_from(names(number)), min_size=1, max_size=number - 1)))
    service = Service(lambda accounts: timeout() if wrong & {*accounts} else answer(accounts), known=())
    reply = service.settle(names(number))
    assert set(reply.rejected) == wrong
    assert not service.told
    assert len(service.asked) <= calls_max(number, POLICY)
    assert len(service.probes) <= probes_max(number)


@given(st.integers(1, 20), st.sampled_from([timeout, busy]))
def test_a_batch_that_nobody_answers_is_an_outage(number: int, make: Callable[[], AttemptError]) -> None:
    """No account is given up when there was no good answer at all; the run ends as out of reach."""
    service = Service(always(make), there=always(make), known=())
    with pytest.raises(ServiceUnreachable, match="for 60 min; the same command goes on from here"):
        service.settle(names(number))
    assert service.told[0] == f"Paused: the service is out of reach and is asked again every few seconds. {make()}"


# ---- how long a repeated call is waited for


@given(st.lists(st.floats(0.0, 5.0), max_size=150), st.floats(0.0, 2.0))
def test_a_hasty_call_has_three_times_what_answers_take(took_s: list[float], wait_s_min: float) -> None:
    """Of the last hundred answers the slowest counts; until there are so many, a hasty call waits like any other."""
    patience = Patience(wait_s_min)
    for seconds in took_s:
        patience.hear(seconds)
    expected = max(wait_s_min, 3 * max(took_s[-100:])) if len(took_s) >= 100 else None
    assert patience.wait_s() == expected


@pytest.mark.parametrize(
    ("accounts", "hasty"), [(1, [False, True, True, *[False] * 5]), (2, [False, True, True, *[False] * 21])]
)
def test_the_second_and_the_third_call_of_a_whole_batch_are_hasty(accounts: int, hasty: list[bool]) -> None:
    """The first, the five that are left, and those of its pieces have the whole timeout; so have probes."""
    seen: list[bool] = []

    def watching(_accounts: Sequence[str]) -> AttemptError:
        seen.append(HASTY.get())
        return timeout()

    def watching_probes(accounts: Sequence[str]) -> Reply:
        assert not HASTY.get()
        return answer(accounts)

    Service(watching, there=watching_probes).settle(names(accounts))
    assert seen == hasty


def test_haste_ends_with_the_call() -> None:
    """What else the same task asks for, a probe or another piece, is not hasty."""

    async def go() -> bool:
        await Service(first([timeout()])).fetching()(names(2))
        return HASTY.get()

    assert not asyncio.run(go())


def test_a_hasty_call_that_hangs_is_given_up_as_a_failed_attempt() -> None:
    """It is cancelled and told; a call that is not hasty, or meets a service not yet known, is waited for."""
    patience, hung, cancelled = Patience(wait_s_min=0.0), asyncio.Event(), []

    async def hanging(accounts: Sequence[str]) -> Reply:
        try:
            await hung.wait()
        except asyncio.CancelledError:
            cancelled.append(accounts)
            raise
        return answer(accounts)

    async def go() -> None:
        fetch = patient(hanging, patience, lambda: 0.0)

        async def ask(name: str, *, hasty: bool) -> Reply:
            HASTY.set(hasty)
            return await fetch([name])

        unknown = asyncio.create_task(ask("unknown", hasty=True))
        await asyncio.sleep(0)
        for _ in range(100):
            patience.hear(0.0)
        calm = asyncio.create_task(ask("calm", hasty=False))
        with pytest.raises(AttemptError, match="no complete answer came within 0 s") as caught:
            await ask("hasty", hasty=True)
        assert (caught.value.verdict, caught.value.code, cancelled) == (Verdict.RETRY, None, [["hasty"]])
        hung.set()
        assert [list((await task).found) for task in (unknown, calm)] == [["unknown"], ["calm"]]

    asyncio.run(go())


def test_what_an_answer_takes_is_heard() -> None:
    """Answers teach what is usual, failures do not."""
    patience, clock, failing = Patience(wait_s_min=0.0), iter(range(10_000)), [False]

    async def fetch(accounts: Sequence[str]) -> Reply:
        if failing[0]:
            raise timeout()
        return answer(accounts)

    async def go() -> None:
        ask = patient(fetch, patience, lambda: float(next(clock)))
        for _ in range(99):
            await ask(["a"])
        failing[0] = True
        with pytest.raises(AttemptError):
            await ask(["a"])
        assert patience.wait_s() is None
        failing[0] = False
        await ask(["a"])
        assert patience.wait_s() == 3.0

    asyncio.run(go())


# ---- the first answer of a run


@dataclass
class Line:
    """A service that answers after a moment and knows how many calls were under way at a time."""

    rule: Answer
    now: float = 0.0
    under_way: int = 0
    most: int = 0
    calls: int = 0

    async def fetch(self, accounts: Sequence[str]) -> Reply:
        """Answer one call."""
        self.calls += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            for _ in range(20):
                await asyncio.sleep(0)
            result = self.rule(accounts)
        finally:
            self.under_way -= 1
        if isinstance(result, AttemptError):
            raise result
        return result

    def leading(self) -> Fetch:
        """Wrap it as the calls of a run."""
        return leading(self.fetch, clock=lambda: self.now, unreachable_s_max=30.0)

    def retrying(self) -> Fetch:
        """Wrap it as the calls of a run that are tried again."""
        first_alone = self.leading()
        gate = Gate(first_alone, Breaker(), lambda: self.now, lambda: 0.0)
        return retrying(first_alone, POLICY, gate, jitter=lambda: 0.0)


async def all_at_once(fetch: Fetch, number: int) -> list[Reply | BaseException]:
    return await asyncio.gather(*(fetch([name]) for name in names(number)), return_exceptions=True)


def unknown_gateway() -> AttemptError:
    return failure(Verdict.RETRY, 60999, attempts_max=3, known=False)


def unknown_signature() -> AttemptError:
    return failure(Verdict.RETRY, 79999, attempts_max=3, known=False)


def unknown_below() -> AttemptError:
    return failure(Verdict.RETRY, 59999, attempts_max=3, known=False)


def unknown_above() -> AttemptError:
    return failure(Verdict.RETRY, 80000, attempts_max=3, known=False)


OPENING = [busy, too_frequent, at_fault, too_much, unknown]


@given(
    st.lists(st.just(timeout), max_size=8).flatmap(
        lambda calm: st.sampled_from([calm, [*calm, stale], [stale, *calm]])
    ),
    st.booleans(),
    st.sampled_from([None, *OPENING]),
)
def test_calls_go_one_by_one_until_a_readable_answer(
    makes: list[Callable[[], AttemptError]],
    odd: bool,  # noqa: FBT001 - drawn
    opens: Callable[[], AttemptError] | None,
) -> None:
    """As long as the key may be wrong or nobody there, one call at a time; then all at once."""
    errors = [*(make() for make in makes), *([unknown_gateway()] if odd else []), *([opens()] if opens else [])]
    line = Line(first(errors))
    fetch = line.leading()

    async def go() -> None:
        while line.calls <= len(errors):
            await asyncio.gather(fetch(["first"]), return_exceptions=True)
            assert line.most == 1
        await all_at_once(fetch, 5)
        assert line.most == 5

    asyncio.run(go())


@pytest.mark.parametrize("make", [stale, stale_check])
def test_a_stale_signature_opens_nothing(make: Callable[[], AttemptError]) -> None:
    """Whether the renewed signature is good is seen with one call, too."""
    rule, seen = first([make()]), []

    def watching(accounts: Sequence[str]) -> Reply | AttemptError:
        seen.append(line.under_way)
        return rule(accounts)

    line = Line(watching)
    replies = asyncio.run(all_at_once(line.leading(), 6))
    assert seen[:2] == [1, 1]
    assert line.most == 5
    assert all(isinstance(reply, Reply) for reply in replies)


@pytest.mark.parametrize(("make", "calls"), [(stale, 2), (stale_check, 4)])
def test_a_signature_refused_for_good_costs_no_more_than_its_row_says(
    make: Callable[[], AttemptError], calls: int
) -> None:
    """The first request alone tries the renewed UserSig; the batches that wait do not try it again each."""
    line = Line(always(make))
    fetch = line.retrying()

    async def go() -> list[Reply | BaseException]:
        return await all_at_once(fetch, 100)

    errors = asyncio.run(go())
    assert {type(error) for error in errors} == {ServiceRefusal}
    assert line.calls == calls


def test_those_who_waited_go_together() -> None:
    """The first good answer lets all that waited for it go at once."""
    line = Line(answer)
    replies = asyncio.run(all_at_once(line.leading(), 10))
    assert all(isinstance(reply, Reply) for reply in replies)
    assert line.most == 9


@pytest.mark.parametrize(("there", "opened"), [(True, True), (False, False)])
def test_known_accounts_tell_a_dead_host_from_a_fault(*, there: bool, opened: bool) -> None:
    """When the first account has no answer, one that an earlier start had an answer for shows whose fault it is."""
    line = Line(lambda accounts: Reply(found={"known": {}}) if there and list(accounts) == ["known"] else timeout())
    fetch = leading(line.fetch, clock=lambda: line.now, unreachable_s_max=30.0, known=["known"])

    async def go() -> list[BaseException]:
        ended: list[Reply | BaseException] = []
        for now in (0.0, 31.0):
            line.now = now
            ended += await asyncio.gather(fetch(["suspect"]), return_exceptions=True)
        return [end for end in ended if isinstance(end, BaseException)]

    first, second = asyncio.run(go())
    assert isinstance(first, AttemptError)
    assert isinstance(second, AttemptError if opened else ServiceUnreachable)
    assert line.calls == (3 if opened else 4)


def test_thirty_seconds_without_an_answer_end_the_run() -> None:
    """Out of reach from the start: before 30 s a failed attempt, from then on the run ends, for all that wait too."""
    line = Line(always(timeout), now=1000.0)
    fetch = line.leading()

    async def go() -> None:
        for line.now in (1000.0, 1010.0, 1029.9):
            with pytest.raises(AttemptError):
                await fetch(["a"])
        line.now = 1030.0
        for _ in range(2):
            with pytest.raises(ServiceUnreachable, match="no answer in 30 s"):
                await fetch(["a"])

    asyncio.run(go())
    assert line.calls == 4


def test_a_poisonous_first_batch_is_bisected_like_any_other() -> None:
    """One account that never gets a readable answer does not keep the others from theirs, wherever it stands."""
    line = Line(lambda accounts: timeout() if "poison" in accounts else answer(accounts))

    async def go() -> Reply:
        return await line.retrying()(["poison", *names(9)])

    reply = asyncio.run(go())
    assert list(reply.rejected) == ["poison"]
    assert sorted(reply.found) == sorted(names(9))


def test_after_the_first_answer_an_outage_is_a_matter_of_retries() -> None:
    """Once there was a readable answer, silence of any length is a failed attempt like others."""
    line = Line(first([busy()], then=always(timeout)))
    fetch = line.leading()

    async def go() -> None:
        for line.now in (0.0, 100.0, 1e6):
            with pytest.raises(AttemptError):
                await fetch(["a"])

    asyncio.run(go())


@pytest.mark.parametrize("make", [unknown_gateway, unknown_signature])
def test_an_unknown_code_of_the_gateway_is_asked_once_more(make: Callable[[], AttemptError]) -> None:
    """Before the first good answer an unknown 60xxx or 70xxx says that the run is misconfigured."""
    line = Line(always(make))
    fetch = line.leading()

    async def go() -> None:
        for verdict in (Verdict.RETRY, Verdict.FATAL):
            with pytest.raises(AttemptError) as caught:
                await fetch(["a"])
            assert (caught.value.verdict, caught.value.code) == (verdict, make().code)

    asyncio.run(go())


@pytest.mark.parametrize(
    ("before", "make"),
    [
        (answer, unknown_gateway),
        (always(busy), unknown_signature),
        *((None, make) for make in (unknown, busy, unknown_below, unknown_above)),
    ],
)
def test_other_codes_are_not_taken_for_a_wrong_key(before: Answer | None, make: Callable[[], AttemptError]) -> None:
    """After a readable answer, and outside 60xxx and 70xxx, an unknown code is what its row says."""
    line = Line(before or always(make))
    fetch = line.leading()

    async def go() -> None:
        await asyncio.gather(fetch(["a"]), return_exceptions=True)
        line.rule = always(make)
        for _ in range(5):
            with pytest.raises(AttemptError) as caught:
                await fetch(["a"])
            assert caught.value.verdict is Verdict.RETRY

    asyncio.run(go())


@pytest.mark.parametrize(("before", "calls"), [([], 1), ([timeout], 2), ([unknown_gateway], 2)])
def test_a_wrong_key_costs_one_call(before: list[Callable[[], AttemptError]], calls: int) -> None:
    """With a hundred batches waiting, the refusal ends the run before another is asked."""
    line = Line(
        first([make() for make in before], then=always(unknown_gateway if unknown_gateway in before else fatal))
    )
    fetch = line.retrying()

    async def go() -> None:
        async with asyncio.TaskGroup() as group:
            for name in names(100):
                group.create_task(fetch([name]))  # type: ignore[arg-type] # a coroutine

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(go())
    assert {type(error) for error in caught.value.exceptions} == {ServiceRefusal}
    assert line.calls == calls
