"""One token per attempt: in any rolling second no more calls start than the rate allows, and refusals slow everybody.

Two devices share the work. aiolimiter's leaky bucket spreads the starts evenly. It cannot keep the promise alone: bucket
plus refill per second must stay under the quota, which caps it at 98 % of it. So a log of the last starts keeps the
promise: start k comes no sooner than start k - rate, plus one second and a margin for the way to the service.

When the service says "too frequent", the pace falls to 0.7 of what was measured, at most once a second, and climbs back
along a cubic curve (the constants of CUBIC congestion control), never above the rate.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence

from aiolimiter import AsyncLimiter

from exporter.errors import AttemptError, Verdict
from exporter.model import Fetch, Reply

RATE_UNLIMITED = 100_000.0  # calls a second: more than one process can send, so there is nothing to limit
MARGIN_S = 0.005  # a call may overtake the one before it on the way by this much
BURST_S = 0.02  # the bucket lets through what this time refills, so that a timer that wakes late costs no rate
CUT = 0.7
CLIMB = 0.4
PACE_MIN = 0.5  # calls a second, however often the service refuses


class Pace:
    """The adaptive rate, in calls a second. Pure: time comes in as an argument."""

    def __init__(self, rate_max: float) -> None:
        self._rate_max = rate_max
        self._top = rate_max
        self._cut_at: float | None = None

    def at(self, now: float) -> float | None:
        """Return the reduced rate, or None while the full rate is allowed."""
        if self._cut_at is None:
            return None
        flat_s = math.cbrt(self._top * (1 - CUT) / CLIMB)
        rate = self._top + CLIMB * (now - self._cut_at - flat_s) ** 3
        if rate >= self._rate_max:
            self._cut_at = None
            return None
        return max(PACE_MIN, rate)

    def cut(self, now: float, measured: float) -> None:
        """Take note of a refusal; `measured` is the number of calls started in the last second."""
        if self._cut_at is not None and now - self._cut_at < 1:
            return
        self._top = min(measured, self._rate_max, self.at(now) or self._rate_max)
        self._cut_at = now


class Limiter:
    """Let calls start at no more than `rate` a rolling second; a rate of RATE_UNLIMITED or more means no limit."""

    def __init__(self, rate: float, *, clock: Callable[[], float] | None = None) -> None:
        rate = min(rate, RATE_UNLIMITED)
        self._rate = rate
        self._clock = clock or asyncio.get_running_loop().time
        burst = max(1.0, rate * BURST_S)
        self._bucket = AsyncLimiter(burst, burst / rate)
        # Below one call a second the window is longer, and holds one call.
        self._window_s = max(1.0, 1.0 / rate) + MARGIN_S
        self._starts: deque[float] = deque(maxlen=max(1, math.floor(rate)))
        self._pace = Pace(rate)
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Wait for this attempt's token. First come, first served."""
        async with self._turn:
            if self._rate < RATE_UNLIMITED:
                await self._bucket.acquire()
            while (wait_s := self._wait_s(self._clock())) > 0:
                await asyncio.sleep(wait_s)
            self._starts.append(self._clock())

    def slow_down(self) -> None:
        """Slow all calls: the service said that they are too frequent."""
        now = self._clock()
        recent = sum(1 for start in reversed(self._starts) if start > now - 1)
        self._pace.cut(now, float(max(recent, 1)))

    def pace(self) -> float:
        """Return the rate in force, in calls a second."""
        return self._pace.at(self._clock()) or self._rate

    def _wait_s(self, now: float) -> float:
        wait_s = 0.0
        if len(self._starts) == self._starts.maxlen and self._rate < RATE_UNLIMITED:
            wait_s = self._starts[0] + self._window_s - now
        slowed = self._pace.at(now)
        if slowed is not None and self._starts:
            wait_s = max(wait_s, self._starts[-1] + 1 / slowed - now)
        return wait_s


def limited(fetch: Fetch, limiter: Limiter) -> Fetch:
    """Wrap a fetch so that every attempt, first or repeated, pays one token, and a refusal slows all of them."""

    async def fetch_in_time(accounts: Sequence[str]) -> Reply:
        await limiter.start()
        try:
            return await fetch(accounts)
        except AttemptError as error:
            if error.verdict is Verdict.SLOW_DOWN:
                limiter.slow_down()
            raise

    return fetch_in_time
