"""The functions that a notebook or a task calls: what `exporter run` does, with its settings as keywords."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from exporter.errors import TooManyRejects
from exporter.library.background import carried
from exporter.library.options import BLOCK_ROWS, AnyPath, Options, StreamOptions, covered_secrets, settings_of
from exporter.library.result import Export, Reject, Snapshot
from exporter.library.telling import covered, tell, warn

if TYPE_CHECKING:
    from exporter.app import Job, Outcome
    from exporter.library.streaming import Given, Stream
    from exporter.progress import Progress
    from exporter.settings import Settings

TICK_S = 1.0

OnProgress = Callable[[Snapshot], object]


def export(
    inputs: AnyPath | Sequence[AnyPath],
    out: AnyPath,
    *,
    config: AnyPath | None = None,
    on_progress: OnProgress | None = None,
    **settings: Unpack[Options],
) -> Export:
    """Export the attributes of every account in `inputs` to Parquet files in the folder `out`; wait until it is done.

        made = export("ids.csv", "export", region="singapore", sdkappid=1400000000, identifier="administrator", rate=80)
        print(made.rows, made.rejects_by_reason)

    `inputs` is a CSV or Parquet file, a folder or a pattern, or a list of these. `settings` are those of the command line by
    their names; what is not given comes from the environment (EXPORTER_…), the TOML file `config`, and the defaults.
    The same call again goes on with what was stopped, and asks nothing when the export is complete.

    It works in a thread of its own, also within a running event loop. `on_progress` is called there about once a second, and
    once at the end; what it raises stops the export, as Ctrl-C does: what is whole is kept, the same call goes on.

    Raises TooManyRejects, with the complete export, and for all that went wrong another ExporterError.
    """
    settings = covered_secrets(settings)
    return carried(lambda: aexport(inputs, out, config=config, on_progress=on_progress, **settings))


async def aexport(
    inputs: AnyPath | Sequence[AnyPath],
    out: AnyPath,
    *,
    config: AnyPath | None = None,
    on_progress: OnProgress | None = None,
    **settings: Unpack[Options],
) -> Export:
    """Do as `export` does, in the running event loop, which it does not block.

        made = await aexport("ids.csv", "export", on_progress=print)

    Cancelled, it ends what is in flight and keeps what is whole, which takes up to ten seconds; the same call goes on.
    """
    settings = covered_secrets(settings)
    with covered():
        return await _exported(inputs, Path(out), config, on_progress, settings)


def stream(
    ids: "Given",
    *,
    config: AnyPath | None = None,
    on_reject: Callable[[Reject], object] | None = None,
    **settings: Unpack[StreamOptions],
) -> "Stream":
    """Ask for the attributes of all these accounts, and hand out the rows as Arrow record batches, in the order of the ids.

        with stream(ids, on_reject=print, rate=80) as batches:
            for batch in batches:          # or `async with`, and `async for`
                print(batch.num_rows, batch.schema.names)
        print(batches.totals)

    `ids` is any iterable of texts, read as it is needed (in a thread of its own), an Arrow array of texts, or an async
    iterable. None is a blank line: counted, and no reject. Nothing is written to the disk.

    At most some blocks of `shard_rows` ids (10,000 unless told otherwise) are in memory: whoever does not read on is not
    asked for. All batches have one schema: `attributes` as they are named, or all that the app has, which is asked first.
    Duplicates are dropped within a block. An id without a row goes to `on_reject`, right before the rows of its block, and is
    counted in `totals` in any case.

    Raises SettingsError at once; the others, and at the very end TooManyRejects, come while the batches are read.
    """
    from exporter.library.streaming import Stream

    settings = covered_secrets(settings)
    names = StreamOptions.__annotations__
    with covered():
        return Stream(ids, settings_of(settings, config, names=names, before={"shard_rows": BLOCK_ROWS}), on_reject)


async def _exported(
    inputs: AnyPath | Sequence[AnyPath],
    out: Path,
    config: AnyPath | None,
    on_progress: OnProgress | None,
    given: Options,
) -> Export:
    # The libraries of a run take half a second to load.
    job = await asyncio.to_thread(lambda: _job(inputs, out, settings_of(given, config, names=Options.__annotations__)))
    outcome = await (_watched(job, on_progress) if on_progress else _done(job))
    made = _export_of(outcome, out)
    from exporter.app import excess

    if sentence := excess(outcome.manifest.failures, made.input, job.settings):
        raise TooManyRejects(sentence, export=made)
    tell(f"Complete: {made.rows:,} rows in {out}.")
    return made


def _job(inputs: AnyPath | Sequence[AnyPath], out: Path, settings: "Settings") -> "Job":
    from exporter.app import Job
    from exporter.progress import Progress
    from exporter.redaction import hide

    given = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    return Job(
        [os.fsdecode(path) for path in given],
        out,
        settings,
        Progress(time.monotonic),
        warn=warn,
        tell=tell,
        hide=hide,
    )


async def _done(job: "Job") -> "Outcome":
    from exporter.app import export as work

    return await work(job)


async def _watched(job: "Job", on_progress: OnProgress) -> "Outcome":
    """Do a job and tell how far it is; when telling fails, that stops the job."""
    from exporter.pipeline import first_of

    async def tick() -> None:
        while True:
            await asyncio.sleep(TICK_S)
            on_progress(_snapshot(job.progress))

    try:
        async with asyncio.TaskGroup() as group:
            ticking = group.create_task(tick())
            outcome = await _done(job)
            ticking.cancel()
    except BaseExceptionGroup as errors:
        raise first_of(errors) from None
    on_progress(_snapshot(job.progress))
    return outcome


def _snapshot(progress: "Progress") -> Snapshot:
    requests, accounts = progress.rates()
    left_s = progress.left_s()
    share = None if left_s is None else progress.elapsed_s / max(progress.elapsed_s + left_s, 1e-9)
    return Snapshot(
        settled=progress.settled,
        requests_per_s=requests,
        accounts_per_s=accounts,
        share=share,
        left_s=left_s,
        paused_why=progress.paused_why,
    )


def _export_of(outcome: "Outcome", out: Path) -> Export:
    import orjson

    made = outcome.manifest
    return Export(
        out=out,
        rows=made.rows,
        rejects=made.rejects,
        rejects_by_reason=dict(made.rejects_by_reason),
        duplicates=made.duplicates,
        blank=made.blank,
        input=made.input,
        seconds=made.seconds,
        requests=made.requests,
        asked=outcome.asked,
        manifest=orjson.loads(made.to_json()),
    )
