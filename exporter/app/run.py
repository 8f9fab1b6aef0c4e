"""One run: every part is built here from Settings, in reading order; `asking.py` says how the service is asked.

It goes on with what is `left` of an earlier start: those shards are neither read nor asked for again.
"""

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor

from exporter import __version__
from exporter.api.client import Client
from exporter.app.asking import Asking, attribute_names
from exporter.app.job import Job, identity_of, inputs_of, planner_of
from exporter.app.report import Wanted, of_run
from exporter.batching import Shard
from exporter.flatten import Attributes
from exporter.model import Batch, Chunk, Fetch
from exporter.output import manifest
from exporter.output.facts import ShardFacts
from exporter.output.folder import Folder, now
from exporter.output.left import Left
from exporter.output.manifest import Manifest
from exporter.output.room import shortage
from exporter.output.shards import ShardWriter
from exporter.pipeline import KnownCheck, Sink, judge_absent, read_ahead, through
from exporter.schema import Column, Layout
from exporter.source import Source

Wrap = Callable[[ShardWriter], Sink]


class Run:
    """One run: asks for every account, then publishes."""

    def __init__(self, job: Job, source: Source, place: Folder, client: Client, left: Left) -> None:
        self._job, self._source, self._place, self._client, self._left = job, source, place, client, left
        settings = job.settings
        self._asking = Asking(settings, job.progress, job.tell)
        job.on_begun(place.run_id)
        if left.killed:
            self._asking.limiter.spend_all()
        self._layout = Layout(settings.attribute_names, settings.types)
        self._shards = list(left.shards)
        self._drops_duplicates = settings.duplicates == "drop"
        self._room_checked = self._suspects = False
        self.recognised = threading.Event()
        """Set once the input has shown that it is what the shards that are left were made of."""
        asked = manifest.asked(self._shards)
        job.progress.restore(left.progress, asked, manifest.rows(self._shards), len(self._shards))

    async def carry(self) -> None:
        """Ask for every account that has no durable shard, and make every shard durable."""
        job, settings = self._job, self._job.settings
        names = await self._ask_names() if settings.asks_names else settings.attribute_names or ()
        await self.carry_planned(
            Attributes(
                names,
                exactly=settings.attribute_names is not None,
                known={name for facts in self._shards for name in facts.attributes},
            ),
            KnownCheck(settings.max_missing, known=job.progress.found, absent=job.progress.absent),
        )
        for sentence in self._source.warnings:
            job.warn(sentence)
        if settings.max_missing is not None:
            judge_absent(job.progress.absent, job.progress.found + job.progress.absent, settings.max_missing)

    async def carry_planned(
        self, attributes: Attributes, check: KnownCheck | None, wrap: Wrap = lambda writer: writer
    ) -> None:
        """Carry all batches to a writer of shards that knows these attributes; `wrap` puts another sink before it."""
        self._attributes = attributes
        with ThreadPoolExecutor(1, "write") as thread:
            sink = wrap(ShardWriter(self._place.run, attributes, self._layout, thread=thread, on_durable=self._durable))
            fetch = self._layered(self._client.fetch, await through(self._answered_before))
            await self._asking.carry(read_ahead(self._planned()), fetch, sink, check=check)

    def publish(self, stop: threading.Event) -> Manifest | None:
        """Make the export visible; returns its manifest, or None when it was stopped before. Raises MachineError."""
        from exporter.output.assemble import assemble  # needed once, at the end: not before the first request

        self._shards.sort(key=lambda facts: facts.number)
        columns = self._layout.columns(self._attributes.names)
        drop = self._drops_duplicates
        shards = assemble(self._place.run, self._shards, columns, drop_duplicates=drop, stop=stop)
        if stop.is_set():
            return None
        made = self._manifest(columns, shards)
        settings = self._job.settings
        wanted = Wanted(data=settings.report == "data", redact_ids=settings.redact_ids, stop=stop)
        page = of_run(made, self._place.stage, wanted, self._job.warn)
        if stop.is_set():
            return None
        self._place.publish(made, page)
        return made

    def _manifest(self, columns: Sequence[Column], shards: Sequence[ShardFacts]) -> Manifest:
        settings, progress = self._job.settings, self._job.progress
        seen = {name for facts in shards for name in facts.seen}
        identity = identity_of(self._job, self._source, read=True)
        return Manifest(
            format=manifest.FORMAT,
            exporter=__version__,
            run_id=self._place.run_id,
            inputs=inputs_of(self._source),
            schema=manifest.schema_rows(columns),
            absent_attributes=sorted({*(settings.attribute_names or ()), *settings.types} - seen),
            settings=settings.public(),
            fingerprint=identity.fingerprint,
            fingerprint_of=identity.parts,
            requests=progress.requests,
            retries=progress.retries,
            refusals=progress.refusals,
            requests_per_s=round(progress.requests_per_s, 2),
            slow_downs=progress.slow_downs,
            rate_min=round(min(settings.rate, progress.pace_min or settings.rate), 2),
            outages=progress.outages,
            paused_s=round(progress.paused_s, 3),
            started_at=self._place.begun_at,
            finished_at=now(),
            seconds=round(progress.elapsed_s, 3),
            series=progress.series.rows(),
            **manifest.totals(shards),
        )

    def _layered(self, call: Fetch, known: Sequence[str]) -> Fetch:
        return self._asking.layered(call, known=known, suspects=self._suspects)

    def _answered_before(self) -> list[str]:
        """Some accounts that an earlier start had an answer for: they tell a service out of reach from a batch at fault."""
        from exporter.output.rebuild import some_accounts

        return some_accounts(self._place.run, self._left.shards)

    async def _ask_names(self) -> list[str]:
        if self._left.names is not None:
            return list(self._left.names)
        known = await through(self._answered_before)
        names = await attribute_names(self._client, lambda call: self._layered(call, known))
        self._place.record("names", names=names)
        return names

    def _planned(self) -> Generator[list[Batch | Shard], None, None]:
        settings, progress = self._job.settings, self._job.progress
        # What lies before the first gap is passed over, unless the input is a pipe: then nobody knows whether it is the same.
        before = self._left.before_gap if all(file.bytes is not None for file in self._source.files) else None
        first, share = (before.number + 1, before.share) if before else (0, 0.0)
        planner = planner_of(settings, first=first, done=self._left.done, share=share)
        for chunk in self._source.chunks(before.ends if before else None):
            self._warn_of_shortage(chunk, before)
            events = planner.add(chunk)
            if planner.recognised:
                self.recognised.set()
            progress.planned += sum(len(event.accounts) for event in events if isinstance(event, Batch))
            progress.share_read = chunk.share
            yield events
        yield planner.finish()
        self.recognised.set()
        if self._job.standard_input:
            self._job.standard_input.settle()

    def _warn_of_shortage(self, chunk: Chunk, before: ShardFacts | None) -> None:
        """Estimate the disk that is needed from the first rows, before anything is asked."""
        if self._room_checked or not chunk.share:
            return
        self._room_checked = True
        done, share = (before.last_row, before.share or 0.0) if before else (0, 0.0)
        rows = rows_left(chunk, done, share)
        if sentence := shortage(self._place.out, rows, self._job.settings.shard_rows):
            self._job.warn(sentence)

    def _durable(self, facts: ShardFacts) -> None:
        self._place.record_shard(facts, self._job.progress.state())
        self._shards.append(facts)
        self._job.progress.committed()
        self._job.on_shard(facts)


def rows_left(chunk: Chunk, done: int, share: float) -> int:
    """Estimate the rows from a chunk on, before which `done` rows lie, and a `share` of the input; 0 where nobody can tell.

    It goes by all rows so far: of packed files the share grows by leaps, and from one chunk alone anything might follow.
    """
    return round((done + len(chunk.ids)) / chunk.share * (1 - share)) if chunk.share else 0
