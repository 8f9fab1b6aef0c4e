"""What is known of a durable shard: where its rows come from, what became of them, and where its files lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.model import Mark

DATA, REJECTS, BAD = "data", "rejects", "bad_values"
FOLDERS = (DATA, REJECTS, BAD)


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One written file."""

    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ShardFacts:
    """One durable shard: where its rows come from, what became of them, and its files by folder.

    `attributes` have a column in its data, `seen` those of them that an account had; `ignored` counts the accounts that had
    one without a column. `ends` and `share` tell where the next shard begins, as in `batching.Shard`.
    """

    number: int
    first_row: int
    last_row: int
    blank: int
    duplicates: int
    spaced: int
    ids_hash: str
    attributes: Sequence[str]
    seen: Sequence[str]
    ignored: Mapping[str, int]
    rejects: Mapping[str, int]
    bad_values: Mapping[str, int]
    files: Mapping[str, FileFacts]
    ends: Mark | None = None
    share: float | None = None

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "ShardFacts":
        """Read the facts back from plain data (see `asdict`). Raises KeyError or TypeError for other data."""
        facts = {name: record[name] for name in cls.__slots__}
        facts["files"] = {folder: FileFacts(**record["files"][folder]) for folder in FOLDERS}
        facts["ends"] = Mark(**record["ends"]) if record["ends"] else None
        return cls(**facts)

    @property
    def off_by(self) -> int:
        """Rows of the input that are not accounted for: anything but 0 is a bug."""
        read = self.last_row - self.first_row + 1
        return read - self.files[DATA].rows - self.files[REJECTS].rows - self.duplicates - self.blank


def file_name(number: int) -> str:
    """Name a shard's file: the same range of input rows always has the same name."""
    return f"part-{number:06d}.parquet"
