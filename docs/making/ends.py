"""The page of exit codes, made from the table of ends; what each means to people stands here."""

from exporter.cli.exits import BUG, COMPLETE, EXIT_CODES, SIGNAL_CODES, TOO_MANY_REJECTS
from making import page

EXITS = {
    COMPLETE: ("Complete.", "Says that it is complete, and asks nothing.", "Read the export."),
    BUG: (
        "A bug of the exporter. What is on disk stays as it is.",
        "Goes on, unless it meets the bug again.",
        "Report it with the lines it printed. `_SUCCESS` tells whether OUT is complete.",
    ),
    2: (
        "Flags, settings or input are refused. One line names which and why. Nothing is published.",
        "No: mend first.",
        "Read the line; it says what to change. `exporter config` shows every setting and where it comes from.",
    ),
    TOO_MANY_REJECTS: (
        "Complete and published, but more accounts failed (invalid, refused or exhausted) than `--max-rejects` allows.",
        "Says the same again, and asks nothing.",
        (
            "Look at `rejects/`. `exporter retry OUT` asks again for the refused and exhausted ones. Bad ids are mended in the input,"
            " or allowed with `--max-rejects`."
        ),
    ),
    4: (
        (
            "The service will not serve this run: wrong key, no administrator, wrong region, feature off, quota of a trial used up,"
            " or hardly any account known."
        ),
        "Yes, once it is mended.",
        (
            "The line names the code and the remedy. [Error codes](error-codes.md) has them all. `exporter check` tells whether it is"
            " mended."
        ),
    ),
    5: (
        "This machine failed it: disk full, folder not writable, held by another run; or `verify` found a difference.",
        "Yes, once it is mended.",
        "The line names the path and the way out. After `verify`: restore OUT from a copy, or export again with `--overwrite`.",
    ),
    75: (
        "The service was out of reach for longer than `--outage-max`, or for 30 s before the first answer.",
        "Yes.",
        "Run it again later; a scheduler may do so by itself. Before the first answer, check the address, proxy and firewall.",
    ),
    129: (
        "Stopped by SIGHUP: the terminal was closed.",
        "Yes.",
        "Run the same command again; under `nohup` it survives that.",
    ),
    130: ("Stopped by SIGINT (Ctrl-C).", "Yes.", "Run the same command again."),
    143: ("Stopped by SIGTERM.", "Yes.", "Run the same command again."),
}
"""An exit code -> what it means, whether the same command goes on, and what to do."""


def exit_codes() -> str:
    """Make the page of exit codes."""
    codes = {COMPLETE, BUG, TOO_MANY_REJECTS, *EXIT_CODES.values(), *SIGNAL_CODES.values()}
    errors = (
        (page.code(error.__name__), page.code(code), page.sentences(error.__doc__))
        for error, code in EXIT_CODES.items()
    )
    parts = [
        *page.head("Exit codes", "exporter/cli/exits.py"),
        "Every command ends with one of these. With `--json` a command that fails prints one object with `exit_code` and `error`.",
        "",
        *page.table(
            ["exit", "meaning", "the same command goes on?", "what to do"],
            [(page.code(c), *EXITS[c]) for c in sorted(codes)],
        ),
        "",
        "137 is none of ours: the process was killed (`kill -9`, or the system ran out of memory). The same command goes on.",
        "",
        "## Errors",
        "",
        "In Python the same ends are exceptions, in `exporter.errors`:",
        "",
        *page.table(["exception", "exit", "meaning"], errors),
    ]
    return page.text(parts)
