"""`exporter status`: what is done, what is left, and how long it takes; nothing is asked and nothing written."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from exporter.cli.console import show, show_words, speak
from exporter.cli.flags import Quiet
from exporter.figures import duration

if TYPE_CHECKING:
    from exporter.app import Status
    from exporter.app.status import Unfinished
    from exporter.output.manifest import Manifest


def status(
    out: Annotated[Path, typer.Argument(help="The --out of a run.", metavar="OUT")],
    json: Annotated[bool, typer.Option("--json", envvar="EXPORTER_JSON", help="Print it as JSON.")] = False,  # noqa: FBT002 - a flag
    quiet: Quiet = False,  # noqa: FBT002 - a flag
) -> int:
    """Tell what is done of the run in OUT, what is left, and how long that takes."""
    from exporter.app import status as look

    speak(quiet=quiet, as_json=json)
    found = look(out)
    if json:
        show(orjson.dumps(_facts(found, out)).decode())
    else:
        show_words("\n".join(_lines(found, out)))
    return 0


def _lines(found: "Status", out: Path) -> list[str]:
    lines = []
    if found.complete:
        lines += _complete(found.complete, out)
    if found.unfinished:
        lines += _unfinished(found.unfinished)
    if found.pid:
        lines.append(f"A run is at work here (pid {found.pid}).")
    elif found.unfinished:
        lines.append("No run is at work here: the command that began it goes on with it.")
    return lines


def _complete(made: "Manifest", out: Path) -> list[str]:
    return [f"Complete since {made.finished_at}: {made.rows:,} rows, {made.rejects:,} rejects in {out}"]


def _unfinished(run: "Unfinished") -> list[str]:
    of_all = f" of about {run.rows_all:,} ({run.rows / max(run.rows_all, 1):.0%})" if run.rows_all is not None else ""
    lines = [
        f"Unfinished, begun {run.begun_at}.",
        f"  done      {run.rows:,}{of_all} rows of the input in {run.shards:,} shards",
        f"  requests  {run.requests:,} in {duration(run.seconds)}",
    ]
    if run.publishing:
        return [*lines, "  left      publishing alone: no request"]
    left = "not known yet" if run.left_s is None else f"about {duration(run.left_s)} at the pace so far"
    return [*lines, f"  left      {left}"]


def _facts(found: "Status", out: Path) -> dict[str, object]:
    made = found.complete
    return {
        "out": str(out),
        "complete": made is not None,
        "finished_at": made.finished_at if made else None,
        "rows": made.rows if made else None,
        "rejects": made.rejects if made else None,
        "unfinished": asdict(found.unfinished) if found.unfinished else None,
        "pid": int(found.pid) if found.pid and found.pid.isdigit() else None,
    }
