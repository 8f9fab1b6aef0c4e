"""The laws, for any input, any answers and any faults: accounting, reasons, one schema, input order, determinism."""

import hashlib
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from exporter.batching import problem
from tests.conftest import CALM, Export, Exporting

# An example is a whole run: a failure is told as it was found, minutes of shrinking would only delay it.
WHOLE_RUNS = (Phase.explicit, Phase.reuse, Phase.generate)

# Small alphabets, so that ids meet again; every kind of id that the design names.
TEXTS = st.one_of(
    st.sampled_from(
        ["a", "b", "00123", "1e5", "12345678901234567890", "NA", "NULL", " a", "a ", "张小红", "user 7", 'q"q', ","]
    ),
    st.integers(0, 60).map(lambda number: f"user_{number:05d}"),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=12),
    st.sampled_from(["", "x" * 33, "é" * 17, "bell\x07"]),
)
FAULTS = st.dictionaries(
    st.sampled_from(
        ["code:91000", "code:60007", "http502", "reset", "cut_json", "html", "empty", "reorder", "duplicate",
         "conflict", "stranger", "missing", "error_list", "error_list:91000", "non_string", "wrong_types"]
    ),
    st.sampled_from([0.05, 0.2]),
    max_size=3,
)  # fmt: skip


def hashes(made: Export) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (made.out / "data").iterdir()}


def expected(ids: Sequence[str], *, keep: bool) -> tuple[list[str], int]:
    """Give the accounts that must have a row or a reject of the service, in order, and the number of duplicates."""
    valid = [text for text in ids if not problem(text)]
    first = list(dict.fromkeys(valid))
    return (valid, 0) if keep else (first, len(valid) - len(first))


@given(st.data())
@settings(
    max_examples=40,
    deadline=None,
    phases=WHOLE_RUNS,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_any_input_any_answers_any_faults(exporting: Exporting, data: st.DataObject) -> None:
    """Each row of the input is accounted for, rows and rejects stand in input order, and all shards have one schema."""
    drawn = data.draw(st.lists(TEXTS, min_size=1, max_size=60))
    ids = drawn + data.draw(st.lists(st.sampled_from(drawn), max_size=10))  # so that ids do meet again
    keep = data.draw(st.booleans())
    flags: dict[str, Any] = {
        "shard_rows": data.draw(st.sampled_from([1, 7, 25, 1000])),
        "duplicates": "keep" if keep else "drop",
        "types": data.draw(
            st.sampled_from([{}, {"level": "int64", "vip": "bool", "seen": "timestamp", "city": "float64"}])
        ),
        "max_missing": 1.0,
    }
    exporting.double.control(**{**CALM, "faults": data.draw(FAULTS), "seed": data.draw(st.integers(1, 1000))})
    made = exporting.run(ids, **flags)

    asked, duplicates = expected(ids, keep=keep)
    assert made.manifest["input"] == len(ids)
    assert made.manifest["blank"] == 0
    assert made.manifest["duplicates"] == duplicates
    rejected = [row["account_id"] for row in made.rejects if row["reason"] not in {"invalid_id", "bad_row"}]
    assert sorted(made.accounts + rejected) == sorted(asked)
    in_order = iter(asked)
    assert all(account in in_order for account in made.accounts)
    assert [row["row_number"] for row in made.rejects] == sorted(row["row_number"] for row in made.rejects)
    assert all(ids[row["row_number"] - 1] == row["account_id"] for row in made.rejects)
    columns = list(made.rows[0])[1:] if made.rows else []
    assert columns == sorted(columns)
    for shard, first in zip(made.manifest["shards"], range(0, len(ids), flags["shard_rows"]), strict=True):
        assert (shard["first_row"], shard["last_row"]) == (first + 1, min(len(ids), first + flags["shard_rows"]))


@given(
    ids=st.lists(TEXTS, min_size=1, max_size=80),
    faults=FAULTS.map(
        lambda table: {k: v for k, v in table.items() if k not in {"missing", "error_list", "non_string"}}
    ),
    seed=st.integers(1, 1000),
    in_flight=st.sampled_from([1, 3, 400]),
)
@settings(
    max_examples=15,
    deadline=None,
    phases=WHOLE_RUNS,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_the_bytes_of_the_data_do_not_depend_on_faults_or_timing(
    exporting: Exporting, ids: list[str], faults: dict[str, float], seed: int, in_flight: int
) -> None:
    """Same input, settings and people: the same bytes, whatever went wrong on the way and however much was in flight."""
    exporting.double.control(**CALM)
    calm = exporting.run(ids, shard_rows=20, max_missing=1.0)
    exporting.double.control(**{**CALM, "faults": faults, "seed": seed})
    rough = exporting.run(ids, shard_rows=20, in_flight=in_flight, max_missing=1.0)
    assert hashes(rough) == hashes(calm)


def test_an_attribute_first_seen_in_the_last_shard_is_in_all(exporting: Exporting) -> None:
    """One schema, also when a column shows up at the very end; earlier rows are null there."""
    exporting.double.control(late_after=290, unknown_share=0.0)
    made = exporting.run([f"user_{number:05d}" for number in range(300)], shard_rows=50)
    exporting.double.control(late_after=40_000)
    assert len(made.manifest["shards"]) == 6
    late = [row["late_attribute"] for row in made.rows]
    assert set(late[:290]) == {None}
    assert set(late[290:]) != {None}


def test_chosen_attributes_are_exactly_those_in_that_order(exporting: Exporting) -> None:
    """`--attributes` decides columns and order; all other attributes are counted, and one that nobody has is null."""
    made = exporting.run(["user_00001", "user_00002", "user_00003"], attributes="vip,nobody,city")
    assert list(made.rows[0]) == ["account_id", "vip", "nobody", "city"]
    assert {row["nobody"] for row in made.rows} == {None}
    assert made.manifest["ignored_attributes"]["level"] > 0


def test_values_that_do_not_parse_are_kept_and_counted(exporting: Exporting) -> None:
    """A value that is not of its column's type is null there, stands in bad_values, and is counted in the manifest."""
    ids = [f"user_{number:05d}" for number in range(40)]
    plain = exporting.run(ids)
    made = exporting.run(ids, types="city=int64,level=int64,vip=bool,score=float64,seen=timestamp")
    assert {row["city"] for row in made.rows} == {None}
    cities = [(row["account_id"], row["city"]) for row in plain.rows if row["city"] is not None]
    assert [(row["account_id"], row["value"]) for row in made.bad_values if row["attribute"] == "city"] == cities
    assert made.manifest["bad_values"]["city"] == len(cities)
    levels = {row["account_id"]: row["level"] for row in plain.rows}
    assert all(str(row["level"]) == levels[row["account_id"]] for row in made.rows if row["level"] is not None)


def test_duplicates_across_shards_are_written_once(exporting: Exporting) -> None:
    """The first stands, whether it has a row or a reject; the later ones are counted in their shard."""
    ids = [f"user_{number % 130:05d}" for number in range(400)]
    made = exporting.run(ids, shard_rows=100)
    assert sorted(made.accounts + [row["account_id"] for row in made.rejects]) == sorted(set(ids))
    assert made.manifest["duplicates"] == 270
    assert made.accounts == [name for name in dict.fromkeys(ids) if name in set(made.accounts)]
    assert [shard["rows"] for shard in made.manifest["shards"]][2:] == [0, 0]
