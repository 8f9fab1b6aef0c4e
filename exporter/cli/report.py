"""`exporter report OUT`: makes the page of a complete export again, with what its data holds."""

from pathlib import Path
from typing import Annotated

import typer

from exporter.cli.console import show_words, speak
from exporter.cli.flags import Quiet


def report(
    out: Annotated[Path, typer.Argument(help="The folder of a complete export.", metavar="OUT")],
    to: Annotated[
        Path | None, typer.Option("--to", help="Write the page to this file; OUT is then only read.", metavar="FILE")
    ] = None,
    redact_ids: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--redact-ids", envvar="EXPORTER_REDACT_IDS", help="Show no account id in the page.")
    ] = False,
    quiet: Quiet = False,  # noqa: FBT002 - a flag
) -> int:
    """Read the export in OUT and write report.html: the run, and what each attribute holds."""
    from exporter.app import report as make  # the libraries take a while to load: --help does without them

    speak(quiet=quiet, as_json=False)
    show_words(str(make(out, to=to, redact_ids=redact_ids)))
    return 0
