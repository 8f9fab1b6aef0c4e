"""What the data holds, as plain data: made by the reader, shown by the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

Value = str | int | float | bool | datetime


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths of the texts of a column, in characters."""

    min: int
    mean: float
    max: int


@dataclass(frozen=True, slots=True)
class Spread:
    """The smallest and the largest value of a typed column; the mean of numbers."""

    min: Value
    max: Value
    mean: float | None = None


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values lie from each edge on up to the next; the last bin holds its upper edge too."""

    edges: Sequence[Value]
    counts: Sequence[int]


@dataclass(frozen=True, slots=True)
class Top:
    """A frequent value and how often it stands there; None for a value that may not be shown."""

    value: Value | None
    count: int


@dataclass(frozen=True, slots=True)
class Column:
    """What one attribute holds. When not `exact`, there are more than `distinct` values and `top` counts are lower bounds."""

    attribute: str
    type: str
    rows: int
    filled: int
    distinct: int
    exact: bool
    top: Sequence[Top]
    lengths: Lengths | None = None
    spread: Spread | None = None
    histogram: Histogram | None = None
    hidden: bool = False
    """Whether values were left out because they may not be shown."""


@dataclass(frozen=True, slots=True)
class Example:
    """One reject; None for what may not be shown or was not said."""

    account: str | None
    code: int | None
    message: str | None
    source: str
    row_number: int


@dataclass(frozen=True, slots=True)
class Data:
    """What an export holds: its attributes in order of their columns, and some rejects by reason."""

    columns: Sequence[Column]
    examples: Mapping[str, Sequence[Example]] = field(default_factory=dict)
