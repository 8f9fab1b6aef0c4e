"""Assembling: one schema, each account once, and nothing that the writer would not have written itself."""

import errno
import os
import pickle
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.errors import MachineError
from exporter.model import Attrs, BadId, Reason, Rejection
from exporter.output import files
from exporter.output.assemble import assemble, read
from exporter.output.facts import BAD, DATA, FOLDERS, REJECTS, ShardFacts, file_name
from exporter.output.publish import STAGE
from exporter.schema import Layout

Item = str | BadId | None
Answers = Mapping[str, Attrs | Rejection]
Write = Callable[..., list[ShardFacts]]
Fresh = Callable[[], AbstractContextManager[str]]

REFUSED = Rejection(Reason.REFUSED, 40005, "no")
LAYOUTS = [
    Layout(None, {}),
    Layout(None, {"a": "int64", "b": "timestamp", "account_id": "bool"}),
    Layout(["level", "a"], {"level": "float64"}),
]

accounts = st.sampled_from(["a", "b", "c", "d", "e", "f", "a ", "中文", "x" * 32])
names = st.sampled_from(["a", "b", "level", "account_id", "中"])
texts = st.sampled_from(["", "1", "-7", "x", "2024-01-01T00:00:00+08:00", "true"]) | st.none()
attrs = st.dictionaries(names, texts, max_size=3)
answers_of = st.dictionaries(accounts, st.one_of(attrs, attrs, attrs, st.just(REFUSED)), min_size=4)
bad_rows = st.builds(BadId, accounts | st.none(), st.just(Reason.BAD_ROW), st.just("too many fields"))
items = st.one_of(accounts, accounts, accounts, st.none(), bad_rows, st.sampled_from(["", "y" * 33]))


@dataclass(frozen=True)
class Case:
    """An input, what the service says of it, and the settings that shape the output."""

    ids: Sequence[Item]
    answers: Answers
    shard_rows: int
    layout: Layout

    def stage(self, write_shards: Write, run: Path, **more: Any) -> list[ShardFacts]:
        """Write the shards of this case."""
        ids = more.pop("ids", self.ids)
        return write_shards(run, ids, self.answers, layout=self.layout, shard_rows=self.shard_rows, **more)

    def assemble(self, run: Path, facts: Sequence[ShardFacts], *, drop: bool = True) -> list[ShardFacts]:
        """Assemble them as a run does."""
        seen = {name for shard in facts for name in shard.attributes}
        return assemble(run, facts, self.layout.columns(seen), drop_duplicates=drop)

    def without_later(self) -> list[Item]:
        """The same input, with blank lines for accounts that stand in an earlier shard."""
        asked: dict[str, int] = {}
        out: list[Item] = []
        for row, item in enumerate(self.ids):
            shard = row // self.shard_rows
            later = isinstance(item, str) and asked.setdefault(item, shard) != shard and item not in {"", "y" * 33}
            out.append(None if later else item)
        return out


# Lists are short unless told otherwise: most must be long enough for several shards with accounts in common.
ids_lists = st.lists(items, max_size=4) | st.lists(items, min_size=12, max_size=30)
cases = st.builds(Case, ids_lists, answers_of, st.integers(2, 9), st.sampled_from(LAYOUTS))


def found(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}


def ids_of(run: Path, kind: str, shards: int) -> list[list[Any]]:
    return [read(run / STAGE / kind / file_name(number), ["account_id"])[0].to_pylist() for number in range(shards)]


@given(cases)
@example(Case(["a", "b", "a", "b"], {"a": {"a": "x"}, "b": REFUSED}, 2, LAYOUTS[1]))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_files_are_those_the_writer_would_have_written(
    write_shards: Write, fresh_folder: Fresh, case: Case
) -> None:
    """Later duplicates gone, all columns in place: byte for byte as if the shards had been written so at first."""
    with fresh_folder() as name:
        run, direct = Path(name, "run"), Path(name, "direct")
        staged = case.stage(write_shards, run)
        before = found(run)
        made = case.assemble(run, staged)
        every = sorted({attribute for shard in staged for attribute in shard.attributes})
        expected = case.stage(write_shards, direct, ids=case.without_later(), first=every)
        assert found(run / STAGE) == found(direct)
        assert {path: data for path, data in found(run).items() if not path.startswith(STAGE)} == before
        assert sorted(path.name for path in run.iterdir()) == sorted([*FOLDERS, STAGE])
    for shard, same in zip(made, expected, strict=True):
        assert shard.files == same.files
        assert (shard.rejects, shard.bad_values) == (same.rejects, same.bad_values)
        assert set(shard.attributes) == set(same.attributes)
        assert shard.duplicates + shard.blank == same.duplicates + same.blank


@given(cases)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_every_shard_adds_up_and_has_one_schema(write_shards: Write, fresh_folder: Fresh, case: Case) -> None:
    """Accounting closes per shard, blank lines and places are untouched, and all data files have equal schemas."""
    with fresh_folder() as name:
        run = Path(name)
        staged = case.stage(write_shards, run)
        made = case.assemble(run, staged)
        schemas = [pq.read_schema(path) for path in sorted((run / STAGE / DATA).iterdir())]
    assert [shard.off_by for shard in made] == [0] * len(staged)
    assert all(schema.equals(schemas[0], check_metadata=True) for schema in schemas)
    for shard, was in zip(made, staged, strict=True):
        same = ("number", "first_row", "last_row", "blank", "spaced", "ids_hash")
        assert [getattr(shard, key) for key in same] == [getattr(was, key) for key in same]


@given(cases)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_a_shard_that_needs_no_change_keeps_its_files(write_shards: Write, fresh_folder: Fresh, case: Case) -> None:
    """Same columns and no later duplicate: the very files that were staged, and the facts as they were."""
    with fresh_folder() as name:
        run = Path(name)
        staged = case.stage(write_shards, run)
        every = {attribute for shard in staged for attribute in shard.attributes}
        ids = case.without_later()
        for shard, made in zip(staged, case.assemble(run, staged), strict=True):
            rows = slice(shard.first_row - 1, shard.last_row)
            if set(shard.attributes) == every and ids[rows] == list(case.ids[rows]):
                assert made == shard
                for folder in FOLDERS:
                    path = Path(folder, file_name(shard.number))
                    assert (run / path).samefile(run / STAGE / path)


@given(cases)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_kept_duplicates_lose_nothing(write_shards: Write, fresh_folder: Fresh, case: Case) -> None:
    """With duplicates kept, each shard shows the accounts that were staged; only columns are added."""
    with fresh_folder() as name:
        run = Path(name)
        staged = case.stage(write_shards, run, keep=True)
        made = case.assemble(run, staged, drop=False)
        for kind in FOLDERS:
            before = [read(run / kind / file_name(n), ["account_id"])[0].to_pylist() for n in range(len(staged))]
            assert ids_of(run, kind, len(staged)) == before
    assert [shard.off_by for shard in made] == [0] * len(made)


def test_the_first_stands_whatever_it_is(tmp_path: Path, write_shards: Write) -> None:
    """A reject in an earlier shard stands too: the row of the later shard is dropped, and its bad values with it."""
    answers: dict[str, Attrs | Rejection] = {"a": {"n": "?"}, "b": {"n": "2"}, "no": REFUSED}
    case = Case(["a", "no", "b", "a", "no", "gone", "gone", "b", "c"], answers, 3, Layout(None, {"n": "int64"}))
    made = case.assemble(tmp_path, case.stage(write_shards, tmp_path))
    assert ids_of(tmp_path, DATA, 3) == [["a", "b"], [], []]
    assert ids_of(tmp_path, REJECTS, 3) == [["no"], ["gone"], ["c"]]
    assert ids_of(tmp_path, BAD, 3) == [["a"], [], []]
    assert [shard.duplicates for shard in made] == [0, 2, 2]
    assert [shard.rejects for shard in made] == [{"refused": 1}, {"missing": 1}, {"missing": 1}]
    assert [shard.bad_values for shard in made] == [{"n": 1}, {}, {}]


def test_a_bad_row_is_no_duplicate(tmp_path: Path, write_shards: Write) -> None:
    """A row that could not be read, and an invalid id, stay in every shard, also with the text of a dropped account."""
    bad = BadId("no", Reason.BAD_ROW, "too many fields")
    case = Case(["no", "", bad, "no", "", bad], {"no": REFUSED}, 3, Layout(None, {}))
    made = case.assemble(tmp_path, case.stage(write_shards, tmp_path))
    assert ids_of(tmp_path, REJECTS, 2) == [["no", "", "no"], ["", "no"]]
    assert made[1].rejects == {"invalid_id": 1, "bad_row": 1}
    assert made[1].duplicates == 1


def test_an_attribute_of_the_last_shard_is_a_column_of_the_first(tmp_path: Path, write_shards: Write) -> None:
    """Nulls there, at its place by code point."""
    case = Case(["a", "b"], {"a": {"b": "1"}, "b": {"a": "2"}}, 1, Layout(None, {"a": "int64"}))
    made = case.assemble(tmp_path, case.stage(write_shards, tmp_path))
    rows = [read(tmp_path / STAGE / DATA / file_name(number)).to_pylist() for number in (0, 1)]
    assert rows == [[{"account_id": "a", "a": None, "b": "1"}], [{"account_id": "b", "a": 2, "b": None}]]
    assert [shard.attributes for shard in made] == [["a", "b"], ["a", "b"]]


def large_case() -> Case:
    """Some shards, of which some change in every way and some not at all."""
    chance = random.Random(7)
    ids: list[Item] = [f"user{chance.randrange(16)}" for _ in range(24)]
    answers: dict[str, Attrs | Rejection] = {f"user{n}": {"a": "x", "n": str(n / 2)} for n in range(0, 16, 2)}
    answers["user1"] = REFUSED
    answers["user4"] = {"late": "1"}
    return Case(ids, answers, 8, Layout(None, {"n": "int64"}))


WORK = """
import pickle
from exporter.output.assemble import assemble
def work(run):
    facts, columns = pickle.loads((run / "facts").read_bytes())
    assemble(run, facts, columns, drop_duplicates=True)
"""


def test_killed_at_any_point_and_begun_again_is_the_same(
    quick_path: Path, write_shards: Write, killed_everywhere: Callable[[str, Path], list[Path]]
) -> None:
    """Killed before each change of the disk, the next assembling makes the same files and leaves nothing else."""
    case, run = large_case(), quick_path / "run"
    staged = case.stage(write_shards, run)
    columns = case.layout.columns({name for shard in staged for name in shard.attributes})
    (run / "facts").write_bytes(pickle.dumps((staged, columns)))
    left = killed_everywhere(WORK, run)
    assert len(left) > 20
    facts = assemble(run, staged, columns, drop_duplicates=True)
    assert {shard == was for shard, was in zip(facts, staged, strict=True)} == {True, False}
    for place in left:
        assert assemble(place, staged, columns, drop_duplicates=True) == facts
        assert found(place) == found(run)
        assert sorted(path.name for path in place.iterdir()) == sorted([*FOLDERS, "facts", STAGE])


def test_what_an_earlier_assembling_left_is_gone(tmp_path: Path, write_shards: Write) -> None:
    """A stray file in the stage would be published: there is none."""
    case = Case(["a", "b"], {"a": {"a": "1"}}, 1, Layout(None, {}))
    facts = case.stage(write_shards, tmp_path)
    case.assemble(tmp_path, facts)
    (tmp_path / STAGE / DATA / file_name(2)).write_bytes(b"stray")
    case.assemble(tmp_path, facts)
    assert sorted(path.name for path in (tmp_path / STAGE / DATA).iterdir()) == [file_name(0), file_name(1)]


def test_once_stopped_no_more_is_read(tmp_path: Path, write_shards: Write) -> None:
    """At a hundred million accounts a minute of work lies before the first shard is written: a signal ends it too."""
    case = Case(["a", "b", "c"], {"a": {"a": "1"}}, 1, Layout(None, {}))
    facts = case.stage(write_shards, tmp_path)
    files.remove(tmp_path / DATA)
    stop = threading.Event()
    stop.set()
    assert assemble(tmp_path, facts, [], drop_duplicates=True, stop=stop) == []
    assert not (tmp_path / "duplicates").exists()


def test_a_file_system_without_links_gets_copies(
    tmp_path: Path, write_shards: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same files, only not shared."""

    def refuse(*_args: object) -> None:
        raise OSError(errno.EPERM, "x")

    monkeypatch.setattr(os, "link", refuse)
    case = Case(["a"], {"a": {"a": "1"}}, 1, Layout(None, {}))
    case.assemble(tmp_path, case.stage(write_shards, tmp_path))
    path = Path(DATA, file_name(0))
    assert (tmp_path / path).read_bytes() == (tmp_path / STAGE / path).read_bytes()
    assert not (tmp_path / path).samefile(tmp_path / STAGE / path)


def test_a_full_disk_is_told_and_leaves_no_scratch(small_disk: Path, write_shards: Write) -> None:
    """No room to write a shard again: a sentence, no scratch; with room, it is done."""
    chance = random.Random(3)
    ids: list[Item] = [f"{chance.random()}" for _ in range(4_000)]
    answers: dict[str, Attrs] = {str(item): {"a": str(chance.random())} for item in ids}
    case = Case([*ids[:2_000], *ids[:1], *ids[2_000:]], answers, 2_000, Layout(None, {}))
    staged = case.stage(write_shards, small_disk, batch_accounts=100)
    fill, free = small_disk / "fill", os.statvfs(small_disk)
    fill.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - 20_000)))
    with pytest.raises(MachineError, match="the disk is full"):
        case.assemble(small_disk, staged)
    assert not (small_disk / "duplicates").exists()
    files.remove(fill)
    assert [shard.off_by for shard in case.assemble(small_disk, staged)] == [0, 0, 0]
