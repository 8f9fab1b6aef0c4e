"""The wrapper that obeys the policy: a batch comes back only when each of its accounts is found or rejected."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from exporter.errors import AttemptError, ServiceRefusal, ServiceUnreachable, Verdict
from exporter.model import Fetch, Reason, Rejection, Reply
from exporter.retry.apart import Apart
from exporter.retry.attempt import attempt
from exporter.retry.gate import Gate, Held
from exporter.retry.patience import HASTY, HASTY_ATTEMPTS
from exporter.retry.policy import Policy, Step, Tried, delay_s, next_step


def retrying(  # noqa: PLR0913 - the policy, and all that it needs of the world
    fetch: Fetch,
    policy: Policy,
    gate: Gate,
    *,
    jitter: Callable[[], float],
    apart: Apart | None = None,
    on_retry: Callable[[], None] = lambda: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Fetch:
    """Wrap a fetch so that it returns only when every asked account is found or rejected.

    Raises ServiceRefusal for a fatal verdict and when too many batches had to be taken apart, and ServiceUnreachable
    when an outage lasts too long or one batch was slowed down for too long.
    """
    return _Retrying(fetch, policy, gate, jitter, on_retry, sleep, apart or Apart()).fetch_all


@dataclass(frozen=True, slots=True)
class _Retrying:
    fetch: Fetch
    policy: Policy
    gate: Gate
    jitter: Callable[[], float]
    on_retry: Callable[[], None]
    sleep: Callable[[float], Awaitable[None]]
    apart: Apart = field(default_factory=Apart)

    async def fetch_all(self, accounts: Sequence[str]) -> Reply:
        total = Reply()
        left = deque([Tried(accounts, whole=True)])
        renewed = False
        while left:
            tried = left.popleft()
            tried.renewed = renewed
            outcome = await self._settle(tried)
            renewed = tried.renewed
            if outcome is None:
                left.append(tried)
                continue
            if tried.whole:
                self.apart.count(outcome)
            for part in reversed(_merge(total, tried.piece, outcome)):
                self.on_retry()
                left.appendleft(Tried(part))
        return total

    async def _settle(self, tried: Tried) -> Reply | AttemptError | None:
        """Ask for a piece until it has an answer; return the last error when it should be made smaller instead.

        None puts it behind the other pieces of its batch.
        """
        while True:
            if tried.doubted and not await self._cleared(tried):
                return None
            outcome = await self._attempt(tried)
            if isinstance(outcome, Reply):
                return outcome
            _count(outcome, tried)
            step = next_step(outcome, tried, self.policy)
            if step not in {Step.AGAIN, Step.PROVE}:
                _stop_run(step, outcome, self.policy)
                return outcome
            tried.doubted = step is Step.PROVE
            pause = delay_s(outcome, tried, self.policy, self.jitter)
            tried.slowed_s += pause if outcome.verdict is Verdict.SLOW_DOWN else 0.0
            self.on_retry()
            await self.sleep(pause)

    async def _attempt(self, tried: Tried) -> Reply | AttemptError:
        """Ask once. An attempt that meets an outage counts for nothing, and is made again after it."""
        while True:
            await self.gate.passed(tried.piece)
            outages = self.gate.breaker.outages
            hasty = HASTY.set(tried.whole and tried.attempts in HASTY_ATTEMPTS)
            try:
                outcome = await attempt(self.fetch, tried.piece)
            except Held:
                continue
            finally:
                HASTY.reset(hasty)
            self.gate.learn(tried.piece, outcome, whole=tried.whole)
            if isinstance(outcome, Reply) or outcome.verdict is not Verdict.RETRY:
                return outcome
            if self.gate.breaker.outages == outages:
                tried.failure, tried.failed_at = outcome, self.gate.clock()
                return outcome
            self.on_retry()

    async def _cleared(self, tried: Tried) -> bool:
        """Prove the service alive before the last attempt; return whether the piece may be asked now.

        While nobody was answered there is nothing to prove it with. Then a batch is bisected all the same, and an account
        waits behind the other pieces; once only such accounts are left, it is an outage.
        """
        if self.gate.breaker.known:
            tried.proved = await self.gate.proved(tried.failed_at)
        elif not tried.single:
            tried.proved = True
        elif not tried.behind:
            tried.behind = True
            return False
        elif tried.failure:
            self.gate.begin_outage(tried.failure)
        if not tried.proved:
            tried.begin_anew()
        return True


def _merge(total: Reply, piece: Sequence[str], outcome: Reply | AttemptError) -> list[Sequence[str]]:
    """Add what is settled of a piece to the total; return what is left to ask, in order."""
    if isinstance(outcome, Reply):
        total.found = {**total.found, **outcome.found} if total.found else outcome.found
        total.rejected.update(outcome.rejected)
        return [list(outcome.again)] if outcome.again else []
    if len(piece) == 1:
        total.rejected[piece[0]] = _given_up(outcome)
        return []
    half = len(piece) // 2
    return [piece[:half], piece[half:]]


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
