"""What an unfinished run left: only what is still what was written goes on."""

import os
import random
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import OutputError
from exporter.model import Attrs
from exporter.output.facts import FOLDERS, FileFacts, ShardFacts, file_name
from exporter.output.folder import Folder
from exporter.output.left import Left, progress_of, remove_all_but, survey

Write = Callable[..., list[ShardFacts]]
Fresh = Callable[[], AbstractContextManager[str]]

ANSWERS: dict[str, Attrs] = {name: {"n": name} for name in "abcdef"}


@pytest.fixture
def left_run(tmp_path: Path, write_shards: Write) -> Folder:
    """Six shards of one account each, recorded, and their run stopped."""
    place = Folder(tmp_path)
    place.begin({"x": 1})
    for facts in write_shards(place.run, list(ANSWERS), ANSWERS, shard_rows=1):
        place.record_shard(facts, {"requests": facts.number})
    place.close()
    return place


def listed(run: Path) -> set[str]:
    return {str(path.relative_to(run)) for path in run.rglob("*") if not path.is_dir() or path.is_symlink()}


WHOLE = {f"{folder}/{file_name(number)}" for folder in FOLDERS for number in range(6)} | {"journal", "progress"}


def test_a_run_that_is_whole_goes_on_with_all(left_run: Folder) -> None:
    """Every shard with all its facts, in order, and how far the counters were."""
    left = survey(left_run.run, left_run.records())
    assert [facts.number for facts in left.shards] == list(range(6))
    assert [asdict(facts) for facts in left.shards] == [
        asdict(ShardFacts.of(record)) for record in left_run.records() if record["op"] == "shard"
    ]
    assert left.damaged == []
    assert left.records == left_run.records()
    assert left.killed
    assert left.progress == {"seq": 0, "requests": 5}
    assert (left.names, left.spooled) == (None, None)
    remove_all_but(left_run.run, left)
    assert listed(left_run.run) == WHOLE


@given(st.sets(st.integers(0, 5)), st.sampled_from(FOLDERS), st.integers(0, 10**6), st.sampled_from(["flipped", "cut"]))
@settings(deadline=None)
def test_whatever_was_damaged_is_found_and_nothing_else(
    fresh_folder: Fresh, write_shards: Write, hit: set[int], folder: str, place: int, harm: str
) -> None:
    """One byte flipped or cut anywhere in any files: just these shards are redone, and no record names them."""
    with fresh_folder() as name:
        run = Folder(Path(name))
        run.begin({})
        for facts in write_shards(run.run, list(ANSWERS), ANSWERS, shard_rows=1):
            run.record_shard(facts)
        run.close()
        for number in hit:
            path = run.run / folder / file_name(number)
            data = bytearray(path.read_bytes())
            if harm == "flipped":
                data[place % len(data)] ^= 1 << place % 8
            path.write_bytes(data if harm == "flipped" else data[: place % len(data)])
        left = survey(run.run, run.records())
        assert set(left.damaged) == hit
        assert {facts.number for facts in left.shards} == set(range(6)) - hit
        assert {record["number"] for record in left.records if record["op"] == "shard"} == set(range(6)) - hit
        remove_all_but(run.run, left)
        gone = {f"{each}/{file_name(number)}" for each in FOLDERS for number in hit}
        assert listed(run.run) == WHOLE - {"progress"} - gone


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_is_no_file_of_its_own_is_not_sound(left_run: Folder, folder: str) -> None:
    """Gone, a link to the very same bytes, a folder, or another shard's file: redone."""
    for number in (1, 2, 3):
        (left_run.run / folder / file_name(number)).rename(left_run.out / f"elsewhere-{number}")
    (left_run.run / folder / file_name(2)).symlink_to(left_run.out / "elsewhere-2")
    (left_run.run / folder / file_name(3)).mkdir()
    assert list(survey(left_run.run, left_run.records()).damaged) == [1, 2, 3]


def test_shards_that_were_swapped_are_both_damaged(left_run: Folder) -> None:
    """Each is whole, but under the other's name."""
    one, other = (left_run.run / "data" / file_name(number) for number in (1, 4))
    aside = left_run.out / "aside"
    one.rename(aside)
    other.rename(one)
    aside.rename(other)
    assert list(survey(left_run.run, left_run.records()).damaged) == [1, 4]


def test_what_no_record_names_is_removed(left_run: Folder) -> None:
    """Shards, drafts, half a publishing, a spool that was not whole, links and folders; what lies outside stays."""
    run = left_run.run
    (left_run.out / "theirs").write_text("precious")
    for name in ("data/part-000007.parquet", "data/.part-000001.parquet.tmp", ".journal.tmp", "stdin", "bad_values/x"):
        (run / name).write_bytes(b"left")
    (run / "publish" / "data").mkdir(parents=True)
    (run / "publish" / "data" / file_name(0)).write_bytes(b"left")
    (run / "duplicates").mkdir()
    (run / "data" / "deep").mkdir()
    (run / "rejects" / "link").symlink_to(left_run.out / "theirs")
    remove_all_but(run, survey(run, left_run.records()))
    assert listed(run) == WHOLE
    assert sorted(path.name for path in run.iterdir()) == sorted([*FOLDERS, "journal", "progress"])
    assert (left_run.out / "theirs").read_text() == "precious"


def test_folders_that_are_gone_are_made_again(left_run: Folder) -> None:
    """Without them nothing could be written: their shards are damaged."""
    for path in sorted((left_run.run / "rejects").iterdir()):
        path.unlink()
    (left_run.run / "rejects").rmdir()
    left = survey(left_run.run, left_run.records())
    remove_all_but(left_run.run, left)
    assert left.shards == []
    assert (left_run.run / "rejects").is_dir()


def test_names_and_the_spool_are_known_again(left_run: Folder) -> None:
    """The app's attribute names, and standard input once it was all there: then the spool stays."""
    left_run.resume()
    left_run.record("names", names=["a", "b"])
    left_run.record("spooled", fingerprint={"bytes": 3})
    left_run.close()
    (left_run.run / "stdin").write_bytes(b"abc")
    left = left_run.resume()
    assert left.names == ["a", "b"]
    assert left.spooled == {"bytes": 3}
    assert (left_run.run / "stdin").read_bytes() == b"abc"
    left_run.close()


def facts_of(numbers: list[int]) -> list[ShardFacts]:
    nothing: dict[str, Any] = {"blank": 0, "duplicates": 0, "spaced": 0, "attributes": [], "seen": [], "ignored": {}}
    files = {folder: FileFacts(0, 0, "") for folder in FOLDERS}
    more: dict[str, Any] = {"rejects": {}, "bad_values": {}, "files": files, **nothing}
    return [
        ShardFacts(number=number, first_row=number + 1, last_row=number + 1, ids_hash=str(number), **more)
        for number in numbers
    ]


@given(st.sets(st.integers(0, 12)))
def test_the_gap_begins_at_the_first_shard_that_is_missing(numbers: set[int]) -> None:
    """Whatever is done: all before it is passed over, and all that is done is known by its hash."""
    left = Left(shards=facts_of(sorted(numbers)))
    missing = next(number for number in range(14) if number not in numbers)
    assert (left.before_gap.number if left.before_gap else -1) == missing - 1
    assert left.done == {number: str(number) for number in numbers}


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"5", b"null", b"\xff\xfe", b'{"a": nan}'])
def test_a_progress_that_cannot_be_read_is_none(tmp_path: Path, text: bytes) -> None:
    """Only counts are lost with it."""
    (tmp_path / "progress").write_bytes(text)
    assert progress_of(tmp_path) == {}
    assert progress_of(tmp_path / "nowhere") == {}


@pytest.mark.parametrize("changed", [{"files": {}}, {"ends": {"elsewhere": 1}}, {"ids_hash": None}])
def test_a_shard_of_another_version_is_told(left_run: Folder, changed: Mapping[str, Any]) -> None:
    """Its facts cannot be trusted: a sentence with the way out."""
    records = [{**record, **changed} if record["op"] == "shard" else record for record in left_run.records()]
    if changed.get("ids_hash", 1) is None:
        records = [{name: value for name, value in record.items() if name != "ids_hash"} for record in records]
    with pytest.raises(OutputError, match=r"another version.*--restart"):
        survey(left_run.run, records)


def test_shards_that_were_recorded_out_of_order_stand_in_order(left_run: Folder) -> None:
    """A later shard may have been done first: what is left is told by number."""
    order = list(range(6))
    random.Random(3).shuffle(order)
    records = left_run.records()
    shuffled = [records[0], *(records[1 + number] for number in order)]
    os.truncate(left_run.run / "data" / file_name(4), 5)
    left = survey(left_run.run, shuffled)
    assert [facts.number for facts in left.shards] == [0, 1, 2, 3, 5]
    assert left.damaged == [4]
