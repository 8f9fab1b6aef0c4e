"""Counters of a run."""

import json
import math
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.errors import AttemptError, Verdict
from exporter.model import Reason, Rejection, Reply
from exporter.progress import (
    COUNTERS,
    LATENCY_BOUNDS_S,
    SERIES_POINTS_MAX,
    Point,
    Progress,
    Series,
    counted,
    percentile,
)

MOMENTS = st.lists(st.floats(0, 3) | st.floats(0, 2_000) | st.floats(0, 1e6), min_size=1, max_size=60)


@dataclass
class Clock:
    """A clock that is set by hand."""

    now: float = 5000.0

    def __call__(self) -> float:  # noqa: D102 - it tells the time
        return self.now


def _latency(moment: float) -> float:
    return 1e6 - moment


@given(MOMENTS)
@example([0.5, 1.0, 600.5])
def test_a_series_of_any_length_stays_small_and_keeps_its_sums(moments: list[float]) -> None:
    """Points are at most 600, of one width, and what was counted stands in the point of its moment."""
    series = Series()
    for moment in moments:
        point = series.at(moment)
        point.requests += 1
        point.latency_s_sum += _latency(moment)
        point.latency_s_max = max(point.latency_s_max, _latency(moment))
        point.errors["60008"] = point.errors.get("60008", 0) + 1
    rows = series.rows()
    assert len(rows) <= SERIES_POINTS_MAX
    (width,) = {float(str(row["width_s"])) for row in rows}
    assert max(moments) / width < SERIES_POINTS_MAX
    assert width == 1 or max(moments) / width >= SERIES_POINTS_MAX / 2
    expected = Counter(int(moment / width) for moment in moments)
    assert [(row["at_s"], row["requests"]) for row in rows] == [
        (place * width, expected[place]) for place in sorted(expected)
    ]
    assert [row["errors"] for row in rows] == [{"60008": expected[place]} for place in sorted(expected)]
    for row, place in zip(rows, sorted(expected), strict=True):
        inside = [_latency(moment) for moment in moments if int(moment / width) == place]
        assert row["latency_s_max"] == max(inside)
        assert row["latency_s_sum"] == pytest.approx(sum(inside))


@given(st.integers(0, 2_000), st.integers(1, 40))
def test_a_full_series_is_dense_until_it_widens(seconds: int, each: int) -> None:
    """Every second of a run stands in the series; none is lost when the points grow wider."""
    series = Series()
    for second in range(seconds):
        point = series.at(float(second))
        point.requests += each
        point.accounts += 2
        point.answers += 1
    rows = series.rows()
    assert sum(int(str(row["requests"])) for row in rows) == each * seconds
    assert sum(int(str(row["accounts"])) for row in rows) == 2 * seconds
    assert sum(int(str(row["answers"])) for row in rows) == seconds
    assert len(rows) <= SERIES_POINTS_MAX


def test_whatever_is_counted_adds_up_where_points_are_joined() -> None:
    """Every count of a point, the latencies by their bound; of the largest the larger."""
    numbers = ("requests", "answers", "accounts", "latency_s_sum", "retries", "slow_downs", "paused_s")
    tables = ("latencies", "errors")

    def point(at_s: float, number: int, table: dict[str, int], latency_s_max: float) -> Point:
        counts: dict[str, Any] = dict.fromkeys(numbers, number) | {name: dict(table) for name in tables}
        return Point(at_s, 1.0, latency_s_max=latency_s_max, **counts)

    joined = asdict(point(0.0, 3, {"1": 3, "2": 1}, 2.0).merge(point(1.0, 4, {"1": 4, "5": 1}, 0.5)))
    assert [joined.pop(name) for name in numbers] == [7] * len(numbers)
    assert [joined.pop(name) for name in tables] == [{"1": 7, "2": 1, "5": 1}] * len(tables)
    assert joined == {"at_s": 0.0, "width_s": 2.0, "latency_s_max": 2.0, "pace": None}


def test_errors_of_neighbours_add_up() -> None:
    """Codes are counted one by one, also across points that were joined."""
    series = Series()
    series.at(0.0).errors["60008"] = 2
    series.at(1.0).errors.update({"60008": 1, "no answer": 4})
    series.at(700.0)
    assert series.rows()[0]["errors"] == {"60008": 3, "no answer": 4}


def test_attempts_are_counted_where_they_fall() -> None:
    """Starts, answers, failures by code, repeats and refusals, in total and in the series."""
    clock = Clock()
    progress = Progress(clock)
    progress.started()
    progress.failed(AttemptError("slow", verdict=Verdict.SLOW_DOWN, code=60007))
    progress.retried()
    clock.now += 2.5
    progress.started()
    progress.failed(AttemptError("no answer", verdict=Verdict.RETRY))
    progress.started()
    progress.answered(0.25)
    progress.answered(0.75)
    assert (progress.requests, progress.retries, progress.refusals, progress.elapsed_s) == (3, 1, 1, 2.5)
    first, second = progress.series.rows()
    assert (first["at_s"], first["requests"], first["errors"]) == (0.0, 1, {"60007": 1})
    assert (second["at_s"], second["requests"], second["errors"]) == (2.0, 2, {"no answer": 1})
    assert (second["answers"], second["latency_s_sum"], second["latency_s_max"]) == (2, 1.0, 0.75)


@given(st.lists(st.tuples(st.integers(0, 5), st.lists(st.sampled_from(Reason), max_size=5)), max_size=10))
def test_accounts_are_counted_by_what_became_of_them(batches: list[tuple[int, list[Reason]]]) -> None:
    """Settled = found + rejected; absent are those alone that the service does not know."""
    progress = Progress(Clock())
    for found, reasons in batches:
        progress.settle(
            Reply(
                found={f"u{place}": {} for place in range(found)},
                rejected={f"r{place}": Rejection(reason) for place, reason in enumerate(reasons)},
            )
        )
    all_reasons = [reason for _, reasons in batches for reason in reasons]
    assert progress.found == sum(found for found, _ in batches)
    assert progress.reasons == Counter(all_reasons)
    assert progress.settled == progress.found + len(all_reasons)
    assert progress.absent == sum(reason in {Reason.MISSING, Reason.UNKNOWN_ACCOUNT} for reason in all_reasons)
    assert sum(int(str(row["accounts"])) for row in progress.series.rows()) == progress.settled


def test_rates_are_those_of_the_last_ten_seconds() -> None:
    """A pace that changes shows in full after ten seconds; the first call already knows the pace since the start."""
    clock = Clock()
    progress = Progress(clock)

    def second(requests: int) -> tuple[float, float]:
        clock.now += 1
        for place in range(requests):
            progress.started()
            progress.settle(Reply(found={f"{place}": {}, f"{place}b": {}}))
        return progress.rates()

    assert second(100) == pytest.approx((100, 200))
    for _ in range(20):
        assert second(100) == pytest.approx((100, 200))
    after = [second(30)[0] for _ in range(12)]
    assert after[0] == pytest.approx(93)
    assert after == sorted(after, reverse=True)
    assert after[-1] == pytest.approx(30)


def test_the_pace_after_a_pause_is_not_that_of_before_and_not_above_the_quota() -> None:
    """What a second left over goes out at once when the service is back: no reason to show more than the quota."""
    clock = Clock()
    progress = Progress(clock)
    progress.paused("out of reach")
    clock.now += 300
    progress.resumed()
    for second in range(8):
        for _ in range(100 if second else 200):
            progress.started()
        clock.now += 1
        assert progress.rates()[0] == pytest.approx(100)


async def test_an_attempt_takes_from_its_start_to_its_answer() -> None:
    """Answers have a latency, failures none; both are attempts."""
    clock = Clock()
    progress = Progress(clock)

    async def fetch(accounts: Sequence[str]) -> Reply:
        clock.now += 0.25
        if not accounts:
            raise AttemptError("no answer", verdict=Verdict.RETRY)
        return Reply(found={})

    wrapped = counted(fetch, progress, clock)
    await wrapped(["a"])
    with pytest.raises(AttemptError):
        await wrapped([])
    total = progress.series.total()
    assert (total.requests, total.answers, total.errors) == (2, 1, {"no answer": 1})
    assert (total.latency_s_sum, total.latency_s_max) == (0.25, 0.25)


def test_rates_at_the_very_start_are_none() -> None:
    """Nothing has happened in no time: no division by nought."""
    assert Progress(Clock()).rates() == (0.0, 0.0)


def test_marks_are_bounded() -> None:
    """However long the run, only what ten seconds need is kept."""
    clock = Clock()
    progress = Progress(clock)
    for _ in range(1000):
        clock.now += 1
        progress.rates()
    assert len(progress._marks) <= 12  # noqa: SLF001 - the bound is inside


@pytest.mark.parametrize(("share", "left"), [(0.25, 700.0), (0.5, 300.0), (1.0, 100.0)])
def test_time_left_follows_what_is_left_to_settle(share: float, left: float) -> None:
    """100 accounts settled in 100 s; 200 planned, which are a share of the input: the rest takes its time too."""
    clock = Clock()
    progress = Progress(clock)
    assert progress.left_s() is None
    clock.now += 100
    progress.share_read, progress.planned = share, 200
    assert progress.left_s() is None
    progress.settle(Reply(found={str(place): {} for place in range(100)}))
    assert progress.left_s() == pytest.approx(left)


def test_pauses_are_counted_and_are_no_part_of_the_pace() -> None:
    """Outages and their seconds, one that lasts included; the time left is told as if the service stays."""
    clock = Clock()
    progress = Progress(clock)
    assert (progress.outages, progress.paused_s) == (0, 0.0)
    progress.share_read, progress.planned = 0.5, 200
    clock.now += 100
    progress.settle(Reply(found={str(place): {} for place in range(100)}))
    progress.paused("no connection")
    clock.now += 30
    assert (progress.outages, progress.paused_s, progress.paused_why) == (1, 30.0, "no connection")
    assert progress.left_s() == pytest.approx(300)
    clock.now += 10
    progress.resumed()
    clock.now += 100
    assert (progress.outages, progress.paused_s, progress.paused_why) == (1, 40.0, None)
    assert progress.left_s() == pytest.approx(600)
    progress.paused("no connection")
    clock.now += 1
    progress.resumed()
    assert (progress.outages, progress.paused_s) == (2, 41.0)


@given(st.lists(st.tuples(st.floats(0.01, 50), st.floats(0.01, 700)), min_size=1, max_size=8))
def test_pauses_stand_in_the_series_where_they_were(pauses: list[tuple[float, float]]) -> None:
    """Each point holds its share of every pause and never more than its width; together they are the seconds paused."""
    clock = Clock()
    progress = Progress(clock)
    for work_s, pause_s in pauses:
        clock.now += work_s
        progress.paused("out of reach")
        clock.now += pause_s
        progress.resumed()
    points = [Point(**row) for row in json.loads(json.dumps(progress.series.rows()))]
    assert sum(point.paused_s for point in points) == pytest.approx(progress.paused_s)
    assert all(point.paused_s <= point.width_s + 1e-6 for point in points)


@given(st.floats(0.01, 700), st.floats(0.01, 700), st.floats(0.01, 700))
def test_an_outage_that_a_kill_cuts_off_stands_in_the_series(work_s: float, lasted_s: float, later_s: float) -> None:
    """A state kept while the service is out of reach holds its seconds in both places, and changes nothing here."""
    clock = Clock()
    before = Progress(clock)
    before.started()
    clock.now += work_s
    before.paused("out of reach")
    clock.now += lasted_s
    rows = before.series.rows()
    state = json.loads(json.dumps(before.state()))
    assert before.series.rows() == rows
    after = Progress(clock)
    after.restore(state, {}, 0)
    clock.now += later_s
    for progress in (before, after):
        progress.started()
        if progress.paused_why:
            progress.resumed()
        assert progress.series.total().paused_s == pytest.approx(progress.paused_s)
    assert after.paused_s == pytest.approx(lasted_s)
    assert before.paused_s == pytest.approx(lasted_s + later_s)
    assert after.series.total().requests == after.requests == 2


@given(st.lists(st.floats(1e-5, 400), min_size=1, max_size=300), st.floats(0.01, 1))
def test_percentiles_are_right_to_a_quarter(latencies: list[float], share: float) -> None:
    """The estimate lies in the same step of a quarter as the latency that so many answers did not exceed."""
    progress = Progress(Clock())
    for latency in latencies:
        progress.answered(latency)
    total = progress.series.total()
    assert sum(total.latencies.values()) == len(latencies)
    exact = sorted(latencies)[max(0, math.ceil(share * len(latencies) - 1e-9) - 1)]
    found = percentile(total.latencies, share)
    assert found is not None
    assert found <= 1.3 * exact or found <= LATENCY_BOUNDS_S[0]
    assert found >= exact / 1.3 - LATENCY_BOUNDS_S[0]


def test_percentiles_lie_within_their_step_by_their_place() -> None:
    """Half of the answers of one step: half of its way; where the share ends with a step, that step and no later one."""
    assert percentile({"0.05": 4}, 0.5) == pytest.approx(0.045)
    assert percentile({"0.05": 4}, 1.0) == pytest.approx(0.05)
    assert percentile({"0.001": 2}, 0.5) == pytest.approx(0.0005)
    assert percentile({"0.05": 1, "1": 1}, 0.5) == pytest.approx(0.05)
    assert percentile({"1": 1, "0.05": 0}, 0.5) == pytest.approx(0.9)


def test_no_answers_have_no_percentile() -> None:
    """Nothing is made up where nothing was answered."""
    assert percentile({}, 0.5) is None


def worked(clock: Clock, progress: Progress, seconds: int, each: int) -> None:
    """Work for some seconds, with so many requests in each."""
    for _ in range(seconds):
        for _ in range(each):
            progress.started()
            progress.answered(0.1)
            progress.settle(Reply(found={"a": {}}, rejected={"b": Rejection(Reason.MISSING)}))
        progress.retried()
        progress.failed(AttemptError("x", verdict=Verdict.SLOW_DOWN, code=60007))
        clock.now += 1


@given(st.integers(0, 900), st.integers(0, 900), st.integers(0, 3))
@settings(deadline=None, max_examples=30)
def test_a_run_goes_on_counting_where_it_was_stopped(first: int, second: int, each: int) -> None:
    """Two starts with hours between count as one: requests, retries, refusals, time at work, and every point."""
    clock = Clock()
    before = Progress(clock)
    worked(clock, before, first, each)
    state = json.loads(json.dumps(before.state()))
    clock.now += 10_000
    after = Progress(clock)
    after.restore(state, {"missing": first * each}, first * each)
    assert after.elapsed_s == pytest.approx(first)
    worked(clock, after, second, each)
    clock.now = 5000.0
    whole = Progress(clock)
    worked(clock, whole, first + second, each)
    for name in (*COUNTERS, "found", "reasons", "settled", "absent"):
        assert getattr(after, name) == getattr(whole, name), name
    rows, expected = after.series.rows(), whole.series.rows()
    for name in ("requests", "answers", "accounts"):
        assert sum(int(str(row[name])) for row in rows) == sum(int(str(row[name])) for row in expected)
    errors = [row["errors"] for row in rows]
    assert sum(point["60007"] for point in errors if isinstance(point, dict) and point) == first + second
    assert len(rows) <= SERIES_POINTS_MAX


def test_the_pace_is_that_of_this_start() -> None:
    """What an earlier start did, and how long ago, says nothing about how quick this one is."""
    clock = Clock()
    progress = Progress(clock)
    counts = {"requests": 5_000, "retries": 1, "refusals": 2, "outages": 1, "seconds": 50.0, "paused_s": 3.0}
    progress.restore({**counts, "series": []}, {}, 400_000)
    assert (progress.requests, progress.settled, progress.skipped) == (5_000, 400_000, 400_000)
    assert progress.requests_per_s == 0
    assert progress.left_s() is None
    for _ in range(11):
        progress.started()
        progress.settle(Reply(found={str(place): {} for place in range(100)}))
        clock.now += 0.1
    assert progress.requests_per_s == pytest.approx(10)
    assert progress.rates() == pytest.approx((10, 1_000))
    progress.share_read, progress.planned = 0.5, 401_100
    assert progress.left_s() == pytest.approx(401.1)


def test_what_an_earlier_start_did_is_no_pace_of_a_screen_that_looked_before() -> None:
    """A screen may ask for the rates before the journal is read: what it tells then counts for nothing since."""
    clock = Clock()
    progress = Progress(clock)
    progress.rates()
    clock.now += 0.5
    counts = {"requests": 5_000, "retries": 1, "refusals": 2, "outages": 1, "seconds": 50.0, "paused_s": 3.0}
    progress.restore({**counts, "slow_downs": 0, "pace_min": None, "series": []}, {}, 400_000)
    progress.started()
    clock.now += 0.5
    assert progress.rates() == pytest.approx((1, 0))


BROKEN: list[dict[str, Any]] = [
    {},
    {"series": None},
    {"series": [5]},
    {"series": [{"at_s": 0}]},
    {"series": [], "seconds": "x"},
    {"series": [], "seconds": None},
    {"series": [], "seconds": 1.0},
]


@pytest.mark.parametrize("state", BROKEN, ids=range(len(BROKEN)))
def test_a_state_of_another_version_costs_counts_alone(state: dict[str, Any]) -> None:
    """What was settled stands in the shards; a run goes on without the rest, and counts on."""
    clock = Clock()
    progress = Progress(clock)
    progress.restore(state, {"missing": 3}, 7)
    assert (progress.settled, progress.absent) == (10, 3)
    worked(clock, progress, 2, 1)
    assert progress.requests >= 2
    assert progress.series.rows()
    assert progress.elapsed_s >= 2


def test_cuts_of_the_rate_are_counted_with_the_lowest() -> None:
    """How often refusals cut it, to how little, and in the series the lowest rate in force of each stretch."""
    clock, pace = Clock(), [100.0]
    progress = Progress(clock)
    progress.pace = lambda: pace[0]
    for each in (100.0, 47.5, 60.0):
        pace[0] = each
        progress.started()
        if each < 100:
            progress.slowed()
    clock.now += 1
    progress.started()
    assert (progress.slow_downs, progress.pace_min) == (2, 47.5)
    assert [row["pace"] for row in progress.series.rows()] == [47.5, 60.0]
    after = Progress(clock)
    after.restore(json.loads(json.dumps(progress.state())), {}, 0)
    assert (after.slow_downs, after.pace_min) == (2, 47.5)
    assert after.series.rows() == progress.series.rows()


def test_points_that_are_joined_keep_the_lower_rate() -> None:
    """Also where one of them had no request."""
    series = Series()
    series.at(0.0).slow(50.0)
    series.at(1.0).slow(40.0)
    series.at(2.0)
    series.at(700.0)
    assert [row["pace"] for row in series.rows()] == [40.0, None, None]


def test_a_state_told_meanwhile_by_another_thread_is_of_one_moment() -> None:
    """A shard is written beside the event loop: what is kept with it adds up, whatever is counted meanwhile."""
    clock, before = Clock(), sys.getswitchinterval()
    progress = Progress(clock)
    for moment in range(SERIES_POINTS_MAX):
        progress.series.at(moment)
    states: list[dict[str, Any]] = []
    done = threading.Event()

    def tell() -> None:
        while not done.is_set():
            states.append(progress.state())

    thread = threading.Thread(target=tell)
    sys.setswitchinterval(1e-5)
    try:
        thread.start()
        while len(states) < 20 and thread.is_alive():
            progress.started()
            clock.now += 0.001
            progress.answered(LATENCY_BOUNDS_S[progress.requests % len(LATENCY_BOUNDS_S)])
            progress.failed(AttemptError("slow down", verdict=Verdict.SLOW_DOWN, code=progress.requests))
    finally:
        done.set()
        thread.join()
        sys.setswitchinterval(before)
    assert len(states) >= 20
    for state in states:
        assert sum(row["requests"] for row in state["series"]) == state["requests"]
        assert sum(sum(row["errors"].values()) for row in state["series"]) == state["refusals"]
