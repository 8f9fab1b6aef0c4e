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
    if not value.endswith("%"):
        raise ValueError(f"{value!r} is no share; write it like 5%")
    return float(value[:-1]) / 100


def _names(value: object) -> object:
    """Split `a,b,c`; a list stays as it is."""
    return tuple(name for name in value.split(",") if name) if isinstance(value, str) else value


def _types(value: object) -> object:
    """Turn `level=int64,vip=bool` into a table; a table stays as it is."""
    table = dict(_pair(item) for item in value.split(",") if item) if isinstance(value, str) else value
    if isinstance(table, Mapping):
        for name, type_name in table.items():
            if type_name not in PARSERS:
                near = difflib.get_close_matches(str(type_name), PARSERS, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(PARSERS)}"
                raise ValueError(f"no type {str(type_name)!r} for {name!r}; {hint}")
    return table


def _pair(item: str) -> tuple[str, str]:
    name, equals, type_name = item.rpartition("=")
    if not equals or not name:
        raise ValueError(f"{item!r} is not ATTRIBUTE=TYPE")
    return name, type_name


def _delimiter(value: object) -> object:
    return {"tab": "\t", "\\t": "\t"}.get(value, value) if isinstance(value, str) else value


def _encoding(value: str) -> str:
    try:
        return codecs.lookup(value).name
    except LookupError:
        raise ValueError(f"there is no encoding {value!r}; try utf-8, latin-1, utf-16 or gb18030") from None


def _limit(value: object) -> object:
    return value if isinstance(value, Limit) else Limit(str(value))


Names = Annotated[tuple[str, ...] | None, NoDecode, BeforeValidator(_names)]
Types = Annotated[dict[str, str], NoDecode, BeforeValidator(_types)]
Delimiter = Annotated[str, BeforeValidator(_delimiter), Field(min_length=1, max_length=1)]
Encoding = Annotated[str, BeforeValidator(_encoding)]
Share = Annotated[Annotated[float, Field(ge=0, le=1)] | None, BeforeValidator(_share)]
Accounts = Annotated[Limit, BeforeValidator(_limit)]
