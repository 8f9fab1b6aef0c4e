"""Signals: the first lets a job end what is in flight and keep what is whole, a second ends at once."""

import asyncio
import shlex
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from exporter.cli.console import WARNING, is_quiet, say
from exporter.cli.exits import SIGNAL_CODES, Stopped, judge, stop_at_once
from exporter.cli.metering import metered
from exporter.cli.screen import watched
from exporter.figures import count, duration, times

if TYPE_CHECKING:
    from exporter.app import Job, Outcome

T = TypeVar("T")


def carried(job: "Job", work: Callable[["Job"], Awaitable["Outcome"]]) -> "Outcome":
    """Do a job's work in sight of whoever watches. Raises ExporterError, and Stopped after a signal."""
    from exporter.output import memory

    memory.collect_seldom()  # this process is there for one job alone
    with metered(job) as meter:

        async def seen() -> "Outcome":
            async with watched(job.progress), meter.renewed():
                return await work(job)

        outcome = until_signal(seen(), lambda: say(_how_to_go_on(job.out)))
        meter.end(judge(outcome.manifest, job.settings), outcome)
    _tell_of_outages(job)
    return outcome


def _tell_of_outages(job: "Job") -> None:
    """Warn, once, where nothing was said of them while they lasted: whoever waits for the export shall know why it was late."""
    outages, seconds = job.progress.outages_since_start
    if outages and is_quiet():
        words = f"The service was out of reach {times(outages)}, for {duration(seconds)} in all; it was waited for."
        say(words, WARNING, outages=outages, paused_s=round(seconds, 3))


def until_signal(work: Coroutine[Any, Any, T], on_stop: Callable[[], None] = lambda: None) -> T:
    """Do some work, which the first signal cancels; `on_stop` is called after that. Raises Stopped then."""
    before = {number: signal.getsignal(number) for number in SIGNAL_CODES}
    if before[signal.SIGINT] is signal.default_int_handler:  # a loop that is being made cannot be unwound
        signal.signal(signal.SIGINT, stop_at_once)
    try:
        return asyncio.run(_until_signal(work, on_stop))
    finally:  # the loop leaves the system's own behind
        for number, handler in before.items():
            signal.signal(number, handler)


async def _until_signal(work: Coroutine[Any, Any, T], on_stop: Callable[[], None]) -> T:
    stopped: list[int] = []
    task = asyncio.current_task()

    def stop(number: int) -> None:
        if stopped or task is None:
            stop_at_once(number)
        stopped.append(number)
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in SIGNAL_CODES:
        if signal.getsignal(number) is not signal.SIG_IGN:  # under nohup a hang-up is none
            loop.add_signal_handler(number, stop, number)
    try:
        return await work
    except asyncio.CancelledError:
        if not stopped:
            raise
        on_stop()
        raise Stopped(stopped[0]) from None


def _how_to_go_on(out: Path) -> str:
    from exporter.output.folder import Folder

    shards = sum(record["op"] == "shard" for record in Folder(out).records())
    command = shlex.join(["exporter", *sys.argv[1:]])
    kept = f"{count(shards, 'whole shard')} kept in {out}"
    return f"Stopped: {kept}, nothing is published. The same command goes on:\n  {command}"
