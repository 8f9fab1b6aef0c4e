"""Whether and when to try again, and when to split: a pure policy, and the wrapper that obeys it.

The bound on calls. A whole batch has 8 attempts, a piece of it 2, a single account 8. The pieces of a batch of n form
a tree with n leaves and at most n - 2 pieces between root and leaves, so one batch costs at most

    8                        for n = 1
    8 + 2 (n - 2) + 8 n      for n > 1      (1,004 for n = 100)

calls whatever the answers, and one more when its UserSig had to be renewed. Not counted are calls answered "too
frequent": these spend no attempt, and are bounded in time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from exporter.errors import AttemptError, ExporterError, ServiceRefusal, ServiceUnreachable, Verdict
from exporter.model import Fetch, Reason, Rejection, Reply


@dataclass(frozen=True, slots=True)
class Policy:
    """How often and how long. Delays are drawn with full jitter: uniform between 0 and base x 2^failures, capped."""

    attempts_whole_max: int = 8
    attempts_piece_max: int = 2
    attempts_single_max: int = 8
    base_s: float = 0.1
    slow_base_s: float = 1.0
    delay_s_max: float = 20.0
    slow_s_max: float = 3600.0  # how long one batch is slowed down before the run ends as out of reach


class Step(Enum):
    """What to do with a piece whose call failed."""

    AGAIN = "again"
    HALVE = "halve"
    GIVE_UP = "give up"
    STOP = "stop"  # the whole run
    PAUSE = "pause"  # the whole run, resumable: the service was out of reach for too long


@dataclass(slots=True)
class Tried:
    """What one piece has been through; `renewed` once any call of its batch was refused for a stale UserSig."""

    size: int
    whole: bool
    renewed: bool = False
    attempts: int = 0
    stale: int = 0  # answers in a row that refused the UserSig
    slowed: int = 0
    slowed_s: float = 0.0


def calls_max(accounts: int, policy: Policy) -> int:
    """Bound the calls that one batch can cost (see the module's docstring)."""
    if accounts == 1:
        return max(policy.attempts_whole_max, policy.attempts_single_max)
    pieces = policy.attempts_piece_max * (accounts - 2)
    return policy.attempts_whole_max + pieces + policy.attempts_single_max * accounts


def next_step(error: AttemptError, tried: Tried, policy: Policy) -> Step:
    """Decide what follows a failed attempt, which `tried` already counts."""
    smaller = Step.HALVE if tried.size > 1 else Step.GIVE_UP
    attempts_max = _allowed(tried, policy)
    match error.verdict:
        case Verdict.FATAL:
            return Step.STOP
        case Verdict.SLOW_DOWN:
            return Step.AGAIN if tried.slowed_s < policy.slow_s_max else Step.PAUSE
        case Verdict.ACCOUNT:
            return smaller
        case Verdict.SPLIT if tried.size > 1:
            return Step.HALVE
        case Verdict.RESIGN:
            if tried.stale >= error.attempts_max:
                return Step.STOP
        case _:
            attempts_max = min(attempts_max, error.attempts_max)
    return Step.AGAIN if tried.attempts < attempts_max else smaller


def _allowed(tried: Tried, policy: Policy) -> int:
    if tried.size == 1:
        return policy.attempts_single_max
    return policy.attempts_whole_max if tried.whole else policy.attempts_piece_max


def delay_s(error: AttemptError, tried: Tried, policy: Policy, jitter: Callable[[], float]) -> float:
    """Draw the wait before the next attempt, in seconds; `jitter` gives a number in 0..1."""
    base, failures = {
        Verdict.SLOW_DOWN: (policy.slow_base_s, tried.slowed),
        Verdict.RESIGN: (policy.base_s, tried.stale - 1),  # the first is followed by a new UserSig at once
    }.get(error.verdict, (policy.base_s, tried.attempts))
    return jitter() * min(policy.delay_s_max, base * 2.0 ** min(failures - 1, 30)) if failures else 0.0


def retrying(
    fetch: Fetch,
    policy: Policy,
    *,
    jitter: Callable[[], float],
    on_retry: Callable[[], None] = lambda: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Fetch:
    """Wrap a fetch so that it returns only when every asked account is found or rejected.

    Raises ServiceRefusal for a fatal verdict, and ServiceUnreachable when one batch was slowed down for too long.
    """
    return _Retrying(fetch, policy, jitter, on_retry, sleep).fetch_all


@dataclass(frozen=True, slots=True)
class _Retrying:
    fetch: Fetch
    policy: Policy
    jitter: Callable[[], float]
    on_retry: Callable[[], None]
    sleep: Callable[[float], Awaitable[None]]

    async def fetch_all(self, accounts: Sequence[str]) -> Reply:
        total = Reply()
        pieces: list[Sequence[str]] = [accounts]
        renewed = False
        while pieces:
            piece = pieces.pop()
            tried = Tried(len(piece), whole=piece is accounts, renewed=renewed)
            outcome = await self._settle(piece, tried)
            renewed = tried.renewed
            for part in reversed(_merge(total, piece, outcome)):
                self.on_retry()
                pieces.append(part)
        return total

    async def _settle(self, piece: Sequence[str], tried: Tried) -> Reply | AttemptError:
        """Ask for a piece until it has an answer; return the last error when it should be made smaller instead."""
        while True:
            try:
                reply = await self.fetch(piece)
                error = _all_failed(reply)
            except AttemptError as raised:
                error = raised
            if error is None:
                return reply
            _count(error, tried)
            step = next_step(error, tried, self.policy)
            if step is not Step.AGAIN:
                _stop_run(step, error, self.policy)
                return error
            pause = delay_s(error, tried, self.policy, self.jitter)
            tried.slowed_s += pause if error.verdict is Verdict.SLOW_DOWN else 0.0
            self.on_retry()
            await self.sleep(pause)


def _merge(total: Reply, piece: Sequence[str], outcome: Reply | AttemptError) -> list[Sequence[str]]:
    """Add what is settled of a piece to the total; return what is left to ask, in order."""
    if isinstance(outcome, Reply):
        total.found.update(outcome.found)
        total.rejected.update(outcome.rejected)
        return [list(outcome.again)] if outcome.again else []
    if len(piece) == 1:
        total.rejected[piece[0]] = _given_up(outcome)
        return []
    half = len(piece) // 2
    return [piece[:half], piece[half:]]


def _all_failed(reply: Reply) -> AttemptError | None:
    """Treat an answer that settles no account at all as a failed attempt."""
    if not reply.again or reply.found or reply.rejected:
        return None
    first = next(iter(reply.again.values()))
    return AttemptError(first.message or "the service gave no answer", verdict=Verdict.RETRY, code=first.code)


def _count(error: AttemptError, tried: Tried) -> None:
    stale = error.verdict is Verdict.RESIGN
    tried.stale = tried.stale + 1 if stale else 0
    if error.verdict is Verdict.SLOW_DOWN:
        tried.slowed += 1
    elif stale and not tried.renewed:
        tried.renewed = True
    else:
        tried.attempts += 1


def _stop_run(step: Step, error: AttemptError, policy: Policy) -> None:
    if step is Step.STOP:
        raise ServiceRefusal(str(error), code=error.code)
    if step is Step.PAUSE:
        minutes = policy.slow_s_max / 60
        raise ServiceUnreachable(f"for {minutes:g} minutes the service refused to go on: {error}")


def _given_up(error: AttemptError) -> Rejection:
    reason = Reason.EXHAUSTED if error.code is None else Reason.REFUSED
    return Rejection(reason, error.code, str(error))


def leading(
    fetch: Fetch,
    *,
    clock: Callable[[], float],
    unreachable_s_max: float,
    on_retry: Callable[[], None] = lambda: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Fetch:
    """Wrap a fetch so that the first request of a run goes alone until it has a readable answer that isn't fatal.

    A wrong key then costs one call, not a hundred, and a service that cannot be reached costs no account: the first
    request is repeated, once a second, and after `unreachable_s_max` seconds ends in ServiceUnreachable. An unknown code
    of the gateway (60xxx) or the signature (70xxx) says that the run is misconfigured: asked once more, then fatal (the
    vendor's tables name no passing error there).
    """
    return _Lead(fetch, clock, unreachable_s_max, on_retry, sleep).fetch


FIRST_PAUSE_S = 1.0


@dataclass(slots=True)
class _Lead:
    call: Fetch
    clock: Callable[[], float]
    unreachable_s_max: float
    on_retry: Callable[[], None]
    sleep: Callable[[float], Awaitable[None]]
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    open: bool = False
    ended: ExporterError | None = None

    async def fetch(self, accounts: Sequence[str]) -> Reply:
        if self.open:
            return await self.call(accounts)
        async with self.turn:
            if self.ended:
                raise self.ended  # those who waited for their turn do not ask again
            if not self.open:
                return await self._first(accounts)
        return await self.call(accounts)

    async def _first(self, accounts: Sequence[str]) -> Reply:
        began = self.clock()
        unknown = 0
        while True:
            try:
                reply = await self.call(accounts)
            except AttemptError as raised:
                error = raised
            else:
                self.open = True
                return reply
            unknown += _misconfigured(error)
            if error.verdict is Verdict.FATAL or unknown > 1:
                self.ended = AttemptError(str(error), verdict=Verdict.FATAL, code=error.code)
                raise self.ended
            if not _unreadable(error) and not _misconfigured(error):
                self.open = error.verdict is not Verdict.RESIGN
                raise error
            if self.clock() - began >= self.unreachable_s_max:
                self.ended = ServiceUnreachable(f"no answer in {self.unreachable_s_max:g} s: {error}")
                raise self.ended
            self.on_retry()
            await self.sleep(FIRST_PAUSE_S)


def _unreadable(error: AttemptError) -> bool:
    return error.code is None and error.verdict is Verdict.RETRY


def _misconfigured(error: AttemptError) -> bool:
    return not error.known and error.code is not None and 60000 <= error.code < 80000  # noqa: PLR2004 - the two ranges
