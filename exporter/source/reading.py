"""How the input is to be read: plain values, checked by whoever takes them from the user."""

from dataclasses import dataclass

from exporter.model import BadId

COLUMN_DEFAULT = "account_id"
ROWS_MAX = 5_000

Ids = list[str | BadId | None]
"""One item a row, at most ROWS_MAX of them: see `Chunk.ids`."""

Place = tuple[int, ...]
"""Where rows begin in one file, in the reader's own numbers: see `Mark.at`."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read every file of one input; `header`, `delimiter`, `encoding` and `allow_empty` concern CSV alone.

    `column` None means `account_id`, and in a Parquet file with a single column that one. Without a header `column` is
    the position of the field, counted from 1.
    """

    column: str | None = None
    header: bool = True
    delimiter: str = ","
    encoding: str = "utf-8"
    allow_empty: bool = False

    @property
    def position(self) -> int:
        """Where the id stands in a row of a file without a header, counted from 0."""
        return int(self.column or 1) - 1
