"""The composition root: builds every part from Settings, in reading order, and runs the job."""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from exporter import __version__
from exporter.api.client import Client
from exporter.api.signer import KeySigner, ReadySigner, Signer
from exporter.batching import BATCH_ACCOUNTS_MAX, Planner, Shard
from exporter.errors import AttemptError, OutputError, ServiceRefusal, ServiceUnreachable, SettingsError, Verdict
from exporter.flatten import Attributes
from exporter.limiter import Limiter, limited
from exporter.model import Batch, Fetch, Reply
from exporter.output import folder, manifest
from exporter.output.folder import Folder
from exporter.output.identity import STREAM, Identity
from exporter.output.manifest import Manifest
from exporter.output.shards import ShardFacts, ShardWriter
from exporter.pipeline import KnownCheck, carry_all, judge_absent, read_ahead
from exporter.progress import Progress
from exporter.retry import Policy, leading, retrying
from exporter.schema import Layout
from exporter.settings import Settings
from exporter.source import InputFile, Reading, Source, Tally, fingerprint, open_source

T = TypeVar("T")

UNREACHABLE_S_MAX = 30.0  # before the first answer of a run


@dataclass(frozen=True)
class Job:
    """One export: what to read, where to write, and who listens."""

    inputs: Sequence[str]
    out: Path
    settings: Settings
    progress: Progress
    standard_input: Tally | None = None
    warn: Callable[[str], None] = field(default=lambda _sentence: None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A complete export. `asked` is False when it was complete before, and nothing was asked."""

    manifest: Manifest
    asked: bool


async def export(job: Job) -> Outcome:
    """Run the main job. Raises an ExporterError that says why the export is not complete."""
    client = make_client(job.settings)
    source = open_source(job.inputs, _reading(job.settings), standard_input=cast("BinaryIO | None", job.standard_input))
    with folder.held(job.out) as place:
        if done := await asyncio.to_thread(_settled_before, place, job, source):
            return Outcome(done, asked=False)
        place.begin(_identity(job, source).parts)
        async with client:
            run = _Run(job, source, place, client)
            await run.carry()
            return Outcome(await asyncio.to_thread(run.publish), asked=True)


async def check_service(settings: Settings) -> list[str]:
    """Make two calls; return in words what is right. Raises ServiceRefusal that says what is wrong and how to mend it."""
    client = make_client(settings)
    said = [f"Reached {client.base_url} as {client.identifier} of app {client.sdkappid}."]
    async with client:
        reply = await _asked_once(client.fetch([client.identifier]))
        said.append("The key, the administrator and the region are right, and the attributes feature is on.")
        if client.identifier in reply.found:
            said.append(f"{client.identifier} has {len(reply.found[client.identifier])} attributes of its own.")
        else:
            said.append(f"{client.identifier} has no attributes of its own: it is no chat user, which is fine.")
        names = await _asked_once(client.attribute_names())
    if not names:
        said.append("The app has no attribute names yet: set them in the console or with im_set_attr_name.")
        return said
    said.append(f"The app has {len(names)} attribute names: {', '.join(names)}.")
    if unknown := [name for name in settings.attribute_names or () if name not in names]:
        raise ServiceRefusal(
            f"--attributes names what the app does not have: {', '.join(unknown)}. It has {', '.join(names)}."
        )
    return said


async def _asked_once(call: Awaitable[T]) -> T:
    try:
        return await call
    except AttemptError as error:
        if error.code is None:
            raise ServiceUnreachable(f"no usable answer: {error}") from None
        raise ServiceRefusal(str(error), code=error.code) from None


def make_client(settings: Settings) -> Client:
    """Build the client. Raises SettingsError that names what is missing."""
    needed = {"--sdkappid": settings.sdkappid, "--identifier": settings.identifier}
    if missing := [flag for flag, value in needed.items() if value is None]:
        raise SettingsError(f"{' and '.join(missing)} must be given; the Chat console shows both on the app's page.")
    sdkappid, identifier = settings.sdkappid or 0, settings.identifier or ""
    return Client(
        base_url=settings.address,
        sdkappid=sdkappid,
        identifier=identifier,
        signer=_signer(settings, sdkappid, identifier),
        in_flight_max=settings.in_flight,
        connect_timeout_s=settings.connect_timeout_s,
        timeout_s=settings.timeout_s,
        ca_file=settings.ca_file,
    )


def _signer(settings: Settings, sdkappid: int, identifier: str) -> Signer:
    if settings.usersig:
        return ReadySigner(settings.usersig.get_secret_value())
    if key := settings.key():
        return KeySigner(sdkappid, identifier, key, clock=time.time)
    raise SettingsError(
        "No key: set EXPORTER_SECRET_KEY or EXPORTER_SECRET_KEY_FILE to the app's secret key from the Chat console,"
        " or EXPORTER_USERSIG to a ready UserSig. Secrets are never flags."
    )


def _reading(settings: Settings) -> Reading:
    return Reading(
        column=settings.column,
        header=settings.header,
        delimiter=settings.delimiter,
        encoding=settings.encoding,
        allow_empty=settings.allow_empty,
    )


def _identity(job: Job, source: Source, *, read: bool = False) -> Identity:
    """Say which export this is; what comes from standard input is known only after it was `read`."""

    def content(file: InputFile) -> Mapping[str, object]:
        if file.path is None and read and job.standard_input:
            return job.standard_input.fingerprint()
        return STREAM if file.path is None or file.bytes is None else fingerprint(file.path)

    return Identity([content(file) for file in source.files], job.settings.shaping())


def _settled_before(place: Folder, job: Job, source: Source) -> Manifest | None:
    """Decide what the same command means here; return the manifest of an export that is complete already.

    Raises OutputError for what lies here and is not this export, unless the user said to begin anew.
    """
    settings = job.settings
    try:
        finished_now = place.finish_publishing()
    except OutputError:  # the journal is damaged
        if settings.restart:
            return None
        raise
    if (unfinished := place.unfinished()) is not None:
        if not settings.restart:
            found = f"{place.out} holds an unfinished run of another export"
            _identity(job, source).refuse_other(unfinished, found, "--restart")
        return None
    if settings.overwrite and not finished_now:
        return None
    done = place.completed()
    if done is None:
        place.refuse_foreign()
        return None
    if job.standard_input:
        job.standard_input.drain()
    found = f"{place.out} holds a complete export of something else"
    _identity(job, source, read=True).refuse_other(done.fingerprint_of, found, "--overwrite")
    return done


class _Run:
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
        for sentence in self._source.warnings:
            job.warn(sentence)
        if settings.max_missing is not None:
            judge_absent(job.progress.absent, job.progress.found + job.progress.absent, settings.max_missing)

    def publish(self) -> Manifest:
        """Make the export visible; returns its manifest. Raises MachineError."""
        from exporter.output.assemble import assemble  # needed once, at the end: not before the first request

        settings = self._job.settings
        self._shards.sort(key=lambda facts: facts.number)
        columns = self._layout.columns(self._attributes.names)
        drop = settings.duplicates == "drop"
        shards = assemble(self._place.run, self._shards, columns, drop_duplicates=drop)
        progress, identity = self._job.progress, _identity(self._job, self._source, read=True)
        made = Manifest(
            format=manifest.FORMAT,
            exporter=__version__,
            schema=manifest.schema_rows(columns),
            ignored_attributes=dict(sorted(self._attributes.ignored.items())),
            settings=settings.public(),
            fingerprint=identity.fingerprint,
            fingerprint_of=identity.parts,
            requests=progress.requests,
            retries=progress.retries,
            refusals=progress.refusals,
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
        paced = limited(traced(call, progress, clock), self._limiter)
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
        settings = self._job.settings
        planner = Planner(shard_rows=settings.shard_rows, strip=settings.strip, keep=settings.duplicates == "keep")
        for chunk in self._source.chunks():
            yield planner.add(chunk)
            self._job.progress.share_read = chunk.share
        yield planner.finish()

    def _durable(self, facts: ShardFacts) -> None:
        self._place.record_shard(facts)
        self._shards.append(facts)

    def _replied(self, batch: Batch, reply: Reply) -> None:
        self._job.progress.settle(reply)
        self._known.reply(batch, reply)


def traced(fetch: Fetch, progress: Progress, clock: Callable[[], float]) -> Fetch:
    """Wrap a fetch so that each attempt, its answer or failure, and its latency are counted."""

    async def fetch_and_count(accounts: Sequence[str]) -> Reply:
        began = clock()
        progress.started()
        try:
            reply = await fetch(accounts)
        except AttemptError as error:
            progress.failed(error.code, refused=error.verdict is Verdict.SLOW_DOWN)
            raise
        progress.answered(clock() - began)
        return reply

    return fetch_and_count
