"""Parquet: only the id's column is read, in pieces small enough that no value can swell them.

A file of 475 bytes can unfold to gigabytes: a dictionary holds a huge value once, and every row points to it. Reading
such a column as a dictionary would cost little, yet a row group of 5 million different ids then takes a gigabyte
(measured, pyarrow 26). So the column is read flat, a few rows at a time. The footer's sizes of single columns are not
asked for: where the footer is damaged or encrypted, pyarrow 26 ends the whole process over them.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exporter.errors import InputError
from exporter.model import BadId, Reason
from exporter.source import kinds
from exporter.source.files import InputFile
from exporter.source.parquet_columns import Column, find_column
from exporter.source.reading import ROWS_MAX, Ids, Place, Reading

ROWS_MIN = 16
PIECE_BYTES_MAX = 8 * 1024 * 1024
GROUP_BYTES_MAX = 64 * 1024 * 1024
VALUE_BYTES_MAX = 256
UNPACKED_TIMES_MAX = 256
BUFFER_BYTES = 1024 * 1024
REASON_CHARS_MAX = 200

NULL = BadId(None, Reason.INVALID_ID, "null")


def read_parquet(
    file: InputFile, reading: Reading, warn: Callable[[str], None], *, block_bytes: int, at: Place = ()
) -> Iterator[tuple[Ids, float, Place]]:
    """The ids of consecutive rows, which part of the file's bytes is read after them, and where they begin.

    A place is (row groups before it, rows of its row group before it): with `at` the ids before it are not read.
    Raises InputError.
    """
    del block_bytes  # a Parquet file has its own pages
    if warning := kinds.name_warning(file.name, "parquet"):
        warn(warning)
    with _opened(file) as parquet:
        with _refused(file.name, "its footer"):
            column = find_column(file.name, parquet.schema_arrow, reading.column)
        rows, rows_all = 0, parquet.metadata.num_rows
        if not rows_all:
            warn(f"{file.name}: has no rows.")
        first, skip = at or (0, 0)
        for number in range(parquet.num_row_groups):
            with _refused(file.name, f"row group {number + 1:,} of {parquet.num_row_groups:,}"):
                if number < first:
                    rows += parquet.metadata.row_group(number).num_rows
                    continue
                row = skip if number == first else 0
                rows += row
                for ids in _group(file, parquet, number, column, row):
                    rows += len(ids)
                    yield ids, (file.bytes or 0) * rows / rows_all, (number, row)
                    row += len(ids)


def _group(file: InputFile, parquet: pq.ParquetFile, number: int, column: Column, skip: int) -> Iterator[Ids]:
    group = parquet.metadata.row_group(number)
    size = group.total_byte_size
    if size > GROUP_BYTES_MAX:
        _refuse_swollen(file, parquet.metadata, number, column)
    # No value is longer than its row group. What is read as a dictionary holds each value once, however many rows.
    rows = ROWS_MAX if column.folded else max(ROWS_MIN, min(ROWS_MAX, PIECE_BYTES_MAX // max(1, size)))
    batches = parquet.iter_batches(rows, [number], [column.dotted], use_threads=False)
    for piece in _gathered(_from(skip, (column.of(batch) for batch in batches))):
        yield _texts(piece) if column.text else _numbers(piece)


def _refuse_swollen(file: InputFile, footer: pq.FileMetaData, number: int, column: Column) -> None:
    """A page is unpacked whole: in a column of long texts one page may be gigabytes."""
    group = footer.row_group(number)
    rows, size = max(1, group.num_rows), group.total_byte_size
    if footer.num_columns == 1 and size > VALUE_BYTES_MAX * rows:
        raise InputError(
            f"{file.name}: row group {number + 1:,} has {size // rows:,} bytes for each value of column "
            f"'{column.dotted}', where an account id has at most 32; name another file."
        )
    # Of several columns only the sum is known. What unpacks so much more than it packs holds one thing over and over.
    if footer.num_columns > 1 and size > UNPACKED_TIMES_MAX * (file.bytes or 0):
        raise InputError(
            f"{file.name}: row group {number + 1:,} unpacks to {size:,} bytes, from a file of {file.bytes:,}; write the "
            f"column '{column.dotted}' to a file of its own."
        )


def _from(skip: int, columns: Iterator[Any]) -> Iterator[Any]:
    """All but the first `skip` rows."""
    for column in columns:
        dropped = min(skip, len(column))
        skip -= dropped
        if dropped < len(column):
            yield column.slice(dropped) if dropped else column


def _gathered(columns: Iterator[Any]) -> Iterator[Any]:
    """Joined up to ROWS_MAX rows or PIECE_BYTES_MAX bytes, whichever comes first."""
    pieces: list[Any] = []
    rows = size = 0
    for column in columns:
        if pieces and (rows + len(column) > ROWS_MAX or size >= PIECE_BYTES_MAX):
            yield _joined(pieces)
            pieces, rows, size = [], 0, 0
        pieces.append(column)
        # Of whole buffers: to measure the part that a slice uses costs as much as reading it.
        rows, size = rows + len(column), size + column.get_total_buffer_size()
    if pieces:
        yield _joined(pieces)


def _joined(pieces: list[Any]) -> Any:
    return pieces[0] if len(pieces) == 1 else pa.concat_arrays(pieces)


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


@contextmanager
def _opened(file: InputFile) -> Iterator[pq.ParquetFile]:
    with ExitStack() as opened:
        with _refused(file.name, "its footer"):
            # Opened here: pyarrow takes no path that is not UTF-8.
            stream = opened.enter_context(Path(str(file.path)).open("rb"))
            parquet = pq.ParquetFile(stream, buffer_size=BUFFER_BYTES, page_checksum_verification=True)
        with parquet:
            yield parquet


@contextmanager
def _refused(name: str, place: str) -> Iterator[None]:
    """Turn whatever pyarrow, the system or a wrong byte says into one sentence."""
    try:
        yield
    except (OSError, pa.ArrowException, ValueError) as error:
        reason = " ".join(str(error).split())[:REASON_CHARS_MAX].rstrip(".")
        if "decrypt" in reason.lower():
            raise InputError(f"{name}: is encrypted Parquet, which cannot be read here; decrypt it first.") from error
        raise InputError(f"{name}: cannot be read in {place}: {reason}; write or fetch the file again.") from error
