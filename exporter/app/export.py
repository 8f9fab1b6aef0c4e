"""The main job: find out what the same command means here, then begin or go on, then publish."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from exporter.api.client import Client
from exporter.app.job import Job, Outcome, identity_of, source_of
from exporter.app.place import refuse_no_folder, refuse_own_files
from exporter.app.run import Run
from exporter.app.service import make_client
from exporter.errors import InputError, OutputError
from exporter.model import ANSWERS
from exporter.output import folder
from exporter.output.folder import Folder
from exporter.output.left import Left
from exporter.output.manifest import Manifest
from exporter.pipeline import abandonable, judge_absent, through
from exporter.settings import Settings
from exporter.source import Source, StandardInput


async def export(job: Job) -> Outcome:
    """Run the main job. Raises an ExporterError that says why the export is not complete."""
    # In threads, as all that looks at a disk: the event loop may be somebody's who has other things to do.
    client, source = await through(lambda: _opened(job))
    async with _held(job.out) as place:
        if job.standard_input and _asks_nothing(place, job.settings):
            # Whether it is the same input shows only when all of it was read. Nobody waits for that read at the end.
            await abandonable(job.standard_input.drain)
        if done := await through(lambda: _settled_before(place, job, source)):
            return Outcome(done, asked=False)
        left = await _begun(place, job, source)
        async with client:
            run = Run(job, source, place, client, left)
            if job.standard_input:
                await _spool(place, job.standard_input, left, run.recognised)
            await run.carry()
            return Outcome(await published(run), asked=True)


def _opened(job: Job) -> tuple[Client, Source]:
    """Find out all that can be told before anything is written. Raises an ExporterError."""
    refuse_no_folder(job)
    client = make_client(job.settings, hide=job.hide)
    source = source_of(job)
    refuse_own_files(job, source)
    return client, source


@contextlib.asynccontextmanager
async def _held(out: Path) -> AsyncIterator[Folder]:
    """Hold the output folder, for which there may be another holder to wait for."""
    with contextlib.ExitStack() as stack:
        yield await through(lambda: stack.enter_context(folder.held(out)))


async def _begun(place: Folder, job: Job, source: Source) -> Left:
    """Go on with the unfinished run that lies here, or begin one."""
    if place.unfinished() is None:
        left = await through(lambda: place.begin(identity_of(job, source).parts))
    else:
        left = await through(place.resume)
        _tell(job, left)
    return left


def _tell(job: Job, left: Left) -> None:
    rows = sum(facts.last_row - facts.first_row + 1 for facts in left.shards)
    job.tell(f"Going on with the run that was stopped: {rows:,} rows of the input are done.")
    if left.damaged:
        numbers = ", ".join(map(str, left.damaged))
        job.warn(f"what was written of shard {numbers} is damaged or gone; it is asked for again.")


async def _spool(place: Folder, stream: StandardInput, left: Left, recognised: threading.Event) -> None:
    """Read standard input from the spool: as it comes, or as an earlier start of this run kept it."""

    def record(fingerprint: Mapping[str, object]) -> None:
        recognised.wait()  # what turns out to be another input must not pass for this one at the next start
        place.record("spooled", fingerprint=fingerprint)

    if left.spooled is None:
        stream.spool_to(place.spool(), record)
        return
    await abandonable(stream.drain)
    if not stream.is_empty and stream.fingerprint() != left.spooled:
        raise InputError(
            "standard input is not what the unfinished run has read. Send the same again, or nothing (</dev/null) to go on"
            " with what is kept, or give --restart to begin anew."
        )
    stream.replay(place.spool(keep_bytes=int(left.spooled["bytes"])), left.spooled)


async def published(run: Run) -> Manifest:
    """Publish in a thread, which holds the folder until it is through: a signal ends it between two shards, or not at all."""
    stop = threading.Event()
    publishing = asyncio.ensure_future(asyncio.to_thread(run.publish, stop))
    try:
        made = await asyncio.shield(publishing)
    except asyncio.CancelledError:
        stop.set()
        made = await publishing  # where it was too late to stop, the export is complete
    if made is None:
        raise asyncio.CancelledError
    return made


def _asks_nothing(place: Folder, settings: Settings) -> bool:
    """Tell whether all was asked for before, unless it is another input."""
    try:
        return place.is_publishing() or (
            place.is_complete() and not settings.overwrite and (settings.restart or place.unfinished() is None)
        )
    except OutputError:  # the journal is damaged: what that means is decided below
        return settings.restart and place.is_complete() and not settings.overwrite


def _begun_before(place: Folder, *, forget: bool) -> object | None:
    """Return what the unfinished run that lies here began with; `forget` it, unless it is being published.

    Raises OutputError for a damaged journal, and for a retry: these are only forgotten.
    """
    try:
        begun = place.unfinished()
        if place.is_publishing() or not (forget or place.retrying()):
            return begun
    except OutputError:  # the journal is damaged
        if not forget:
            raise
        begun = True
    if not forget:
        raise OutputError(
            f"{place.out} holds an unfinished retry. `exporter retry {place.out}` goes on with it, --restart forgets it."
        )
    if begun is not None:
        place.forget()
    return None


def _settled_before(place: Folder, job: Job, source: Source) -> Manifest | None:
    """Decide what the same command means here; return the manifest of an export that is complete already.

    Raises OutputError for what lies here and is not this export, unless the user said to begin anew.
    """
    settings = job.settings
    begun = _begun_before(place, forget=settings.restart)
    finished_now = place.finish_publishing()
    if begun is not None and not finished_now:
        found = f"{place.out} holds an unfinished run of another export"
        identity_of(job, source).refuse_other(begun, found, "--restart")
        return None
    place.refuse_foreign(overwrite=settings.overwrite)
    if settings.overwrite and not finished_now:
        return None
    done = place.completed()
    if done is None:
        return None
    _refuse_another(job, source, done, begun if finished_now else None)
    if settings.max_missing is not None:
        absent = sum(done.rejects_by_reason.get(reason, 0) for reason in ANSWERS)
        judge_absent(absent, done.rows + absent, settings.max_missing)
    return done


def _refuse_another(job: Job, source: Source, done: Manifest, begun: object | None) -> None:
    """Refuse a complete export that is not of this command; `begun` is what its run began with, if it ended just now."""
    found = f"{job.out} holds a complete export of something else"
    if begun is not None and job.standard_input and job.standard_input.is_empty:
        # Nothing was sent again: that is enough to go on with an unfinished run, and so it is to end one.
        identity_of(job, source).refuse_other(begun, found, "--overwrite")
        return
    if pipe := next((file.name for file in source.files if file.path and file.bytes is None), None):
        raise OutputError(
            f"{job.out} holds a complete export, and {pipe} is a pipe: nobody can tell whether it gives the same ids."
            " Choose another --out, or give --overwrite to begin anew."
        )
    identity_of(job, source, read=True).refuse_other(done.fingerprint_of, found, "--overwrite")
