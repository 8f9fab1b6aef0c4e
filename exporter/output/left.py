"""What an unfinished run left: shards that still are what their records say go on with it, everything else is redone."""

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exporter.errors import OutputError
from exporter.output import files
from exporter.output.facts import FOLDERS, ShardFacts, file_name
from exporter.output.journal import Record, decode
from exporter.output.publish import JOURNAL, PROGRESS, SPOOL

CHECKS_AT_ONCE = 2  # hashing goes on while the other file is read


@dataclass(frozen=True, slots=True)
class Left:
    """What a run has to go on with; that of a run which begins is empty.

    `shards` are durable, `damaged` the numbers of those that were and are not any more. `names` are the app's attribute
    names, where it was asked for them. `spooled` is the fingerprint of standard input, once all of it lies in the spool.
    `progress` is what `Progress.state` gave at the last shard. `killed` says that another process may have called the
    service until a moment ago.
    """

    records: Sequence[Record] = ()
    shards: Sequence[ShardFacts] = ()
    damaged: Sequence[int] = ()
    names: Sequence[str] | None = None
    spooled: Mapping[str, Any] | None = None
    progress: Mapping[str, Any] = field(default_factory=dict)
    killed: bool = False

    @property
    def done(self) -> dict[int, str]:
        """The hashes of the ids of the shards that are done, by number."""
        return {facts.number: facts.ids_hash for facts in self.shards}

    @property
    def before_gap(self) -> ShardFacts | None:
        """The last shard before the first that is missing; None when that is the very first."""
        whole = [facts for number, facts in enumerate(self.shards) if facts.number == number]
        return whole[-1] if whole else None


def survey(run: Path, records: Sequence[Record]) -> Left:
    """Find out what holds of what the records say: every file is read and hashed. Raises OutputError, MachineError."""
    recorded = recorded_shards(run, records)
    damaged = damaged_of(run, recorded)
    shards = [facts for facts in recorded if facts.number not in damaged]
    told: dict[Any, Any] = {record["op"]: record for record in records}
    return Left(
        records=[record for record in records if record["op"] != "shard" or record["number"] not in damaged],
        shards=sorted(shards, key=lambda facts: facts.number),
        damaged=damaged,
        names=told["names"]["names"] if "names" in told else None,
        spooled=told["spooled"]["fingerprint"] if "spooled" in told else None,
        progress=progress_of(run),
        killed=True,
    )


def damaged_of(place: Path, shards: Sequence[ShardFacts]) -> list[int]:
    """Return the numbers of the shards whose files in `place` are not what was written. Raises MachineError."""
    with ThreadPoolExecutor(CHECKS_AT_ONCE, "check") as pool:
        sound = pool.map(lambda facts: _is_sound(place, facts), shards)
        return sorted(facts.number for facts, good in zip(shards, sound, strict=True) if not good)


def recorded_shards(run: Path, records: Sequence[Record]) -> list[ShardFacts]:
    """Read the facts of all shards that the records name. Raises OutputError when they are of another version."""
    return [_facts(run, record) for record in records if record["op"] == "shard"]


def remove_all_but(run: Path, left: Left) -> None:
    """Remove whatever the run does not go on with: unrecorded and half-written files, a publishing not begun."""
    kept = {file_name(facts.number) for facts in left.shards}
    for path in _below(run):
        if path.parent == run:
            good = path.name in {*FOLDERS, JOURNAL, PROGRESS} or (path.name == SPOOL and left.spooled is not None)
        else:
            good = path.name in kept
        if not good:
            files.remove(path)
    for folder in FOLDERS:
        files.make_folder(run / folder)


def progress_of(run: Path) -> Mapping[str, Any]:
    """Read how far the run had come at its last shard; empty where that is not known. Raises MachineError."""
    path = run / PROGRESS
    text = b""
    with files.on_disk(path), contextlib.suppress(FileNotFoundError):  # a run that publishes removes it any time
        text = path.read_bytes()
    try:
        records, _ = decode(text)
    except ValueError:
        return {}
    return records[0] if records else {}


def _facts(run: Path, record: Record) -> ShardFacts:
    try:
        return ShardFacts.of(record)
    except (KeyError, TypeError):
        pass
    raise OutputError(f"{run / JOURNAL} is of another version. Run again with --restart to start over.")


def _is_sound(run: Path, facts: ShardFacts) -> bool:
    """Tell whether a shard's files are still what was written, byte for byte."""
    for folder in FOLDERS:
        path, expected = run / folder / file_name(facts.number), facts.files[folder]
        with files.on_disk(path):
            if not path.is_file() or path.is_symlink() or path.stat().st_size != expected.bytes:
                return False
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != expected.sha256:
                    return False
    return True


def _below(run: Path) -> list[Path]:
    """List what lies in `.run` and in its folders of shards."""
    with files.on_disk(run):
        here = sorted(run.iterdir())
        inside = [sorted(path.iterdir()) for path in here if path.name in FOLDERS and path.is_dir()]
    return [*here, *(path for paths in inside for path in paths)]
