"""What lies in an output folder: looked at without a lock, so that a run at work is not disturbed."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.errors import OutputError
from exporter.output import publish
from exporter.output.folder import LOCK, Folder
from exporter.output.left import progress_of, recorded_shards
from exporter.output.lock import holder
from exporter.output.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A run that is not complete, as its last shard left it.

    `rows` of the input are done, of `rows_all` (an estimate by the share of the input read, None where that is unknown).
    `seconds` is the time it took so far, over all its starts; `left_s` what is left at that pace. `publishing` says that
    all shards are done, and only the renames are left.
    """

    begun_at: str
    shards: int
    rows: int
    rows_all: int | None
    requests: int
    seconds: float
    left_s: float | None
    publishing: bool


@dataclass(frozen=True, slots=True)
class Status:
    """What lies in a folder: a complete export, an unfinished run, or both; and the pid of a run that is at work there."""

    complete: Manifest | None
    unfinished: Unfinished | None
    pid: str | None


def status(out: Path) -> Status:
    """Look at an output folder. Raises OutputError when it holds neither an export nor a run, and MachineError."""
    if not os.path.isdir(out):  # noqa: PTH112 - `Path.is_dir` raises where nobody may look
        raise OutputError(f"{out} holds neither an export nor an unfinished run. Name the --out of a run.")
    place = Folder(out)
    pid = holder(out / LOCK)
    # The journal first: a run that is just being published is complete a moment later.
    unfinished = _unfinished(place)
    complete = None if unfinished and unfinished.publishing else place.completed()
    if complete is None and unfinished is None and pid is None:
        raise OutputError(f"{out} holds neither an export nor an unfinished run. Name the --out of a run.")
    return Status(complete, unfinished, pid)


def _unfinished(place: Folder) -> Unfinished | None:
    records = place.records()
    begin = next((record for record in records if record["op"] == "begin"), None)
    if begin is None:
        return None
    shards = {facts.number: facts for facts in recorded_shards(place.run, records)}
    rows = sum(facts.last_row - facts.first_row + 1 for facts in shards.values())
    last = max(shards.values(), key=lambda facts: facts.number, default=None)
    rows_all = max(rows, round(last.last_row / last.share)) if last and last.share else None
    progress = progress_of(place.run)
    seconds = _number(progress, "seconds")
    return Unfinished(
        begun_at=str(begin.get("at")),
        shards=len(shards),
        rows=rows,
        rows_all=rows_all,
        requests=int(_number(progress, "requests")),
        seconds=seconds,
        # A retry takes shards over before it has asked for any: then there is no pace yet.
        left_s=(rows_all - rows) * seconds / rows if rows_all is not None and rows and seconds else None,
        publishing=records[-1]["op"] == publish.PUBLISHING,
    )


def _number(progress: Mapping[str, Any], name: str) -> float:
    """Read a count of the run before; 0 where it is not known."""
    found = progress.get(name)
    return found if isinstance(found, int | float) else 0
