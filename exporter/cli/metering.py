"""Where the metrics of a command go: to a port while it runs, to a text file now and then, and there with its end."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from exporter import __version__
from exporter.cli.console import WARNING, say
from exporter.cli.exits import COMPLETE, code_of
from exporter.errors import MachineError, SettingsError

if TYPE_CHECKING:
    from exporter.app import Job, Outcome
    from exporter.metrics import Metrics, RunCollector

TEXTFILE_TICK_S = 15.0


class Meter:
    """The metrics of one command. Does nothing where nobody asked for any."""

    def __init__(self, job: "Job") -> None:
        self._job = job
        self._collector: RunCollector | None = None
        self._metrics: Metrics | None = None

    def start(self) -> None:
        """Put the metrics where they were asked for. Raises SettingsError or MachineError where that cannot be."""
        settings = self._job.settings
        if settings.metrics_port is None and settings.metrics_textfile is None:
            return
        from exporter.metrics import Metrics, RunCollector, last_success, refuse_foreign

        if path := settings.metrics_textfile:
            refuse_foreign(path)
        self._collector = RunCollector(self._job.progress, settings.sdkappid, __version__)
        self._metrics = Metrics(self._collector)
        if path := settings.metrics_textfile:
            self._collector.last_success_s = last_success(path, settings.sdkappid)
            self._metrics.write(path)
            if path.suffix != ".prom":
                say(f"--metrics-textfile {path}: the node exporter reads files called *.prom alone.", WARNING)
        if settings.metrics_port is not None:
            try:
                address = self._metrics.serve(settings.metrics_host, settings.metrics_port)
            except SettingsError as error:
                self.end(code_of(error), None)
                raise
            say(f"Metrics at {address}")

    @contextlib.asynccontextmanager
    async def renewed(self, tick_s: float = TEXTFILE_TICK_S) -> AsyncIterator[None]:
        """Write the text file anew every so often."""
        path = self._job.settings.metrics_textfile
        task = asyncio.create_task(self._renew(path, tick_s), name="metrics") if path else None
        try:
            yield
        finally:
            if task:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _renew(self, path: Path, tick_s: float) -> None:
        while True:
            await asyncio.sleep(tick_s)
            await asyncio.to_thread(self._write, path)

    def end(self, code: int, outcome: "Outcome | None") -> None:
        """Tell how the command ended, and serve no more."""
        if self._collector is None or self._metrics is None:
            return
        from exporter.metrics import End

        made = outcome.manifest if outcome else None
        self._collector.end = End(
            exit_code=code,
            at_s=time.time(),
            seconds=self._job.progress.elapsed_s,
            rows=made.rows if made else None,
            rejects=made.rejects_by_reason if made else {},
        )
        if made and code == COMPLETE:
            # Of the export, not of the command: one that finds it complete has made nothing newer.
            self._collector.last_success_s = datetime.fromisoformat(made.finished_at).timestamp()
        self._metrics.close()
        if path := self._job.settings.metrics_textfile:
            self._write(path)

    def _write(self, path: Path) -> None:
        if self._metrics:
            try:
                self._metrics.write(path)
            except MachineError as error:  # metrics end no run
                say(str(error), WARNING)


@contextlib.contextmanager
def metered(job: "Job") -> Iterator[Meter]:
    """Meter a command from its start to its end, if that is an error; else `end` is for the caller to say."""
    meter = Meter(job)
    meter.start()
    try:
        yield meter
    except BaseException as error:
        meter.end(code_of(error), None)
        raise
