"""The state of a run while it lasts: a picture that renews itself on a terminal, a plain line every 30 s elsewhere."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.cli.console import INFO, is_quiet, say
from exporter.figures import count, duration, times
from exporter.progress import Progress
from exporter.redaction import redacted

if TYPE_CHECKING:
    from rich.console import RenderableType

TERMINAL_TICK_S = 0.5
LOG_TICK_S = 30.0
BAR_CHARS_MAX = 60


@dataclass(frozen=True, slots=True)
class View:
    """How the state of some work is told: drawn on a terminal, in one line, and in figures."""

    picture: Callable[[Progress], "RenderableType"]
    line: Callable[[Progress], str]
    facts: Callable[[Progress], dict[str, object]]


def line(progress: Progress) -> str:
    """Put the state of a run into one line."""
    requests, accounts = progress.rates()
    parts = [
        f"{progress.settled:,} accounts",
        f"{requests:.0f}{_allowed(progress)} requests/s, {accounts:,.0f} accounts/s",
        *_troubles(progress),
    ]
    share, left = progress.share_done, progress.left_s()
    if share is not None and left is not None:
        parts += [f"{share:.0%}", f"{duration(left)} left"]
    if progress.paused_why:
        parts.append(f"out of reach: {progress.paused_why}")
    return ", ".join(parts)


def facts(progress: Progress) -> dict[str, object]:
    """Give the same to log collectors, as figures."""
    left = progress.left_s()
    return {
        "accounts": progress.settled,
        "requests": progress.requests,
        "retries": progress.retries,
        "refusals": progress.refusals,
        "slow_downs": progress.slow_downs,
        "shards": progress.shards,
        "paused": progress.paused_why is not None,
        "paused_s": round(progress.paused_s, 3),
        "share": None if progress.share_done is None else round(progress.share_done, 4),
        "left_s": None if left is None else round(left, 1),
    }


def _allowed(progress: Progress) -> str:
    """Tell the rate in force beside the quota, where there is one."""
    if not progress.rate or not progress.pace:
        return ""
    pace = progress.pace()
    return f" of {progress.rate:g}" if pace >= progress.rate else f" of {pace:.3g} now allowed, of {progress.rate:g},"


def _troubles(progress: Progress) -> list[str]:
    """Say what went wrong and was mended, each where there is any."""
    return [
        text
        for there, text in (
            (progress.retries, count(progress.retries, "retry", "retries")),
            (progress.refusals, f"{progress.refusals:,} refused"),
            (progress.slow_downs, f"slowed down {times(progress.slow_downs)}"),
            (progress.outages, f"paused {duration(progress.paused_s)}"),
        )
        if there
    ]


def picture(progress: Progress) -> "RenderableType":
    """Draw the state of a run: how far, how fast, what was in the way, and why it waits where it does."""
    from rich.console import Group
    from rich.text import Text

    requests, accounts = progress.rates()
    share, left = progress.share_done, progress.left_s()
    rows: list[RenderableType] = []
    if share is not None and left is not None:
        rows.append(_bar(share, f"{duration(left)} left"))
    rows.append(
        Text.assemble(
            (f"{progress.settled:,}", "bold"),
            " accounts   ",
            (f"{requests:.0f}", "bold"),
            f"{_allowed(progress)} requests/s   {accounts:,.0f} accounts/s",
        )
    )
    kept = [f"{count(progress.shards, 'shard')} on disk"] if progress.shards else []
    if known := [*_troubles(progress), *kept]:
        rows.append(Text("   ".join(known), style="dim"))
    if progress.paused_why:
        rows.append(Text(redacted(f"Out of reach: {progress.paused_why}"), style="yellow"))
    return Group(*rows)


def _bar(share: float, words: str) -> "RenderableType":
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    bar = Table.grid(padding=(0, 2), expand=False)
    bar.add_column(max_width=BAR_CHARS_MAX)
    done = ProgressBar(total=1.0, completed=share, complete_style="cyan", finished_style="cyan")
    bar.add_row(done, Text(f"{share:4.0%}", style="bold"), Text(words))
    return bar


def _reading(progress: Progress) -> str:
    return f"{progress.planned:,} accounts read"


def _reading_picture(progress: Progress) -> "RenderableType":
    return _reading(progress) if progress.share_read is None else _bar(progress.share_read, _reading(progress))


def _reading_facts(progress: Progress) -> dict[str, object]:
    return {"accounts": progress.planned, "share": progress.share_read}


RUN = View(picture, line, facts)
READING = View(_reading_picture, _reading, _reading_facts)
"""Of work that asks nothing: how much of the input was read."""


@contextlib.asynccontextmanager
async def watched(progress: Progress, view: View = RUN) -> AsyncIterator[None]:
    """Show the state of some work while it lasts, unless nothing is to be said."""
    if is_quiet():
        yield
        return
    terminal = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    task = asyncio.create_task(_drawn(progress, view) if terminal else _told(progress, view), name="progress")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):  # a terminal that is gone stops no run
            await task


async def _drawn(progress: Progress, view: View) -> None:
    from rich.console import Console
    from rich.live import Live

    # What is said meanwhile goes to standard error, which `Live` shows above the picture.
    with Live(console=Console(stderr=True), auto_refresh=False, transient=True, redirect_stdout=False) as live:
        while True:
            live.update(view.picture(progress), refresh=True)
            await asyncio.sleep(TERMINAL_TICK_S)


async def _told(progress: Progress, view: View) -> None:
    while True:
        await asyncio.sleep(LOG_TICK_S)
        say(view.line(progress), INFO, **view.facts(progress))
