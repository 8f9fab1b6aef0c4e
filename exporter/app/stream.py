"""A stream: the accounts of a program asked for like those of a run, and handed over in blocks instead of written."""

from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from exporter.api.client import Client
from exporter.app.asking import Asking, attribute_names
from exporter.app.job import planner_of
from exporter.batching import Shard
from exporter.errors import MachineError
from exporter.flatten import Attributes, schema_of
from exporter.model import Batch, Chunk
from exporter.output.blocks import Block, BlockMaker
from exporter.pipeline import KnownCheck, judge_absent, read_ahead
from exporter.progress import Progress
from exporter.schema import Layout
from exporter.settings import Settings

BLOCKS_AHEAD = 4  # complete ones that wait for a straggler before them, or for a slow reader


@dataclass(frozen=True)
class StreamJob:
    """One stream: which ids in chunks, how, and who takes the schema and the blocks.

    `give_schema` is called once, before the first `hand_over`, which returns when the block is taken.
    """

    chunks: Iterator[Chunk]
    settings: Settings
    progress: Progress
    client: Client
    give_schema: Callable[[pa.Schema], None]
    hand_over: Callable[[Block], Awaitable[None]]
    tell: Callable[[str], None]


async def stream(job: StreamJob) -> None:
    """Ask for every account, and hand over all blocks in order. Raises an ExporterError, or what the ids raise."""
    settings, progress = job.settings, job.progress
    asking = Asking(settings, progress, job.tell)
    async with job.client as client:
        names: Sequence[str] = settings.attribute_names or await attribute_names(client, asking.layered)
        columns = Layout(settings.attribute_names, settings.types).columns(names)
        job.give_schema(schema_of(columns))
        plan = _Plan(job)
        with ThreadPoolExecutor(1, "blocks") as thread:
            await asking.carry(
                read_ahead(plan.events()),
                asking.layered(client.fetch),
                BlockMaker(Attributes(names, exactly=True), columns, plan.counted, thread=thread),
                check=KnownCheck(settings.max_missing),
                shards_ahead=BLOCKS_AHEAD,
                drain_s_max=0.0,  # nobody takes what would still come
            )
    if plan.read != plan.handed_over:
        raise MachineError(f"{plan.read:,} ids were read, and {plan.handed_over:,} came out. Please report this.")
    if settings.max_missing is not None:
        judge_absent(progress.absent, progress.found + progress.absent, settings.max_missing)


class _Plan:
    """What is asked, and how many ids went in and came out."""

    def __init__(self, job: StreamJob) -> None:
        self._job = job
        self.read = self.handed_over = 0

    def events(self) -> Generator[list[Batch | Shard], None, None]:
        planner = planner_of(self._job.settings)
        for chunk in self._job.chunks:
            self.read += len(chunk.ids)
            yield planner.add(chunk)
        yield planner.finish()

    async def counted(self, block: Block) -> None:
        await self._job.hand_over(block)
        self.handed_over += block.input
