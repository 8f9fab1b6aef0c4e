"""The series of any version and length is placed by its seconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.report.series import OTHERS, by_time, codes, errors_by, percentiles, series_of
from exporter.report.timeline import pauses
from tests.unit.report.conftest import busy, manifest, point

OLD = ("at_s", "width_s", "requests", "answers", "accounts", "latency_s_sum", "latency_s_max", "errors")


def test_points_of_an_older_version_have_defaults() -> None:
    """They lack latencies, retries, cuts, pauses and the pace; a later one may know more."""
    old = [{name: row[name] for name in OLD} | {"of_a_later_version": 1} for row in busy(3)]
    found = series_of(manifest(old))
    assert [(p.retries, p.slow_downs, p.paused_s, p.pace) for p in found.points] == [(0, 0, 0.0, None)] * 3
    assert percentiles(found.points[0]) == {"p50": None, "p95": None, "p99": None}


def test_the_last_point_counts_for_what_it_lasted() -> None:
    """A run that ends within a wide point has not slowed down at its end."""
    found = series_of(
        manifest([point(0, width_s=256, requests=25_600), point(256, width_s=256, requests=1_000)], seconds=266)
    )
    assert [found.rate(p) for p in found.points] == [100, 100]
    short = series_of(manifest([point(0, requests=30)], seconds=0.2))
    assert short.rate(short.points[0]) == 30


@given(st.integers(0, 600), st.sampled_from([1.0, 2.0, 512.0]), st.integers(1, 40))
def test_joined_points_lose_nothing(number: int, width_s: float, rows_max: int) -> None:
    """Few stretches of equal length, and the same sums."""
    found = series_of(manifest(busy(number, width_s=width_s)))
    joined = by_time(found, rows_max)
    assert len(joined) <= rows_max
    assert len({p.width_s for p in joined}) <= 1
    for name in ("requests", "answers", "retries", "slow_downs"):
        assert sum(getattr(p, name) for p in joined) == sum(getattr(p, name) for p in found.points)
    assert all(p.at_s % p.width_s == 0 for p in joined)


def test_many_codes_are_joined_to_one() -> None:
    """The most frequent stay by themselves, and no error is lost."""
    series = series_of(manifest([point(0, errors={str(code): code for code in range(1, 21)})]))
    shown = codes(series)
    assert shown == ["20", "19", "18", "17", "16", "15", OTHERS]
    assert sum(errors_by(shown, series.points[0].errors).values()) == sum(range(1, 21))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([point(0, paused_s=0.25)], [(0.75, 1.0)]),
        ([point(3, paused_s=0.25), point(4, paused_s=1), point(5, paused_s=0.5)], [(3.75, 5.5)]),
        ([point(3, paused_s=0.25), point(8, paused_s=1)], [(3.75, 4), (8, 9)]),
    ],
)
def test_an_outage_is_one_span(rows: list[dict[str, object]], expected: list[tuple[float, float]]) -> None:
    """From the end of the point in which it began to the begin of the one in which it ended."""
    assert pauses(series_of(manifest(rows)).points) == expected
