"""Named points of the way to the disk: whatever a kill leaves at any of them, the same command goes on from it.

`EXPORTER_FAIL_POINT=NAME` (or `NAME:N`) ends the process there, the first (Nth) time that it comes by: for tests, which
take the names from here.
"""

import os
import signal
from collections import Counter

NAMES = (
    "file-written",  # a temporary file is durable, and has not its final name
    "file-named",  # it has, but the folder is not synced
    "journal-appended",  # a record is written, but not synced
    "run-begun",
    "run-resumed",  # the journal is written anew, what it does not name still lies there
    "shard-written",  # its files are durable, its record is not written
    "shard-recorded",
    "spool-synced",  # standard input is read to its end, and not recorded as such
    "assembled",
    "publishing",  # recorded: from here on it only goes forward
    "success-removed",
    "published-part",  # a folder, or the manifest, is in place
    "success-written",
    "run-removed-part",
)

_name, _, _count = os.environ.get("EXPORTER_FAIL_POINT", "").partition(":")
_reached: Counter[str] = Counter()


def reach(name: str) -> None:
    """Come by a point; end the process if that is what somebody asked for."""
    if name == _name:
        _reached[name] += 1
        if _reached[name] == int(_count or 1):
            os.kill(os.getpid(), signal.SIGKILL)
