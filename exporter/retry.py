"""Whether and when to try again, and when to split: a pure policy, and the wrapper that obeys it.

The bound on calls. A whole batch has 8 attempts, a piece of it 2, a single account 8. The pieces of a batch of n form
a tree with n leaves and at most n - 2 pieces between root and leaves, so one batch costs at most

    8                        for n = 1
    8 + 2 (n - 2) + 8 n      for n > 1      (1,004 for n = 100)

calls, whatever the answers, not counting those answered "too frequent": these spend no attempt, and are bounded in time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from exporter.errors import AttemptError, ServiceRefusal, ServiceUnreachable, Verdict
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
    """What one piece has been through."""

    size: int
    whole: bool
    attempts: int = 0
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
            return Step.AGAIN if tried.attempts < error.attempts_max else Step.STOP
        case _:
            return Step.AGAIN if tried.attempts < min(_allowed(tried, policy), error.attempts_max) else smaller


def _allowed(tried: Tried, policy: Policy) -> int:
    if tried.size == 1:
        return policy.attempts_single_max
    return policy.attempts_whole_max if tried.whole else policy.attempts_piece_max


def delay_s(error: AttemptError, tried: Tried, policy: Policy, jitter: Callable[[], float]) -> float:
    """Draw the wait before the next attempt, in seconds; `jitter` gives a number in 0..1."""
    if error.verdict is Verdict.RESIGN and tried.attempts == 1:
        return 0.0
    slow = error.verdict is Verdict.SLOW_DOWN
    base, failures = (policy.slow_base_s, tried.slowed) if slow else (policy.base_s, tried.attempts)
    return jitter() * min(policy.delay_s_max, base * 2.0 ** min(failures - 1, 30))


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

    async def settle(piece: Sequence[str], *, whole: bool) -> Reply | AttemptError:
        """Ask for a piece until it has an answer; return the last error when it should be made smaller instead."""
        tried = Tried(len(piece), whole)
        while True:
            try:
                reply = await fetch(piece)
                error = _all_failed(reply)
            except AttemptError as raised:
                error = raised
            if error is None:
                return reply
            _count(error, tried)
            step = next_step(error, tried, policy)
            if step is not Step.AGAIN:
                _stop_run(step, error, policy)
                return error
            pause = delay_s(error, tried, policy, jitter)
            tried.slowed_s += pause if error.verdict is Verdict.SLOW_DOWN else 0.0
            on_retry()
            await sleep(pause)

    async def fetch_all(accounts: Sequence[str]) -> Reply:
        total = Reply()
        pieces: list[tuple[Sequence[str], bool]] = [(accounts, True)]
        while pieces:
            piece, whole = pieces.pop()
            outcome = await settle(piece, whole=whole)
            if isinstance(outcome, Reply):
                total.found.update(outcome.found)
                total.rejected.update(outcome.rejected)
                smaller: list[Sequence[str]] = [list(outcome.again)] if outcome.again else []
            elif len(piece) == 1:
                total.rejected[piece[0]] = _given_up(outcome)
                continue
            else:
                smaller = [piece[: len(piece) // 2], piece[len(piece) // 2 :]]
            for part in reversed(smaller):
                on_retry()
                pieces.append((part, False))
        return total

    return fetch_all


def _all_failed(reply: Reply) -> AttemptError | None:
    """Treat an answer that settles no account at all as a failed attempt."""
    if not reply.again or reply.found or reply.rejected:
        return None
    first = next(iter(reply.again.values()))
    return AttemptError(first.message or "the service gave no answer", verdict=Verdict.RETRY, code=first.code)


def _count(error: AttemptError, tried: Tried) -> None:
    if error.verdict is Verdict.SLOW_DOWN:
        tried.slowed += 1
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


def leading(fetch: Fetch, *, clock: Callable[[], float], unreachable_s_max: float) -> Fetch:
    """Wrap a fetch so that the calls of a run go one by one until the first readable answer that isn't fatal.

    A wrong key then costs one call, not a hundred. Raises ServiceUnreachable when for `unreachable_s_max` seconds
    there was no readable answer at all. An unknown code of the gateway (60xxx) or the signature (70xxx) says that
    the run is misconfigured: asked once more, then fatal (the vendor's tables name no passing error there).
    """
    turn = asyncio.Lock()
    open_ = False
    since: float | None = None
    unknown = 0

    async def first(accounts: Sequence[str]) -> Reply:
        nonlocal open_, since, unknown
        since = clock() if since is None else since
        try:
            reply = await fetch(accounts)
        except AttemptError as error:
            if error.code is None and clock() - since >= unreachable_s_max:
                raise ServiceUnreachable(f"no answer in {unreachable_s_max:g} s: {error}") from None
            unknown += _misconfigured(error)
            if unknown > 1 and _misconfigured(error):
                raise AttemptError(str(error), verdict=Verdict.FATAL, code=error.code) from None
            open_ = open_ or _readable(error)
            raise
        open_ = True
        return reply

    async def fetch_in_turn(accounts: Sequence[str]) -> Reply:
        if not open_:
            async with turn:
                if not open_:
                    return await first(accounts)
        return await fetch(accounts)

    return fetch_in_turn


def _misconfigured(error: AttemptError) -> bool:
    return not error.known and error.code is not None and 60000 <= error.code < 80000  # noqa: PLR2004 - the two ranges


def _readable(error: AttemptError) -> bool:
    return error.code is not None and error.verdict not in {Verdict.FATAL, Verdict.RESIGN} and not _misconfigured(error)
