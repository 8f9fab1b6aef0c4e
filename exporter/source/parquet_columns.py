"""Which Parquet column holds the ids, and whether its type can: texts and whole numbers can, nothing else. Pure."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from exporter.errors import InputError
from exporter.source.columns import ambiguous, missing
from exporter.source.reading import COLUMN_DEFAULT

CAST = "write the ids as text"

REMEDIES = (
    (pa.types.is_struct, "name the field inside it: --column {column}.FIELD"),
    (pa.types.is_null, "every value in it is null; name another with --column"),
    (pa.types.is_floating, f"a float rounds long ids; {CAST}, from where they are still exact"),
)


@dataclass(frozen=True, slots=True)
class Column:
    """The id's column: the way to it, more than one step for a field of a struct, and its type."""

    path: tuple[str, ...]
    type: pa.DataType

    @property
    def dotted(self) -> str:
        """Its path as Parquet writes it."""
        return ".".join(self.path)

    @property
    def folded(self) -> bool:
        """Whether it comes as a dictionary and indices."""
        return isinstance(self.type, pa.DictionaryType)

    @property
    def text(self) -> bool:
        """Whether it holds texts; otherwise it holds whole numbers."""
        return is_text_type(self.type)

    def of(self, batch: pa.RecordBatch) -> Any:
        """Its array in a batch, which may hold neighbours of a like name."""
        array: Any = batch.column(batch.schema.get_field_index(self.path[0]))
        for part in self.path[1:]:
            array = pc.struct_field(array, [part])
        return array


def find_column(name: str, schema: pa.Schema, column: str | None) -> Column:
    """The id's column. Raises InputError when it is not there once, or its type cannot hold ids."""
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
    return Column(path, found)


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


def is_text_type(found: pa.DataType) -> bool:
    """Tell whether a type is text, be it by way of a dictionary."""
    return _is_text(_plain(found))


def _plain(found: pa.DataType) -> pa.DataType:
    return found.value_type if isinstance(found, pa.DictionaryType) else found
