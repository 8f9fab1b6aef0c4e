"""The manifest."""

from dataclasses import MISSING, asdict, fields, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import MachineError, OutputError
from exporter.model import Reason
from exporter.output import manifest
from exporter.output.facts import BAD, DATA, REJECTS, FileFacts, ShardFacts
from exporter.output.manifest import Manifest, schema_rows, totals
from exporter.schema import Column

counts = st.integers(0, 10**9)
reasons = st.dictionaries(st.sampled_from([str(reason) for reason in Reason]), st.integers(1, 10**6))

DESIGNED = {
    *("input", "rows", "rejects", "rejects_by_reason", "duplicates", "blank", "missing", "schema", "settings"),
    *("fingerprint", "requests", "retries", "refusals", "started_at", "finished_at", "series", "shards"),
}


def shard(number: int = 0, **changed: Any) -> ShardFacts:
    """A shard of ten rows that adds up: 5 found, 2 rejected, 2 repeated, 1 blank."""
    facts = ShardFacts(
        number=number,
        first_row=10 * number + 1,
        last_row=10 * number + 10,
        blank=1,
        duplicates=2,
        spaced=3,
        ids_hash="00",
        attributes=["a"],
        seen=["a"],
        ignored={"b": 2},
        rejects={"missing": 1, "refused": 1},
        bad_values={"a": 2},
        files={DATA: FileFacts(5, 500, "d"), REJECTS: FileFacts(2, 200, "r"), BAD: FileFacts(2, 100, "b")},
    )
    return replace(facts, **changed)


def made(**changed: Any) -> Manifest:
    facts: dict[str, Any] = {
        "format": manifest.FORMAT,
        "exporter": "1.0",
        "inputs": [{"name": "ids.csv", "path": "ids.csv"}],
        "schema": schema_rows([Column("a", "a", "int64")]),
        "absent_attributes": [],
        "settings": {"rate": 100.0},
        "fingerprint": "ff",
        "fingerprint_of": {"inputs": [{"bytes": 3}], "column": "编号"},
        "requests": 3,
        "retries": 1,
        "refusals": 0,
        "outages": 0,
        "paused_s": 0.0,
        "requests_per_s": 99.5,
        "started_at": "2024-01-01T00:00:00.000+00:00",
        "finished_at": "2024-01-01T00:00:01.000+00:00",
        "seconds": 1.0,
        "series": [{"second": 0, "requests": 3}],
        **totals([shard(0), shard(1)]),
    }
    return Manifest(**{**facts, **changed})


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    """JSON there and back gives the same, in the order of the keys."""
    text = made().to_json()
    (tmp_path / manifest.NAME).write_bytes(text)
    assert manifest.read(tmp_path) == made()
    assert list(orjson.loads(text)) == [field.name for field in fields(Manifest)]
    assert text.endswith(b"}\n")


def test_the_keys_are_those_that_readers_know() -> None:
    """Every key that others rely on is there, and every shard names its file, size, hash and rows."""
    told = orjson.loads(made().to_json())
    assert set(told) >= DESIGNED
    assert told["shards"][1] == {
        "file": "data/part-000001.parquet",
        "rows": 5,
        "bytes": 500,
        "sha256": "d",
        "first_row": 11,
        "last_row": 20,
        "rejects": 2,
        "rejects_by_reason": {"missing": 1, "refused": 1},
        "bad_values": {"a": 2},
        "duplicates": 2,
        "blank": 1,
        "spaced": 3,
        "ids_hash": "00",
        "seen": ["a"],
        "ignored": {"b": 2},
        "ends": None,
    }
    assert [facts.files for facts in manifest.facts_of(made())] == [shard(number).files for number in range(2)]
    assert told["ignored_attributes"] == {"b": 4}
    assert told["schema"] == [
        {"name": "account_id", "type": "text"},
        {"name": "a", "type": "int64", "attribute": "a"},
    ]


def test_the_share_before_each_shard_follows_from_its_rows() -> None:
    """The journal's estimate is not kept: here all rows are known. An empty input has no share to tell."""
    assert [facts.share for facts in manifest.facts_of(made())] == [0.5, 1.0]
    nothing = dict.fromkeys((DATA, REJECTS, BAD), FileFacts(0, 1, "e"))
    empty = shard(last_row=0, blank=0, duplicates=0, rejects={}, files=nothing)
    assert [facts.share for facts in manifest.facts_of(made(**totals([empty])))] == [None]


junk = [b"", b"{}", b"[]", b"null", b"5", b'"x"', b"{", b"\xff\xfe", b"<html>", b"[" * 5_000, made().to_json()[:-20]]


@pytest.mark.parametrize("text", junk, ids=range(len(junk)))
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: bytes) -> None:
    """A sentence with the file and the way out."""
    (tmp_path / manifest.NAME).write_bytes(text)
    with pytest.raises(OutputError, match=r"/manifest\.json is not a manifest of this version\. .*\.$"):
        manifest.read(tmp_path)


@pytest.mark.parametrize("key", [field.name for field in fields(Manifest) if field.default is MISSING])
def test_a_manifest_without_a_key_is_refused(tmp_path: Path, key: str) -> None:
    """One key too few, or one too many."""
    told = asdict(made())
    value = told.pop(key)
    for changed in (told, {**told, key: value, "else": 1}):
        (tmp_path / manifest.NAME).write_bytes(orjson.dumps(changed))
        with pytest.raises(OutputError, match="not a manifest of this version"):
            manifest.read(tmp_path)


def test_a_manifest_from_before_slow_downs_were_told_is_read(tmp_path: Path) -> None:
    """An export of an earlier version stays complete, and can be asked again."""
    told = asdict(made())
    del told["slow_downs"], told["rate_min"]
    (tmp_path / manifest.NAME).write_bytes(orjson.dumps(told))
    assert manifest.read(tmp_path) == made()


@pytest.mark.parametrize(
    "changed",
    [
        {"format": manifest.FORMAT + 1},
        {"rows": None},
        {"rejects_by_reason": 0},
        {"shards": 0},
        {"settings": []},
        {"finished_at": None},
    ],
)
def test_a_manifest_of_another_kind_is_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    """Another format, or values of which no sum can be made: a sentence here, no traceback later."""
    (tmp_path / manifest.NAME).write_bytes(orjson.dumps({**asdict(made()), **changed}))
    with pytest.raises(OutputError, match="not a manifest of this version"):
        manifest.read(tmp_path)


def test_a_manifest_that_is_gone_is_told(tmp_path: Path) -> None:
    """No manifest beside `_SUCCESS`: somebody else's folder, or a damaged one."""
    with pytest.raises((OutputError, MachineError), match=r"/manifest\.json"):
        manifest.read(tmp_path)


# Sums


@given(st.lists(st.tuples(counts, counts, counts, counts, reasons, reasons), max_size=5))
@settings(deadline=None, derandomize=True)
def test_totals_add_up(drawn: list[tuple[int, int, int, int, dict[str, int], dict[str, int]]]) -> None:
    """Over any shards that add up, so does the run: input = rows + rejects + duplicates + blank."""
    shards, row = [], 1
    for number, (rows, duplicates, blank, spaced, rejects, bad) in enumerate(drawn):
        size = rows + duplicates + blank + sum(rejects.values())
        files = {
            DATA: FileFacts(rows, 1, ""),
            REJECTS: FileFacts(sum(rejects.values()), 1, ""),
            BAD: FileFacts(0, 1, ""),
        }
        facts = {"duplicates": duplicates, "blank": blank, "spaced": spaced, "rejects": rejects, "bad_values": bad}
        shards.append(shard(number, first_row=row, last_row=row + size - 1, files=files, **facts))
        row += size
    sums = totals(shards)
    assert sums["input"] == row - 1 == sums["rows"] + sums["rejects"] + sums["duplicates"] + sums["blank"]
    assert sums["rejects"] == sum(sums["rejects_by_reason"].values())
    assert sums["missing"] == sum(each.rejects.get("missing", 0) for each in shards)
    assert sums["bad_values"] == {
        name: sum(each.bad_values.get(name, 0) for each in shards) for name in sorted(sums["bad_values"])
    }
    assert sums["ids_with_outer_spaces"] == sum(each.spaced for each in shards)


@pytest.mark.parametrize("changed", [{"blank": 0}, {"duplicates": 3}, {"last_row": 21}, {"first_row": 12}])
def test_a_sum_that_is_off_is_never_published(changed: dict[str, int]) -> None:
    """One row too many or too few in one shard ends the run, with the shard and the number."""
    with pytest.raises(MachineError, match=r"shard 1 does not add up: -?1 rows unaccounted for"):
        totals([shard(0), shard(1, **changed)])


def test_a_shard_that_is_not_there_is_never_published() -> None:
    """Every row of the input is in a shard: a gap fails the run, even where each shard adds up."""
    for kept in ((0, 2), (1, 2)):
        with pytest.raises(MachineError, match=f"before shard {kept[1] if kept[0] == 0 else 1} are lost"):
            totals([shard(number) for number in kept])


def test_failures_are_rejects_that_are_no_answers() -> None:
    """Missing and unknown accounts are answers; everything else is a failure."""
    each = {str(reason): 10**place for place, reason in enumerate(Reason)}
    assert list(each)[:2] == ["missing", "unknown_account"]
    assert made(rejects_by_reason=each).failures == 111_100
    assert made(rejects_by_reason={}).failures == 0
