"""What the caller gets: plain, frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A complete export. `input = rows + rejects + duplicates + blank`; `rejects_by_reason` maps a reason to accounts.

    `asked` is False when it was complete before, and nothing was asked; then `requests` and `seconds` are those of then.
    `manifest` is all of `manifest.json`, as plain data.
    """

    out: Path
    rows: int
    rejects: int
    rejects_by_reason: Mapping[str, int]
    duplicates: int
    blank: int
    input: int
    seconds: float
    requests: int
    asked: bool
    manifest: Mapping[str, Any] = field(repr=False)

    @property
    def files(self) -> list[Path]:
        """The Parquet files of the data, in input order."""
        return [self.out / shard["file"] for shard in self.manifest["shards"]]

    def dataset(self) -> "Dataset":
        """Open the data with Arrow: for filters, other engines, or `.to_table()`. Reads nothing yet."""
        import pyarrow.dataset

        return pyarrow.dataset.dataset(list(map(str, self.files)), format="parquet")


@dataclass(frozen=True, slots=True)
class Reject:
    """An id of a stream without a row, and why: its `row_number` counts the ids from 1.

    `reason` is one of `missing`, `unknown_account` (answers of the service), `invalid_id`, `refused`, `exhausted`
    (failures, which max_rejects limits); `code` and `message` are the service's where it said any.
    """

    account_id: str | None
    reason: str
    code: int | None
    message: str | None
    row_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What became of the ids of a stream, as far as it was read: `input = rows + rejects + duplicates + blank`.

    `bad_values` counts by attribute the values that are no such type, and are null; `ignored_attributes` the accounts that
    have an attribute without a column.
    """

    input: int
    rows: int
    rejects: int
    rejects_by_reason: Mapping[str, int]
    duplicates: int
    blank: int
    bad_values: Mapping[str, int]
    ignored_attributes: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """How far an export is: `settled` accounts are found or rejected, at so many a second over the last ten seconds.

    `share` (0 to 1) of the time it takes is over, and `left_s` seconds are left, both None while unknown. `paused_why` says
    why the service counts as out of reach just now, None while it answers.
    """

    settled: int
    requests_per_s: float
    accounts_per_s: float
    share: float | None
    left_s: float | None
    paused_why: str | None
