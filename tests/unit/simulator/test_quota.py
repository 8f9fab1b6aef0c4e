import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.simulator.quota import Quota, RollingSecond

GAPS = st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.0625, 0.25, 0.5, 0.999, 1.0, 3.0]) | st.floats(0, 2), max_size=120)


def times_of(gaps: list[float]) -> list[float]:
    times, now = [], 1_000.0
    for gap in gaps:
        now += gap
        times.append(now)
    return times


def worst_of(times: list[float]) -> int:
    return max((sum(start <= time and time - start < 1.0 for time in times) for start in times), default=0)


@given(GAPS, st.integers(1, 10), st.booleans())
def test_no_rolling_second_ever_holds_more_than_the_rate(gaps: list[float], rate: int, count_refused: bool) -> None:  # noqa: FBT001
    """Whatever the arrivals, at most `rate` of them are accepted in any second, wherever it begins."""
    quota = Quota(rate, count_refused=count_refused)
    assert worst_of([time for time in times_of(gaps) if quota.admit(time)]) <= rate


@given(GAPS, st.integers(1, 10))
def test_nothing_is_refused_without_need(gaps: list[float], rate: int) -> None:
    """A request is refused only when the second that ends with it already holds `rate` accepted ones."""
    quota = Quota(rate)
    accepted: list[float] = []
    for time in times_of(gaps):
        full = sum(time - earlier < 1.0 for earlier in accepted) >= rate
        assert quota.admit(time) is not full
        if not full:
            accepted.append(time)


@given(GAPS)
def test_the_worst_second_is_the_one_found_by_counting_them_all(gaps: list[float]) -> None:
    """`worst` equals the most starts in any rolling second, refused ones as well."""
    quota = Quota(2)
    for time in times_of(gaps):
        quota.admit(time)
    assert quota.starts.worst == worst_of(times_of(gaps))


@pytest.mark.parametrize(("count_refused", "accepted"), [(False, 50), (True, 5)])
def test_a_client_that_never_slows_down_gets_nothing_when_refusals_count(count_refused: bool, accepted: int) -> None:  # noqa: FBT001
    """Ten starts a second against a rate of five: half are served, or only the first five."""
    quota = Quota(5, count_refused=count_refused)
    assert sum(quota.admit(step / 10) for step in range(100)) == accepted


def test_a_rate_of_nought_is_no_limit_and_the_rate_can_change() -> None:
    """Unlimited at 0; a limit set later sees what was accepted before."""
    quota = Quota(0)
    assert all(quota.admit(5.0) for _ in range(1_000))
    quota.rate = 1_001
    assert [quota.admit(5.5), quota.admit(5.5), quota.admit(6.0)] == [True, False, True]


def test_an_event_leaves_the_window_after_exactly_one_second() -> None:
    """Two starts one second apart are never in the same second."""
    window = RollingSecond()
    window.add(1.0)
    assert [window.count(now) for now in (1.0, 1.75, 2.0)] == [1, 1, 0]
