"""The wrapper that obeys the policy: a batch comes back only when each of its accounts is found or rejected."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from exporter.errors import AttemptError, ServiceRefusal, ServiceUnreachable, Verdict
from exporter.model import Fetch, Reason, Rejection, Reply
from exporter.retry.policy import Policy, Step, Tried, delay_s, next_step


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
