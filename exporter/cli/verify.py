"""`exporter verify`: holds a complete export against its manifest; says what differs, and changes nothing."""

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from exporter.cli.console import ERROR, say, show, show_words, speak
from exporter.cli.exits import COMPLETE
from exporter.cli.flags import Quiet
from exporter.errors import MachineError
from exporter.figures import count, duration

if TYPE_CHECKING:
    from exporter.verify import Report


def verify(
    out: Annotated[Path, typer.Argument(help="The folder that holds the export.", metavar="OUT")],
    json: Annotated[bool, typer.Option("--json", envvar="EXPORTER_JSON", help="Print the result as JSON.")] = False,  # noqa: FBT002 - a flag
    quiet: Quiet = False,  # noqa: FBT002 - a flag
) -> int:
    """Read every file of the export in OUT to its end, and hold all of it against its manifest."""
    from exporter.verify import verify as verified  # the libraries take a while to load: --help does without them

    speak(quiet=quiet, as_json=json)
    started = time.monotonic()
    report = verified(out)
    seconds = time.monotonic() - started
    if report.unfinished:
        say(f"An unfinished run lies beside it ({out / '.run'}); it is no part of what is verified.")
    for finding in report.findings:
        say(finding.text, ERROR)
    if report.found > len(report.findings):
        say(f"… and {report.found - len(report.findings):,} more.")
    if json:
        show(orjson.dumps(_result(report, out, seconds)).decode())
    elif report.ok:
        show_words(_summary(report, out, seconds))
    if not report.ok:
        raise MachineError(
            f"{out} does not match its manifest: {count(report.found, 'finding')}."
            " Restore it from a copy, or run the command that made it again with --overwrite."
        )
    return COMPLETE


def _result(report: "Report", out: Path, seconds: float) -> dict[str, object]:
    place = os.fsencode(out).decode("utf-8", "replace")
    return {"ok": report.ok, "out": place, **asdict(report), "seconds": round(seconds, 3)}


def _summary(report: "Report", out: Path, seconds: float) -> str:
    rows = [
        ("files", f"{report.files:,}: bytes, sha256, columns and every page as written"),
        ("rows", f"{report.rows:,}"),
        ("rejects", f"{report.rejects:,}"),
        ("bytes", f"{report.bytes:,}"),
        ("seconds", duration(seconds)),
        ("lies in", str(out)),
    ]
    return "\n".join(["Verified.", *(f"  {name:<9} {text}" for name, text in rows)])
