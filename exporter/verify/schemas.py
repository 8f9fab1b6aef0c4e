"""The columns that the files of an export must have: fixed ones, and for the data those that the manifest lists. Pure."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import pyarrow as pa

from exporter.verify.claims import BAD, DATA, REJECTS

ACCOUNT = "account_id"

ARROW_TYPES: Mapping[str, pa.DataType] = {
    "text": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}


def _schema(**types: str) -> pa.Schema:
    return pa.schema([pa.field(name, ARROW_TYPES[kind]) for name, kind in types.items()])


FIXED: Mapping[str, pa.Schema] = {
    REJECTS: _schema(account_id="text", reason="text", code="int64", message="text", source="text", row_number="int64"),
    BAD: _schema(account_id="text", attribute="text", value="text"),
}


def schemas(columns: Sequence[Mapping[str, str]]) -> Mapping[str, pa.Schema]:
    """Give the schema of the files in each folder, for a manifest's `schema`."""
    fields = [pa.field(item["name"], ARROW_TYPES[item["type"]], nullable=item["name"] != ACCOUNT) for item in columns]
    return {DATA: pa.schema(fields), **FIXED}


def difference(found: pa.Schema, wanted: pa.Schema) -> str | None:
    """Say where the columns of a file first differ from those it must have, or None."""
    for place, (has, wants) in enumerate(zip_longest(found, wanted), start=1):
        if has is None or wants is None or not has.equals(wants):
            return f"column {place:,} is {_words(has)}, not {_words(wants)}"
    return None


def _words(field: Any) -> str:
    return f"{field.name!r} {field.type}{'' if field.nullable else ' not null'}" if field else "absent"
