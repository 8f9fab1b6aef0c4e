"""Accounts that stand in more than one shard."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.batching import problem
from exporter.errors import MachineError
from exporter.flatten import Array
from exporter.output.duplicates import PARTITION_ACCOUNTS, PARTITIONS_MAX, later_duplicates, partitions_for

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


def found(fresh_folder: Fresh, shards: Sequence[Sequence[str]], partitions: int) -> dict[int, list[int]]:
    """Places by shard; the scratch folder is empty again."""
    with fresh_folder() as folder:
        arrays: list[Array] = [pa.array(shard, pa.string()) for shard in shards]
        later = later_duplicates(iter(arrays), Path(folder), partitions=partitions)
        assert list(Path(folder).iterdir()) == []
    return {shard: sorted(place for part in parts for place in part.to_pylist()) for shard, parts in later.items()}


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
def test_the_same_as_a_set(fresh_folder: Fresh, shards: list[list[str]], partitions: int) -> None:
    """Any accounts in any shards over any number of partitions: all but the first of each, and nothing else."""
    assert found(fresh_folder, shards, partitions) == expected(shards)


def test_a_part_of_an_array_is_read_from_where_it_begins(tmp_path: Path) -> None:
    """An array that is a part of a larger one gives its own accounts."""
    whole: Array = pa.array(["a", "b", "c", "d", "b"])
    later = later_duplicates(iter([whole.slice(1, 2), whole.slice(3)]), tmp_path, partitions=2)
    assert {shard: [part.to_pylist() for part in parts] for shard, parts in later.items()} == {1: [[1]]}


def test_many_accounts_in_many_shards(fresh_folder: Fresh) -> None:
    """Twenty thousand accounts, a third of them twice."""
    shards = [[f"user{number}" for number in range(start, start + 4_000)] for start in range(0, 15_000, 3_000)]
    assert found(fresh_folder, shards, 16) == expected(shards)


SHAPES = ["user{:08d}", "{:d}", "{:d}@example.com", "{:032d}", "{:024x}_{:d}", "中文{:d}"]


@pytest.mark.parametrize("shape", SHAPES)
def test_partitions_share_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: str) -> None:
    """Ids that differ in a few places alone still spread: no partition has more than a fifth over its share."""
    sizes: list[int] = []
    read = pa.ipc.open_stream

    def counted(source: Array) -> Array:
        table = read(source).read_all()
        sizes.append(len(table))
        return pa.ipc.RecordBatchReader.from_batches(table.schema, table.to_batches())

    monkeypatch.setattr(pa.ipc, "open_stream", counted)
    ids: Array = pa.array([shape.format(number, number) for number in range(16_000)])
    later_duplicates(iter([ids]), tmp_path, partitions=16)
    assert sum(sizes) == 16_000
    assert len(sizes) == 16
    assert max(sizes) < 1_200


def test_memory_of_a_partition_is_bounded() -> None:
    """A partition holds at most its share, up to the number of files that may be open; there is always one."""
    for number in (0, 1, PARTITION_ACCOUNTS, PARTITION_ACCOUNTS + 1, 10 * PARTITION_ACCOUNTS, 10**12):
        partitions = partitions_for(number)
        assert 1 <= partitions <= PARTITIONS_MAX
        assert partitions == PARTITIONS_MAX or number <= partitions * PARTITION_ACCOUNTS
    assert partitions_for(PARTITION_ACCOUNTS) == 1


def test_a_full_disk_is_told(small_disk: Path) -> None:
    """Scratch files that find no room are a sentence."""
    shards: list[Array] = [pa.array([f"{shard}-{number}" for number in range(10_000)]) for shard in range(6)]
    with pytest.raises(MachineError, match="the disk is full"):
        later_duplicates(iter(shards), small_disk, partitions=3)
