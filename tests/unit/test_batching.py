"""Rows in, numbered batches out."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.batching import BATCH_ACCOUNTS_MAX, SHOWN_CHARS_MAX, Planner, Shard, problem
from exporter.errors import InputError
from exporter.model import BadId, Batch, Chunk, Mark, Reason

Item = str | BadId | None

# Few different texts, so that most of them repeat; some with spaces that --strip makes equal to others.
USUAL = st.sampled_from(["a", "b", "c", "00123", " a", "b ", "é", "中文", "1e5", "NULL", "a\u00a0"])
ODD = st.sampled_from(["", " ", "\t", "x" * 32, "x" * 33, "é" * 16, "é" * 17, "a\x00", "a\nb", "a\x7f", "a\x85"])
BAD_ROWS = st.builds(BadId, st.none() | st.text(max_size=5), st.just(Reason.BAD_ROW), st.just("too many fields"))
ITEMS: st.SearchStrategy[Item] = st.none() | USUAL | USUAL | USUAL | ODD | BAD_ROWS | st.text(max_size=40)
FILES = st.lists(st.lists(ITEMS, max_size=40), max_size=4)


@dataclass(frozen=True)
class Shape:
    """How a planner was set."""

    shard_rows: int
    batch_accounts: int
    strip: bool
    keep: bool

    def planner(self) -> Planner:
        """Make it."""
        return Planner(shard_rows=self.shard_rows, batch_accounts=self.batch_accounts, strip=self.strip, keep=self.keep)


SHAPES = st.builds(Shape, st.integers(1, 25), st.integers(1, 6), st.booleans(), st.booleans())


@dataclass
class Planned:
    """A shard and its batches."""

    shard: Shard
    batches: list[Batch]


def plan(shape: Shape, chunks: Sequence[Chunk]) -> list[Planned]:
    planner = shape.planner()
    events = [event for chunk in chunks for event in planner.add(chunk)] + planner.finish()
    planned: list[Planned] = []
    batches: list[Batch] = []
    for event in events:
        if isinstance(event, Batch):
            batches.append(event)
        else:
            planned.append(Planned(event, batches))
            batches = []
    assert not batches, "every batch comes before its shard"
    return planned


def whole(files: Sequence[Sequence[Item]]) -> list[Chunk]:
    return [Chunk(f"{number}.csv", 1, ids) for number, ids in enumerate(files)]


def pieces(files: Sequence[Sequence[Item]], draw: st.DataObject) -> list[Chunk]:
    chunks = []
    for chunk in whole(files):
        size = len(chunk.ids)
        cuts = [0, *sorted(draw.draw(st.lists(st.integers(0, size), max_size=6))), size]
        chunks += [Chunk(chunk.source, 1 + start, chunk.ids[start:end]) for start, end in pairwise(cuts)]
    return chunks


def rows_of(files: Sequence[Sequence[Item]]) -> list[Item]:
    return [item for ids in files for item in ids]


@given(FILES, SHAPES, st.data())
def test_the_chunks_of_the_reader_do_not_show(files: list[list[Item]], shape: Shape, data: st.DataObject) -> None:
    """The same rows give the same batches, shards and places, whatever the chunks they come in."""
    one, other = plan(shape, whole(files)), plan(shape, pieces(files, data))
    assert [planned.batches for planned in one] == [planned.batches for planned in other]
    for left, right in zip(one, other, strict=True):
        assert replace(left.shard, spans=[]) == replace(right.shard, spans=[])
        for row in range(left.shard.first_row, left.shard.last_row + 1):
            assert left.shard.place(row) == right.shard.place(row)


MOSTLY_NEW = st.lists(st.integers(0, 400).map(str) | st.none(), max_size=40)


@given(MOSTLY_NEW, SHAPES)
@example(["1", None, "2", "3", "4", "5"], Shape(10, 4, strip=False, keep=False))
def test_many_rows_at_once_are_planned_like_one_after_the_other(ids: list[Item], shape: Shape) -> None:
    """Where most accounts are new they are taken a batch at a time: it does not show."""
    one = plan(shape, [Chunk("0.csv", 1, ids)])
    other = plan(shape, [Chunk("0.csv", row, [item]) for row, item in enumerate(ids, 1)])
    assert [planned.batches for planned in one] == [planned.batches for planned in other]
    assert [replace(planned.shard, spans=[]) for planned in one] == [
        replace(planned.shard, spans=[]) for planned in other
    ]


@given(FILES, SHAPES)
def test_shards_are_fixed_ranges_of_rows(files: list[list[Item]], shape: Shape) -> None:
    """Shards follow each other without a gap; all but the last have exactly the rows that were asked for."""
    shards = [planned.shard for planned in plan(shape, whole(files))]
    rows = len(rows_of(files))
    assert [shard.number for shard in shards] == list(range(len(shards)))
    assert [shard.first_row for shard in shards] == list(range(1, max(rows, 1) + 1, shape.shard_rows))
    assert all(shard.rows == shape.shard_rows for shard in shards[:-1])
    assert shards[-1].last_row == rows


@given(FILES, SHAPES)
def test_each_row_is_accounted_for_once(files: list[list[Item]], shape: Shape) -> None:
    """Rows = asked + duplicates + blank + bad + kept repeats, per shard, and no row has two fates."""
    items = rows_of(files)
    for planned in plan(shape, whole(files)):
        shard = planned.shard
        asked = [row for batch in planned.batches for row in batch.rows]
        bad = [row for row, _ in shard.bad]
        repeats = [row for row, _ in shard.repeats]
        span = range(shard.first_row, shard.last_row + 1)
        blank = [row for row in span if items[row - 1] is None]
        assert len(blank) == shard.blank
        fates = sorted([*asked, *bad, *repeats, *blank])
        assert len(set(fates)) == len(fates)
        assert set(fates) <= set(span)
        assert len(fates) + shard.duplicates == shard.rows
        assert not (shard.duplicates if shape.keep else shard.repeats)


@given(FILES, SHAPES)
def test_batches_hold_different_accounts_in_input_order(files: list[list[Item]], shape: Shape) -> None:
    """Batches are numbered, all but the last of a shard full, and name each account where it first stands."""
    items = rows_of(files)
    for planned in plan(shape, whole(files)):
        batches, shard = planned.batches, planned.shard
        assert [(batch.shard, batch.seq) for batch in batches] == [(shard.number, seq) for seq in range(shard.batches)]
        assert all(len(batch.accounts) == shape.batch_accounts for batch in batches[:-1])
        assert all(0 < len(batch.accounts) <= shape.batch_accounts for batch in batches)
        rows = [row for batch in batches for row in batch.rows]
        accounts = [account for batch in batches for account in batch.accounts]
        assert rows == sorted(rows)
        assert len(set(accounts)) == len(accounts)
        texts = {row: item.strip() if shape.strip else item for row in rows if isinstance(item := items[row - 1], str)}
        assert accounts == [texts[row] for row in rows]
        assert shard.spaced == sum(account != account.strip() for account in accounts)


@given(FILES, SHAPES)
def test_an_id_is_bad_or_asked_in_its_shard(files: list[list[Item]], shape: Shape) -> None:
    """Each text is judged by itself: every good one is asked in its shard, every bad one is a reject of its own."""
    items = rows_of(files)
    for planned in plan(shape, whole(files)):
        shard, bad = planned.shard, dict(planned.shard.bad)
        accounts = {account for batch in planned.batches for account in batch.accounts}
        for row in range(shard.first_row, shard.last_row + 1):
            item = items[row - 1]
            if isinstance(item, str):
                text = item.strip() if shape.strip else item
                assert (text in accounts) is (problem(text) is None)
                assert (row in bad) is (problem(text) is not None)
            if isinstance(item, BadId):
                assert bad[row] == item
        for row, account in shard.repeats:
            item = items[row - 1]
            assert isinstance(item, str)
            assert account == (item.strip() if shape.strip else item)
            assert any(account in batch.accounts and min(batch.rows) < row for batch in planned.batches)


@given(FILES, SHAPES, st.data())
def test_a_row_is_found_in_its_file_again(files: list[list[Item]], shape: Shape, data: st.DataObject) -> None:
    """A shard tells for each of its rows the file and the row there."""
    places = [(f"{number}.csv", row) for number, ids in enumerate(files) for row in range(1, len(ids) + 1)]
    found = [
        planned.shard.place(row)
        for planned in plan(shape, pieces(files, data))
        for row in range(planned.shard.first_row, planned.shard.last_row + 1)
    ]
    assert found == places


def _raw(item: Item) -> object:
    return ("bad", item.text) if isinstance(item, BadId) else item


def ids_hash(ids: Sequence[Item]) -> str:
    shape = Shape(len(ids), 3, strip=False, keep=False)
    return plan(shape, [Chunk("a.csv", 1, ids)])[0].shard.ids_hash


@given(st.lists(ITEMS, min_size=1, max_size=6), st.lists(ITEMS, min_size=1, max_size=6))
def test_other_ids_have_another_hash(one: list[Item], other: list[Item]) -> None:
    """The hash of a shard's ids tells apart any two shards whose rows differ, and no others."""
    assert (ids_hash(one) == ids_hash(other)) is ([_raw(item) for item in one] == [_raw(item) for item in other])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["a\n=b", "c"], ["a", "b\n=c"]),
        (["a", "\n"], ["a\n", ""]),
        ([BadId(None, Reason.BAD_ROW, "no field")], [BadId("None", Reason.BAD_ROW, "too many fields")]),
        ([None], [""]),
        (["!a"], [BadId("a", Reason.BAD_ROW, "too many fields")]),
    ],
    ids=["line ends", "line end at an end", "no text", "blank", "bad"],
)
def test_ids_that_look_alike_have_another_hash(one: list[Item], other: list[Item]) -> None:
    """A line end within an id, a row without a text and a blank line are not taken for something else."""
    assert ids_hash(one) != ids_hash(other)


@given(FILES, st.integers(1, 25))
def test_settings_that_do_not_change_the_input_do_not_change_its_hash(files: list[list[Item]], shard_rows: int) -> None:
    """The hash is of the ids as they stand: neither --strip nor --duplicates nor the size of a batch is in it."""
    hashes = {
        tuple(planned.shard.ids_hash for planned in plan(shape, whole(files)))
        for shape in (Shape(shard_rows, 2, strip=True, keep=True), Shape(shard_rows, 5, strip=False, keep=False))
    }
    assert len(hashes) == 1


@given(st.text(max_size=40) | ODD | st.text("ab\x1f\x7f\x80\x9f\xa0é中", max_size=40))
def test_only_size_and_control_characters_make_an_id_bad(text: str) -> None:
    """An id is 1 to 32 bytes of UTF-8 without control characters; no other rule."""
    controls = any(unicodedata.category(char) == "Cc" for char in text)
    assert (problem(text) is None) is (1 <= len(text.encode()) <= 32 and not controls)


def test_a_request_takes_a_hundred_accounts() -> None:
    """Unless told otherwise, a batch has at most 100 accounts."""
    planner = Planner(shard_rows=1000)
    batches = planner.add(Chunk("a.csv", 1, [str(number) for number in range(250)])) + planner.finish()
    assert [len(event.accounts) for event in batches if isinstance(event, Batch)] == [100, 100, 50]
    assert BATCH_ACCOUNTS_MAX == 100


def test_an_input_without_rows_has_one_empty_shard() -> None:
    """There is always a file to read."""
    (planned,) = plan(Shape(5, 2, strip=False, keep=False), [])
    assert (planned.batches, planned.shard.rows, planned.shard.batches) == ([], 0, 0)


def test_of_a_long_bad_id_the_beginning_is_shown() -> None:
    """A bad id is kept as far as its first 256 characters, whoever found it bad."""
    long = "x" * 10_000
    (planned,) = plan(
        Shape(5, 2, strip=False, keep=False), [Chunk("a.csv", 1, [long, BadId(long, Reason.BAD_ROW, "why")])]
    )
    assert [bad.text for _, bad in planned.shard.bad] == ["x" * SHOWN_CHARS_MAX] * 2
    assert [bad.reason for _, bad in planned.shard.bad] == [Reason.INVALID_ID, Reason.BAD_ROW]
    assert planned.shard.bad[0][1].message == "10,000 bytes; an account id has at most 32"


@given(FILES, SHAPES, st.data())
def test_of_what_is_done_nothing_is_planned_again(files: list[list[Item]], shape: Shape, data: st.DataObject) -> None:
    """Whichever shards are done: the others come out as they did at first, and all rows that were read are recognised."""
    whole_plan = plan(shape, whole(files))
    done = data.draw(st.sets(st.sampled_from([planned.shard.number for planned in whole_plan])))
    planner = going_on(shape, {n: whole_plan[n].shard.ids_hash for n in done})
    assert planner.recognised is (not done)
    events = []
    for chunk in pieces(files, data):
        events += planner.add(chunk)
    events += planner.finish()
    expected = [planned for planned in whole_plan if planned.shard.number not in done]
    assert [event for event in events if isinstance(event, Batch)] == [b for each in expected for b in each.batches]
    shards = [replace(event, spans=[]) for event in events if isinstance(event, Shard)]
    assert shards == [replace(each.shard, spans=[]) for each in expected]


@given(st.lists(ITEMS, max_size=60), SHAPES, st.data())
def test_a_plan_that_begins_with_a_later_shard_is_the_rest_of_the_whole(
    ids: list[Item], shape: Shape, data: st.DataObject
) -> None:
    """Rows that are passed over leave no trace but their number."""
    whole_plan = plan(shape, whole([ids]))
    first = data.draw(st.integers(0, len(ids) // shape.shard_rows))
    planner = going_on(shape, {}, first)
    begun = first * shape.shard_rows
    events = planner.add(Chunk("0.csv", begun + 1, ids[begun:])) if ids[begun:] else []
    events += planner.finish()
    rest = [planned for planned in whole_plan if planned.shard.number >= first]
    assert [event for event in events if isinstance(event, Batch)] == [b for each in rest for b in each.batches]
    assert [event for event in events if isinstance(event, Shard)] == [each.shard for each in rest]


@given(st.lists(ITEMS, min_size=1, max_size=60), SHAPES, st.data())
def test_other_rows_than_those_that_were_read_are_refused(ids: list[Item], shape: Shape, data: st.DataObject) -> None:
    """One row of a done shard changed, added, or the end gone: an error, and the rows are named."""
    whole_plan = plan(shape, whole([ids]))
    done = {planned.shard.number: planned.shard.ids_hash for planned in whole_plan}
    row = data.draw(st.integers(0, len(ids) - 1))
    other = data.draw(ITEMS.filter(lambda item: item != ids[row]))
    for wrong in ([*ids[:row], other, *ids[row + 1 :]], ids[:row], [*ids[:row], other, *ids[row:]]):
        planner = going_on(shape, done)
        with pytest.raises(InputError, match="--restart"):
            refused(planner, wrong)


def refused(planner: Planner, ids: Sequence[Item]) -> None:
    """Plan all rows; rows behind the last shard that is done are new ones."""
    planner.add(Chunk("0.csv", 1, ids))
    planner.finish()


def test_an_input_that_ends_between_two_shards_that_were_done_is_refused() -> None:
    """Every row that came is the one that was read, but they are not all: nobody publishes what is not in the input."""
    shape = Shape(2, 2, strip=False, keep=False)
    done = {each.shard.number: each.shard.ids_hash for each in plan(shape, whole([["a", "b", "c", "d", "e"]]))}
    planner = going_on(shape, done)
    assert planner.add(Chunk("0.csv", 1, ["a", "b", "c", "d"])) == []
    assert not planner.recognised
    with pytest.raises(InputError, match="ends after 4 rows, and more were read before"):
        planner.finish()


def test_an_empty_input_goes_on_as_one() -> None:
    """Its one shard has no rows, and they are the same."""
    shape = Shape(2, 2, strip=False, keep=False)
    (only,) = plan(shape, [])
    assert going_on(shape, {0: only.shard.ids_hash}).finish() == []
    assert going_on(shape, {0: only.shard.ids_hash}, 1).finish() == []


def going_on(shape: Shape, done: Mapping[int, str], first: int = 0) -> Planner:
    return Planner(
        shard_rows=shape.shard_rows,
        batch_accounts=shape.batch_accounts,
        strip=shape.strip,
        keep=shape.keep,
        first=first,
        done=done,
    )


def test_a_shard_knows_where_the_next_begins() -> None:
    """The mark of the chunk it ends in, and the rows to drop there; the share is that at its last row."""
    planner = Planner(shard_rows=3, batch_accounts=3)
    events = planner.add(Chunk("0.csv", 1, ["a", "b"], 0.25, Mark(0, 0, (9,))))
    events += planner.add(Chunk("0.csv", 3, ["c", "d", "e", "f", "g"], 0.75, Mark(0, 2, (20,), 1)))
    events += planner.finish()
    shards = [event for event in events if isinstance(event, Shard)]
    assert [shard.ends for shard in shards] == [Mark(0, 2, (20,), 2), Mark(0, 2, (20,), 5), Mark(0, 2, (20,), 6)]
    assert [shard.share for shard in shards] == pytest.approx([0.35, 0.65, 0.75])


def test_a_shard_ends_at_its_part_of_a_chunk() -> None:
    """The share before the next shard follows from where it lies between two chunks; an unknown one stays unknown."""
    planner = Planner(shard_rows=4, share=0.2)
    events = [
        *planner.add(Chunk("a", 1, ["x"] * 10, 0.4)),
        *planner.add(Chunk("a", 11, ["x"] * 5, 1.0)),
        *planner.finish(),
    ]
    shares = [event.share for event in events if isinstance(event, Shard)]
    assert shares == pytest.approx([0.28, 0.36, 0.64, 1.0])
    unknown = Planner(shard_rows=1, share=None)
    known = [event.share for event in unknown.add(Chunk("a", 1, ["x", "y"], 0.5)) if isinstance(event, Shard)]
    assert known == [0.5, 0.5]
    assert [event.share for event in unknown.add(Chunk("a", 3, ["z"])) if isinstance(event, Shard)] == [None]
