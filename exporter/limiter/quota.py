"""The quota of one app, which all jobs of a process draw their tokens from, whatever their threads and event loops.

The lowest rate of the jobs that ask holds for all of them: so each keeps its own promise, with the calls of the others
counted in. A job asks while one of its calls waits for a token, and until a second after the last one left, or
longer where a rate below one has a longer window: one that has ended, or that nobody reads on, slows nobody. A refusal met
by one of them slows all.

Whoever finds a token free may have it. To be fair, a job's own starts keep a distance while others wait, the longer the more
they are: of two jobs that want all, none gets more than five eighths.

A quota may be asked from any thread, and never blocks, waits or calls anybody: the jobs ask again (`limiting.py`).
"""

import math
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass

from exporter.limiter.pace import CATCH_UP, Pace
from exporter.limiter.window import RATE_UNLIMITED, Sent, Window, window_of

LATE_S = 0.01  # a start that comes late, for timers do, is made up for by so much
ASKS_S = 1.0  # after its last call a job's rate holds: one rolling second, or the longer window of a rate below one
FORGETS_S = 60.0  # after the last call of all who joins finds the pace out anew


@dataclass(slots=True, eq=False, weakref_slot=True)
class Share:
    """A job's part in a quota: its rate, and how many of its calls wait for a token, which it counts itself."""

    quota: "Quota"
    rate: float
    waiting: int = 0
    asked_at: float = -math.inf  # when it last asked for a token, or sent a request
    spaced_at: float = -math.inf  # from when its next call keeps a distance
    due: float = -math.inf  # when that may start
    is_spaced: bool = False  # that distance is kept: the call waits for a token alone


class Quota:
    """The tokens in use and the pace in force, for all that `join`; `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rate = RATE_UNLIMITED  # until somebody asks
        # Reentrant: calls that nobody awaits any more end where garbage is collected, which may be in here.
        self._lock = threading.RLock()
        self._shares: list[weakref.ref[Share]] = []
        self._window = Window(*window_of(self._rate))
        self._pace = Pace(self._rate)
        self._due = -math.inf  # when the next call may start while the pace is cut
        self.cuts = 0
        """How often refusals cut the pace."""

    def join(self, rate: float) -> Share:
        """Take a job in; it leaves by being forgotten."""
        share = Share(self, min(rate, RATE_UNLIMITED))
        with self._lock:
            others = [each for known in self._shares if (each := known())]
            if not any(each.asked_at > self._clock() - FORGETS_S for each in others):
                self._pace, self._due = Pace(self._rate), -math.inf
            self._shares = [weakref.ref(each) for each in (*others, share)]
        return share

    def take(self, share: Share) -> Sent | float:
        """Take a token, if one is free; or return for how many seconds there will be none."""
        with self._lock:
            now, others = self._asks(share)
            pace = self._pace.at(now)
            spaced_at = self._spaced_at(share, now, (1 + others) / (CATCH_UP * pace) if others else 0.0)
            free_at = self._window.free_at(now, max(1, round(pace)))
            if (wait_s := max(spaced_at, free_at, self._due, self._pace.paused_until) - now) > 0:
                return wait_s
            share.is_spaced = False
            if pace < self._rate:
                self._due = now + self._pace.gap_s(now)
            return self._window.give(now)

    def left(self, share: Share, sent: Sent) -> None:
        """Take note that the request of a token leaves."""
        with self._lock:
            now = share.asked_at = self._clock()
            self._window.leave(sent, now)
            self._pace.left(now)

    def answered(self, sent: Sent, *, refused: bool) -> None:
        """Take note of an answer: the quota let the call pass, or the service said that calls are too frequent."""
        with self._lock:
            now = self._clock()
            self._window.answered(sent, now, refused=refused)
            if not refused:
                self._pace.accepted(now, sent.at)
            elif self._pace.refused(now, sent.at):
                self.cuts += 1

    def spend_all(self, share: Share) -> None:
        """Take every token as used right now."""
        with self._lock:
            now, _ = self._asks(share)
            if self._rate < RATE_UNLIMITED:
                self._window.spend_all(now)

    def pace(self) -> float:
        """Return the rate in force, in calls a second."""
        with self._lock:
            return self._pace.at(self._clock())

    def is_idle(self) -> bool:
        """Tell whether nobody has joined that is still there, and no token is in use."""
        with self._lock:
            now = self._clock()
            return not any(each() for each in self._shares) and self._window.free_at(now, 1) == now

    def of_child(self) -> "Quota":
        """Return the quota as a forked process begins with it: what its parent may just have used is used."""
        quota = Quota(self._clock)
        quota.spend_all(quota.join(self._rate))
        return quota

    def _spaced_at(self, share: Share, now: float, distance_s: float) -> float:
        """Return when a call keeps its distance. The next one's begins then, not when a token is free: stalls are made up.

        Once fewer wait, or the pace is higher, the shorter distance of now is enough.
        """
        share.due = min(share.due, share.spaced_at + distance_s)
        if not share.is_spaced and share.due <= now:
            share.is_spaced = True
            if distance_s and self._rate < RATE_UNLIMITED:
                share.spaced_at = max(share.due, now - LATE_S)
                share.due = share.spaced_at + distance_s
        return now if share.is_spaced else share.due

    def _asks(self, share: Share) -> tuple[float, int]:
        """Let the lowest rate of those who ask hold; return the time, and how many others wait."""
        now = share.asked_at = self._clock()
        rate, others = share.rate, 0
        for known in self._shares:
            each = known()
            if each and each is not share and each.asked_at > now - max(ASKS_S, 1.0 / each.rate):
                rate = min(rate, each.rate)
                others += each.waiting > 0
        if rate != self._rate:
            self._rate = rate
            self._window.allow(*window_of(rate))
            self._pace.allow(rate)
        return now, others
