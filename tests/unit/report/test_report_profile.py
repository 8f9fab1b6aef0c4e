"""What is said of the data is what a plain count in Python says, in memory that does not depend on it."""

import math
import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from exporter.errors import MachineError
from exporter.report import profile as reader
from exporter.report.facts import Column, Value
from exporter.report.profile import Stopped, profile
from exporter.report.tally import Tally, value_counts
from tests.unit.report.conftest import Lay

VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    "text": st.text(st.characters(codec="utf-8"), max_size=4) | st.sampled_from(["", "a", "b"]),
    "int64": st.integers(-5, 5) | st.integers(-(2**63), 2**63 - 1),
    "float64": st.sampled_from([0.0, 0.5, 1.5]) | st.floats(allow_nan=False, allow_infinity=False),
    "bool": st.booleans(),
    "timestamp": st.datetimes(timezones=st.just(UTC)),
}
SHARDS = st.sampled_from(sorted(VALUES)).flatmap(
    lambda kind: st.tuples(st.just(kind), st.lists(st.lists(st.none() | VALUES[kind], max_size=12), max_size=4))
)
EACH_WRITES_ANEW = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)


def column_of(lay: Lay, kind: str, shards: Sequence[Sequence[Value | None]]) -> Column:
    told, files = lay([[{"account_id": "x", "a": value} for value in shard] for shard in shards], {"a": kind})
    (found,) = profile(told, files, redact_ids=False).columns
    return found


@EACH_WRITES_ANEW
@given(SHARDS)
@example(("text", [["a", "a", "bbb"], ["a", None, ""]]))
@example(("int64", [[1, 1, 1, 5], [None], [5, 2**53 + 1]]))
@example(("float64", [[0.0, -0.0, 1e308], [1e308, 1e308]]))
@example(("float64", [[sys.float_info.max] * 3]))
def test_figures_are_those_of_a_plain_count(lay: Lay, of_kind: tuple[str, list[list[Any]]]) -> None:
    """Filled, different, most frequent, lengths, ends and mean, and every value in its bin."""
    kind, shards = of_kind
    found = column_of(lay, kind, shards)
    values = [value for shard in shards for value in shard if value is not None]
    counts = Counter(values)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    assert (found.rows, found.filled) == (sum(map(len, shards)), len(values))
    assert (found.distinct, found.exact) == (len(counts), True)
    assert [(each.value, each.count) for each in found.top] == ranked[: reader.TOP_MAX]
    if not values:
        assert (found.lengths, found.spread, found.histogram) == (None, None, None)
    elif kind == "text":
        sizes = [len(value) for value in values]
        assert found.lengths
        assert (found.lengths.min, found.lengths.max) == (min(sizes), max(sizes))
        assert math.isclose(found.lengths.mean, sum(sizes) / len(sizes))
    else:
        assert found.spread
        assert (found.spread.min, found.spread.max) == (min(values), max(values))
        assert_mean(found, values)
        assert_bins(found, values)


def assert_mean(found: Column, values: Sequence[Any]) -> None:
    assert found.spread
    if found.type in {"int64", "float64"}:
        assert found.spread.mean is not None
        mean = float(sum(map(Fraction, values)) / len(values))
        assert math.isclose(found.spread.mean, mean, rel_tol=1e-9, abs_tol=1e-9 * max(map(abs, values)))
    else:
        assert found.spread.mean is None


def assert_bins(found: Column, values: Sequence[Any]) -> None:
    if found.type == "bool":
        assert found.histogram is None
        return
    assert found.histogram
    edges: Sequence[Any] = found.histogram.edges
    assert len(found.histogram.counts) == len(edges) - 1
    wanted = [sum(low <= value < high for value in values) for low, high in pairwise(edges)]
    wanted[-1] += sum(value == edges[-1] for value in values)
    assert found.histogram.counts == wanted


@pytest.mark.parametrize("kind", ["int64", "float64", "timestamp"])
def test_a_second_reading_bins_the_same(lay: Lay, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where not every value was kept, the data is read once more: no figure of the histogram is a guess."""
    values: dict[str, list[Any]] = {
        "int64": list(range(-50, 51)),
        "float64": [n / 7 for n in range(100)],
        "timestamp": [pa.scalar(n * 10**13, pa.timestamp("us", tz="UTC")).as_py() for n in range(100)],
    }
    shards = [values[kind][:60], values[kind][40:]]
    expected = column_of(lay, kind, shards)
    monkeypatch.setattr(reader, "Tally", lambda kind: Tally(kind, distinct_max=20))
    found = column_of(lay, kind, shards)
    assert (expected.exact, found.exact) == (True, False)
    assert found.histogram == expected.histogram
    assert found.spread == expected.spread


def test_an_attribute_whose_name_begins_another_is_read_by_itself(lay: Lay) -> None:
    """A dot in a name is no path."""
    rows = [{"account_id": str(n), "a.b": "x", "a": "y", "a.b.c": None} for n in range(5)]
    told, files = lay([rows], {"a.b": "text", "a": "text", "a.b.c": "text"})
    found = {column.attribute: column for column in profile(told, files, redact_ids=False).columns}
    assert [each.value for each in found["a"].top] == ["y"]
    assert [each.value for each in found["a.b"].top] == ["x"]
    assert found["a.b.c"].filled == 0


# Bounds


def tally_of(batches: Sequence[Sequence[str]], **bounds: int) -> Tally:
    made = Tally(pa.string(), **bounds)
    for batch in batches:
        made.add(*value_counts(pa.array(batch, pa.string())))
    return made


@given(st.lists(st.lists(st.sampled_from([f"v{n}" for n in range(60)]), min_size=1), max_size=8), st.integers(5, 40))
def test_beyond_the_bound_nothing_false_is_said(batches: list[list[str]], bound: int) -> None:
    """There are more different values than it says, and each of the most frequent at least as often as it says."""
    counts = Counter(value for batch in batches for value in batch)
    made = tally_of(batches, distinct_max=bound)
    if len(counts) <= bound:
        assert (made.exact, made.distinct) == (True, len(counts))
    else:
        assert not made.exact
        assert made.distinct == bound < len(counts)
    for value, number in made.top(10):
        assert number <= counts[value]
        assert number == counts[value] or not made.exact


def test_what_is_kept_does_not_grow_with_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a million different values, of which a thousand may be kept: no join ever holds more than the bounds allow."""
    monkeypatch.setattr("exporter.report.tally.PENDING_MIN", 2_000)
    made = Tally(pa.string(), distinct_max=1_000)
    most = 0
    for batch in range(500):
        made.add(*value_counts(pa.array([f"{batch}-{n}" for n in range(999)] + ["often"], pa.string())))
        most = max(most, made.held_rows)
    assert most <= 1_000 + 2_000 + 1_000
    assert made.top(1) == [("often", 500)]
    assert made.distinct == 1_000


def test_long_texts_are_bound_by_their_bytes() -> None:
    """A few huge values fill the memory as well as many small ones."""
    made = Tally(pa.string(), bytes_max=100_000)
    for number in range(200):
        made.add(*value_counts(pa.array([str(number) * 10_000, "often"], pa.string())))
    assert not made.exact
    assert made.held_bytes <= 400_000
    assert 1 <= made.distinct < 201
    assert made.top(1) == [("often", 200)]


def test_many_joins_do_not_take_the_square_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each value is joined a few times at most, however many batches there are."""
    monkeypatch.setattr("exporter.report.tally.PENDING_MIN", 1_000)
    made = Tally(pa.string())
    for batch in range(1_000):
        made.add(*value_counts(pa.array([f"{batch}-{n}" for n in range(100)], pa.string())))
    assert made.distinct == 100_000
    assert made.joined_rows < 5 * 100_000


# Rejects


def reject(number: int, reason: str) -> dict[str, Any]:
    return {"account_id": f"id-{number}", "reason": reason, "code": number, "message": None} | {
        "source": "ids.csv",
        "row_number": number,
    }


def test_the_first_rejects_of_each_reason_are_shown(lay: Lay) -> None:
    """At most five, in the order of the input."""
    rejects = [reject(n, "refused" if n % 10 == 9 else "missing") for n in range(1, 100)]
    told, files = lay([[]], {}, rejects)
    found = profile(told, files, redact_ids=False).examples
    assert [item.row_number for item in found["missing"]] == [1, 2, 3, 4, 5]
    assert [item.account for item in found["refused"]] == ["id-9", "id-19", "id-29", "id-39", "id-49"]


# Files that are not what they were, and a stop


def test_a_file_that_cannot_be_read_is_named(lay: Lay) -> None:
    """Missing, cut, changed, or of another shape."""
    told, files = lay([[{"account_id": "x", "a": "y"}] * 50], {"a": "text"})
    whole = files.data[0].read_bytes()
    for damaged in (b"", whole[:-20], whole[:30] + bytes([whole[30] ^ 1]) * 40 + whole[70:]):
        files.data[0].write_bytes(damaged)
        with pytest.raises(MachineError, match=r"data-0\.parquet cannot be read"):
            profile(told, files, redact_ids=False)
    files.data[0].write_bytes(whole)
    told["schema"][1]["type"] = "int64"
    with pytest.raises(MachineError, match="not of the type"):
        profile(told, files, redact_ids=False)
    files.data[0].unlink()
    with pytest.raises(MachineError, match=r"data-0\.parquet is missing"):
        profile(told, files, redact_ids=False)


def test_it_can_be_stopped(lay: Lay) -> None:
    """Between two files."""
    stop = threading.Event()
    told, files = lay([[{"account_id": "x", "a": "y"}]], {"a": "text"})
    stop.set()
    with pytest.raises(Stopped):
        profile(told, reader.Files(files.data, files.rejects, stop), redact_ids=False)
