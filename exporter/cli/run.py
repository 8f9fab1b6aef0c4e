"""`exporter run`: the main job. The same command again goes on with it, or says that it is complete."""

import os
import re
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from exporter.cli.console import DETAIL, WARNING, bind, say, show, show_words
from exporter.cli.exits import judge
from exporter.cli.signals import carried
from exporter.errors import SettingsError
from exporter.figures import count, duration, size, times
from exporter.progress import Progress
from exporter.redaction import hide, redacted
from exporter.settings import Settings

if TYPE_CHECKING:
    from exporter.app import Job, Outcome
    from exporter.output.facts import ShardFacts
    from exporter.output.manifest import Manifest

EPILOG = (
    "Every flag is also EXPORTER_… in the environment and a key of the --config file. Secrets are never flags: set"
    " EXPORTER_SECRET_KEY or EXPORTER_SECRET_KEY_FILE, or a ready EXPORTER_USERSIG."
)


def run(
    inputs: Annotated[
        list[str], typer.Argument(help="CSV or Parquet files, folders, globs; - for standard input.", metavar="INPUT…")
    ],
    settings: Settings,
) -> int:
    """Export the attributes of every account in INPUT to Parquet files in OUT."""
    if (out := settings.out) is None:
        raise SettingsError("--out must be given: the folder that will hold the export.")
    return concluded(carry_out(inputs, out, settings), out, settings)


def concluded(outcome: "Outcome", out: Path, settings: Settings, words: str | None = None) -> int:
    """Show how a job ended, as it was asked for, and return the exit code; `words` stand for the summary."""
    if settings.as_json:
        show(orjson.dumps(summary_json(outcome, out)).decode())
    else:
        show_words(words or summary(outcome, out))
    if not outcome.manifest.rows and (absent := outcome.manifest.rejects - outcome.manifest.failures):
        say(
            f"The service knows none of these {absent:,} accounts: check that --sdkappid and --region are those of their"
            " app, and that --column names the account ids.",
            WARNING,
        )
    from exporter.app import excess

    if sentence := excess(
        outcome.manifest.failures, outcome.manifest.input, settings, where=_remedy(outcome.manifest, out)
    ):
        say(sentence, WARNING)
    return judge(outcome.manifest, settings)


def _remedy(made: "Manifest", out: Path) -> str:
    from exporter.app import WORTH_IT

    told = f"see {out / 'rejects'} for each of them and why"
    again = sum(made.rejects_by_reason.get(reason, 0) for reason in WORTH_IT)
    command = shlex.join(["exporter", "retry", str(out)])
    return (
        f"{told}; `{command}` asks again for the {again:,} that the service refused or gave no answer for"
        if again
        else told
    )


def carry_out(inputs: list[str], out: Path, settings: Settings) -> "Outcome":
    """Run the job in sight of whoever watches. Raises ExporterError, and Stopped after a signal."""
    # The libraries of a run take half a second to load: --help does without them.
    from exporter.app import export

    return carried(make_job(inputs, out, settings), export)


def make_job(inputs: list[str], out: Path, settings: Settings) -> "Job":
    """Make a job that tells its sentences to the person who runs the command."""
    from exporter.app import Job
    from exporter.source import StandardInput

    progress = Progress(time.monotonic)
    standard_input = StandardInput(sys.stdin.buffer) if "-" in inputs and sys.stdin is not None else None
    if standard_input and sys.stdin.isatty():
        say("Reading the ids from the terminal: end them with Ctrl-D, or stop with Ctrl-C and pipe them in.")
    return Job(
        inputs,
        out,
        settings,
        progress,
        standard_input,
        warn=lambda sentence: say(sentence, WARNING),
        tell=say,
        hide=hide,
        on_begun=lambda run_id: bind(run_id=run_id),
        on_shard=_tell_of_shard,
    )


def _tell_of_shard(facts: "ShardFacts") -> None:
    rows, rejects = facts.files["data"].rows, facts.files["rejects"].rows
    sentence = f"Shard {facts.number} is on disk: {rows:,} rows, {rejects:,} rejects."
    say(sentence, DETAIL, shard=facts.number, rows=rows, rejects=rejects, last_row=facts.last_row)


def summary(outcome: "Outcome", out: Path) -> str:
    """Tell how an export went, where it lies, and how to read it."""
    made = outcome.manifest
    if not outcome.asked:
        return f"Already complete since {made.finished_at}, nothing asked: {made.rows:,} rows in {out}"
    written = sum(int(str(shard["bytes"])) for shard in made.shards)
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in made.rejects_by_reason.items())
    # One request has no pace; where it was the last start's alone, that of the others is not known.
    pace = f"{made.requests_per_s:,.1f} requests/s from the first to the last; " if made.requests_per_s else ""
    rows = [
        ("read", f"{made.input:,} rows: {made.duplicates:,} duplicates, {made.blank:,} blank"),
        ("rows", f"{made.rows:,} in {count(len(made.shards), 'file')}, {size(written)}"),
        ("rejects", f"{made.rejects:,}" + (f": {reasons}" if reasons else "")),
        ("requests", f"{made.requests:,}, of them {made.retries:,} retries; {made.refusals:,} refused as too frequent"),
        ("rate" if pace else "took", f"{pace}{duration(made.seconds)} in all"),
        ("lies in", str(out)),
    ]
    if made.slow_downs:
        rows.insert(
            -1,
            (
                "slowed",
                f"{times(made.slow_downs)}, to {made.rate_min:,.1f} requests/s at the lowest: the service refused more",
            ),
        )
    if made.outages:
        rows.insert(-1, ("paused", f"{duration(made.paused_s)} in {count(made.outages, 'outage')} of the service"))
    rows.append(("report", str(out / "report.html")))
    notes = [f"{number:,} values of {name} did not parse: see bad_values/" for name, number in made.bad_values.items()]
    if made.ids_with_outer_spaces:
        ids = "1 id has" if made.ids_with_outer_spaces == 1 else f"{made.ids_with_outer_spaces:,} ids have"
        notes.append(f"{ids} spaces around; --strip removes them")
    notes += [f"{name} was not chosen; {number:,} accounts have it" for name, number in made.ignored_attributes.items()]
    notes += [f"no account has {name}, which --attributes or --types names" for name in made.absent_attributes]
    return "\n".join(
        [
            "Complete.",
            *(f"  {name:<9} {text}" for name, text in rows),
            *(f"  note      {note}" for note in notes),
            "Read it with DuckDB or pandas:",
            f"  duckdb -c {_quoted(_SQL, out)}",
            f"  python3 -c {_quoted(_PANDAS, out)}",
        ]
    )


_SQL = "SELECT * FROM '{}/data/*.parquet' LIMIT 5"
_PANDAS = "import pandas; print(pandas.read_parquet('{}/data'))"


def _quoted(text: str, out: Path) -> str:
    """Put a path into a command so that a shell takes it as it is."""
    plain = re.fullmatch(r"[\w./-]+", str(out))
    return f'"{text.format(out)}"' if plain else shlex.quote(text.format(out))


def summary_json(outcome: "Outcome", out: Path) -> dict[str, Any]:
    """Give the manifest without its long lists, and whether anything was asked."""
    made = orjson.loads(redacted(outcome.manifest.to_json().decode()))
    for long in ("series", "shards", "reject_files", "bad_value_files", "fingerprint_of"):
        del made[long]
    return {"complete": True, "asked": outcome.asked, "out": os.fsencode(out).decode("utf-8", "replace"), **made}
