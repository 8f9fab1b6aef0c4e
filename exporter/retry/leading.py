"""The first request of a run goes alone: what is wrong with a whole run shows in one call."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from exporter.errors import AttemptError, ExporterError, ServiceUnreachable, Verdict
from exporter.model import Fetch, Reply

FIRST_PAUSE_S = 1.0


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
