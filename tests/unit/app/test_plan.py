"""A plan: its figures, its examples, and what one answer tells."""

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.app import Job, Plan, plan
from exporter.app.plan import Tally, judged
from exporter.batching import Planner
from exporter.errors import InputError, SettingsError
from exporter.model import BadId, Chunk, Reason, Rejection, Reply
from exporter.output.repeats import Repeats
from exporter.output.room import ROW_BYTES
from exporter.progress import Progress
from exporter.settings import only
from tests.conftest import write_ids

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def planned(*inputs: Path, **settings: Any) -> tuple[Plan, Sequence[str]]:
    made = only(**settings)
    job = Job(list(map(str, inputs)), made.out or Path(), made, Progress(lambda: 0.0))
    return asyncio.run(plan(job, clock=lambda: NOON))


def of(folder: Path, ids: Sequence[str], **settings: Any) -> Plan:
    return planned(write_ids(folder / "ids.csv", ids), **settings)[0]


def users(count: int) -> list[str]:
    return [f"user_{number:06d}" for number in range(count)]


ROWS = st.lists(
    st.none()
    | st.sampled_from(["a", " a", "b", "", "x" * 33, "\x07", "é"])
    | st.integers(0, 99).map(str)
    | st.just(BadId("c", Reason.BAD_ROW, "3 fields where 2 belong")),
    max_size=60,
)


@given(ROWS, st.sampled_from([1, 4, 10, 100]), st.booleans(), st.booleans())
def test_every_row_is_counted_once(rows: list[str | BadId | None], shard_rows: int, strip: bool, keep: bool) -> None:  # noqa: FBT001 - drawn
    """Rows are accounts asked for, repeats in their shard, bad ids and blanks; a set tells how many accounts there are."""
    planner = Planner(shard_rows=shard_rows, batch_accounts=3, strip=strip, keep=keep)
    with Repeats(2, 2) as repeats:
        tally = Tally(repeats)
        for event in planner.add(Chunk("ids.csv", 1, rows)) + planner.finish():
            tally.take(event)
        across = repeats.count()
    assert tally.rows == len(rows) == tally.asked + tally.again + tally.bad.total() + tally.blank
    valid = [text.strip() if strip else text for text in rows if isinstance(text, str)]
    valid = [text for text in valid if text and len(text) < 33 and text != "\x07"]
    assert tally.asked - across == len(set(valid))
    assert tally.again + across == len(valid) - len(set(valid))
    assert tally.bad[Reason.BAD_ROW] == sum(isinstance(row, BadId) for row in rows)
    assert list(tally.first)[:100] == list(dict.fromkeys(valid))[:100]


def test_figures_of_an_hour_and_more(tmp_path: Path) -> None:
    """Requests at the rate, from the first to the last; when that ends; and what it takes below the vendor's alarm."""
    made = of(tmp_path, users(100_001), shard_rows=50_000)
    assert (made.accounts, made.shards, made.requests) == (100_001, 3, 1001)
    assert (made.rate, made.seconds, made.finish_at) == (100.0, 10.0, "2026-03-04T12:00:10+00:00")
    assert made.seconds_at_80 == 12.5
    slow = of(tmp_path, users(100_001), rate=0.001)
    assert (slow.seconds, slow.finish_at) == (1_000_000.0, "2026-03-16T01:46:40+00:00")
    assert slow.seconds_at_80 is None


def test_more_time_than_the_calendar_has_is_no_moment(tmp_path: Path) -> None:
    """A rate that would take ages is planned all the same."""
    made = of(tmp_path, users(300), rate=1e-12)
    assert (made.seconds, made.finish_at) == (2e12, None)


def test_the_names_of_auto_take_one_request_more(tmp_path: Path) -> None:
    """`--attributes auto` asks for them first; names that are given cost nothing."""
    assert of(tmp_path, users(250)).requests == 3
    assert of(tmp_path, users(250), attributes="a,b").requests == 3
    assert of(tmp_path, users(250), attributes="auto").requests == 4


def test_examples_name_file_and_row_of_the_first_five_of_each_reason(tmp_path: Path) -> None:
    """Rows count per file, without the header, blank lines included; texts are cut and printable."""
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    first.write_text("account_id,b\nu1,x\n\n,x\nu2,x,x\n")
    second.write_text("account_id,b\n" + "x" * 70 + ",1\n" + 'u\x1b[31m,1\n"one\nline",1\n' + ",\n" * 10)
    made, accounts = planned(first, second, shard_rows=2)
    assert accounts == ["u1"]
    assert made.bad_ids == {"bad_row": 1, "invalid_id": 14}
    assert [(e.source, e.row_number, e.account_id, e.message) for e in made.bad_examples["bad_row"]] == [
        (str(first), 4, "'u2'", "3 fields where 2 belong")
    ]
    assert [(e.source, e.row_number, e.account_id) for e in made.bad_examples["invalid_id"]] == [
        (str(first), 3, "''"),
        (str(second), 1, f"'{'x' * 40}'…"),
        (str(second), 2, r"'u\x1b[31m'"),
        (str(second), 3, r"'one\nline'"),
        (str(second), 4, "''"),
    ]


def test_the_first_accounts_are_as_many_as_one_request_takes(tmp_path: Path) -> None:
    """Whatever the shards, and each once."""
    ids = write_ids(tmp_path / "ids.csv", ["user_000000", *users(300)])
    for shard_rows in (1, 7, 1000):
        assert planned(ids, shard_rows=shard_rows)[1] == users(100)
    assert planned(write_ids(tmp_path / "few.csv", users(3)))[1] == users(3)


def test_disk_is_that_of_the_run(tmp_path: Path) -> None:
    """The estimate that the run warns by, and the free space where --out is, or will be made."""
    made = of(tmp_path, [*users(300), *users(200)], out=tmp_path / "not/yet")
    disk = os.statvfs(tmp_path)
    assert made.bytes == 500 * ROW_BYTES
    assert made.bytes_free == pytest.approx(disk.f_bavail * disk.f_frsize, rel=0.2)
    assert made.folder == str(tmp_path / "not/yet")
    assert not (tmp_path / "not").exists()
    assert of(tmp_path, users(1)).folder == str(Path.cwd())


def test_what_the_run_would_refuse_is_refused(tmp_path: Path) -> None:
    """An --out within the input, or no folder at all; an input that cannot be read."""
    (tmp_path / "in").mkdir()
    ids = write_ids(tmp_path / "in/ids.csv", users(2))
    with pytest.raises(SettingsError, match="part of the input"):
        planned(tmp_path / "in", out=tmp_path / "in/export")
    with pytest.raises(SettingsError, match="name a folder"):
        planned(ids, out="s3://bucket/x")
    with pytest.raises(InputError, match="no such file"):
        planned(tmp_path / "gone.csv")


def test_a_journal_that_nobody_can_read_is_for_the_run_to_refuse(tmp_path: Path) -> None:
    """What a run would do is told all the same."""
    (tmp_path / "out/.run").mkdir(parents=True)
    (tmp_path / "out/.run/journal").write_bytes(b"rubbish\nrubbish\n")
    assert of(tmp_path, users(1), out=tmp_path / "out").warnings == []


def test_an_answer_tells_what_is_known_and_what_it_takes() -> None:
    """Known accounts, names and bytes of what they have, and the requests under way that keep the rate."""
    reply = Reply(
        found={"a": {"city": "Köln"}, "b": {"city": None, "x": "1"}}, rejected={"c": Rejection(Reason.MISSING)}
    )
    asked = judged(reply, 3, 0.25, only(rate=100))
    assert (asked.accounts, asked.known, asked.attributes, asked.in_flight) == (3, 2, 2, 25)
    assert asked.bytes == len("city") + len("Köln".encode()) + len("city") + len("x1")
    assert asked.warnings == []


def test_an_answer_tells_what_would_go_wrong() -> None:
    """Nobody is known, or too few requests may be under way for such answers."""
    assert ["knows none of them" in told for told in judged(Reply(), 3, 0.01, only()).warnings] == [True]
    found = Reply(found={"a": {}})
    assert judged(found, 1, 0.05, only(in_flight=5)).warnings == []
    (told,) = judged(found, 1, 0.0501, only(in_flight=5)).warnings
    assert told == "--in-flight 5 is too small for 100 requests/s at such answers: that takes 6 at least."
    assert judged(found, 1, 0.5, only(in_flight=5, rate=1e6)).warnings == []
