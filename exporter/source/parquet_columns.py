"""Which Parquet column holds the ids, and whether its type can: texts and whole numbers can, nothing else. Pure."""

import pyarrow as pa

from exporter.errors import InputError
from exporter.source.columns import ambiguous, missing
from exporter.source.reading import COLUMN_DEFAULT

CAST = "write the ids as text"

REMEDIES = (
    (pa.types.is_struct, "name the field inside it: --column {column}.FIELD"),
    (pa.types.is_null, "every value in it is null; name another with --column"),
    (pa.types.is_floating, f"a float rounds long ids; {CAST}, from where they are still exact"),
)


def find_path(name: str, schema: pa.Schema, column: str | None) -> tuple[str, ...]:
    """The way to the id's column, more than one step for a field of a struct. Raises InputError."""
    names = schema.names
    wanted = column or (names[0] if len(names) == 1 else COLUMN_DEFAULT)
    if names.count(wanted) > 1:
        raise InputError(ambiguous(name, wanted))
    # A dotted name may be a column's own: that one comes first.
    path = (wanted,) if wanted in names else tuple(wanted.split("."))
    found = _type_at(schema, path)
    if found is None:
        raise InputError(missing(name, wanted, names))
    _refuse_type(name, wanted, found)
    return path


def is_text(schema: pa.Schema, path: tuple[str, ...]) -> bool:
    """Whether the column at `path` holds texts (else: whole numbers)."""
    found = _type_at(schema, path)
    return found is not None and _is_text(_plain(found))


def _type_at(schema: pa.Schema, path: tuple[str, ...]) -> pa.DataType | None:
    here: pa.DataType = pa.struct(list(schema))
    for part in path:
        if not isinstance(here, pa.StructType) or len(here.get_all_field_indices(part)) != 1:
            return None
        here = here.field(part).type
    return here


def _refuse_type(name: str, column: str, found: pa.DataType) -> None:
    plain = _plain(found)
    exact = pa.types.is_integer(plain) or (pa.types.is_decimal(plain) and plain.scale == 0)
    if _is_text(plain) or exact:
        return
    remedy = next((remedy for is_it, remedy in REMEDIES if is_it(plain)), CAST)
    raise InputError(
        f"{name}: column {column!r} is of type {found}, which cannot hold account ids; {remedy.format(column=column)}."
    )


def _is_text(found: pa.DataType) -> bool:
    return pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_string_view(found)


def _plain(found: pa.DataType) -> pa.DataType:
    return found.value_type if isinstance(found, pa.DictionaryType) else found
