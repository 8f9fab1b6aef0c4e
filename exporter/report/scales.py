"""Where an axis has its ticks and a histogram its edges: round numbers, whole units of time. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction

TIME_STEPS_S = (
    *(0.1, 0.2, 0.5),
    *(1, 2, 5, 10, 15, 30),
    *(60 * minutes for minutes in (1, 2, 5, 10, 15, 30)),
    *(3_600 * hours for hours in (1, 2, 3, 6, 12)),
    *(86_400 * days for days in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)),
)
"""Steps of an axis of time that runs from the start, in seconds."""

MONTH_STEPS = (1, 3, 6, *(12 * years for years in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)))
"""Steps of an axis of dates, in months."""

SECOND_STEPS: Sequence[Fraction] = (
    *(Fraction(step, 10**power) for power in range(6, 0, -1) for step in (1, 2, 5)),
    *(Fraction(step) for step in TIME_STEPS_S if 1 <= step <= 86_400 * 2),
    Fraction(86_400 * 7),
)
"""Shorter steps of an axis of dates, in seconds."""


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis from 0 to `top`, with its ticks."""

    top: float
    ticks: Sequence[float]


def axis(largest: float, count: int = 4) -> Axis:
    """Give an axis from 0 that holds the largest value, with about so many ticks beside 0."""
    if not largest > 0:
        return Axis(1.0, (0.0, 1.0))
    step = step_of(largest / count)
    steps = max(1, math.ceil(round(largest / step, 9)))
    return Axis(float(step * steps), [float(step * place) for place in range(steps + 1)])


def step_of(wanted: float) -> Fraction:
    """Give the smallest of 1, 2, 2.5, 5 times a power of ten that is not below this."""
    power = Fraction(10) ** math.floor(math.log10(wanted))
    steps = (power * Fraction(step) / 10 for step in (10, 20, 25, 50, 100, 200))
    return next((step for step in steps if step >= Fraction(wanted) * Fraction(999_999_999, 10**9)), power * 20)


def time_ticks(seconds: float, count: int = 5) -> list[float]:
    """Give at most about `count` ticks beside 0 of an axis that begins with a run and is so long."""
    step = next((step for step in TIME_STEPS_S if seconds / step <= count), TIME_STEPS_S[-1])
    return [float(step * place) for place in range(math.floor(seconds / step) + 1)]


def whole_edges(low: int, high: int, bins_max: int) -> list[int]:
    """Give edges of at most `bins_max` bins for whole numbers: the first not above low, the last above high."""
    step = max(1, math.ceil(step_of((high - low + 1) / (bins_max - 1))))
    first = low // step
    return [step * place for place in range(first, high // step + 2)]


def edges(low: float, high: float, bins_max: int) -> list[float]:
    """Give round edges of at most `bins_max` bins; both ends are within. Values that are all alike have one bin."""
    wanted = high / (bins_max - 1) - low / (bins_max - 1)  # the difference itself may be infinite
    if not wanted or low == high or not math.isfinite(wanted):
        return [low, high]
    step = step_of(wanted)
    first, last = math.floor(Fraction(low) / step), math.floor(Fraction(high) / step) + 1
    found = sorted({_finite(step * place) for place in range(first, last + 1)})
    return (
        found if found[0] <= low and high < found[-1] else [low, *[edge for edge in found if low < edge < high], high]
    )


def _finite(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def date_edges(low: datetime, high: datetime, bins_max: int) -> list[datetime]:
    """Give edges of at most `bins_max` bins at whole seconds, days, months or years, in UTC; the last is not below high."""
    seconds = Fraction((high - low) // timedelta(microseconds=1), 1_000_000)
    step = next((step for step in SECOND_STEPS if seconds / step <= bins_max - 2), None)
    found = list(_even(low, high, step) if step else _months(low, high, seconds, bins_max))
    return found if len(found) > 1 else [low, high]


def _even(low: datetime, high: datetime, step: Fraction) -> Iterator[datetime]:
    since = datetime(1, 1, 1, tzinfo=UTC)
    step_us = int(step * 1_000_000)
    place = (low - since) // timedelta(microseconds=1) // step_us
    while True:
        edge = _moved(since, place * step_us)
        yield edge
        if edge > high or edge == _LAST:
            return
        place += 1


_LAST = datetime.max.replace(tzinfo=UTC)


def _moved(since: datetime, microseconds: int) -> datetime:
    try:
        return since + timedelta(microseconds=microseconds)
    except OverflowError:
        return _LAST


def _months(low: datetime, high: datetime, seconds: Fraction, bins_max: int) -> Iterator[datetime]:
    months = float(seconds) / (86_400 * 30.4)
    step = next((step for step in MONTH_STEPS if months / step <= bins_max - 2), MONTH_STEPS[-1])
    place = (low.year * 12 + low.month - 1) // step
    while True:
        year, month = divmod(place * step, 12)
        edge = _LAST if year > _LAST.year else datetime(max(year, 1), month + 1 if year else 1, 1, tzinfo=UTC)
        yield edge
        if edge > high or edge == _LAST:
            return
        place += 1
