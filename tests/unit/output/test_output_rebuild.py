"""Rebuilding: a shard made again from what the export holds and new answers."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from exporter.batching import Planner, Shard
from exporter.flatten import Attributes
from exporter.model import Attrs, Batch, Chunk, Reason, Rejection, Reply
from exporter.output import files
from exporter.output.assemble import read
from exporter.output.facts import DATA, FOLDERS, ShardFacts, file_name
from exporter.output.rebuild import Rebuilder
from exporter.output.shards import ShardWriter
from exporter.schema import ACCOUNT, Layout

IDS = [f"user {number}" for number in range(12)]
AGAIN = IDS[::3]


def test_every_straggler_of_a_shard_put_aside_keeps_what_the_export_holds(
    tmp_path: Path, write_shards: Callable[..., list[ShardFacts]]
) -> None:
    """Put aside while several batches are open, a rebuilt shard has the old rows of each beside the new ones."""
    answers: dict[str, Attrs | Rejection] = {
        name: Rejection(Reason.EXHAUSTED) if name in AGAIN else {"n": name} for name in IDS
    }
    (old,) = write_shards(tmp_path / "old", IDS, answers)
    new = tmp_path / "new"
    for name in FOLDERS:
        files.make_folder(new / name)
    planner, layout, facts = Planner(shard_rows=1000, batch_accounts=3), Layout(None, {}), list[ShardFacts]()
    events = [*planner.add(Chunk("in-0.csv", 1, IDS)), *planner.finish()]

    async def go(thread: ThreadPoolExecutor) -> None:
        writer = ShardWriter(new, Attributes(["n"]), layout, thread=thread, on_durable=facts.append)
        rebuilder = Rebuilder(tmp_path / "old", {0: old}, layout.columns(["n"]), [Reason.EXHAUSTED], writer)
        batches = [rebuilder.narrowed(event) for event in events if isinstance(event, Batch)]
        for place, batch in enumerate(batches):
            if place == 1:
                await rebuilder.put_aside(0)
            rebuilder.add(batch, Reply(found={name: {"n": name} for name in batch.accounts}))
        (shard,) = (event for event in events if isinstance(event, Shard))
        await rebuilder.commit(shard)

    with ThreadPoolExecutor(1) as thread:
        asyncio.run(go(thread))
    rows = read(new / DATA / file_name(0)).to_pydict()
    assert rows == {ACCOUNT: IDS, "n": IDS}
