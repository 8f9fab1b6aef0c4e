"""Accounts in several shards, counted before there is an export."""

import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.batching import problem
from exporter.errors import MachineError
from exporter.output.repeats import Repeats

TEXTS = st.sampled_from(["a", "a ", "A", "x" * 32, "é", "e\u0301", "中" * 10, "0", "00"]) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=4
).filter(lambda text: problem(text) is None)
SHARDS = st.lists(st.lists(TEXTS, unique=True, max_size=12), max_size=8)


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty folder that scratch files go to."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def counted(shards: Sequence[Sequence[str]], partition: int = 200_000, staged: int = 100_000) -> int:
    with Repeats(partition, staged) as repeats:
        for accounts in shards:
            repeats.add(accounts)
        return repeats.count()


@given(SHARDS, st.sampled_from([1, 2, 5, 1000]), st.sampled_from([1, 3, 1000]))
@example([["a"], ["a"], ["a"]], 1, 1)
@example([["b", "c"], ["c", "d"]], 1, 1000)
@example([["b", "c"], [], ["a"]], 1, 1)
def test_it_is_what_a_set_counts(shards: list[list[str]], partition: int, staged: int) -> None:
    """However the accounts are spread over partitions, and however many are laid down at once."""
    every = [account for accounts in shards for account in accounts]
    assert counted(shards, partition, staged) == len(every) - len(set(every))


def test_a_single_shard_and_what_was_laid_down_leave_nothing(scratch: Path) -> None:
    """One shard needs no file; the files of several are gone at the end, and after an error."""
    assert counted([[f"u{number}" for number in range(1000)]], 10, 10) == 0
    with Repeats(10, 10) as repeats:
        repeats.add([f"u{number}" for number in range(1000)])
        assert not list(scratch.iterdir())
        repeats.add([f"u{number}" for number in range(500, 1500)])
        assert list(scratch.iterdir())
        assert repeats.count() == 500
    assert not list(scratch.iterdir())
    with pytest.raises(KeyboardInterrupt):
        _stopped(scratch)
    assert not list(scratch.iterdir())


def _stopped(scratch: Path) -> None:
    with Repeats(10, 10) as repeats:
        for first in (0, 1):
            repeats.add([f"u{number}" for number in range(first, 1000)])
        assert list(scratch.iterdir())
        raise KeyboardInterrupt


def test_it_can_be_stopped(scratch: Path) -> None:
    """Once it is told to stop it reads no further: what was not read cannot stand twice."""
    stop = threading.Event()
    stop.set()
    with Repeats(10, 10) as repeats:
        for _ in range(2):
            repeats.add([f"u{number}" for number in range(1000)])
        assert repeats.count(stop) == 0
    assert not list(scratch.iterdir())


def test_shards_that_lie_apart_are_not_looked_through(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their ranges tell that no account stands in two."""
    monkeypatch.setattr("exporter.output.repeats.Later", None)
    assert counted([[f"{shard}-{number:04d}" for number in range(1000)] for shard in range(5)], 10, 10) == 0
    assert not list(scratch.iterdir())


def test_a_full_disk_is_a_sentence_with_a_way_out(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder, the reason, and what to do; nothing is left there."""
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    with pytest.raises(MachineError) as full:
        counted([[f"{number * 7919 % 1_000_003:032d}" for number in range(20_000)] for _ in range(20)], 1000, 1000)
    assert str(full.value).startswith(f"{small_disk}: no space left on device. To count the accounts")
    assert "set TMPDIR to another folder" in str(full.value)
    assert not list(small_disk.iterdir())
