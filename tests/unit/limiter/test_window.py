"""Tokens in use, and how long they are held. All times come in as arguments."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.limiter.window import Sent, Way, Window
from tests.unit.virtual import most_in_a_second

LATENCIES = st.lists(st.none() | st.floats(0.001, 3), min_size=1, max_size=200)


def held(way: Way, latencies: Sequence[float | None], now: float = 0.0) -> list[float]:
    """Let calls be answered after so long each, and return how long their tokens are held."""
    holds = []
    for latency in latencies:
        sent = Sent(now, now)
        if latency is not None:
            way.answered(sent, now + latency)
        holds.append(way.hold_s(sent, now + 1))
        now += 0.01
    return holds


@given(LATENCIES, st.booleans())
def test_a_hold_has_bounds(latencies: list[float | None], refused: bool) -> None:  # noqa: FBT001
    """Whatever the latencies, no token is held for less than two milliseconds or more than a tenth of a second."""
    way = Way()
    if refused:
        way.refused(0.0)
    assert all(Way.HOLD_S_MIN <= hold <= Way.HOLD_S_MIN + Way.LATE_S_MAX for hold in held(way, latencies))


@given(st.lists(st.floats(0.02, 0.2), min_size=1, max_size=50))
def test_holds_cost_little_while_nothing_is_refused(pattern: list[float]) -> None:
    """However much latencies vary, holds take CALM_S a token on average and what was saved at the beginning."""
    latencies = [*pattern * (1_000 // len(pattern))]
    allowed_s = Way.HOLD_S_MIN + Way.CALM_S
    assert sum(held(Way(), latencies)) <= len(latencies) * allowed_s + Way.SAVED_S_MAX + 1e-6


def test_a_late_answer_holds_its_own_token() -> None:
    """Where answers are steady, one that was 30 ms late holds its token for as long, and the others for the least."""
    holds = held(Way(), [0.02] * 50 + [0.05] + [0.02] * 50)
    assert holds.pop(50) == pytest.approx(Way.HOLD_S_MIN + 0.03)
    assert holds == pytest.approx([Way.HOLD_S_MIN] * 100)


def test_a_refusal_lets_holds_cost_more_and_is_forgotten() -> None:
    """Latencies that vary by 0 to 50 ms are held in full after a refusal; ten half-lives later no more."""
    spread: list[float | None] = [0.02 + 0.05 * (place * 7 % 11) / 11 for place in range(1_100)]
    late = [float(latency or 0) - 0.02 for latency in spread]
    calm, way = Way(), Way()
    way.refused(0.0)
    assert sum(held(calm, spread)) < 0.6 * sum(late)
    assert held(way, spread) == pytest.approx([Way.HOLD_S_MIN + each for each in late])
    held(way, spread, 10 * Way.HALF_LIFE_S)  # spends what was saved
    assert sum(held(way, spread, 10 * Way.HALF_LIFE_S + 20)) < 0.6 * sum(late)


def test_the_least_latency_is_that_of_late() -> None:
    """A way that grew longer by 50 ms for good holds nothing for it once it is known for twenty seconds."""
    way = Way()
    held(way, [0.02] * 10)
    late = held(way, [0.07] * 3_000, 60.0)
    assert late[-1] == pytest.approx(Way.HOLD_S_MIN)


def test_no_answer_is_held_as_much_as_holds_may_cost() -> None:
    """What is not answered within its second may have been seen at any time."""
    way = Way()
    assert held(way, [None]) == [Way.HOLD_S_MIN + Way.CALM_S]
    way.refused(0.0)
    assert held(way, [None])[0] == pytest.approx(Way.HOLD_S_MIN + Way.LEARNT_S, rel=0.01)


@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.floats(0, 0.5), st.floats(0, 0.5), st.none() | st.floats(0, 1)), min_size=1, max_size=80),
)
def test_no_rolling_second_sees_more_leave_than_there_are_tokens(
    tokens: int, calls: list[tuple[float, float, float | None]]
) -> None:
    """Whenever a token is taken that is free, however long its request takes to leave and to be answered."""
    window, now, left = Window(tokens, 1.0), 0.0, []
    for gap, leaves, latency in calls:
        now += gap
        while (free_at := window.free_at(now)) > now:
            now = free_at
        sent = window.give(now)
        now += leaves
        window.leave(sent, now)
        left.append(now)
        if latency is not None:
            window.answered(sent, now + latency, refused=False)
    assert most_in_a_second(left) <= tokens


def test_a_token_whose_request_has_not_left_is_in_use() -> None:
    """While all of them wait to leave none is free; after a minute nobody is left who would tell of it."""
    window = Window(2, 1.0)
    window.give(5.0)
    assert window.free_at(5.0) == 5.0
    late = window.give(6.0)
    back = 5.0 + Window.LEAVES_S_MAX
    assert window.free_at(6.0) == window.free_at(back - 0.1) == back
    assert window.free_at(back) == back
    window.leave(late, back)  # not too late after all
    window.give(back)
    assert window.free_at(back) == back + 1 + Way.HOLD_S_MIN


def test_spent_tokens_are_free_after_their_second() -> None:
    """Whoever spent them may have done so right now, and be on the way still."""
    window = Window(2, 1.0)
    window.spend_all(5.0)
    assert window.free_at(5.0) == window.free_at(6.0) == 6.0 + Window.SPENT_HOLD_S
    assert window.free_at(6.1) == 6.1
