"""Publishing: what was assembled becomes the export by renames, all of it, and only ever forward.

Every step finds out whether it was done before: killed anywhere, the next start finishes it.
"""

from pathlib import Path

from exporter.output import files
from exporter.output.facts import FOLDERS
from exporter.output.failpoints import reach
from exporter.output.manifest import NAME as MANIFEST

JOURNAL = "journal"
PUBLISHING = "publishing"  # the record from which on a run can only go forward
STAGE = "publish"
REPLACED = "replaced"
SUCCESS = "_SUCCESS"
REPORT = "report.html"
PUBLISHED = (*FOLDERS, MANIFEST, REPORT)
PROGRESS = "progress"
SPOOL = "stdin"
WRITTEN = (JOURNAL, PROGRESS, SUCCESS)
RUN_NAMES = frozenset({*FOLDERS, STAGE, REPLACED, "duplicates", SPOOL, *WRITTEN, *map(files.draft_name, WRITTEN)})

_REPORT_BEGINS, _BEGIN_BYTES = b'<meta name="generator" content="exporter">', 200


def is_report(path: Path) -> bool:
    """Tell whether a file is a report of ours. Raises MachineError."""
    with files.on_disk(path), path.open("rb") as file:
        return _REPORT_BEGINS in file.read(_BEGIN_BYTES)


def roll_forward(out: Path, run: Path) -> None:
    """Move what is staged into place, then say so with `_SUCCESS`. Raises MachineError; may be repeated at any point."""
    stage = run / STAGE
    reach("publishing")
    files.remove(out / SUCCESS)
    reach("success-removed")
    for name in PUBLISHED:
        if (stage / name).exists():
            if (out / name).exists():
                # By one rename: what was there is whole, or gone; it is removed with the run.
                files.make_folder(run / REPLACED)
                files.move(out / name, run / REPLACED / name)
            files.move(stage / name, out / name)
            reach("published-part")
    files.write_bytes(run / SUCCESS, b"")
    files.move(run / SUCCESS, out / SUCCESS)
    reach("success-written")
    # The journal goes last: as long as anything is left, it says that this has to be finished.
    for path in sorted(run.iterdir()):
        if path.name != JOURNAL:
            files.remove(path)
            reach("run-removed-part")
    files.remove(run)
