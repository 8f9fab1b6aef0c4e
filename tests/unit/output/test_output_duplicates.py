"""Accounts that stand in more than one shard."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.batching import problem
from exporter.errors import MachineError
from exporter.flatten import Array
from exporter.output import duplicates
from exporter.output.duplicates import SPREADS_MAX, Later

Fresh = Callable[[], AbstractContextManager[str]]

# Near misses: a prefix of another, outer spaces, case, the longest, one glyph written in two ways.
NEAR = [
    "a",
    "a ",
    " a",
    "A",
    "aa",
    "x" * 31,
    "x" * 32,
    "中" * 10,
    "中" * 10 + "ab",
    "é",
    "e\u0301",
    "🙂" * 8,
    "0",
    "00",
]

accounts = st.sampled_from(NEAR) | st.text(min_size=1, max_size=32).filter(
    lambda text: not any("\ud800" <= char <= "\udfff" for char in text) and problem(text) is None
)


def found(folder: Path, shards: Sequence[Sequence[str]], partition: int) -> dict[int, list[int]]:
    """Places by shard, where there are any, as they are asked for one shard after the other."""
    arrays: list[Array] = [pa.array(shard, pa.string()) for shard in shards]
    later = Later(folder, sum(map(len, shards)), partition)
    later.find(iter(arrays))
    firsts = [0, *accumulate(map(len, shards))]
    places = {shard: later.among(firsts[shard], len(arrays[shard])).to_pylist() for shard in range(len(shards))}
    return {shard: here for shard, here in places.items() if here}


def expected(shards: Sequence[Sequence[str]]) -> dict[int, list[int]]:
    """The same with a set."""
    seen: set[str] = set()
    later: dict[int, list[int]] = {}
    for number, shard in enumerate(shards):
        for place, account in enumerate(shard):
            if account in seen:
                later.setdefault(number, []).append(place)
            seen.add(account)
    return later


@given(st.lists(st.lists(accounts, max_size=12), max_size=6), st.integers(1, 9))
@example([], 1)
@example([[], ["a"], [], ["a"]], 3)
@example([["a", "a"], ["a "]], 2)
@example([NEAR, list(reversed(NEAR)), NEAR], 5)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_same_as_a_set(fresh_folder: Fresh, shards: list[list[str]], partition: int) -> None:
    """Any accounts in any shards, whatever a partition holds: all but the first of each, in order, and nothing else."""
    with fresh_folder() as folder:
        assert found(Path(folder), shards, partition) == expected(shards)


def test_a_part_of_an_array_is_read_from_where_it_begins(tmp_path: Path) -> None:
    """An array that is a part of a larger one gives its own accounts."""
    whole: Array = pa.array(["a", "b", "c", "d", "b"])
    later = Later(tmp_path, 4, 2)
    later.find(iter([whole.slice(1, 2), whole.slice(3)]))
    assert later.among(2, 2).to_pylist() == [1]


def test_many_accounts_in_many_shards(tmp_path: Path) -> None:
    """Twenty thousand accounts, a third of them twice; of the scratch files only the places are left."""
    shards = [[f"user{number}" for number in range(start, start + 4_000)] for start in range(0, 15_000, 3_000)]
    assert found(tmp_path, shards, 1_000) == expected(shards)
    assert {path.name.partition("-")[0] for path in tmp_path.iterdir()} == {"later"}


def test_what_fits_into_memory_is_not_written(tmp_path: Path) -> None:
    """As many accounts as one partition holds, none twice: not a file."""
    assert found(tmp_path, [["a", "b"], ["c"]], 3) == {}
    assert list(tmp_path.iterdir()) == []


def test_once_stopped_no_more_is_found(tmp_path: Path) -> None:
    """Stopped while the accounts are read: the places of none are kept."""
    stop = threading.Event()

    def shards() -> Iterator[Array]:
        yield pa.array(["a", "b", "c"])
        stop.set()
        yield pa.array(["a", "b", "c"])

    Later(tmp_path, 6, 2).find(shards(), stop)
    assert not list(tmp_path.glob("later-*"))


def test_memory_is_bounded_by_what_a_partition_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many accounts there are for the files that may be open, no more than a partition's are settled at once."""
    sizes: list[int] = []
    repeated = duplicates.repeated

    def counted(table: pa.Table) -> Array:
        sizes.append(len(table))
        return repeated(table)

    monkeypatch.setattr(duplicates, "repeated", counted)
    monkeypatch.setattr(duplicates, "PARTITIONS_MAX", 8)
    shards = [[f"user{number}" for number in range(start, start + 4_000)] for start in range(0, 15_000, 3_000)]
    assert found(tmp_path, shards, 500) == expected(shards)
    assert sum(sizes) == 20_000
    assert max(sizes) <= 500


SHAPES = ["user{:08d}", "{:d}", "{:d}@example.com", "{:032d}", "{:024x}_{:d}", "中文{:d}"]


@pytest.mark.parametrize("spreads", range(SPREADS_MAX))
@pytest.mark.parametrize("shape", SHAPES)
def test_partitions_share_evenly(shape: str, spreads: int) -> None:
    """Ids that differ in a few places alone still spread, each time: no partition has over a fifth more than its share."""
    ids: Array = pa.array([shape.format(number, number) for number in range(16_000)])
    sizes = [item["counts"].as_py() for item in pc.value_counts(duplicates.homes_of(ids, 16, spreads))]
    assert sum(sizes) == 16_000
    assert len(sizes) == 16
    assert max(sizes) < 1_200


def test_a_full_disk_is_told(small_disk: Path) -> None:
    """Scratch files that find no room are a sentence."""
    chance = random.Random(1)
    shards: list[Array] = [pa.array([f"{chance.random()}" for _ in range(10_000)]) for _ in range(6)]
    with pytest.raises(MachineError, match="the disk is full"):
        Later(small_disk, 60_000, 20_000).find(iter(shards))
