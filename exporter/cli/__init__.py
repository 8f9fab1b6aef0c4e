"""The command line: one file per command; flags become Settings, errors become exit codes. The only place that prints."""

import contextlib
import os
import sys
from typing import Annotated

import typer

from exporter import __version__
from exporter.cli import check, config, demo, plan, report, retry, run, simulate, status, verify
from exporter.cli.exits import exit_code, stop_at_once
from exporter.cli.flags import SERVICE, ending, speak_early, with_settings
from exporter.cli.guard import keep_secrets
from exporter.early import on_signals

app = typer.Typer(
    name="exporter",
    help="Export the attributes of every account of a Tencent Chat app to Parquet.",
    epilog="Exit codes: 0 complete; 2 flags, settings or input; 3 complete, with more rejects than allowed; 4 the service"
    " refuses this run; 5 this machine failed it; 75 the service was out of reach; 130, 143, 129 stopped by a signal.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run", epilog=run.EPILOG)(ending(with_settings(run.run)))
app.command("demo")(ending(demo.demo))
app.command("plan", epilog=run.EPILOG)(ending(with_settings(plan.plan)))
app.command("check", epilog=run.EPILOG)(ending(with_settings(check.check, (*SERVICE, "attributes", "quiet"))))
app.command("config", epilog=run.EPILOG)(ending(with_settings(config.config)))
app.command("retry", epilog=run.EPILOG)(ending(with_settings(retry.retry, retry.SETTINGS, retry.before)))
app.command("status")(ending(status.status))
app.command("report")(ending(report.report))
app.command("verify")(ending(verify.verify))
app.command("simulate")(ending(simulate.simulate))


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - the shape that the library calls
    if wanted:
        print(f"exporter {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    del version


def main() -> None:
    """Run a command; always ends the process with one of the exit codes above."""
    keep_secrets()
    speak_early(sys.argv[1:], os.environ)
    on_signals(stop_at_once)
    code = exit_code(app)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    # At once: a read from a pipe that gives nothing cannot be interrupted, and everything to be kept is on disk.
    os._exit(code)
