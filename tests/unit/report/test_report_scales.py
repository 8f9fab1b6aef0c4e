"""Ticks and edges are round, and hold what they are to hold."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from exporter.report.scales import axis, date_edges, edges, time_ticks, whole_edges

FINITE = st.floats(allow_nan=False, allow_infinity=False)
MOMENTS = st.datetimes(timezones=st.just(UTC))


@given(st.floats(min_value=1e-9, max_value=1e12))
def test_an_axis_holds_its_largest_value(largest: float) -> None:
    """With a few ticks, and not much room above."""
    made = axis(largest)
    assert largest <= made.top * (1 + 1e-8)
    assert made.top <= largest * 2.5 or made.top <= largest + made.ticks[1]
    assert 2 <= len(made.ticks) <= 7
    assert made.ticks[0] == 0
    assert made.ticks[-1] == made.top


def test_axes_are_round() -> None:
    """As a person would draw them."""
    assert axis(100).ticks == [0, 25, 50, 75, 100]
    assert axis(97).ticks == [0, 25, 50, 75, 100]
    assert axis(0.3).ticks[:2] == [0, 0.1]
    assert axis(0).ticks == (0, 1)


@given(st.floats(min_value=0.001, max_value=100 * 86_400 * 365))
def test_ticks_of_time_are_few_and_within(seconds: float) -> None:
    """At whole units."""
    ticks = time_ticks(seconds)
    assert ticks[0] == 0
    assert ticks[-1] <= seconds
    assert len(ticks) <= 6 or seconds > 86_400 * 1_000


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_edges_of_whole_numbers_hold_them(one: int, other: int) -> None:
    """From the first edge on, below the last; whole, even, and not too many."""
    low, high = sorted((one, other))
    found = whole_edges(low, high, 24)
    assert found[0] <= low
    assert high < found[-1]
    assert len({after - before for before, after in pairwise(found)}) == 1
    assert 2 <= len(found) <= 26


@given(FINITE, FINITE)
def test_edges_of_numbers_hold_them(one: float, other: float) -> None:
    """Also of numbers so large that their difference is none."""
    low, high = sorted((one, other))
    found = edges(low, high, 24)
    assert found[0] <= low
    assert high <= found[-1]
    assert all(before < after for before, after in pairwise(found)) or len(found) == 2
    assert 2 <= len(found) <= 28


@given(MOMENTS, MOMENTS)
def test_edges_of_dates_hold_them(one: datetime, other: datetime) -> None:
    """From the year 1 to 9999."""
    low, high = sorted((one, other))
    found = date_edges(low, high, 24)
    assert found[0] <= low
    assert high <= found[-1]
    assert all(before < after for before, after in pairwise(found)) or len(found) == 2
    assert 2 <= len(found) <= 28


@given(MOMENTS, st.integers(0, 10**7))
def test_edges_of_close_dates_hold_them(low: datetime, microseconds: int) -> None:
    """Microseconds apart."""
    try:
        high = low + timedelta(microseconds=microseconds)
    except OverflowError:
        high = low
    found = date_edges(low, high, 24)
    assert found[0] <= low
    assert high <= found[-1]
    assert 2 <= len(found) <= 28


def test_edges_are_round() -> None:
    """Whole steps, months and years."""
    assert whole_edges(1, 64, 24)[:3] == [0, 5, 10]
    assert edges(0.3, 9.7, 24)[:3] == [0, 0.5, 1]
    dates = date_edges(datetime(2024, 1, 20, tzinfo=UTC), datetime(2027, 11, 3, tzinfo=UTC), 24)
    assert (dates[0], dates[1]) == (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 4, 1, tzinfo=UTC))
