"""Is there room: an estimate before the first request, so that a full disk at three in the morning is no surprise."""

import os
from pathlib import Path

from exporter.figures import size
from exporter.output.facts import FOLDERS
from exporter.output.files import on_disk

# Ten attributes of at most 50 bytes, compressed: 12 bytes a row where values repeat, some 150 where none does. Twice,
# because a shard that gets another column or loses a duplicate is written anew beside the old one. And 20 while accounts
# that stand in several shards are looked for.
ROW_BYTES = 2 * 150 + 20


def bytes_needed(rows: int) -> int:
    """Estimate what an export of so many rows takes on the disk until it is published."""
    return rows * ROW_BYTES


def bytes_free(out: Path) -> int:
    """Tell how many bytes may still be written in a folder. Raises MachineError."""
    return _free(_disk(out))


def shortage(out: Path, rows: int, shard_rows: int) -> str | None:
    """Say what an export of so many rows may lack in a folder, or None. Raises MachineError."""
    disk = _disk(out)
    free, needed = _free(disk), bytes_needed(rows)
    if free < needed:
        return (
            f"{out} has {size(free)} free, and {rows:,} rows may need {size(needed)} until they are published."
            " A run that fills the disk ends with exit 5, and goes on once there is room."
        )
    files = 2 * len(FOLDERS) * -(-rows // shard_rows)
    if disk.f_files and disk.f_favail < files:
        return (
            f"{out} has room for {disk.f_favail:,} more files, and this export may need {files:,}: raise --shard-rows."
        )
    return None


def _disk(out: Path) -> os.statvfs_result:
    with on_disk(out):
        return os.statvfs(out)


def _free(disk: os.statvfs_result) -> int:
    return disk.f_bavail * disk.f_frsize
