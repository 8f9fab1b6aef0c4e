"""The gate before every attempt: closed in an outage, when one of those who wait asks for the service, for all of them.

No task of its own: whoever waits and has the turn is the prober, and when it is cancelled the next one has it. So there
is never a second probe under way, and nothing is left behind.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

from exporter.errors import AttemptError, ServiceRefusal, ServiceUnreachable, Verdict
from exporter.model import Fetch, Reply
from exporter.retry.attempt import attempt
from exporter.retry.breaker import PROBE_ANSWER_S_MAX, THERE, Breaker, span

PROBING: ContextVar[bool] = ContextVar("probing", default=False)
"""Whether the running attempt is a probe."""


class Held(Exception):  # noqa: N818 - no error: it was not sent, and never leaves this package
    """An attempt was not made: the service is out of reach."""


def hold(breaker: Breaker) -> Callable[[], None]:
    """Make a check that lets in an outage probes alone pass. It raises Held."""

    def check() -> None:
        if breaker.is_open and not PROBING.get():
            raise Held("the service is out of reach")

    return check


def held(fetch: Fetch, check: Callable[[], None]) -> Fetch:
    """Wrap a fetch so that it is made only where the check passes. Stands behind the limiter, where many wait."""

    async def fetch_unless_open(accounts: Sequence[str]) -> Reply:
        check()
        return await fetch(accounts)

    return fetch_unless_open


@dataclass(slots=True)
class Gate:
    """Where attempts wait for the end of an outage.

    `fetch` makes the probes, `on_retry` counts each of them as a repeated call, `tell` takes sentences for the user.
    """

    fetch: Fetch
    breaker: Breaker
    clock: Callable[[], float]
    jitter: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    on_retry: Callable[[], None] = lambda: None
    tell: Callable[[str], None] = lambda _sentence: None
    on_open: Callable[[str], None] = lambda _why: None
    on_close: Callable[[], None] = lambda: None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _failure: AttemptError | None = None

    async def passed(self, piece: Sequence[str]) -> None:
        """Return when the service is within reach. Until somebody was answered, the waiting pieces in turn are the probe.

        Raises ServiceUnreachable when the outage lasts too long, and ServiceRefusal for a fatal answer.
        """
        while self.breaker.is_open:
            async with self._turn:
                if self.breaker.is_open:
                    await self._ask_in_time(piece)

    async def proved(self, since: float) -> bool:
        """Say whether the service is there: heard after a moment and just now, or by a probe; if not, an outage begins.

        Needs accounts that were answered before. Raises ServiceRefusal for a fatal answer.
        """
        async with self._turn:
            if self.breaker.is_open:
                return False
            return self.breaker.heard_since(since, self.clock()) or await self._ask(self.breaker.known)

    def learn(self, piece: Sequence[str], result: Reply | AttemptError, *, whole: bool) -> None:
        """Draw from an attempt what it says about the service; an outage may begin."""
        now = self.clock()
        if isinstance(result, Reply):
            answered = [account for account in piece if account not in result.again] if result.again else piece
            self.breaker.hear(now, answered)
            if whole:
                self.breaker.count(now, failed=False)
        elif result.verdict in THERE:
            blamed = result.verdict is not Verdict.SLOW_DOWN  # then the service did look at the accounts
            self.breaker.hear(now, piece if blamed and not self.breaker.known else ())
        elif result.verdict is Verdict.RETRY and whole and self.breaker.count(now, failed=True):
            self.begin_outage(result)

    def begin_outage(self, failure: AttemptError) -> None:
        """Open the breaker, unless it is, and tell the user."""
        self._failure = failure
        if self.breaker.is_open:
            return
        self.breaker.open(self.clock(), self.jitter())
        self.on_open(str(failure))
        most = f" for at most {span(self.breaker.outage_s_max)}" if self.breaker.known else ""
        self.tell(f"Paused: the service is out of reach and is asked again every few seconds{most}. {failure}")

    async def _ask_in_time(self, piece: Sequence[str]) -> None:
        await self.sleep(self.breaker.wait_s(self.clock()))
        now = self.clock()
        if self.breaker.left_s(now) <= 0:
            most = span(self.breaker.outage_s_max)
            raise ServiceUnreachable(
                f"the service was out of reach for {most}; the same command goes on from here. {self._failure}"
            )
        if not await self._ask(self.breaker.known or piece) and self.breaker.has_news(self.clock()):
            lasted = span(self.breaker.lasted_s(self.clock()))
            self.tell(f"Still paused: the service has been out of reach for {lasted}. {self._failure}")

    async def _ask(self, accounts: Sequence[str]) -> bool:
        """Make a probe, and open or close the breaker by what comes of it."""
        self.breaker.probe(self.clock(), self.jitter())
        result = await self._probe(accounts)
        if isinstance(result, AttemptError) and result.verdict not in THERE:
            self.begin_outage(result)
            return False
        self.learn(accounts, result, whole=False)
        if self.breaker.is_open:
            lasted = span(self.breaker.close(self.clock()))
            self.on_close()
            self.tell(f"The service answers again after {lasted}; going on.")
        return True

    async def _in_time(self, accounts: Sequence[str]) -> Reply | AttemptError:
        """Ask once, and give up before the next probe is due, however long other calls may take."""
        try:
            async with asyncio.timeout(PROBE_ANSWER_S_MAX):
                return await attempt(self.fetch, accounts)
        except TimeoutError:
            words = f"a probe had no answer within {PROBE_ANSWER_S_MAX:g} s"
            return AttemptError(words, verdict=Verdict.RETRY)

    async def _probe(self, accounts: Sequence[str]) -> Reply | AttemptError:
        """Ask once, and again at once with each renewed UserSig."""
        stale = 0
        while True:
            self.on_retry()
            probing = PROBING.set(True)
            try:
                result = await self._in_time(accounts)
            finally:
                PROBING.reset(probing)
            if isinstance(result, Reply) or result.verdict not in {Verdict.FATAL, Verdict.RESIGN}:
                return result
            stale += 1
            if result.verdict is Verdict.FATAL or stale >= result.attempts_max:
                raise ServiceRefusal(str(result), code=result.code)
