"""What a run has done so far: counters, and a series of them over its time."""

from exporter.progress.counters import COUNTERS, Progress, counted
from exporter.progress.series import (
    LATENCY_BOUNDS_S,
    LATENCY_NAMES,
    SERIES_POINTS_MAX,
    Point,
    Series,
    percentile,
)

__all__ = [
    "COUNTERS",
    "LATENCY_BOUNDS_S",
    "LATENCY_NAMES",
    "SERIES_POINTS_MAX",
    "Point",
    "Progress",
    "Series",
    "counted",
    "percentile",
]
