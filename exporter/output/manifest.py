"""The manifest: what a run read, asked, answered and wrote. Readers start here, and trust nothing without `_SUCCESS`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, get_origin

import orjson

from exporter.errors import MachineError, OutputError
from exporter.flatten import Sighting
from exporter.model import ANSWERS, NEVER_ASKED, Reason
from exporter.output import files
from exporter.output.facts import BAD, DATA, REJECTS, FileFacts, ShardFacts, file_name
from exporter.schema import ACCOUNT, Column

NAME = "manifest.json"
FORMAT = 2
TOLD = ("duplicates", "blank", "spaced", "ids_hash", "seen", "ignored")
"""Of a shard's facts those that stand in its entry as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The keys of `manifest.json`, in their order. Times are ISO 8601 in UTC.

    `run_id` names the run, over all its starts; `rate_min` is the lowest rate in force, in requests a second; what has a default was not told from the first.
    """

    format: int
    exporter: str
    run_id: str = ""
    inputs: Sequence[Mapping[str, str]]
    input: int
    rows: int
    rejects: int
    rejects_by_reason: Mapping[str, int]
    duplicates: int
    blank: int
    missing: int
    ids_with_outer_spaces: int
    schema: Sequence[Mapping[str, str]]
    bad_values: Mapping[str, int]
    ignored_attributes: Mapping[str, int]
    absent_attributes: Sequence[str]
    settings: Mapping[str, object]
    fingerprint: str
    fingerprint_of: Mapping[str, object]
    requests: int
    retries: int
    refusals: int
    outages: int
    paused_s: float
    requests_per_s: float
    slow_downs: int = 0
    rate_min: float = 0.0
    started_at: str
    finished_at: str
    seconds: float
    series: Sequence[Mapping[str, object]]
    shards: Sequence[Mapping[str, Any]]
    reject_files: Sequence[Mapping[str, object]]
    bad_value_files: Sequence[Mapping[str, object]]

    @property
    def failures(self) -> int:
        """Accounts that ended as invalid, refused or exhausted: what --max-rejects limits."""
        return sum(number for reason, number in self.rejects_by_reason.items() if reason not in ANSWERS)

    def to_json(self) -> bytes:
        """Write the manifest as JSON."""
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def read(folder: Path) -> Manifest:
    """Read the manifest of an export. Raises OutputError when it is not one, MachineError when it cannot be read."""
    path = folder / NAME
    with files.on_disk(path):
        text = path.read_bytes() if path.exists() else b""
    try:
        found = Manifest(**orjson.loads(text))
    except (TypeError, ValueError):
        found = None
    if found is None or found.format != FORMAT or not _well_formed(found):
        raise OutputError(f"{path} is not a manifest of this version. Choose another --out, or give --overwrite.")
    return found


def is_ours(folder: Path) -> bool:
    """Tell whether a folder's manifest is one of an export, of this version or another. Raises MachineError."""
    path = folder / NAME
    with files.on_disk(path):
        text = path.read_bytes() if path.is_file() else b""
    try:
        found = orjson.loads(text)
    except ValueError:
        return False
    return isinstance(found, dict) and {"fingerprint", "shards", "rejects_by_reason"} <= found.keys()


def _well_formed(found: Manifest) -> bool:
    declared: dict[str, Any] = {item.name: get_origin(item.type) or item.type for item in fields(Manifest)}
    kinds: dict[Any, Any] = {float: (int, float), Sequence: list, Mapping: dict}
    return all(isinstance(getattr(found, name), kinds.get(kind, kind)) for name, kind in declared.items())


def totals(shards: Sequence[ShardFacts]) -> dict[str, Any]:
    """Add up what became of every row of the input. Raises MachineError when a shard's sum is off: never published."""
    for shard in shards:
        if shard.off_by:
            raise MachineError(
                f"shard {shard.number} does not add up: {shard.off_by:,} rows unaccounted for. Nothing is published;"
                " please report this."
            )
    for before, after in pairwise([None, *shards]):
        if after and after.first_row != (before.last_row if before else 0) + 1:
            raise MachineError(
                f"the rows before shard {after.number} are lost. Nothing is published; please report this."
            )
    reasons: Counter[str] = Counter()
    bad_values: Counter[str] = Counter()
    sighting = Sighting()
    for shard in shards:
        reasons.update(shard.rejects)
        bad_values.update(shard.bad_values)
        sighting.add(Sighting(ignored=Counter(shard.ignored)))
    return {
        "input": sum(shard.last_row - shard.first_row + 1 for shard in shards),
        "rows": rows(shards),
        "rejects": reasons.total(),
        "rejects_by_reason": dict(sorted(reasons.items())),
        "duplicates": sum(shard.duplicates for shard in shards),
        "blank": sum(shard.blank for shard in shards),
        "missing": reasons[Reason.MISSING],
        "ids_with_outer_spaces": sum(shard.spaced for shard in shards),
        "bad_values": dict(sorted(bad_values.items())),
        "ignored_attributes": dict(sorted(sighting.ignored.items())),
        "shards": [_entry(shard) for shard in shards],
        "reject_files": [_file(shard, REJECTS) for shard in shards],
        "bad_value_files": [_file(shard, BAD) for shard in shards],
    }


def rows(shards: Sequence[ShardFacts]) -> int:
    """Count the rows of these shards."""
    return sum(shard.files[DATA].rows for shard in shards)


def asked(shards: Sequence[ShardFacts]) -> Counter[str]:
    """Count the rejects of these shards by reason, those aside that the service was never asked for."""
    reasons: Counter[str] = Counter()
    for shard in shards:
        reasons.update(shard.rejects)
    return Counter({reason: number for reason, number in reasons.items() if reason not in NEVER_ASKED})


def schema_rows(columns: Sequence[Column]) -> list[dict[str, str]]:
    """Describe the columns of the data, in order."""
    account = {"name": ACCOUNT, "type": "text"}
    return [account, *({"name": c.name, "type": c.type, "attribute": c.attribute} for c in columns)]


def _entry(shard: ShardFacts) -> dict[str, object]:
    return {
        **_file(shard, DATA),
        "first_row": shard.first_row,
        "last_row": shard.last_row,
        "rejects": shard.files[REJECTS].rows,
        "rejects_by_reason": shard.rejects,
        "bad_values": shard.bad_values,
        **{name: getattr(shard, name) for name in TOLD},
        "ends": asdict(shard.ends) if shard.ends else None,
    }


def facts_of(made: Manifest) -> list[ShardFacts]:
    """Read back the facts of an export's shards. Raises OutputError."""
    attributes = [column["attribute"] for column in made.schema if "attribute" in column]
    folders = {DATA: made.shards, REJECTS: made.reject_files, BAD: made.bad_value_files}
    try:
        return [
            ShardFacts.of(
                {
                    **entry,
                    "number": number,
                    "share": entry["last_row"] / made.input if made.input else None,
                    "attributes": attributes,
                    "rejects": entry["rejects_by_reason"],
                    "files": {name: _facts_of(listed[number]) for name, listed in folders.items()},
                }
            )
            for number, entry in enumerate(made.shards)
        ]
    except (KeyError, TypeError, IndexError):
        pass
    raise OutputError(f"{NAME} does not tell enough of its shards. Export again, with --overwrite.")


def _facts_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {item.name: entry[item.name] for item in fields(FileFacts)}


def _file(shard: ShardFacts, folder: str) -> dict[str, object]:
    return {"file": f"{folder}/{file_name(shard.number)}", **asdict(shard.files[folder])}
