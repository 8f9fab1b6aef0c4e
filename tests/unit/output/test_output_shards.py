"""Shards: the bytes are a function of rows, answers and schema."""

import asyncio
import hashlib
import random
import stat
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.batching import Shard
from exporter.errors import MachineError
from exporter.flatten import BAD_VALUES, Attributes
from exporter.model import Attrs, BadId, Batch, Reason, Rejection
from exporter.output import files
from exporter.output.answers import REJECT_SCHEMA
from exporter.output.assemble import read
from exporter.output.facts import BAD, DATA, FOLDERS, REJECTS, ShardFacts, file_name
from exporter.output.shards import ROW_GROUP_ROWS, ShardWriter, write_table
from exporter.schema import Layout

Item = str | BadId | None
Write = Callable[..., list[ShardFacts]]
Fresh = Callable[[], AbstractContextManager[str]]

INVALID = ["", "y" * 33, "tab\t"]
MISSING = Rejection(Reason.MISSING)
BY_CODE_POINT = ["Z", "a", "attr_account_id", "é", "中", "\uffee", "\U0001f642"]

names = st.sampled_from(["a", "b", "level", "account_id", "中", "with space", ""])
accounts = st.sampled_from([*"abcdefgh", "中文", "a ", "x" * 32])
texts = st.sampled_from(["", "1", "-7", "x", "2024-01-01", "true"]) | st.none()
attrs = st.dictionaries(names, texts, max_size=3)
refused = Rejection(Reason.REFUSED, 40005, "nein")
rejections = st.sampled_from([refused, Rejection(Reason.EXHAUSTED, None, "502")])
answers = st.dictionaries(accounts, st.one_of(attrs, attrs, attrs, rejections), min_size=5)
items = st.one_of(
    accounts,
    accounts,
    st.none(),
    st.builds(BadId, accounts | st.none(), st.just(Reason.BAD_ROW), st.just("too many fields")),
    st.sampled_from(INVALID),
)
# Lists are short unless told otherwise: most must be long enough for several batches and shards.
ids_lists = st.lists(items, max_size=4) | st.lists(items, min_size=12, max_size=30)
layouts = st.sampled_from(
    [Layout(None, {}), Layout(None, {"a": "int64", "b": "timestamp"}), Layout(["level", "a"], {"level": "bool"})]
)


@dataclass(frozen=True)
class Case:
    """An input, what the service says of it, and the settings that shape the output."""

    ids: Sequence[Item]
    answers: Mapping[str, Attrs | Rejection]
    shard_rows: int
    keep: bool
    layout: Layout

    @property
    def how(self) -> dict[str, Any]:
        """How the writer is told."""
        return {"shard_rows": self.shard_rows, "keep": self.keep, "layout": self.layout}


cases = st.builds(Case, ids_lists, answers, st.sampled_from([1, 4, 9, 20]), st.booleans(), layouts)


def staged(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}


def rows_of(folder: Path, kind: str, shards: int) -> list[dict[str, Any]]:
    return [row for number in range(shards) for row in read(folder / kind / file_name(number)).to_pylist()]


class Model:
    """What an export of these ids must hold, said in the plainest way."""

    def __init__(self, case: Case) -> None:
        self.data: list[str] = []
        self.rejects: list[tuple[str | None, Reason, int | None, int]] = []
        self.duplicates = self.blank = 0
        seen: set[str] = set()
        for row, item in enumerate(case.ids):
            seen = seen if row % case.shard_rows else set()
            if item is None:
                self.blank += 1
            elif isinstance(item, BadId):
                self.rejects.append((item.text, Reason.BAD_ROW, None, row + 1))
            elif item in INVALID:
                self.rejects.append((item, Reason.INVALID_ID, None, row + 1))
            elif item in seen and not case.keep:
                self.duplicates += 1
            elif isinstance(why := case.answers.get(item, MISSING), Rejection):
                self.rejects.append((item, why.reason, why.code, row + 1))
            else:
                self.data.append(item)
            if isinstance(item, str):
                seen.add(item)


# The writer


@given(cases)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_every_row_is_accounted_for_in_its_place(write_shards: Write, fresh_folder: Fresh, case: Case) -> None:
    """Rows and rejects stand in input order, each with its reason; repeats are dropped or kept; every shard adds up."""
    with fresh_folder() as name:
        folder = Path(name)
        facts = write_shards(folder, case.ids, case.answers, **case.how)
        rejects = rows_of(folder, REJECTS, len(facts))
        data = rows_of(folder, DATA, len(facts))
    model = Model(case)
    assert [row["account_id"] for row in data] == model.data
    shown = [(row["account_id"], row["reason"], row["code"], row["row_number"]) for row in rejects]
    assert shown == model.rejects
    assert {row["source"] for row in rejects} <= {"in-0.csv"}
    assert [shard.off_by for shard in facts] == [0] * len(facts)
    assert sum(shard.duplicates for shard in facts) == model.duplicates
    assert sum(shard.blank for shard in facts) == model.blank
    assert [shard.number for shard in facts] == list(range(len(facts)))


@given(case=cases, chunks=st.lists(st.integers(0, 6), max_size=6), batch=st.integers(1, 8), seed=st.integers())
@settings(max_examples=100, deadline=None, derandomize=True)
def test_bytes_are_the_same_in_any_order_of_arrival(
    write_shards: Write,
    fresh_folder: Fresh,
    case: Case,
    *,
    chunks: list[int],
    batch: int,
    seed: int,
) -> None:
    """Whatever the size of batches and the order of their answers, the files are the same byte for byte."""

    def shuffled(batches: list[Batch]) -> Sequence[Batch]:
        return random.Random(seed).sample(batches, len(batches))

    how = {**case.how, "chunks": chunks}
    with fresh_folder() as name:
        one, two = Path(name, "one"), Path(name, "two")
        facts = write_shards(one, case.ids, case.answers, **how)
        again = write_shards(two, case.ids, case.answers, **how, batch_accounts=batch, order=shuffled)
        assert again == facts
        assert staged(one) == staged(two)


@given(answers, ids_lists)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_values_are_those_of_the_answer(
    write_shards: Write, fresh_folder: Fresh, answers: Mapping[str, Attrs | Rejection], ids: list[Item]
) -> None:
    """Each row shows what the service said of its account, null for what it did not say."""
    with fresh_folder() as name:
        write_shards(Path(name), ids, answers)
        data = read(Path(name, DATA, file_name(0)))
    for row in data.to_pylist():
        answer = answers[row.pop("account_id")]
        assert not isinstance(answer, Rejection)
        told = {{"account_id": "attr_account_id", "": "attr_"}.get(key, key): value for key, value in answer.items()}
        assert row == dict.fromkeys(row) | told
    assert data.column_names[1:] == sorted(data.column_names[1:])


def test_columns_stand_by_code_point(tmp_path: Path, write_shards: Write) -> None:
    """By code point, not by the order of a language or of UTF-16; an account_id of the service gets a prefix."""
    seen = {"account_id" if name == "attr_account_id" else name: "1" for name in reversed(BY_CODE_POINT)}
    (facts,) = write_shards(tmp_path, ["x"], {"x": seen})
    table = read(tmp_path / DATA / file_name(0))
    assert table.column_names == ["account_id", *BY_CODE_POINT]
    assert set(facts.attributes) == set(seen)
    assert not table.schema.field(0).nullable


def test_an_attribute_that_is_only_null_is_kept(tmp_path: Path, write_shards: Write) -> None:
    """What the service names has a column, also when no account has a value."""
    (facts,) = write_shards(tmp_path, ["x", "y"], {"x": {"empty": None}, "y": {}})
    table = read(tmp_path / DATA / file_name(0))
    assert table.to_pylist() == [{"account_id": "x", "empty": None}, {"account_id": "y", "empty": None}]
    assert table.schema.field("empty").type == pa.string()
    assert facts.attributes == ["empty"]


def test_columns_of_a_shard_do_not_depend_on_other_shards(tmp_path: Path, write_shards: Write) -> None:
    """An attribute seen in a later shard, though answered first, is no column of the earlier one."""
    answers: dict[str, Attrs] = {"x": {"a": "1"}, "y": {"b": "2"}}
    first, second = write_shards(tmp_path, ["x", "y"], answers, shard_rows=1, order=lambda each: each[::-1])
    assert (first.attributes, second.attributes) == (["a"], ["b"])
    assert read(tmp_path / DATA / file_name(0)).column_names == ["account_id", "a"]


def test_repeats_stand_at_their_places(tmp_path: Path, write_shards: Write) -> None:
    """With duplicates kept, each row shows its account again: rows, rejects and bad values."""
    answers: dict[str, Attrs | Rejection] = {"x": {"n": "?"}, "y": {"n": "1"}, "z": Rejection(Reason.REFUSED, 7, "no")}
    ids = ["y", "x", "z", "x", "z", "y"]
    (facts,) = write_shards(tmp_path, ids, answers, layout=Layout(None, {"n": "int64"}), keep=True, batch_accounts=1)
    assert [row["account_id"] for row in rows_of(tmp_path, DATA, 1)] == ["y", "x", "x", "y"]
    rejects = rows_of(tmp_path, REJECTS, 1)
    assert [(row["account_id"], row["code"], row["row_number"]) for row in rejects] == [("z", 7, 3), ("z", 7, 5)]
    assert rows_of(tmp_path, BAD, 1) == [{"account_id": "x", "attribute": "n", "value": "?"}] * 2
    assert facts.rejects == {"refused": 2}
    assert facts.bad_values == {"n": 2}
    assert facts.duplicates == 0


def test_a_reject_names_its_file_and_row(tmp_path: Path, write_shards: Write) -> None:
    """Rows of rejects count in their own file, whatever shards and chunks they went through."""
    write_shards(tmp_path, ["a", "b", "c", "d", "e", "f", "g"], {}, shard_rows=4, chunks=[3, 2])
    places = [(row["account_id"], row["source"], row["row_number"]) for row in rows_of(tmp_path, REJECTS, 2)]
    in_0 = [("a", "in-0.csv", 1), ("b", "in-0.csv", 2), ("c", "in-0.csv", 3)]
    assert places == [
        *in_0,
        ("d", "in-1.csv", 1),
        ("e", "in-1.csv", 2),
        ("f", "in-2.csv", 1),
        ("g", "in-2.csv", 2),
    ]


def test_what_does_not_parse_is_kept_beside(tmp_path: Path, write_shards: Write) -> None:
    """A value that is no number becomes null, counted, and stands in bad_values in row order."""
    answers: dict[str, Attrs] = {"x": {"b": "no", "a": "nan?"}, "y": {"a": "2", "b": "true"}, "z": {"a": "3.5"}}
    layout = Layout(None, {"a": "int64", "b": "bool"})
    (facts,) = write_shards(tmp_path, ["z", "x", "y"], answers, layout=layout)
    assert [(row["a"], row["b"]) for row in rows_of(tmp_path, DATA, 1)] == [(None, None), (None, None), (2, True)]
    bad = [tuple(row.values()) for row in rows_of(tmp_path, BAD, 1)]
    assert bad == [("z", "a", "3.5"), ("x", "a", "nan?"), ("x", "b", "no")]
    assert facts.bad_values == {"a": 2, "b": 1}


def test_no_input_gives_empty_files_with_their_columns(tmp_path: Path, write_shards: Write) -> None:
    """An export of nothing can still be read."""
    (facts,) = write_shards(tmp_path, [], {}, layout=Layout(["a"], {"a": "int64"}))
    assert read(tmp_path / DATA / file_name(0)).schema.names == ["account_id", "a"]
    assert read(tmp_path / REJECTS / file_name(0)).schema == REJECT_SCHEMA
    assert read(tmp_path / BAD / file_name(0)).schema == BAD_VALUES
    assert (facts.off_by, facts.files[DATA].rows) == (0, 0)


def test_facts_are_those_of_the_files(tmp_path: Path, write_shards: Write) -> None:
    """Rows, bytes and hash are what lies on disk; every file is private."""
    (facts,) = write_shards(tmp_path, ["a", "b", None, "b", ""], {"a": {"n": "1"}})
    for folder in FOLDERS:
        path = tmp_path / folder / file_name(0)
        data = path.read_bytes()
        told = facts.files[folder]
        assert (told.bytes, told.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert told.rows == read(path).num_rows
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (facts.blank, facts.duplicates, facts.rejects) == (1, 1, {"missing": 1, "invalid_id": 1})


def test_rows_stand_in_input_order_whatever_came_first(tmp_path: Path, write_shards: Write) -> None:
    """Batches that are answered last to first give the rows of first to last."""
    ids = [f"user{number}" for number in range(20)]
    answers: dict[str, Attrs] = {name: {"a": name} for name in ids}
    write_shards(tmp_path, ids, answers, order=lambda batches: batches[::-1])
    assert rows_of(tmp_path, DATA, 1) == [{"account_id": name, "a": name} for name in ids]


# The file


def test_row_groups_compression_and_checksums(tmp_path: Path) -> None:
    """Row groups of 100,000 rows, zstd for every column, and a checksum on every page."""
    path = tmp_path / "a.parquet"
    table = pa.table({"account_id": [f"user{number}" for number in range(250_000)], "n": pa.nulls(250_000, pa.int64())})
    write_table(path, table)
    with pq.ParquetFile(path) as file:
        meta = file.metadata
    groups = [meta.row_group(number) for number in range(meta.num_row_groups)]
    assert [group.num_rows for group in groups] == [ROW_GROUP_ROWS, ROW_GROUP_ROWS, 50_000]
    assert {group.column(place).compression for group in groups for place in range(2)} == {"ZSTD"}


def test_chunks_of_a_table_do_not_change_its_bytes(tmp_path: Path) -> None:
    """A table in many pieces is written like one in a single piece."""
    rows = [str(random.Random(number).random()) for number in range(120_000)]
    table = pa.table({"account_id": rows, "a": [row[3] for row in rows]})
    pieces = pa.concat_tables([table.slice(start, 777) for start in range(0, len(table), 777)])
    assert write_table(tmp_path / "a", table) == write_table(tmp_path / "b", pieces)


def test_a_flipped_bit_in_a_page_is_seen(tmp_path: Path) -> None:
    """Reading back never returns a changed value: a page that does not match its checksum is an error of the disk."""
    path = tmp_path / "a.parquet"
    write_table(path, pa.table({"account_id": [str(random.Random(number).random()) for number in range(500)]}))
    with pq.ParquetFile(path) as file:
        column = file.metadata.row_group(0).column(0)
    whole = path.read_bytes()
    begin = column.data_page_offset  # behind it the page's header, with the least and the greatest text
    for place in range(begin + 160, begin + column.total_compressed_size, 97):
        flipped = bytearray(whole)
        flipped[place] ^= 1
        path.write_bytes(flipped)
        with pytest.raises(MachineError, match=r"/a\.parquet[: ]"):
            read(path)


@pytest.mark.parametrize("keep_bytes", [0, 3, 100, -1])
def test_a_cut_file_is_an_error_of_the_disk(tmp_path: Path, keep_bytes: int) -> None:
    """A file of ours that lost its end is told with its name, not with a traceback."""
    path = tmp_path / "a.parquet"
    write_table(path, pa.table({"account_id": ["a"]}))
    path.write_bytes(path.read_bytes()[:keep_bytes])
    with pytest.raises(MachineError, match=r"/a\.parquet[: ]"):
        read(path)


def test_a_full_disk_is_told_and_leaves_no_shard(small_disk: Path) -> None:
    """A shard that does not fit is a sentence, and no file at all."""
    rows = [str(random.Random(number).random()) for number in range(150_000)]
    with pytest.raises(MachineError, match=r"/a\.parquet: the disk is full"):
        write_table(small_disk / "a.parquet", pa.table({"account_id": rows}))
    assert list(small_disk.iterdir()) == []


def test_after_a_failure_nothing_is_recorded(tmp_path: Path) -> None:
    """A shard that waits behind one that could not be written is not committed: what is on disk is no longer known."""
    recorded: list[int] = []

    def fails_once(facts: ShardFacts) -> None:
        recorded.append(facts.number)
        if len(recorded) == 1:
            raise MachineError("the disk failed")

    async def commit_two() -> None:
        writer = ShardWriter(tmp_path, Attributes(), Layout(None, {}), thread=thread, on_durable=fails_once)
        shards = [Shard(number=number, first_row=number + 1, last_row=number + 1, blank=1) for number in range(2)]
        ended = await asyncio.gather(*map(writer.commit, shards), return_exceptions=True)
        assert isinstance(ended[0], MachineError)

    for name in FOLDERS:
        files.make_folder(tmp_path / name)
    with ThreadPoolExecutor(1) as thread:
        asyncio.run(commit_two())
    assert recorded == [0]
