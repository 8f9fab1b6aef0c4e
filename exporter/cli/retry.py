"""`exporter retry OUT`: asks again for the rejects of a complete export that are worth it, and for nothing else."""

from pathlib import Path
from typing import Annotated

import typer

from exporter.cli.flags import METRICS, SERVICE, SHOWN
from exporter.cli.run import concluded, make_job
from exporter.cli.signals import carried
from exporter.settings import Settings

SETTINGS = (*SERVICE, "rate", "in_flight", "outage_max", "max_rejects", "report", "redact_ids", *SHOWN, *METRICS)
"""What a retry may be told anew; everything else is as the export was made."""


def before(out: Path, **_own: object) -> dict[str, object]:
    """Give the settings of the export."""
    from exporter.app.retry import before as settings_of

    return settings_of(out)


def retry(
    out: Annotated[Path, typer.Argument(help="The folder of a complete export.", metavar="OUT")],
    settings: Settings,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(help="The same input, where it lies elsewhere now; - for standard input.", metavar="[INPUT…]"),
    ] = None,
    reasons: Annotated[
        str, typer.Option("--reasons", help="Which rejects to ask again.", metavar="A,B")
    ] = "refused,exhausted",
) -> int:
    """Ask again for the refused and exhausted accounts of the export in OUT, and publish it with what they have now."""
    from exporter.app import retry as ask_again

    wanted = [reason.strip() for reason in reasons.split(",")]
    outcome = carried(make_job(inputs or [], out, settings), lambda job: ask_again(job, wanted))
    nothing = f"Nothing to ask again: no reject in {out} is {' or '.join(wanted)}."
    return concluded(outcome, out, settings, None if outcome.asked else nothing)
