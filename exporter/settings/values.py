"""How a setting is written: texts of flags and variables become values. A ValueError is a sentence without its end."""

import codecs
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from exporter.schema import PARSERS

AUTO = "auto"
OTHER_NAMES = {
    **dict.fromkeys(("integer", "int", "int32", "long", "bigint"), "int64"),
    **dict.fromkeys(("number", "float", "float32", "double", "real", "decimal", "numeric"), "float64"),
    **dict.fromkeys(("str", "string", "varchar"), "text"),
    **dict.fromkeys(("date", "datetime", "time"), "timestamp"),
}
"""What other programs call the types."""
NO_ENCODINGS = frozenset(
    {"idna", "punycode", "raw_unicode_escape", "raw-unicode-escape", "unicode_escape", "unicode-escape"}
)


@dataclass(frozen=True, slots=True)
class Limit:
    """A number of accounts, or a share of them: `100` or `0.5%`."""

    text: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\d+(\.\d+)?%|\d+", self.text) or (self.text.endswith("%") and self._number() > 100):  # noqa: PLR2004 - percent
            raise ValueError(f"{self.text!r} is neither a number of accounts (100) nor a share of them (0.5%)")

    def of(self, total: int) -> float:
        """Return how many of `total` the limit lets through."""
        return self._number() * total / 100 if self.text.endswith("%") else self._number()

    def _number(self) -> float:
        return float(self.text.rstrip("%"))


def _share(value: object) -> object:
    """Turn `5%` into 0.05."""
    if not isinstance(value, str):
        return value
    if not re.fullmatch(r"\d+(\.\d+)?%", value) or float(value[:-1]) > 100:  # noqa: PLR2004 - percent
        raise ValueError(f"{value!r} is no share; write it like 5%")
    return float(value[:-1]) / 100


def _names(value: object) -> object:
    """Split `a,b,c`, without the spaces around the commas; a list stays as it is."""
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    if isinstance(names, (list, tuple)):
        if not names or "" in names:
            raise ValueError("an attribute needs a name; write a,b,c")
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"{twice!r} stands there twice")
        if AUTO in names and len(names) > 1:
            raise ValueError(f"{AUTO} stands alone, or give the names")
    return names


def _types(value: object) -> object:
    """Turn `level=int64,vip=bool` into a table; a table stays as it is."""
    pairs = [_pair(item.strip()) for item in value.split(",") if item.strip()] if isinstance(value, str) else []
    table = dict(pairs) if isinstance(value, str) else value
    if len(pairs) > len(dict(pairs)):
        raise ValueError("an attribute is named twice")
    if isinstance(table, Mapping):
        for name, type_name in table.items():
            if type_name not in PARSERS:
                other = OTHER_NAMES.get(str(type_name).lower())
                near = [other] if other else difflib.get_close_matches(str(type_name), PARSERS, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(PARSERS)}"
                raise ValueError(f"no type {str(type_name)!r} for {name!r}; {hint}")
    return table


def _pair(item: str) -> tuple[str, str]:
    name, equals, type_name = item.rpartition("=")
    if not equals or not name:
        raise ValueError(f"{item!r} is not ATTRIBUTE=TYPE, such as level=int64")
    return name, type_name


def _delimiter(value: object) -> object:
    delimiter = {"tab": "\t", "\\t": "\t"}.get(value, value) if isinstance(value, str) else value
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n':
        raise ValueError("is one character, such as ; or tab, and neither a quote nor a line end")
    return delimiter


def _encoding(value: str) -> str:
    """Name an encoding of text files: Python also knows codecs that are none, such as base64 or punycode."""
    try:
        known = codecs.lookup(value)
        if b"\x00".decode(known.name, "replace").encode(known.name, "replace") and known.name not in NO_ENCODINGS:
            return known.name
    except (LookupError, TypeError, ValueError):
        pass
    raise ValueError(f"there is no encoding {value!r}; try utf-8, latin-1, utf-16 or gb18030")


def _limit(value: object) -> object:
    return value if isinstance(value, Limit) else Limit(str(value))


Names = Annotated[tuple[str, ...] | None, NoDecode, BeforeValidator(_names)]
Types = Annotated[dict[str, str], NoDecode, BeforeValidator(_types)]
Delimiter = Annotated[str, BeforeValidator(_delimiter)]
Encoding = Annotated[str, BeforeValidator(_encoding)]
Share = Annotated[Annotated[float, Field(ge=0, le=1)] | None, BeforeValidator(_share)]
Accounts = Annotated[Limit, NoDecode, BeforeValidator(_limit)]
