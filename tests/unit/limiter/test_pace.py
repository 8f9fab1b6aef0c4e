"""The pace alone. All times come in as arguments."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.limiter.pace import CUT, DOUBT_S, FLOOR, PACE_MIN, PAST, PROBE_S, ROW, SLOW_S, Pace

STEPS = st.lists(st.tuples(st.floats(0, 5), st.booleans(), st.floats(0, 3)), max_size=60)


def let_pass(pace: Pace, now: float, left_at: float) -> None:
    """Let a call leave, and its answer come."""
    pace.left(left_at)
    pace.accepted(now, left_at)


def refuse(pace: Pace, now: float, left_at: float) -> bool:
    """Let a call leave, and come back as too frequent."""
    pace.left(left_at)
    return pace.refused(now, left_at)


def accept(pace: Pace, calls: int, until: float) -> None:
    """Let so many calls of the second before be accepted."""
    for place in range(calls):
        left_at = until - (calls - 1 - place) / (calls + 1)
        let_pass(pace, left_at, left_at)


def row(pace: Pace, now: float, refusals: int = ROW) -> list[bool]:
    """Let calls be refused in a row, a millisecond apart."""
    return [refuse(pace, now + place / 1000, now + place / 1000) for place in range(refusals)]


@given(st.floats(0.3, 1000), STEPS)
def test_the_pace_stays_between_its_bounds(rate: float, steps: list[tuple[float, bool, float]]) -> None:
    """Whatever is refused and when, the pace is at least half a call a second and never above the rate; pauses end."""
    pace, now = Pace(rate), 10.0
    for gap, refused, latency in steps:
        now += gap
        if refused:
            refuse(pace, now, now - latency)
        else:
            let_pass(pace, now, now - latency)
        assert min(PACE_MIN, rate) <= pace.at(now) <= rate
        assert pace.paused_until <= now + 1 / PACE_MIN
        assert 0 < pace.gap_s(now) <= 1 / min(PACE_MIN, rate)


@given(st.integers(1, 200), st.floats(0, 3600))
def test_what_nobody_refuses_is_allowed_again(level: int, later: float) -> None:
    """After a cut the pace only grows, reaches the level that refused within seconds, and the full rate from any level."""
    pace = Pace(200)
    accept(pace, level, 10.0)
    row(pace, 10.0)
    let_pass(pace, 10.1, 10.1)
    curve = [pace.at(10.1 + later * part / 10) for part in range(11)]
    assert curve == sorted(curve)
    assert pace.at(10.1 + 40) == 200


def test_a_row_of_refusals_cuts_once_to_what_was_accepted() -> None:
    """Until it is that long nothing is cut; further ones are the same cut; it is told at the first accepted call."""
    pace = Pace(100)
    accept(pace, 60, 10.0)
    assert row(pace, 10.001, ROW + 3) == [False] * (ROW - 1) + [True] + [False] * 3
    let_pass(pace, 10.1, 10.1)
    assert CUT * 55 <= pace.at(10.1) <= CUT * 70
    level = pace.at(10.1) / CUT
    assert pace.at(10.1 + SLOW_S) == pytest.approx(PAST * level)


def test_refusals_in_a_row_pause_longer_and_probe_one_by_one() -> None:
    """The first costs two calls; further ones a probe's gap; after a second the gaps grow with the time, up to two seconds."""
    pace = Pace(100)
    refuse(pace, 10.0, 10.0)
    assert pace.paused_until == pytest.approx(10.02)
    refuse(pace, 10.02, 10.02)
    assert pace.paused_until == pytest.approx(10.02 + PROBE_S)
    assert pace.gap_s(10.02) == pytest.approx(PROBE_S)
    pauses = []
    for _ in range(60):
        now = pace.paused_until
        refuse(pace, now, now)
        pauses.append(pace.paused_until - now)
    assert all(before <= after + 1e-9 for before, after in pairwise(pauses[ROW:]))
    assert pauses[-1] == pytest.approx(1 / PACE_MIN)


def test_after_a_long_time_without_any_answer_the_pace_climbs_at_once() -> None:
    """What was accepted before is no measure any more."""
    pace = Pace(100)
    accept(pace, 99, 10.0)
    for second in range(1, 30):
        refuse(pace, 10.0 + second, 10.0 + second)
    let_pass(pace, 40.0, 40.0)
    assert pace.at(40.0) < 2
    assert pace.at(55.0) > 50


def test_one_scattered_refusal_cuts_nothing_and_a_second_does() -> None:
    """A call met another on the way; where it goes on with calls that left later, the quota may be a little lower."""
    pace = Pace(100)
    accept(pace, 10, 10.0)
    accept(pace, 90, 12.0)
    assert not refuse(pace, 12.0, 12.0)
    accept(pace, 1, 12.1)
    assert not refuse(pace, 12.2, 11.9), "it left before the first was known"
    accept(pace, 80, 12.9)
    assert refuse(pace, 13.0, 12.95)
    assert FLOOR * 90 <= pace.at(13.0) < 100


def test_scattered_refusals_far_apart_cut_nothing() -> None:
    """One every few seconds is no reason."""
    pace = Pace(100)
    for turn in range(20):
        now = 10 + 2 * DOUBT_S * turn
        accept(pace, 99, now)
        assert not refuse(pace, now, now)
    assert pace.at(200.0) == 100


def test_scattered_refusals_never_cut_below_the_floor() -> None:
    """One call in twenty refused, whatever the pace: it is the service's mood, and the pace stays near the rate."""
    pace, now, paces = Pace(100), 10.0, []
    for call in range(20_000):
        now += 1 / pace.at(now)
        if call % 20 == 19:
            refuse(pace, now, now)
        else:
            let_pass(pace, now, now)
        paces.append(pace.at(now))
    assert min(paces) >= FLOOR * CUT * 95
    assert sum(paces) / len(paces) > 80


def test_many_scattered_refusals_are_the_quota() -> None:
    """Every second call refused: the pace falls to what is accepted, below any floor."""
    pace, now = Pace(100), 10.0
    for call in range(400):
        now += 1 / pace.at(now)
        if call % 2:
            refuse(pace, now, now)
        else:
            let_pass(pace, now, now)
    assert pace.at(now) < FLOOR * 100


def test_a_rate_that_never_was_refused_is_in_force() -> None:
    """Whatever is accepted, the full rate is allowed, and nothing pauses."""
    pace = Pace(99.9)
    accept(pace, 50, 10.0)
    assert pace.at(10.0) == 99.9
    assert pace.paused_until == -math.inf


def test_a_lower_rate_for_a_while_does_not_forget_what_was_found_out() -> None:
    """Cut to about half, held to a tenth for a moment, and allowed the whole again: the pace goes on from the half."""
    pace = Pace(100)
    accept(pace, 50, 10.0)
    row(pace, 10.0)
    let_pass(pace, 10.1, 10.1)
    before = pace.at(10.2)
    pace.allow(10)
    assert pace.at(10.2) == 10
    pace.allow(100)
    assert pace.at(10.2) == before < 60


@pytest.mark.parametrize("now", [0.0, 1e6])
def test_a_rate_that_nothing_refused_is_full_at_once(now: float) -> None:
    """Whatever was allowed before, and however early on the clock."""
    pace = Pace(20)
    assert pace.at(now) == 20
    pace.allow(1000)
    assert pace.at(now) == 1000
