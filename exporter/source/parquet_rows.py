"""Parquet: only the id's column is read, and what a value costs is known before it becomes text.

A file of 475 bytes can unfold to gigabytes: a dictionary holds a huge value once, every row points to it. So a row
group whose dictionary holds values too long for an id is read as dictionary and indices, and the values are cut there.
Any other is read flat: read as a dictionary, 5 million different ids take a gigabyte (measured, pyarrow 26).
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exporter.errors import InputError
from exporter.model import BadId, Reason
from exporter.source import kinds
from exporter.source.files import InputFile
from exporter.source.parquet_columns import find_path, is_text
from exporter.source.reading import Reading

ROWS_MAX = 5_000
ROWS_UNFOLDING_MAX = 64
VALUE_BYTES_MAX = 256
BUFFER_BYTES = 1024 * 1024
GROUP_BYTES_MAX = 64 * 1024 * 1024
REASON_CHARS_MAX = 200

Ids = list[str | BadId | None]

NULL = BadId(None, Reason.INVALID_ID, "null")


def read_parquet(
    file: InputFile, reading: Reading, warn: Callable[[str], None], *, block_bytes: int = 0
) -> Iterator[tuple[Ids, float]]:
    """The ids of consecutive rows, and which part of the file's bytes they stand for. Raises InputError."""
    del block_bytes  # a Parquet file has its own pages
    if warning := kinds.name_warning(file.name, "parquet"):
        warn(warning)
    with ExitStack() as stack:
        with refused(file.name, "its footer"):
            flat = stack.enter_context(_opened(file))
            path = find_path(file.name, flat.schema_arrow, reading.column)
            text = is_text(flat.schema_arrow, path)
            folded = stack.enter_context(_opened(file, flat, path)) if text else None
        rows, rows_all = 0, flat.metadata.num_rows
        if not rows_all:
            warn(f"{file.name}: has no rows.")
        for number in range(flat.num_row_groups):
            with refused(file.name, f"row group {number + 1:,} of {flat.num_row_groups:,}"):
                for column in Group(file.name, number, path).columns(flat, folded):
                    ids = _texts(column) if text else _numbers(column)
                    rows += len(ids)
                    yield ids, (file.bytes or 0) * rows / rows_all


class Group:
    """One row group's id column."""

    def __init__(self, name: str, number: int, path: tuple[str, ...]) -> None:
        self._name = name
        self._number = number
        self._path = path

    def columns(self, flat: pq.ParquetFile, folded: pq.ParquetFile | None) -> Iterator[Any]:
        """The column in pieces of bounded memory. `folded` is the same file, opened to read it as a dictionary."""
        if folded is None:
            return self._read(flat, ROWS_MAX)
        chunk = self._chunk(flat.metadata)
        self._refuse_huge(chunk)
        if "DELTA_BYTE_ARRAY" in chunk.encodings:  # a long value that repeats costs next to nothing in the file
            return self._read(flat, ROWS_UNFOLDING_MAX)
        # The first row as a dictionary brings all values that any row of a dictionary page could point to.
        first = [_longest(_values(column)) for column in self._read(folded, 1, batches_max=1)]
        return self._read(folded if max(first, default=0) > VALUE_BYTES_MAX else flat, ROWS_MAX)

    def _read(self, file: pq.ParquetFile, rows_max: int, *, batches_max: int | None = None) -> Iterator[Any]:
        batches = file.iter_batches(rows_max, [self._number], [".".join(self._path)], use_threads=False)
        for batch in islice(batches, batches_max):
            column: Any = batch.column(batch.schema.get_field_index(self._path[0]))
            for part in self._path[1:]:
                column = pc.struct_field(column, [part])
            yield column

    def _chunk(self, metadata: pq.FileMetaData) -> pq.ColumnChunkMetaData:
        group = metadata.row_group(self._number)
        wanted = ".".join(self._path)
        return next(chunk for n in range(group.num_columns) if (chunk := group.column(n)).path_in_schema == wanted)

    def _refuse_huge(self, chunk: pq.ColumnChunkMetaData) -> None:
        # A page is unpacked whole: of a column of long texts it may be gigabytes.
        if chunk.total_uncompressed_size > max(GROUP_BYTES_MAX, VALUE_BYTES_MAX * chunk.num_values):
            each = chunk.total_uncompressed_size // max(1, chunk.num_values)
            raise InputError(
                f"{self._name}: row group {self._number + 1:,} has {each:,} bytes for each id in column "
                f"'{'.'.join(self._path)}', where 32 are the most; name another with --column."
            )


def _texts(column: Any) -> Ids:
    values, rows = _values(column), _rows(column)
    if _longest(values) <= VALUE_BYTES_MAX:
        return _filled((values if rows is None else values.take(rows)).to_pylist())
    lengths = pc.binary_length(values)
    cut = pc.binary_slice(values.cast(_binary(values.type)), 0, VALUE_BYTES_MAX)
    if rows is not None:
        lengths, cut = lengths.take(rows), cut.take(rows)
    return [_cut(data, length) for data, length in zip(cut.to_pylist(), lengths.to_pylist(), strict=True)]


def _numbers(column: Any) -> Ids:
    values, rows = _values(column).cast(pa.string()), _rows(column)
    return _filled((values if rows is None else values.take(rows)).to_pylist())


def _values(column: Any) -> Any:
    values = column.dictionary if isinstance(column, pa.DictionaryArray) else column
    return values.cast(pa.string()) if pa.types.is_string_view(values.type) else values


def _rows(column: Any) -> Any:
    """For each row the position of its value, or None where every row has its own."""
    return column.indices if isinstance(column, pa.DictionaryArray) else None


def _filled(texts: list[str | None]) -> Ids:
    return [NULL if text is None else text for text in texts]


def _cut(data: bytes | None, length: int) -> str | BadId:
    if data is None:
        return NULL
    if length <= VALUE_BYTES_MAX:
        return data.decode()
    text = data.decode("utf-8", "ignore")
    return BadId(text, Reason.INVALID_ID, f"{length:,} bytes; an account id has at most 32")


def _longest(values: Any) -> int:
    return pc.max(pc.binary_length(values)).as_py() or 0


def _binary(text_type: pa.DataType) -> pa.DataType:
    return pa.large_binary() if pa.types.is_large_string(text_type) else pa.binary()


def _opened(file: InputFile, like: pq.ParquetFile | None = None, path: tuple[str, ...] = ()) -> pq.ParquetFile:
    return pq.ParquetFile(
        str(file.path),
        metadata=like.metadata if like else None,
        read_dictionary=[".".join(path)] if path else None,
        buffer_size=BUFFER_BYTES,
        page_checksum_verification=True,
    )


@contextmanager
def refused(name: str, place: str) -> Iterator[None]:
    """Turn whatever pyarrow, the system or a wrong byte says into one sentence."""
    try:
        yield
    except (OSError, pa.ArrowException, ValueError) as error:
        reason = " ".join(str(error).split())[:REASON_CHARS_MAX].rstrip(".")
        if "encrypt" in reason.lower() or "decrypt" in reason.lower():
            raise InputError(f"{name}: is encrypted Parquet, which cannot be read here; decrypt it first.") from error
        raise InputError(f"{name}: cannot be read in {place}: {reason}; write or fetch the file again.") from error
