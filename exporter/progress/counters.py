"""Counters of a run, its rate and time left. Takes `now`, prints nothing.

They are counted on one thread, and kept with a shard by another: `state` never tells half of what was counted at once.
"""

import contextlib
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from exporter.errors import AttemptError, Verdict
from exporter.model import ANSWERS, Fetch, Reason, Reply
from exporter.progress.series import LATENCY_BOUNDS_S, LATENCY_NAMES, Series

RECENT_S = 10.0
COUNTERS = ("requests", "retries", "refusals", "outages", "slow_downs")


class Progress:
    """What a run has done so far. Counts attempts and accounts; `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._counting = threading.Lock()
        self._began = clock()
        self._first_start: float | None = None
        self._last_start = self._began
        self._marks: list[tuple[float, int, int]] = []
        self._before_s = 0.0
        self._requests_before = self._outages_before = 0
        self.skipped = 0
        """Accounts settled by an earlier start of this run."""
        self.series = Series()
        self.requests = 0
        self.retries = 0
        self.refusals = 0
        self.outages = 0
        self.slow_downs = 0
        """How often refusals cut the rate."""
        self.pace_min: float | None = None
        """The lowest rate in force when a request started, in requests a second."""
        self.rate: float | None = None
        """The rate that --rate allows, None where there is no limit."""
        self.pace: Callable[[], float] | None = None
        """Tells the rate in force, which is lower after a cut."""
        self._paused_s = 0.0
        self._paused_before_s = 0.0
        self._paused_at: float | None = None
        self.paused_why: str | None = None
        """Why the service counts as out of reach just now, None while it answers."""
        self.shards = 0
        """Shards that are durable, those of earlier starts included."""
        self.found = 0
        self.reasons: Counter[Reason] = Counter()
        self.share_read: float | None = None
        self.planned = 0
        """Accounts in all batches planned so far, asked or not."""

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start, those of earlier starts included."""
        return self._before_s + self._clock() - self._began

    @property
    def paused_s(self) -> float:
        """Seconds that the service was out of reach so far, an outage that lasts included."""
        return self._paused_s + (0.0 if self._paused_at is None else self._clock() - self._paused_at)

    @property
    def outages_since_start(self) -> tuple[int, float]:
        """How often the service was out of reach since this start, and how many seconds in all."""
        return self.outages - self._outages_before, self.paused_s - self._paused_before_s

    @property
    def requests_per_s(self) -> float:
        """Requests a second from the first to the last of this start, 0 when there are not two."""
        span_s = self._last_start - (self._last_start if self._first_start is None else self._first_start)
        return (self.requests - self._requests_before - 1) / span_s if span_s > 0 else 0.0

    @property
    def settled(self) -> int:
        """Accounts found or rejected by the service."""
        return self.found + self.reasons.total()

    @property
    def absent(self) -> int:
        """Accounts that the service does not know."""
        return sum(self.reasons[reason] for reason in ANSWERS)

    @property
    def share_done(self) -> float | None:
        """How much of the input is settled, 0..1, by the share that was read; None while unknown."""
        return min(1.0, self.settled * self.share_read / self.planned) if self.share_read and self.planned else None

    def state(self) -> dict[str, Any]:
        """Return what an interrupted run would go on counting from, as plain data."""
        with self._counting:
            counts = {name: getattr(self, name) for name in COUNTERS}
            lasted_s = self.paused_s - self._paused_s
            times = {"seconds": self.elapsed_s, "paused_s": self._paused_s + lasted_s}
            return {**counts, **times, "pace_min": self.pace_min, "series": self._points(lasted_s)}

    def _points(self, lasted_s: float) -> list[dict[str, object]]:
        """Return the series, and in it the outage that lasts: whoever goes on from here never hears of its end."""
        if not lasted_s:
            return self.series.rows()
        series = Series()
        series.restore(self.series.rows())
        series.pause(self.elapsed_s - lasted_s, self.elapsed_s)
        return series.rows()

    def restore(self, state: Mapping[str, Any], reasons: Mapping[str, int], found: int, shards: int = 0) -> None:
        """Go on counting from the `state` of an earlier start, whose shards settled so many accounts."""
        with contextlib.suppress(KeyError, TypeError, ValueError):  # of another version: only the counts are lost
            self.series.restore(state["series"])
            self._before_s = float(state["seconds"])
            self._paused_s = self._paused_before_s = float(state["paused_s"])
            for name in COUNTERS:
                setattr(self, name, state[name])
            self.pace_min = None if state["pace_min"] is None else float(state["pace_min"])
        self._requests_before, self._outages_before = self.requests, self.outages
        self.shards = shards
        self.found = found
        self.reasons.update({Reason(reason): number for reason, number in reasons.items()})
        self.skipped = self.planned = self.settled
        self._marks.clear()  # taken before this was known, they would tell it as done just now

    def started(self) -> None:
        """Count the start of an attempt."""
        with self._counting:
            self.requests += 1
            self._last_start = self._clock()
            if self._first_start is None:
                self._first_start = self._last_start
            point = self.series.at(self.elapsed_s)
            point.requests += 1
            if self.pace:
                point.slow(pace := self.pace())
                self.pace_min = pace if self.pace_min is None else min(self.pace_min, pace)

    def answered(self, latency_s: float) -> None:
        """Count a good answer."""
        with self._counting:
            point = self.series.at(self.elapsed_s)
            point.answers += 1
            point.latency_s_sum += latency_s
            point.latency_s_max = max(point.latency_s_max, latency_s)
            name = LATENCY_NAMES[min(bisect_left(LATENCY_BOUNDS_S, latency_s), len(LATENCY_NAMES) - 1)]
            point.latencies[name] = point.latencies.get(name, 0) + 1

    def failed(self, error: AttemptError) -> None:
        """Count a failed attempt by its code."""
        with self._counting:
            errors = self.series.at(self.elapsed_s).errors
            name = "no answer" if error.code is None else str(error.code)
            errors[name] = errors.get(name, 0) + 1
            self.refusals += error.verdict is Verdict.SLOW_DOWN

    def retried(self) -> None:
        """Count an attempt that repeats another."""
        with self._counting:
            self.retries += 1
            self.series.at(self.elapsed_s).retries += 1

    def slowed(self) -> None:
        """Count a cut of the rate."""
        with self._counting:
            self.slow_downs += 1
            self.series.at(self.elapsed_s).slow_downs += 1

    def paused(self, why: str) -> None:
        """Count the beginning of an outage."""
        with self._counting:
            self.outages += 1
            self.paused_why = why
            self._paused_at = self._clock()

    def resumed(self) -> None:
        """Count the end of an outage."""
        with self._counting:
            lasted_s = self.paused_s - self._paused_s
            self._paused_s += lasted_s
            # The pace is told from here on, and from the second before: what that one left over goes out at once.
            self._marks = [(self._clock() - 1.0, self.requests, self.settled)]
            self._paused_at = self.paused_why = None
            self.series.pause(self.elapsed_s - lasted_s, self.elapsed_s)

    def committed(self) -> None:
        """Count a shard that is durable."""
        self.shards += 1

    def settle(self, reply: Reply) -> None:
        """Count a batch whose every account is found or rejected."""
        with self._counting:
            self.found += len(reply.found)
            self.reasons.update(rejection.reason for rejection in reply.rejected.values())
            self.series.at(self.elapsed_s).accounts += len(reply.found) + len(reply.rejected)

    def rates(self) -> tuple[float, float]:
        """Return requests and accounts a second over the last ten seconds; call it about once a second."""
        now = self._clock()
        self._marks = [mark for mark in self._marks if mark[0] >= now - RECENT_S]
        self._marks.append((now, self.requests, self.settled))
        begun = (self._began, self._requests_before, self.skipped)
        then, requests, settled = self._marks[0] if len(self._marks) > 1 else begun
        span_s = max(now - then, 1e-9)
        return (self.requests - requests) / span_s, (self.settled - settled) / span_s

    def left_s(self) -> float | None:
        """Estimate the seconds left: what the input holds by the share read, at the pace so far; None while unknown.

        Outages are no part of the pace, and neither is what an earlier start did.
        """
        settled = self.settled - self.skipped
        if not self.share_read or not settled:
            return None
        worked_s = self._clock() - self._began - (self.paused_s - self._paused_before_s)
        return max(0.0, self.planned / self.share_read - self.settled) * worked_s / settled


def counted(fetch: Fetch, progress: Progress, clock: Callable[[], float]) -> Fetch:
    """Wrap a fetch so that each attempt, its answer or failure, and its latency are counted."""

    async def fetch_and_count(accounts: Sequence[str]) -> Reply:
        began = clock()
        progress.started()
        try:
            reply = await fetch(accounts)
        except AttemptError as error:
            progress.failed(error)
            raise
        progress.answered(clock() - began)
        return reply

    return fetch_and_count
