"""A plan: what a run of this input will do, told by the reader and the planner of the run itself; nothing is written.

Its figures are those of the manifest that the run will leave, for a service that answers every request at once.
"""

import contextlib
import math
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from exporter.api.client import Client
from exporter.app.job import Job, planner_of, source_of
from exporter.app.place import refuse_no_folder, refuse_own_files
from exporter.app.planned import Asked, BadExample, Plan
from exporter.app.service import asked_once
from exporter.app.status import status
from exporter.batching import BATCH_ACCOUNTS_MAX, Shard
from exporter.errors import MachineError, OutputError
from exporter.limiter import RATE_UNLIMITED, seconds_of
from exporter.model import NEVER_ASKED, ON_SENT, Batch, Reply
from exporter.output import memory
from exporter.output.repeats import Repeats
from exporter.output.room import bytes_free, bytes_needed, shortage
from exporter.pipeline import read_ahead, through
from exporter.settings import Settings
from exporter.source import Source

EXAMPLES_MAX = 5  # of each reason
SHOWN_CHARS_MAX = 40  # of a bad id: more than any good one has
ALARM_RATE = 80.0  # requests a second: above 80 % of the quota the vendor alarms the app's owner


class Tally:
    """Counts what the planner gives, shard after shard. `first` are the first accounts, as many as one request takes."""

    def __init__(self, repeats: Repeats) -> None:
        self._repeats = repeats
        self._accounts: list[str] = []  # of the shard at hand
        self.rows = self.blank = self.spaced = self.asked = self.again = self.requests = self.shards = 0
        self.bad: Counter[str] = Counter(dict.fromkeys(map(str, sorted(NEVER_ASKED)), 0))
        self.examples: dict[str, list[BadExample]] = {reason: [] for reason in self.bad}
        self.first: dict[str, None] = {}

    def take(self, event: Batch | Shard) -> None:
        """Count a batch, or a shard after its last batch. Raises MachineError."""
        if isinstance(event, Shard):
            self._close(event)
            return
        self.requests += 1
        self._accounts += event.accounts
        if len(self.first) < BATCH_ACCOUNTS_MAX:
            self.first.update(dict.fromkeys(event.accounts))

    def _close(self, shard: Shard) -> None:
        self.shards += 1
        self.rows += shard.rows
        self.blank += shard.blank
        self.spaced += shard.spaced
        self.asked += len(self._accounts)
        self.again += shard.duplicates + len(shard.repeats)
        for row, bad in shard.bad:
            self.bad[bad.reason] += 1
            if len(examples := self.examples[bad.reason]) < EXAMPLES_MAX:
                examples.append(BadExample(_printable(bad.text), *shard.place(row), bad.message))
        accounts, self._accounts = self._accounts, []
        self._repeats.add(accounts)


async def plan(job: Job, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> tuple[Plan, Sequence[str]]:
    """Read the input to its end, and say what a run would do; and the first accounts, as many as one request takes.

    Without `settings.out` the disk of the current folder is looked at. Raises SettingsError, InputError, MachineError.
    """
    if job.settings.out:
        refuse_no_folder(job)
    source = source_of(job)
    if job.settings.out:
        refuse_own_files(job, source)
    memory.collect_seldom()
    stop = threading.Event()
    with Repeats() as repeats:
        tally = Tally(repeats)
        async with aclosing(read_ahead(_planned(job, source))) as events:
            async for event in events:
                tally.take(event)
        across = await through(lambda: repeats.count(stop), stop.set)
    made = _made(job, source, tally, across, clock())
    return made, list(tally.first)[:BATCH_ACCOUNTS_MAX]


def _planned(job: Job, source: Source) -> Generator[list[Batch | Shard], None, None]:
    progress = job.progress
    planner = planner_of(job.settings)
    for chunk in source.chunks():
        events = planner.add(chunk)
        progress.planned += sum(len(event.accounts) for event in events if isinstance(event, Batch))
        progress.share_read = chunk.share
        yield events
    yield planner.finish()


def _made(job: Job, source: Source, tally: Tally, across: int, now: datetime) -> Plan:
    settings = job.settings
    requests = tally.requests + settings.asks_names
    seconds = seconds_of(requests, settings.rate)
    folder = _standing(job.out)
    return Plan(
        files=len(source.files),
        input=tally.rows,
        blank=tally.blank,
        bad_ids=dict(tally.bad),
        bad_examples=tally.examples,
        ids_with_outer_spaces=tally.spaced,
        duplicates_within_shards=tally.again,
        duplicates_across_shards=across,
        duplicates=tally.again + across if settings.duplicates == "drop" else 0,
        accounts=tally.asked - across,
        accounts_asked=tally.asked,
        shards=tally.shards,
        requests=requests,
        rate=settings.rate,
        seconds=round(seconds, 3),
        finish_at=_finish(now, seconds),
        seconds_at_80=round(seconds_of(requests, ALARM_RATE), 3) if settings.rate > ALARM_RATE else None,
        bytes=bytes_needed(tally.rows),
        bytes_free=bytes_free(folder),
        folder=_text(job.out.absolute()),
        warnings=_warnings(job, source, tally.rows, folder),
    )


def _warnings(job: Job, source: Source, rows: int, folder: Path) -> list[str]:
    short = shortage(folder, rows, job.settings.shard_rows)
    read = "standard input was read to its end: the run needs it sent again." if job.standard_input else None
    return [
        *source.warnings,
        *(_text(sentence) for sentence in (read, _lies_there(job.settings.out), short) if sentence),
    ]


def _lies_there(out: Path | None) -> str | None:
    """Say why a run into this folder may ask for less than the plan."""
    with contextlib.suppress(OutputError, MachineError):
        found = status(out) if out else None
        if found and found.unfinished:
            return f"{out} holds an unfinished run: the same command goes on with it, and asks for what is left alone."
        if found and found.complete:
            return (
                f"{out} holds a complete export: a run asks for nothing if it is this one, and else wants --overwrite."
            )
    return None


def _finish(now: datetime, seconds: float) -> str | None:
    try:
        return (now + timedelta(seconds=seconds)).isoformat(timespec="seconds")
    except OverflowError:
        return None


def _standing(out: Path) -> Path:
    """Give the folder itself, or where it will be made."""
    return next(place for place in (out, *out.absolute().parents) if os.access(place, os.F_OK))


def _text(said: str | Path) -> str:
    """Give a text, whatever bytes the name of a folder has."""
    return os.fsencode(said).decode("utf-8", "replace")


def _printable(text: str | None) -> str | None:
    if text is None:
        return None
    return repr(text[:SHOWN_CHARS_MAX]) + ("…" if len(text) > SHOWN_CHARS_MAX else "")


async def ask(client: Client, accounts: Sequence[str], settings: Settings) -> Asked:
    """Ask once for these accounts. Raises ServiceRefusal that says how to mend it, ServiceUnreachable, MachineError."""
    moments = [time.monotonic()]
    ON_SENT.set(lambda: moments.append(time.monotonic()))
    async with client:
        reply = await asked_once(client.fetch(accounts))
        seconds = time.monotonic() - moments[-1]  # making the connection is no part of an answer
    return judged(reply, len(accounts), seconds, settings)


def judged(reply: Reply, accounts: int, seconds: float, settings: Settings) -> Asked:
    """Say what an answer means for the run."""
    texts = [(name, text) for attributes in reply.found.values() for name, text in attributes.items()]
    in_flight = math.ceil(min(settings.rate, RATE_UNLIMITED) * seconds)
    return Asked(
        accounts=accounts,
        known=len(reply.found),
        seconds=round(seconds, 3),
        attributes=len({name for name, _ in texts}),
        bytes=sum(len(name.encode()) + len((text or "").encode()) for name, text in texts),
        in_flight=in_flight,
        warnings=_doubts(reply, in_flight, settings),
    )


def _doubts(reply: Reply, in_flight: int, settings: Settings) -> list[str]:
    doubts = []
    if not reply.found:
        doubts.append(
            "the service knows none of them. Check that --sdkappid and --region are those of the app whose ids these are,"
            " and that --column names the account ids."
        )
    if settings.rate < RATE_UNLIMITED and in_flight > settings.in_flight:
        doubts.append(
            f"--in-flight {settings.in_flight:,} is too small for {settings.rate:g} requests/s at such answers: that takes"
            f" {in_flight:,} at least."
        )
    return doubts
