"""The breaker, pure: when the service counts as out of reach, when it is asked again, and for how long it may be gone.

It opens on 20 failures in a row, or when half of at least 100 calls within 10 s failed. Whole batches alone are
counted, for the pieces of a bisected one are suspects; and of the verdicts RETRY alone, for all others are words of a
service that is there. What fails while it is open is not counted, and a closed breaker begins with empty counts.

What answered last is kept, to be asked for again as the probe: a run that ends in poisonous batches, which fail and fail,
then meets no outage but a service that answers.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from exporter.errors import Verdict

ROW_MAX = 20
WINDOW_S = 10.0
WINDOW_CALLS_MIN = 100
WINDOW_CALLS_MAX = 10_000
PROBE_S_MIN = 1.0
PROBE_S_MAX = 5.0
PROBE_ANSWER_S_MAX = 4.5  # the service itself gives up after 3 s, and the next probe is due after 5
PROBE_ACCOUNTS_MAX = 100
NEWS_S = 300.0
FRESH_S = 1.0  # an older answer says little about now

THERE = frozenset({Verdict.ACCOUNT, Verdict.SPLIT, Verdict.SLOW_DOWN})
"""Verdicts that only a service within reach can give."""


@dataclass(slots=True)
class Breaker:
    """Whether the service is within reach. Times are seconds of one monotonic clock, `chance` is a number in 0..1."""

    outage_s_max: float = 3600.0
    outages: int = 0
    """How often it has opened."""
    opened_at: float | None = None
    heard_at: float = -math.inf
    """When the service last said something that only a service within reach says."""
    known: Sequence[str] = ()
    """Accounts that were answered before, at most 100; none until the first were."""
    _row: int = 0
    _calls: deque[tuple[float, bool]] = field(default_factory=deque)
    _failed: int = 0
    _probes: int = 0
    _probe_at: float = 0.0
    _news_at: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the service counts as out of reach."""
        return self.opened_at is not None

    def hear(self, now: float, accounts: Sequence[str] = ()) -> None:
        """Take note that the service is there, and of the accounts that it answered."""
        self.heard_at = now
        self.known = accounts[:PROBE_ACCOUNTS_MAX] or self.known

    def heard_since(self, moment: float, now: float) -> bool:
        """Whether the service was there after a moment, and still a short while ago."""
        return self.heard_at > max(moment, now - FRESH_S)

    def count(self, now: float, *, failed: bool) -> bool:
        """Count a call for a whole batch; return whether the service counts as out of reach from now on."""
        if self.is_open:
            return False
        self._row = self._row + 1 if failed else 0
        self._calls.append((now, failed))
        self._failed += failed
        while self._calls[0][0] <= now - WINDOW_S or len(self._calls) > WINDOW_CALLS_MAX:
            self._failed -= self._calls.popleft()[1]
        half = len(self._calls) >= WINDOW_CALLS_MIN and 2 * self._failed >= len(self._calls)
        return failed and (self._row >= ROW_MAX or half)

    def open(self, now: float, chance: float) -> None:
        """Begin an outage, unless one is on."""
        if self.is_open:
            return
        self.opened_at = now
        self.outages += 1
        self._probes = 0
        self._news_at = now + NEWS_S
        self._probe_at = now + probe_gap_s(0, chance)

    def close(self, now: float) -> float:
        """End the outage; return how many seconds it lasted."""
        lasted_s = self.lasted_s(now)
        self.opened_at = None
        self._row = self._failed = 0
        self._calls.clear()
        return lasted_s

    def lasted_s(self, now: float) -> float:
        """Return the seconds since the outage began."""
        return 0.0 if self.opened_at is None else now - self.opened_at

    def left_s(self, now: float) -> float:
        """Return the seconds that the outage may still last."""
        return self.outage_s_max - self.lasted_s(now)

    def wait_s(self, now: float) -> float:
        """Return the seconds until the next probe is due, or until nothing is left to wait for; at least 0."""
        return max(0.0, min(self._probe_at - now, self.left_s(now)))

    def probe(self, now: float, chance: float) -> None:
        """Take note that a probe starts: the next one is due at most 5 s later."""
        self._probes += 1
        self._probe_at = now + probe_gap_s(self._probes, chance)

    def has_news(self, now: float) -> bool:
        """Whether the outage should be told again, which this call takes for done."""
        if now < self._news_at:
            return False
        self._news_at = now + NEWS_S
        return True


def probe_gap_s(probes: int, chance: float) -> float:
    """Draw the seconds between two probes: doubling from 1 to 5 s, of which the latter half is left to chance."""
    return min(PROBE_S_MAX, PROBE_S_MIN * 2.0 ** min(probes, 10)) * (1 + chance) / 2


def span(seconds: float) -> str:
    """Write a length of time as a person would: 45 s, 60 min."""
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:.3g} min"  # noqa: PLR2004 - two minutes
