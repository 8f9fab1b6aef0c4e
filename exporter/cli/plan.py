"""`exporter plan`: what a run of this input will do, before it: accounts, bad ids, requests, time and disk."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from exporter.cli.console import WARNING, is_quiet, say, show
from exporter.cli.exits import COMPLETE
from exporter.cli.run import make_job
from exporter.cli.screen import READING, watched
from exporter.cli.signals import until_signal
from exporter.errors import ExporterError
from exporter.figures import count, duration, size
from exporter.redaction import hide
from exporter.settings import Settings

if TYPE_CHECKING:
    from exporter.api.client import Client
    from exporter.app import Asked, BadExample, Job, Plan

WIDTH = 80
INDENT = 12


def plan(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="CSV or Parquet files, folders, globs; - for standard input, which is read to its end.",
            metavar="INPUT…",
        ),
    ],
    settings: Settings,
) -> int:
    """Tell what a run of INPUT will do: accounts, bad ids, duplicates, requests, time, disk. Writes nothing.

    With a key, the app and its region it also makes one request, for the first 100 accounts; without them none.
    """
    from exporter.app import make_client, missing

    lacking = missing(settings)
    client = None if lacking else make_client(settings, hide=hide)
    made, asked, refusal = until_signal(_planned(make_job(inputs, settings.out or Path(), settings), client))
    if settings.as_json:
        told = {"asked": asked and asdict(asked), "not_given": lacking, "error": refusal and str(refusal)}
        show(orjson.dumps({**asdict(made), **told}).decode())
    elif is_quiet():
        for sentence in [*made.warnings, *(asked.warnings if asked else ())]:
            say(sentence, WARNING)
    else:
        call = _of_call(asked) if asked else _no_call(made, lacking, refused=refusal is not None)
        show("\n".join(table(made, settings, call)))
    if refusal:
        raise refusal
    return COMPLETE


async def _planned(job: "Job", client: "Client | None") -> tuple["Plan", "Asked | None", ExporterError | None]:
    """Make the plan, and the one request where there is a client; or give the error it ended in."""
    from exporter.app import ask
    from exporter.app import plan as read

    async with watched(job.progress, READING):
        made, first = await read(job)
    if client is None or not first:
        return made, None, None
    try:
        return made, await ask(client, first, job.settings), None
    except ExporterError as error:  # the plan stands all the same
        return made, None, error


def table(made: "Plan", settings: Settings, call: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Give the lines for a person; `call` has the rows of the one request: what it told, or why there was none."""
    yield "A run of this input, as it stands:"
    for name, text in [*_of_input(made, settings), *_of_run(made, settings), *call]:
        yield from _row(name, text)
    for reason, examples in made.bad_examples.items():
        if examples:
            more = "" if len(examples) == made.bad_ids[reason] else ", for example"
            yield f"{reason}{more}:"
            for example in examples:
                yield from _example(example)
    for warning in made.warnings:
        yield from _row("warning", warning)


def _of_input(made: "Plan", settings: Settings) -> Iterator[tuple[str, str]]:
    yield (
        "read",
        f"{count(made.input, 'row')} of {count(made.files, 'file')}, {made.blank:,} blank",
    )
    yield "accounts", f"{made.accounts:,} different ones"
    bad = ", ".join(f"{number:,} {reason}" for reason, number in made.bad_ids.items() if number)
    yield "bad ids", f"{sum(made.bad_ids.values()):,}" + (f": {bad}" if bad else "")
    yield "repeats", _repeats(made, settings)
    if made.ids_with_outer_spaces:
        yield "note", f"spaces stand around {count(made.ids_with_outer_spaces, 'id')}; --strip removes them"


def _repeats(made: "Plan", settings: Settings) -> str:
    within, across = made.duplicates_within_shards, made.duplicates_across_shards
    if not within + across:
        return "0"
    kept = "kept" if settings.duplicates == "keep" else "dropped"
    return f"{within + across:,}, {kept}: {within:,} within a shard, {across:,} across shards"


def _of_run(made: "Plan", settings: Settings) -> Iterator[tuple[str, str]]:
    names = ", one of them for the names of the attributes" if settings.asks_names else ""
    yield "requests", f"{made.requests:,} of at most 100 accounts{names}; more if the service fails some"
    yield "time", f"{_time(made)} at {made.rate:g} requests/s"
    if made.seconds_at_80 is not None:
        yield "", f"{duration(made.seconds_at_80)} at --rate 80: above it the vendor alarms the app's owner"
    yield "shards", count(made.shards, "data file")
    yield "disk", f"up to {size(made.bytes)}; {size(made.bytes_free)} are free in {made.folder}"


def _time(made: "Plan") -> str:
    if made.finish_at is None:
        return "more than the calendar has"
    local = datetime.fromisoformat(made.finish_at).astimezone()
    return f"{duration(made.seconds)}, until {local.isoformat(' ', 'seconds')},"


def _of_call(asked: "Asked") -> Iterator[tuple[str, str]]:
    yield "asked", f"1 request: the service knows {asked.known:,} of {count(asked.accounts, 'account')}"
    answer = f"{count(asked.attributes, 'attribute')}, {size(asked.bytes)}"
    yield "answer", f"{asked.seconds * 1e3:,.0f} ms, {answer}; --in-flight {asked.in_flight:,} at least keeps the rate"
    for doubt in asked.warnings:
        yield "warning", doubt


def _no_call(made: "Plan", lacking: Sequence[str], *, refused: bool) -> Iterator[tuple[str, str]]:
    if refused:
        yield "asked", "1 request, which was not answered as it should: see the error"
    elif not made.accounts:
        yield "asked", "nothing: there is no account"
    else:
        yield "asked", f"nothing: {_and(lacking)} must be given for that"


def _example(example: "BadExample") -> Iterator[str]:
    text = "" if example.account_id is None else f" {example.account_id}"
    for line in _wrapped(f"{example.source} row {example.row_number:,}:{text} - {example.message}", WIDTH - 4):
        yield f"    {line}"


def _row(name: str, text: str) -> Iterator[str]:
    for line in _wrapped(text, WIDTH - INDENT):
        yield f"  {name:<9} {line}"
        name = ""


def _wrapped(text: str, width: int) -> list[str]:
    """Break a text into lines of so many columns of a terminal: some characters take two."""
    from rich.cells import cell_len, chop_cells

    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}".lstrip(" ") if lines[-1] else word
        if cell_len(joined) <= width:
            lines[-1] = joined
        else:
            lines += chop_cells(word, width)
    return list(filter(None, lines))


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
