"""How long a repeated call is waited for: three times what answers take of late, in place of the whole timeout.

A call that hangs costs the run its timeout, and nothing but time tells it from a slow one. So the first call of a batch has
the whole timeout. But two hangs in a row, on one of the last batches, would double the tail of the run. So the second and
third are given up sooner, as long as answers come fast; the five that are left have the whole timeout again, so that no batch
is bisected for a service that became slow a moment ago. It is cheaper than asking twice at a time: every call is still one
attempt, which pays its token and counts for the breaker.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

from exporter.errors import AttemptError, Verdict
from exporter.model import Fetch, Reply

HASTY: ContextVar[bool] = ContextVar("hasty", default=False)
"""Whether the running attempt is one that is given up soon."""

HASTY_ATTEMPTS = range(1, 3)  # after so many failed attempts of a whole batch
ANSWERS = 100  # one second of them at the usual rate; with fewer it is not known what is usual
TIMES = 3.0
WAIT_S_MIN = 1.0


@dataclass(slots=True)
class Patience:
    """What answers took of late, in seconds."""

    wait_s_min: float = WAIT_S_MIN
    _took_s: deque[float] = field(default_factory=lambda: deque(maxlen=ANSWERS))

    def hear(self, seconds: float) -> None:
        """Take note of an answer."""
        self._took_s.append(seconds)

    def wait_s(self) -> float | None:
        """Return for how long a hasty call is waited for, None for as long as any other."""
        return max(self.wait_s_min, TIMES * max(self._took_s)) if len(self._took_s) == ANSWERS else None


def patient(fetch: Fetch, patience: Patience, clock: Callable[[], float]) -> Fetch:
    """Wrap a fetch so that a hasty attempt is given up soon. Stands behind the limiter: waiting for a token is no hang."""

    async def fetch_in_time(accounts: Sequence[str]) -> Reply:
        began = clock()
        wait_s = patience.wait_s() if HASTY.get() else None
        reply = await (fetch(accounts) if wait_s is None else _within(wait_s, fetch, accounts))
        patience.hear(clock() - began)
        return reply

    return fetch_in_time


async def _within(wait_s: float, fetch: Fetch, accounts: Sequence[str]) -> Reply:
    try:
        async with asyncio.timeout(wait_s):
            return await fetch(accounts)
    except TimeoutError:
        words = f"no complete answer came within {wait_s:.3g} s, where others took at most a third of that"
    raise AttemptError(words, verdict=Verdict.RETRY)
