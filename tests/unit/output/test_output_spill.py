"""Putting aside: what a shard knows leaves memory, and comes back as it was."""

import asyncio
import random
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.batching import Planner, Shard
from exporter.errors import MachineError
from exporter.flatten import Attributes
from exporter.model import Batch, Chunk, Reason, Rejection, Reply, Rows
from exporter.output import files
from exporter.output.facts import FOLDERS, ShardFacts
from exporter.output.shards import ShardWriter
from exporter.output.spill import Spill
from exporter.schema import Layout

IDS = [f"user {number}" for number in range(24)]
THINGS = [(1, "a"), (None, [("row", Rejection(Reason.REFUSED, 40005, "nein"))]), (2, b"\0")]


def reply_of(batch: Batch) -> Reply:
    """Reject every fifth account; the others have attributes that depend on who they are."""
    numbers = {name: int(name.split()[1]) for name in batch.accounts}
    return Reply(
        found={
            name: {"n": str(number), f"only {number % 3}": None if number % 2 else "x"}
            for name, number in numbers.items()
            if number % 5
        },
        rejected={
            name: Rejection(Reason.UNKNOWN_ACCOUNT, 40004, f"who is {number}?")
            for name, number in numbers.items()
            if not number % 5
        },
    )


def planned() -> tuple[list[Batch], Shard]:
    planner = Planner(shard_rows=100, batch_accounts=3)
    *batches, shard = [*planner.add(Chunk("in.csv", 1, IDS)), *planner.finish()]
    assert isinstance(shard, Shard)
    return [batch for batch in batches if isinstance(batch, Batch)], shard


def written(folder: Path, order: Sequence[int], aside_after: int | None) -> tuple[ShardFacts, dict[str, bytes]]:
    """Write one shard, put aside after so many batches; return its facts and files."""
    facts: list[ShardFacts] = []
    batches, shard = planned()

    async def go(thread: Executor) -> None:
        writer = ShardWriter(folder, Attributes(), Layout(None, {}), thread=thread, on_durable=facts.append)
        for done, place in enumerate(order):
            if done == aside_after:
                await writer.put_aside(0)
            writer.add(batches[place], reply_of(batches[place]))
        await writer.commit(shard)

    for name in FOLDERS:
        files.make_folder(folder / name)
    with ThreadPoolExecutor(1) as thread:
        asyncio.run(go(thread))
    (made,) = facts
    assert sorted(path.name for path in folder.iterdir()) == sorted(FOLDERS), "nothing else is left"
    return made, {name: (folder / name / "part-000000.parquet").read_bytes() for name in FOLDERS}


@given(st.permutations(range(8)), st.integers(0, 7))
def test_putting_aside_changes_no_byte(
    fresh_folder: Callable[[], AbstractContextManager[str]], order: list[int], aside_after: int
) -> None:
    """Whenever a shard is put aside, its files and facts are those of one that never was."""
    with fresh_folder() as plain, fresh_folder() as aside:
        assert written(Path(aside), order, aside_after) == written(Path(plain), range(8), None)


def test_a_value_is_put_aside_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The columns of a batch are cut from one array; each takes its own values to the disk, not those of all."""
    names, value = [f"n{number}" for number in range(20)], "x" * 50
    batch = Batch(0, 0, IDS, range(1, len(IDS) + 1))
    spills: list[int] = []
    write = Spill.write

    def measured(spill: Spill) -> None:
        write(spill)
        file = spill._file  # noqa: SLF001 - it has no name
        assert file
        spills.append(file.tell())

    monkeypatch.setattr(Spill, "write", measured)

    async def go(thread: Executor) -> None:
        writer = ShardWriter(tmp_path, Attributes(), Layout(None, {}), thread=thread, on_durable=lambda _facts: None)
        writer.add(batch, Reply(found=Rows(names, dict.fromkeys(IDS, (value,) * len(names)))))
        await writer.put_aside(0)
        for spill in [answers.spill for answers in writer._open.values() if answers.spill]:  # noqa: SLF001
            list(spill.take())

    with ThreadPoolExecutor(1) as thread:
        asyncio.run(go(thread))
    assert spills[0] < 2 * len(IDS) * len(names) * len(value)


def test_what_is_aside_has_no_name_and_is_not_in_memory(tmp_path: Path) -> None:
    """Nobody finds the file, and nothing is left of it; only its things come back, in order, once."""
    spill = Spill(tmp_path, THINGS)
    spill.write()
    assert not list(tmp_path.iterdir())
    assert not spill._things  # noqa: SLF001 - that it is freed is the claim
    assert list(spill.take()) == THINGS
    assert not list(tmp_path.iterdir())


def test_what_was_not_written_yet_is_not_lost() -> None:
    """A run that is stopped may take back what the thread never came to write."""
    assert list(Spill(Path("nowhere"), THINGS).take()) == THINGS


def test_a_stop_before_the_disk_was_reached_loses_nothing(tmp_path: Path) -> None:
    """Cancelled while it waits behind other writing, what was to be put aside is in the shard all the same."""
    facts: list[ShardFacts] = []
    batches, shard = planned()

    class Stuck(Executor):
        """Does nothing until it is let go."""

        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ARG002
            return Future()

    async def go(thread: Executor) -> None:
        writer = ShardWriter(tmp_path, Attributes(), Layout(None, {}), thread=Stuck(), on_durable=facts.append)
        for batch in batches:
            writer.add(batch, reply_of(batch))
        putting = asyncio.create_task(writer.put_aside(0))
        await asyncio.sleep(0)
        putting.cancel()
        await asyncio.gather(putting, return_exceptions=True)
        writer._thread = thread  # noqa: SLF001 - the same thread, come free
        await writer.commit(shard)

    for name in FOLDERS:
        files.make_folder(tmp_path / name)
    with ThreadPoolExecutor(1) as thread:
        asyncio.run(go(thread))
    assert facts[0].off_by == 0


def test_a_full_disk_is_told(small_disk: Path) -> None:
    """What does not fit is a sentence, and nothing is left behind."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    noise = [random.Random(number).randbytes(100_000) for number in range(20)]
    with pytest.raises(MachineError, match="the disk is full"):
        Spill(small_disk, noise).write()
    assert not list(small_disk.iterdir())
    assert len(list(Path("/proc/self/fd").iterdir())) == before
