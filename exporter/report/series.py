"""The series of a manifest: its points, whatever version wrote them, and what is drawn of them. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from exporter.progress import Point, percentile
from exporter.report.words import NO_ANSWER

SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
CODES_MAX = 6
OTHERS = "other codes"


@dataclass(frozen=True, slots=True)
class Series:
    """The points of a run in order of time, and how long the run took: at least to the begin of its last point."""

    points: Sequence[Point]
    seconds: float

    def span_s(self, point: Point) -> float:
        """Seconds of a point that belong to the run, at least 1: the last point is seldom full."""
        return max(1.0, min(point.width_s, self.seconds - point.at_s))

    def rate(self, point: Point) -> float:
        """Requests a second in a point."""
        return point.requests / self.span_s(point)

    def total(self) -> Point:
        """All points as one."""
        total = Point(at_s=0.0, width_s=0.0)
        for point in self.points:
            total = total.merge(point)
        return total


def series_of(told: Mapping[str, Any]) -> Series:
    """Read the series of a manifest; what an older version did not tell has its default."""
    known = {item.name for item in fields(Point)}
    rows = [{key: value for key, value in row.items() if key in known} for row in told["series"]]
    points = sorted((Point(**row) for row in rows), key=lambda point: point.at_s)
    last_s = points[-1].at_s if points else 0.0
    return Series(points, max(float(told["seconds"]), last_s, 1e-3))


def percentiles(point: Point) -> dict[str, float | None]:
    """Give p50, p95 and p99 of the latencies of a point, in seconds; None without answers that were timed."""
    return {name: percentile(point.latencies, share) for name, share in SHARES.items()}


def codes(series: Series) -> Sequence[str]:
    """Name the error codes that are drawn: the most frequent first, and last the word for all others if there are any."""
    counted = Counter(series.total().errors)
    ranked = sorted(counted, key=lambda code: (-counted[code], code))
    return ranked if len(ranked) <= CODES_MAX + 1 else [*ranked[:CODES_MAX], OTHERS]


def errors_by(shown: Sequence[str], errors: Mapping[str, int]) -> dict[str, int]:
    """Count errors by the codes that are drawn."""
    found = {code: errors.get(code, 0) for code in shown if code != OTHERS}
    others = sum(errors.values()) - sum(found.values())
    return {**found, OTHERS: others} if OTHERS in shown else found


def by_time(series: Series, rows_max: int) -> list[Point]:
    """Join points to at most so many stretches of equal length; stretches in which nothing happened are left out."""
    if not series.points:
        return []
    width_s = max(point.width_s for point in series.points)
    together = 1
    while series.seconds / (width_s * together) > rows_max:
        together *= 2
    joined: dict[int, Point] = {}
    for point in series.points:
        place = int(point.at_s / (width_s * together))
        joined[place] = joined[place].merge(point) if place in joined else point
    for place, point in joined.items():
        joined[place] = point.merge(Point(point.at_s, 0.0))  # a copy: the points themselves stay as they are
        joined[place].at_s, joined[place].width_s = place * width_s * together, width_s * together
    return list(joined.values())


def code_name(code: str) -> str:
    """Name an error code as it is shown."""
    return "No answer" if code == NO_ANSWER else code.capitalize()
