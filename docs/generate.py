"""The pages of the reference that follow from the code, and the example of a settings file: `python docs/generate.py`.

A page that can be made is made, so that it cannot lag behind. Each function returns the text of one file; `main` writes
them, and with `--check` only tells which of them are stale (exit 1).
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from making.codes import error_codes
from making.commands import commands
from making.ends import exit_codes
from making.metrics import metrics
from making.settings import example, settings

DOCS = Path(__file__).parent

PAGES: dict[str, Callable[[], str]] = {
    "reference/commands.md": commands,
    "reference/settings.md": settings,
    "reference/metrics.md": metrics,
    "reference/exit-codes.md": exit_codes,
    "reference/error-codes.md": error_codes,
    "exporter.example.toml": example,
}
"""The files that are made, and what makes them."""


def stale(folder: Path = DOCS) -> list[str]:
    """Name the files that are not what would be made now."""
    there = {name: folder / name for name in PAGES}
    return [name for name, path in there.items() if not path.exists() or path.read_text("utf-8") != PAGES[name]()]


def main(arguments: Sequence[str]) -> int:
    """Write every file, or with `--check` only name the stale ones."""
    names = stale()
    for name in names:
        sys.stdout.write(f"docs/{name} {'is stale' if '--check' in arguments else 'is made anew'}\n")
        if "--check" not in arguments:
            (DOCS / name).write_text(PAGES[name](), encoding="utf-8")
    return int("--check" in arguments and bool(names))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
