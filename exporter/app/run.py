"""One run: every part is built here from Settings, in reading order, and the order of the wrappers is the policy."""

import asyncio
import math
import random
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from datetime import UTC, datetime

from exporter import __version__
from exporter.api.client import Client
from exporter.app.job import Job, identity_of
from exporter.batching import BATCH_ACCOUNTS_MAX, Planner, Shard
from exporter.errors import ServiceRefusal, ServiceUnreachable
from exporter.flatten import Attributes
from exporter.limiter import Limiter, limited
from exporter.model import Batch, Fetch, Reply
from exporter.output import manifest
from exporter.output.folder import Folder
from exporter.output.manifest import Manifest
from exporter.output.shards import ShardFacts, ShardWriter
from exporter.pipeline import KnownCheck, carry_all, judge_absent, read_ahead
from exporter.progress import counted
from exporter.retry import Policy, leading, retrying
from exporter.schema import Layout
from exporter.source import Source

UNREACHABLE_S_MAX = 30.0  # before the first answer of a run


class Run:
    """One run: asks for every account, then publishes."""

    def __init__(self, job: Job, source: Source, place: Folder, client: Client) -> None:
        self._job, self._source, self._place, self._client = job, source, place, client
        settings = job.settings
        self._limiter = Limiter(settings.rate)
        self._layout = Layout(settings.attribute_names, settings.types)
        self._attributes = Attributes(settings.attribute_names or (), exactly=settings.attribute_names is not None)
        self._known = KnownCheck(settings.max_missing)
        self._shards: list[ShardFacts] = []
        self._started_at = datetime.now(UTC)

    async def carry(self) -> None:
        """Ask for every account and make every shard durable."""
        job, settings = self._job, self._job.settings
        if settings.asks_names:
            self._attributes = Attributes(await self._ask_names())
        with ThreadPoolExecutor(1, "write") as thread:
            writer = ShardWriter(
                self._place.run, self._attributes, self._layout, thread=thread, on_durable=self._durable
            )
            async with aclosing(read_ahead(self._planned())) as events:
                await carry_all(
                    events,
                    self._layered(self._client.fetch),
                    writer,
                    in_flight_max=settings.in_flight,
                    shards_open_max=2 + math.ceil(settings.in_flight * BATCH_ACCOUNTS_MAX / settings.shard_rows),
                    on_batch=self._known.start,
                    on_reply=self._replied,
                )
        if job.progress.silence:
            raise ServiceUnreachable(f"there was no readable answer at all: {job.progress.silence}")
        for sentence in self._source.warnings:
            job.warn(sentence)
        if settings.max_missing is not None:
            judge_absent(job.progress.absent, job.progress.found + job.progress.absent, settings.max_missing)

    def publish(self, stop: threading.Event) -> Manifest | None:
        """Make the export visible; returns its manifest, or None when it was stopped before. Raises MachineError."""
        from exporter.output.assemble import assemble  # needed once, at the end: not before the first request

        settings = self._job.settings
        self._shards.sort(key=lambda facts: facts.number)
        columns = self._layout.columns(self._attributes.names)
        drop = settings.duplicates == "drop"
        shards = assemble(self._place.run, self._shards, columns, drop_duplicates=drop, stop=stop)
        if stop.is_set():
            return None
        progress, identity = self._job.progress, identity_of(self._job, self._source, read=True)
        made = Manifest(
            format=manifest.FORMAT,
            exporter=__version__,
            schema=manifest.schema_rows(columns),
            ignored_attributes=dict(sorted(self._attributes.ignored.items())),
            absent_attributes=sorted({*(settings.attribute_names or ()), *settings.types} - self._attributes.seen),
            settings=settings.public(),
            fingerprint=identity.fingerprint,
            fingerprint_of=identity.parts,
            requests=progress.requests,
            retries=progress.retries,
            refusals=progress.refusals,
            requests_per_s=round(progress.requests_per_s, 2),
            started_at=self._started_at.isoformat(timespec="milliseconds"),
            finished_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            seconds=round(progress.elapsed_s, 3),
            series=progress.series.rows(),
            **manifest.totals(shards),
        )
        self._place.publish(made)
        return made

    def _layered(self, call: Fetch) -> Fetch:
        settings, progress = self._job.settings, self._job.progress
        clock = asyncio.get_running_loop().time
        # Outermost first: a retry is a new attempt, and every attempt pays one token.
        paced = limited(counted(call, progress, clock), self._limiter)
        first_alone = leading(paced, clock=clock, unreachable_s_max=UNREACHABLE_S_MAX, on_retry=progress.retried)
        policy = Policy(slow_s_max=settings.outage_max * 60)
        return retrying(first_alone, policy, jitter=random.random, on_retry=progress.retried)

    async def _ask_names(self) -> list[str]:
        """Ask for the app's attribute names, under the same policy as everything else: as if one account had them."""

        async def call(accounts: Sequence[str]) -> Reply:
            return Reply(found={name: dict.fromkeys(await self._client.attribute_names()) for name in accounts})

        reply = await self._layered(call)(["the app"])
        if reply.rejected:
            raise ServiceRefusal(f"the service did not tell its attribute names: {reply.rejected['the app'].message}")
        return list(reply.found["the app"])

    def _planned(self) -> Generator[list[Batch | Shard], None, None]:
        settings, progress = self._job.settings, self._job.progress
        planner = Planner(shard_rows=settings.shard_rows, strip=settings.strip, keep=settings.duplicates == "keep")
        for chunk in self._source.chunks():
            events = planner.add(chunk)
            progress.planned += sum(len(event.accounts) for event in events if isinstance(event, Batch))
            progress.share_read = chunk.share
            yield events
        yield planner.finish()

    def _durable(self, facts: ShardFacts) -> None:
        self._place.record_shard(facts)
        self._shards.append(facts)

    def _replied(self, batch: Batch, reply: Reply) -> None:
        self._job.progress.settle(reply)
        self._known.reply(batch, reply)
