"""The first request of a run goes alone: what is wrong with a whole run shows in one call."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from exporter.errors import AttemptError, ExporterError, ServiceUnreachable, Verdict
from exporter.model import Fetch, Reply

WAY_OUT = (
    "Check --region or --base-url, and any proxy or firewall on the way to the service; then the same command goes on."
)


def leading(
    fetch: Fetch,
    *,
    clock: Callable[[], float],
    unreachable_s_max: float,
    known: Sequence[str] = (),
    on_retry: Callable[[], None] = lambda: None,
) -> Fetch:
    """Wrap a fetch so that the calls of a run go one by one until one has a readable answer that isn't fatal.

    A wrong key then costs one call, not a hundred. Raises ServiceUnreachable when for `unreachable_s_max` seconds there
    was no readable answer at all. An unknown code of the gateway (60xxx) or the signature (70xxx) says that the run is
    misconfigured: asked once more, then fatal (the vendor's tables name no passing error there). `known` accounts were
    answered by an earlier start: they are asked for when the first ones get no readable answer, which may be their fault.
    """
    return _Lead(fetch, clock, unreachable_s_max, known, on_retry).fetch


@dataclass(slots=True)
class _Lead:
    call: Fetch
    clock: Callable[[], float]
    unreachable_s_max: float
    known: Sequence[str]
    on_retry: Callable[[], None]
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    open: bool = False
    since: float | None = None
    unknown: int = 0
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
        self.since = self.clock() if self.since is None else self.since
        stale = 0
        while True:
            try:
                reply = await self.call(accounts)
            except AttemptError as raised:
                error = raised
            else:
                self.open = True
                return reply
            stale += error.verdict is Verdict.RESIGN
            if error.verdict is not Verdict.RESIGN or stale >= error.attempts_max:
                break
            # The renewed UserSig is tried at once, before anybody else's turn.
            self.on_retry()
        self.open = _opens(error) or (error.code is None and await self._proved())
        self.ended = None if self.open else self._end(error)
        raise self.ended or error

    async def _proved(self) -> bool:
        """Tell whether it is not the host but what was asked: accounts that are known to be answered are."""
        if not self.known:
            return False
        self.on_retry()
        try:
            await self.call(self.known)
        except AttemptError as error:
            return _opens(error)
        return True

    def _end(self, error: AttemptError) -> ExporterError | None:
        """Return the error that ends the run, if this one does."""
        self.unknown += _misconfigured(error)
        if error.verdict in {Verdict.FATAL, Verdict.RESIGN} or self.unknown > 1:
            return AttemptError(str(error), verdict=Verdict.FATAL, code=error.code)
        if error.code is None and self.clock() - (self.since or 0.0) >= self.unreachable_s_max:
            return ServiceUnreachable(f"no answer in {self.unreachable_s_max:g} s: {error} {WAY_OUT}")
        return None


def _opens(error: AttemptError) -> bool:
    closed = error.code is None or error.verdict in {Verdict.FATAL, Verdict.RESIGN} or _misconfigured(error)
    return not closed


def _misconfigured(error: AttemptError) -> bool:
    return not error.known and error.code is not None and 60000 <= error.code < 80000  # noqa: PLR2004 - the two ranges
