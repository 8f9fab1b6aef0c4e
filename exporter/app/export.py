"""The main job: find out what the same command means here, then run, then publish."""

import asyncio
from pathlib import Path
from typing import BinaryIO, cast

from exporter.app.job import Job, Outcome, identity_of
from exporter.app.run import Run
from exporter.app.service import make_client
from exporter.errors import OutputError, SettingsError
from exporter.output import folder
from exporter.output.folder import Folder
from exporter.output.manifest import Manifest
from exporter.settings import Settings
from exporter.source import Reading, Source, open_source


async def export(job: Job) -> Outcome:
    """Run the main job. Raises an ExporterError that says why the export is not complete."""
    client = make_client(job.settings)
    source = open_source(job.inputs, _reading(job.settings), standard_input=cast("BinaryIO | None", job.standard_input))
    _refuse_own_output(job, source)
    with folder.held(job.out) as place:
        if done := await asyncio.to_thread(_settled_before, place, job, source):
            return Outcome(done, asked=False)
        place.begin(identity_of(job, source).parts)
        async with client:
            run = Run(job, source, place, client)
            await run.carry()
            return Outcome(await asyncio.to_thread(run.publish), asked=True)


def _refuse_own_output(job: Job, source: Source) -> None:
    """Refuse an output folder within an input folder, or the other way round: the next run would read its own files."""
    out = job.out.resolve()
    read = [Path(given).resolve() for given in job.inputs if Path(given).is_dir()]
    files = [file.path.resolve() for file in source.files if file.path]
    if any(out.is_relative_to(given) for given in read) or any(file.is_relative_to(out) for file in files):
        raise SettingsError(
            f"{job.out} is part of the input. Choose another --out, so that no run reads what it wrote."
        )


def _reading(settings: Settings) -> Reading:
    return Reading(
        column=settings.column,
        header=not settings.no_header,
        delimiter=settings.delimiter,
        encoding=settings.encoding,
        allow_empty=settings.allow_empty,
    )


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
            identity_of(job, source).refuse_other(unfinished, found, "--restart")
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
    identity_of(job, source, read=True).refuse_other(done.fingerprint_of, found, "--overwrite")
    return done
