"""What happened over the time of a run: points of equal width, never more than a bounded number of them. Pure."""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

SERIES_POINTS_MAX = 600  # the series of a run of any length stays small: its points grow wider instead
LATENCY_BOUNDS_S = tuple(
    round(step * 10.0**power, 6) for power in range(-3, 3) for step in (1, 1.25, 1.6, 2, 2.5, 3.2, 4, 5, 6.3, 8)
)
"""Bounds of the counts of latencies, each a quarter above the one before (R10 of ISO 3); no call may take longer than 300 s."""
LATENCY_NAMES = tuple(f"{bound:g}" for bound in LATENCY_BOUNDS_S)


@dataclass(slots=True)
class Point:
    """What happened in one stretch of time: `at_s` seconds from the start, `width_s` long."""

    at_s: float
    width_s: float
    requests: int = 0
    answers: int = 0
    accounts: int = 0
    latency_s_sum: float = 0.0
    latency_s_max: float = 0.0
    latencies: dict[str, int] = field(default_factory=dict)
    """Answers by the bound of their latency, in seconds: "0.05" counts those over 0.04 and up to 0.05."""
    errors: dict[str, int] = field(default_factory=dict)
    retries: int = 0
    slow_downs: int = 0
    paused_s: float = 0.0
    """Seconds of the stretch in which the service was out of reach."""
    pace: float | None = None
    """The lowest rate in force while requests started, in requests a second."""

    def slow(self, pace: float) -> None:
        """Take note of the rate in force."""
        self.pace = pace if self.pace is None else min(self.pace, pace)

    def row(self) -> dict[str, object]:
        """Return it as plain data, which stays as it is."""
        told = {item.name: getattr(self, item.name) for item in fields(self)}
        return {**told, "latencies": dict(self.latencies), "errors": dict(self.errors)}

    def merge(self, later: "Point") -> "Point":
        """Join two neighbouring stretches."""
        return Point(
            at_s=self.at_s,
            width_s=self.width_s + later.width_s,
            requests=self.requests + later.requests,
            answers=self.answers + later.answers,
            accounts=self.accounts + later.accounts,
            latency_s_sum=self.latency_s_sum + later.latency_s_sum,
            latency_s_max=max(self.latency_s_max, later.latency_s_max),
            latencies=dict(Counter(self.latencies) + Counter(later.latencies)),
            errors=dict(Counter(self.errors) + Counter(later.errors)),
            retries=self.retries + later.retries,
            slow_downs=self.slow_downs + later.slow_downs,
            paused_s=self.paused_s + later.paused_s,
            pace=min((pace for pace in (self.pace, later.pace) if pace is not None), default=None),
        )


class Series:
    """Points of equal width over the whole run, at most SERIES_POINTS_MAX of them."""

    def __init__(self) -> None:
        self._width_s = 1.0
        self._points: dict[int, Point] = {}

    def at(self, elapsed_s: float) -> Point:
        """Return the point that a moment belongs to."""
        place = int(elapsed_s / self._width_s)
        while place >= SERIES_POINTS_MAX:
            self._widen()
            place = int(elapsed_s / self._width_s)
        if place not in self._points:
            self._points[place] = Point(at_s=place * self._width_s, width_s=self._width_s)
        return self._points[place]

    def pause(self, from_s: float, to_s: float) -> None:
        """Take note of a stretch in which the service was out of reach, each point of its share."""
        while from_s < to_s:
            point = self.at(from_s)
            until_s = min(to_s, point.at_s + point.width_s)
            point.paused_s += until_s - from_s
            # Where a sum of fractions stops short of the next point, go there all the same.
            from_s = max(until_s, math.nextafter(from_s, math.inf))

    def total(self) -> Point:
        """Return all points as one."""
        total = Point(at_s=0.0, width_s=0.0)
        for point in list(self._points.values()):  # another thread may ask for it
            total = total.merge(point)
        return total

    def rows(self) -> list[dict[str, object]]:
        """Return the points in order, as plain data."""
        return [point.row() for _, point in sorted(self._points.items())]

    def restore(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Begin with the points of a run before, as plain data. Raises TypeError or KeyError for other data."""
        points = [Point(**row) for row in rows]
        self._width_s = max((point.width_s for point in points), default=self._width_s)
        self._points = {int(point.at_s / self._width_s): point for point in points}

    def _widen(self) -> None:
        width_s, wider = 2 * self._width_s, dict[int, Point]()
        for place, point in sorted(self._points.items()):
            before = wider.get(place // 2, Point(at_s=place // 2 * width_s, width_s=0))
            wider[place // 2] = before.merge(point)
            wider[place // 2].width_s = width_s
        self._width_s, self._points = width_s, wider


def percentile(latencies: Mapping[str, int], share: float) -> float | None:
    """Estimate the latency in seconds that this share of answers did not exceed, to a quarter; None without answers.

    `latencies` counts answers by their bound, as a Point does.
    """
    counts = sorted((float(bound), count) for bound, count in latencies.items())
    wanted = share * sum(count for _, count in counts)
    below = 0
    for bound, count in counts:
        if below + count >= wanted and count:
            lower = LATENCY_BOUNDS_S[place - 1] if (place := bisect_left(LATENCY_BOUNDS_S, bound)) else 0.0
            return lower + (bound - lower) * (wanted - below) / count
        below += count
    return None
