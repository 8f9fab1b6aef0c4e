"""One token per attempt: in any rolling second no more calls start than the rate allows, and refusals slow everybody.

Four parts share the work: `window.py` says which tokens are in use and keeps the promise, `pace.py` the rate in force,
`quota.py` gives the tokens to all jobs that ask one app, and `process.py` knows the quotas. Here is what a job has of it, in
its own event loop: the line of its calls. It touches nothing of another loop, and asks again instead.

aiolimiter's leaky bucket keeps the starts of a second apart. The bucket alone could not keep the promise at more than 98 % of
the quota: its size and its refill of a second must stay under the quota together. So it refills faster than that.

A token counts from when its request really left. The difference matters where a request first has to make its connection.
"""

import asyncio
from collections.abc import Callable, Sequence

from aiolimiter import AsyncLimiter

from exporter.errors import AttemptError, Verdict
from exporter.limiter.pace import CATCH_UP
from exporter.limiter.quota import LATE_S, Share
from exporter.limiter.window import RATE_UNLIMITED, Sent
from exporter.model import ON_SENT, Fetch, Reply

ASK_AGAIN_S = 0.25  # what others do wakes nobody; well within the second that a job counts as asking


class Limiter:
    """Let calls start at no more than the rate of this share a rolling second; RATE_UNLIMITED or more means no limit.

    `on_slow_down` is told, in the limiter's own loop, each time that refusals cut the pace, whichever job met them.
    """

    def __init__(self, share: Share, *, on_slow_down: Callable[[], None] = lambda: None) -> None:
        self._share, self._quota = share, share.quota
        self._on_slow_down = on_slow_down
        self._cuts = self._quota.cuts
        refill = CATCH_UP * share.rate
        burst = 1 + refill * LATE_S
        self._bucket = AsyncLimiter(burst, burst / refill)
        self._turn = asyncio.Lock()

    @property
    def waiting(self) -> int:
        """How many callers wait for a token."""
        return self._share.waiting

    def spend_all(self) -> None:
        """Take every token as used right now: whoever called before us may have used them until this moment."""
        self._quota.spend_all(self._share)

    async def start(self) -> None:
        """Wait for a token and use it at once."""
        (await self.token()).sent()

    async def token(self, check: Callable[[], None] = lambda: None) -> "Token":
        """Wait for a token. First come, first served; whose turn it is may still give up: `check` raises then."""
        self._share.waiting += 1
        try:
            async with self._turn:
                check()
                if self._share.rate < RATE_UNLIMITED:
                    await self._bucket.acquire()
                while isinstance(taken := self._quota.take(self._share), float):  # noqa: ASYNC110 - no event crosses loops
                    await asyncio.sleep(min(taken, ASK_AGAIN_S))
        finally:
            self._share.waiting -= 1
        self._hear_of_cuts()
        return Token(self, taken)

    def pace(self) -> float:
        """Return the rate in force, in calls a second."""
        return min(self._quota.pace(), self._share.rate)

    def sent(self, sent: Sent) -> None:
        """Take note that the request of a token leaves."""
        self._quota.left(self._share, sent)

    def answered(self, sent: Sent, *, refused: bool) -> None:
        """Take note of an answer: the quota let the call pass, or the service said that calls are too frequent."""
        self._quota.answered(sent, refused=refused)
        self._hear_of_cuts()

    def _hear_of_cuts(self) -> None:
        while self._cuts < self._quota.cuts:
            self._cuts += 1
            self._on_slow_down()


class Token:
    """The right to one call; `sent` tells when its request leaves, and counts once."""

    def __init__(self, limiter: Limiter, sent: Sent) -> None:
        self._limiter, self._sent = limiter, sent
        self._has_left = False

    def sent(self) -> None:
        """The request leaves now, or the attempt ended without our knowing when it left."""
        if not self._has_left:
            self._has_left = True
            self._limiter.sent(self._sent)

    def answered(self, *, refused: bool) -> None:
        """The service answered: it counted the call, or said that calls are too frequent."""
        self.sent()
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
