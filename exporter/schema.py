"""The column table: which columns an export has, in which order, and how a text becomes a typed value.

Plain data and pure functions. A parser returns the value, or raises ValueError: the caller keeps what did not parse.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

ACCOUNT = "account_id"
COLUMNS_MAX = 1000
TEXT = "text"

Value = str | int | float | bool | datetime

_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
_SECONDS = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?", re.ASCII)
_RESERVED = re.compile(rf"(attr_)*({ACCOUNT})?", re.IGNORECASE)
_DIGITS_MAX = 40  # no int64 and no second of a calendar year is longer


def _int64(text: str) -> int:
    if len(text) > _DIGITS_MAX or not _INTEGER.fullmatch(text) or not -(2**63) <= int(text) < 2**63:
        raise ValueError(text)
    return int(text)


def _float64(text: str) -> float:
    if not _NUMBER.fullmatch(text) or math.isinf(value := float(text)):
        raise ValueError(text)
    return value


def _bool(text: str) -> bool:
    if text not in _BOOLS:
        raise ValueError(text)
    return _BOOLS[text]


def _timestamp(text: str) -> datetime:
    """ISO 8601 (UTC unless it names an offset) or seconds since 1970, also when they look like a date: 20240101."""
    if len(text) <= _DIGITS_MAX and _SECONDS.fullmatch(text):
        return _from_epoch(int(Decimal(text).scaleb(6)))
    value = datetime.fromisoformat(text)
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(text) from error


def _from_epoch(microseconds: int) -> datetime:
    if not _EPOCH_MIN_US <= microseconds <= _EPOCH_MAX_US:
        raise ValueError(microseconds)
    seconds, rest = divmod(microseconds, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)


_BOOLS = {"true": True, "1": True, "false": False, "0": False}
_EPOCH_MIN_US = int(datetime.min.replace(tzinfo=UTC).timestamp()) * 1_000_000
_EPOCH_MAX_US = int(datetime.max.replace(tzinfo=UTC, microsecond=0).timestamp()) * 1_000_000

PARSERS: Mapping[str, Callable[[str], Value]] = {
    TEXT: str,
    "int64": _int64,
    "float64": _float64,
    "bool": _bool,
    "timestamp": _timestamp,
}


@dataclass(frozen=True, slots=True)
class Column:
    """One attribute column: its name in the export, the attribute it holds, and its type (a key of PARSERS)."""

    name: str
    attribute: str
    type: str = TEXT


def column_name(attribute: str) -> str:
    """Name an attribute's column: the attribute itself, prefixed where it would look like a column of ours.

    The rule is one to one and knows no other attribute, so that no name depends on what was seen first.
    """
    return f"attr_{attribute}" if _RESERVED.fullmatch(attribute) else attribute


@dataclass(frozen=True, slots=True)
class Layout:
    """How attributes become columns: exactly the `chosen` in their order, or all by code point; text unless typed."""

    chosen: Sequence[str] | None
    types: Mapping[str, str]

    def columns(self, seen: Iterable[str]) -> list[Column]:
        """Lay out the attribute columns, of the attributes that were `seen` unless the user chose."""
        names = seen if self.chosen is None else self.chosen
        columns = [Column(column_name(name), name, self.types.get(name, TEXT)) for name in names]
        return columns if self.chosen is not None else sorted(columns, key=lambda column: column.name)


def parse(texts: Sequence[str | None], type_name: str) -> tuple[list[Value | None], list[int]]:
    """Turn texts into values of a type; return them with the places of those that did not parse (None there)."""
    parser = PARSERS[type_name]
    values: list[Value | None] = []
    bad: list[int] = []
    for place, text in enumerate(texts):
        try:
            values.append(None if text is None else parser(text))
        except ValueError:
            values.append(None)
            bad.append(place)
    return values, bad
