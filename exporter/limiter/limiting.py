"""One token per attempt: in any rolling second no more calls start than the rate allows, and refusals slow everybody.

Three parts share the work: `window.py` says which tokens are in use and keeps the promise, `pace.py` the rate in force,
and aiolimiter's leaky bucket keeps the starts of a second apart. The bucket alone could not keep the promise at more than
98 % of the quota: its size and its refill of a second must stay under the quota together. So it refills faster than that.

A token counts from when its request really left. The difference matters where a request first has to make its connection.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable, Sequence

from aiolimiter import AsyncLimiter

from exporter.errors import AttemptError, Verdict
from exporter.limiter.pace import CATCH_UP, Pace
from exporter.limiter.window import Sent, Window
from exporter.model import ON_SENT, Fetch, Reply

RATE_UNLIMITED = 100_000.0  # calls a second: more than one process can send, so there is nothing to limit
LATE_S = 0.01  # a start that comes late, for timers do, is made up for by so much


def _window_of(rate: float) -> tuple[int, float]:
    """Tell how many calls may start in a window, and its seconds: below one call a second it is longer, and holds one."""
    return max(1, math.floor(rate)), max(1.0, 1.0 / rate)


def seconds_of(calls: int, rate: float) -> float:
    """Tell how long so many calls take at this rate, from the start of the first to that of the last."""
    tokens, window_s = _window_of(min(rate, RATE_UNLIMITED))
    return max(0, calls - 1) * window_s / tokens


class Limiter:
    """Let calls start at no more than `rate` a rolling second; a rate of RATE_UNLIMITED or more means no limit.

    `on_slow_down` is told each time that refusals cut the pace.
    """

    def __init__(
        self,
        rate: float,
        *,
        clock: Callable[[], float] | None = None,
        on_slow_down: Callable[[], None] = lambda: None,
    ) -> None:
        rate = min(rate, RATE_UNLIMITED)
        self._clock = clock or asyncio.get_running_loop().time
        self._on_slow_down = on_slow_down
        self._window = Window(*_window_of(rate))
        self._pace = Pace(rate)
        self._rate = rate
        refill = CATCH_UP * rate
        burst = 1 + refill * LATE_S
        self._bucket = AsyncLimiter(burst, burst / refill)
        self._due = -math.inf  # when the next call may start while the pace is cut
        self._changed = asyncio.Event()
        self._turn = asyncio.Lock()
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """How many callers wait for a token."""
        return self._waiting

    def spend_all(self) -> None:
        """Take every token as used right now: whoever called before us may have used them until this moment."""
        if self._rate < RATE_UNLIMITED:
            self._window.spend_all(self._clock())

    async def start(self) -> None:
        """Wait for a token and use it at once."""
        (await self.token()).sent()

    async def token(self, check: Callable[[], None] = lambda: None) -> "Token":
        """Wait for a token. First come, first served; whose turn it is may still give up: `check` raises then."""
        self._waiting += 1
        try:
            async with self._turn:
                check()
                if self._rate < RATE_UNLIMITED:
                    await self._bucket.acquire()
                while (wait_s := self._wait_s(self._clock())) > 0:
                    self._changed.clear()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(None if math.isinf(wait_s) else wait_s):
                            await self._changed.wait()
                return self._give(self._clock())
        finally:
            self._waiting -= 1

    def pace(self) -> float:
        """Return the rate in force, in calls a second."""
        return self._pace.at(self._clock())

    def sent(self, given_at: float) -> Sent:
        """Take note that the request of a token given then has left."""
        sent = Sent(given_at, self._clock())
        self._window.leave(sent)
        self._pace.left(sent.at)
        self._changed.set()
        return sent

    def answered(self, sent: Sent, *, refused: bool) -> None:
        """Take note of an answer: the quota let the call pass, or the service said that calls are too frequent."""
        now = self._clock()
        self._window.answered(sent, now, refused=refused)
        if not refused:
            self._pace.accepted(now, sent.at)
        elif self._pace.refused(now, sent.at):
            self._on_slow_down()

    def _wait_s(self, now: float) -> float:
        free_at = self._window.free_at(now, max(1, round(self._pace.at(now))))
        return max(free_at, self._due, self._pace.paused_until) - now

    def _give(self, now: float) -> "Token":
        self._window.give()
        if self._pace.at(now) < self._rate:
            self._due = now + self._pace.gap_s(now)
        return Token(self, now)


class Token:
    """The right to one call; `sent` tells when its request leaves, and counts once."""

    def __init__(self, limiter: Limiter, given_at: float) -> None:
        self._limiter, self._given_at = limiter, given_at
        self._sent: Sent | None = None

    def sent(self) -> None:
        """The request leaves now, or the attempt ended without our knowing when it left."""
        if self._sent is None:
            self._sent = self._limiter.sent(self._given_at)

    def answered(self, *, refused: bool) -> None:
        """The service answered: it counted the call, or said that calls are too frequent."""
        self.sent()
        if self._sent:
            self._limiter.answered(self._sent, refused=refused)


def limited(fetch: Fetch, limiter: Limiter, check: Callable[[], None] = lambda: None) -> Fetch:
    """Wrap a fetch so that every attempt, first or repeated, pays one token, and a refusal slows all of them.

    `check` is asked before a token is waited for, in turn; what it raises ends the attempt.
    """

    async def fetch_in_time(accounts: Sequence[str]) -> Reply:
        token = await limiter.token(check)
        ON_SENT.set(token.sent)
        try:
            reply = await fetch(accounts)
        except AttemptError as error:
            if error.code is not None or error.verdict is Verdict.SLOW_DOWN:
                token.answered(refused=error.verdict is Verdict.SLOW_DOWN)
            raise
        finally:
            token.sent()
        token.answered(refused=False)
        return reply

    return fetch_in_time
