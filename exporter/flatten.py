"""Answers to columns: rows of attributes become Arrow arrays, and texts become the types the user asked for. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import pyarrow as pa

from exporter.errors import ServiceRefusal
from exporter.model import Attrs, Rows
from exporter.schema import ACCOUNT, COLUMNS_MAX, TEXT, Column, parse

Array = Any
"""An Arrow array: the stubs of its compute functions want more than they can know."""

ARROW_TYPES: Mapping[str, pa.DataType] = {
    TEXT: pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}


def arrow_schema(fields: Mapping[str, pa.DataType]) -> pa.Schema:
    """Make a schema of named types."""
    return pa.schema(list(fields.items()))


BAD_VALUES = arrow_schema({ACCOUNT: pa.string(), "attribute": pa.string(), "value": pa.string()})


def schema_of(columns: Sequence[Column]) -> pa.Schema:
    """Give the Arrow schema of the data: the account, then the attribute columns as they are laid out."""
    account = pa.field(ACCOUNT, pa.string(), nullable=False)
    return pa.schema([account, *(pa.field(column.name, ARROW_TYPES[column.type]) for column in columns)])


@dataclass(slots=True)
class Sighting:
    """The attribute names in some rows: those `seen` that have a column, and those `ignored` (name -> accounts)."""

    seen: frozenset[str] = frozenset()
    ignored: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Sighting") -> None:
        """Take in what was seen in other rows. Bounded, however many names a service invents."""
        self.seen |= other.seen
        for name, accounts in other.ignored.items():
            shown = name if name in self.ignored or len(self.ignored) < COLUMNS_MAX else "(others)"
            self.ignored[shown] += accounts


class Attributes:
    """The attribute names of a run: those it began with, those `known` from its shards before, and those seen since.

    `first` have a column in any case. When `exactly`, every other name is only counted, never kept.
    """

    def __init__(self, first: Sequence[str] = (), *, exactly: bool = False, known: Iterable[str] = ()) -> None:
        self.first = frozenset(first)
        self._exactly = exactly
        self.names: frozenset[str] = self.first if exactly else self.first.union(known)

    def see(self, accounts: Mapping[str, int]) -> Sighting:
        """Take note of the names in some rows (name -> accounts that have it), and tell of them.

        Raises ServiceRefusal when the service has more names than an export can have columns.
        """
        seen = frozenset(accounts)
        new = seen - self.names
        if self._exactly:
            return Sighting(seen & self.first, Counter({name: accounts[name] for name in new}))
        if new:
            self.names |= new
            if len(self.names) > COLUMNS_MAX:
                raise ServiceRefusal(
                    f"the service has more than {COLUMNS_MAX:,} attribute names (among them {min(new)!r:.60})."
                    " Name those you want with --attributes; the others are then counted, not exported."
                )
        return Sighting(seen)


@dataclass(frozen=True, slots=True)
class Texts:
    """Some accounts and their attributes, turned on their side: one text array with the accounts, then a column after the other.

    `places` tells which column an attribute is, from 1; it has those that an account has. One array makes one call of the
    library, which costs a third of a call for each column, and one object for the collector to look at.
    """

    whole: Array
    size: int
    places: Mapping[str, int]

    @property
    def accounts(self) -> Array:
        """The accounts."""
        return self._cut(0)

    def column(self, name: str) -> Array:
        """Give the texts of an attribute, null where an account has not got it."""
        place = self.places.get(name)
        return pa.nulls(self.size, pa.string()) if place is None else self._cut(place)

    def _cut(self, place: int) -> Array:
        return self.whole.slice(place * self.size, self.size)


def texts(found: Mapping[str, Attrs], accounts: Sequence[str]) -> tuple[Texts, Mapping[str, int]]:
    """Take the rows of these accounts, in this order; count by name the accounts that have an attribute."""
    if isinstance(found, Rows):
        return _texts_of_rows(found, accounts)
    rows = [found[account] for account in accounts]
    having = Counter(chain.from_iterable(rows))
    return _texts(accounts, having, ([row.get(name) for row in rows] for name in having)), having


def _texts_of_rows(found: Rows, accounts: Sequence[str]) -> tuple[Texts, Mapping[str, int]]:
    size = len(accounts)
    made = _texts(accounts, found.names, zip(*map(found.texts.__getitem__, accounts), strict=True))
    if not made.whole.null_count:
        return made, dict.fromkeys(found.names, size)
    having = {name: number for name in found.names if (number := size - made.column(name).null_count)}
    return Texts(made.whole, size, {name: made.places[name] for name in having}), having


def _texts(accounts: Sequence[str], names: Iterable[str], columns: Iterable[Sequence[str | None]]) -> Texts:
    whole: Array = pa.array([*accounts, *chain.from_iterable(columns)], pa.string())
    return Texts(whole, len(accounts), {name: place for place, name in enumerate(names, 1)})


@dataclass(frozen=True, slots=True)
class Typed:
    """A data table in its final types, and what did not parse (columns of BAD_VALUES)."""

    table: pa.Table
    bad_values: pa.Table


def typed(accounts: pa.StringArray, answers: Mapping[str, Array], columns: Sequence[Column]) -> Typed:
    """Lay out accounts and their attributes (name -> text array) as a table with these columns.

    A column whose attribute is not among the answers is all null.
    """
    arrays: list[Array] = [accounts]
    bad: list[tuple[int, str, str]] = []
    for column in columns:
        array = answers.get(column.attribute)
        if array is None:
            array = nulls(len(accounts), column)
        elif column.type != TEXT:
            source: list[str] = array.to_pylist()
            values, places = parse(source, column.type)
            array = pa.array(values, type=ARROW_TYPES[column.type])
            bad += [(place, column.attribute, source[place]) for place in places]
        arrays.append(array)
    bad.sort(key=lambda item: item[0])  # rows in order; the sort is stable, so columns stay in theirs
    return Typed(pa.Table.from_arrays(arrays, schema=schema_of(columns)), _bad_values(accounts, bad))


def nulls(rows: int, column: Column) -> Array:
    """Give a column of nulls."""
    kind: Any = ARROW_TYPES[column.type]
    return pa.nulls(rows, kind)


def _bad_values(accounts: pa.StringArray, bad: Sequence[tuple[int, str, str]]) -> pa.Table:
    rows = [{ACCOUNT: accounts[place].as_py(), "attribute": name, "value": value} for place, name, value in bad]
    return pa.Table.from_pylist(rows, schema=BAD_VALUES)
