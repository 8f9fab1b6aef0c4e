"""Publishing: what was assembled becomes the export by renames, all of it, and only ever forward.

Every step finds out whether it was done before: killed anywhere, the next start finishes it.
"""

from pathlib import Path

from exporter.output import files
from exporter.output.manifest import NAME as MANIFEST
from exporter.output.shards import FOLDERS

JOURNAL = "journal"
STAGE = "publish"
SUCCESS = "_SUCCESS"
PUBLISHED = (*FOLDERS, MANIFEST)
RUN_NAMES = frozenset({*FOLDERS, STAGE, SUCCESS, JOURNAL, "duplicates"})


def roll_forward(out: Path, run: Path) -> None:
    """Move what is staged into place, then say so with `_SUCCESS`. Raises MachineError; may be repeated at any point."""
    stage = run / STAGE
    files.remove(out / SUCCESS)
    for name in PUBLISHED:
        if (stage / name).exists():
            files.remove(out / name)
            files.move(stage / name, out / name)
    files.write_bytes(run / SUCCESS, b"")
    files.move(run / SUCCESS, out / SUCCESS)
    # The journal goes last: as long as anything is left, it says that this has to be finished.
    for path in sorted(run.iterdir()):
        if path.name != JOURNAL:
            files.remove(path)
    files.remove(run)
