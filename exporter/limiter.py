"""One token per attempt: in any rolling second no more calls start than the rate allows, and refusals slow everybody.

Two devices share the work. aiolimiter's leaky bucket spreads the starts evenly. It cannot keep the promise alone: bucket
plus refill per second must stay under the quota, which caps it at 98 % of it. So a log of the last starts keeps the
promise: a token is in use from the moment it is given until one second, and a margin, after its request really left.
The difference matters where a request first has to make its connection: a TLS handshake may take longer than the margin.

When the service says "too frequent", the pace falls to 0.7 of what was measured, at most once a second, and climbs back
along a cubic curve (the constants of CUBIC congestion control), never above the rate.
"""

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Callable, Sequence
from itertools import takewhile

from aiolimiter import AsyncLimiter

from exporter.errors import AttemptError, Verdict
from exporter.model import ON_SENT, Fetch, Reply

RATE_UNLIMITED = 100_000.0  # calls a second: more than one process can send, so there is nothing to limit
BURST_S = 0.02  # the bucket lets through what this time refills, so that a timer that wakes late costs no rate
CUT = 0.7
CLIMB = 0.4
PACE_MIN = 0.5  # calls a second, however often the service refuses


class Margin:
    """How much longer than its second a token is kept, in seconds: calls may overtake one another on the way.

    Wide while connections are being made, then narrow, and doubled by each refusal; what was learnt fades again. Pure.
    """

    FIRST_S, LEAST_S, MOST_S = 0.025, 0.008, 0.05
    WARM_UP_S = 2.0
    HALF_LIFE_S = 60.0

    def __init__(self, began: float | None = None) -> None:
        self._began = began
        self._learnt = (0.0, 0.0)  # when, and how much

    def at(self, now: float) -> float:
        """Return the margin in force."""
        if self._began is None:
            self._began = now
        base = self.FIRST_S if now - self._began < self.WARM_UP_S else self.LEAST_S
        since, learnt = self._learnt
        return max(base, learnt * math.exp2((since - now) / self.HALF_LIFE_S))

    def widen(self, now: float) -> None:
        """Take note of a refusal."""
        self._learnt = (now, min(self.MOST_S, 2 * self.at(now)))


class Pace:
    """The adaptive rate, in calls a second. Pure: time comes in as an argument."""

    def __init__(self, rate_max: float) -> None:
        self._rate_max = rate_max
        self._top = rate_max
        self._cut_at: float | None = None
        self._may_cut_at = -math.inf

    def at(self, now: float) -> float | None:
        """Return the reduced rate, or None while the full rate is allowed."""
        if self._cut_at is None:
            return None
        flat_s = math.cbrt(self._top * (1 - CUT) / CLIMB)
        rate = self._top + CLIMB * (now - self._cut_at - flat_s) ** 3
        if rate >= self._rate_max:
            self._cut_at = None
            return None
        return max(min(PACE_MIN, self._rate_max), rate)

    def cut(self, now: float, measured: float) -> None:
        """Take note of a refusal; `measured` is the number of calls started in the last second."""
        if now < self._may_cut_at:
            return
        self._may_cut_at = now + 1
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
        self._tokens = max(1, math.floor(rate))
        # Below one call a second the window is longer, and holds one call.
        self._window_s = max(1.0, 1.0 / rate)
        self._margin = Margin()
        self._waiting = 0  # tokens given whose requests have not left yet
        self._sent: deque[float] = deque(maxlen=self._tokens)  # when, of the last ones
        self._given_at = -math.inf
        self._changed = asyncio.Event()
        self._pace = Pace(rate)
        self._turn = asyncio.Lock()

    def spend_all(self) -> None:
        """Take every token as used right now: whoever called before us may have used them until this moment."""
        now = self._clock()
        self._sent.extend([now] * self._tokens)
        self._margin = Margin(now + self._window_s)  # no connection is made before that

    async def start(self) -> None:
        """Wait for a token and use it at once."""
        (await self.token()).sent()

    async def token(self, check: Callable[[], None] = lambda: None) -> "Token":
        """Wait for a token. First come, first served; whose turn it is may still give up: `check` raises then."""
        async with self._turn:
            check()
            if self._rate < RATE_UNLIMITED:
                await self._bucket.acquire()
            while (wait_s := self._wait_s(self._clock())) > 0:
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None if math.isinf(wait_s) else wait_s):
                        await self._changed.wait()
            self._given_at = self._clock()
            self._waiting += 1
            return Token(self)

    def sent(self) -> None:
        """Take note that the request of a token has left."""
        self._waiting -= 1
        self._sent.append(self._clock())
        self._changed.set()

    def slow_down(self) -> None:
        """Slow all calls: the service said that they are too frequent."""
        now = self._clock()
        self._margin.widen(now)
        recent = sum(1 for _ in takewhile(lambda at: at > now - 1, reversed(self._sent)))
        self._pace.cut(now, float(max(recent, 1)))

    def pace(self) -> float:
        """Return the rate in force, in calls a second."""
        return self._pace.at(self._clock()) or self._rate

    def _wait_s(self, now: float) -> float:
        """Return the seconds until the next token may be given; infinite while all wait for their requests to leave."""
        wait_s = 0.0
        if self._rate < RATE_UNLIMITED:
            kept_s = self._window_s + self._margin.at(now)
            while self._sent and self._sent[0] + kept_s <= now:
                self._sent.popleft()
            if self._waiting + len(self._sent) >= self._tokens:
                wait_s = self._sent[0] + kept_s - now if self._sent else math.inf
        slowed = self._pace.at(now)
        return wait_s if slowed is None else max(wait_s, self._given_at + 1 / slowed - now)


class Token:
    """The right to one call; `sent` tells when its request leaves, and counts once."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter: Limiter | None = limiter

    def sent(self) -> None:
        """The request leaves now, or the attempt ended without our knowing when it left."""
        if self._limiter:
            self._limiter.sent()
            self._limiter = None


def limited(fetch: Fetch, limiter: Limiter, check: Callable[[], None] = lambda: None) -> Fetch:
    """Wrap a fetch so that every attempt, first or repeated, pays one token, and a refusal slows all of them.

    `check` is asked before a token is waited for, in turn; what it raises ends the attempt.
    """

    async def fetch_in_time(accounts: Sequence[str]) -> Reply:
        token = await limiter.token(check)
        ON_SENT.set(token.sent)
        try:
            return await fetch(accounts)
        except AttemptError as error:
            if error.verdict is Verdict.SLOW_DOWN:
                limiter.slow_down()
            raise
        finally:
            token.sent()

    return fetch_in_time
