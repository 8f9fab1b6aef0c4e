"""One file: its bytes, then every page of it. A file that is not the one the manifest names is not opened at all.

It is read some rows of some columns at a time, so memory does not grow with the file. Whatever the library says of a damaged file is a finding.
"""

import hashlib
import stat
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from exporter.verify.claims import FileClaim
from exporter.verify.schemas import difference

BATCH_ROWS = 16_384
BUFFER_BYTES = 1 << 20  # for each column that is read
COLUMNS_AT_ONCE = 32
ERROR_CHARS_MAX = 200


@dataclass(slots=True)
class Content:
    """What stands in a file: rows, those of accounts with spaces around, and rows by reason or attribute.

    `problems` counts rows by what is wrong with them.
    """

    rows: int = 0
    spaced: int = 0
    counts: Counter[str | None] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)


Look = Callable[[pa.RecordBatch, Content], None]


def read(out: Path, claim: FileClaim, schema: pa.Schema, look: Look) -> Generator[str, None, Content | None]:
    """Yield what is wrong with a file; return what stands in it, or None when it is not the file that was written."""
    path = out / claim.file
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            yield f"{claim.file} is no regular file."
            return None
        with path.open("rb") as file:
            if wrong := _other_bytes(file, claim):
                yield wrong
                return None
            file.seek(0)
            content = _content(file, schema, look)
    except FileNotFoundError:
        yield f"{claim.file} is missing."
        return None
    except Exception as error:  # noqa: BLE001 - a damaged file makes the library raise anything
        yield f"{claim.file} cannot be read: {reason_of(error)}."
        return None
    if isinstance(content, str):
        yield f"{claim.file}: {content}."
        return None
    if content.rows != claim.rows:
        yield f"{claim.file} has {content.rows:,} rows, not {claim.rows:,}."
    for words, number in content.problems.items():
        yield f"{claim.file}: {words} in {number:,} {'row' if number == 1 else 'rows'}."
    return content


def _other_bytes(file: BufferedReader, claim: FileClaim) -> str | None:
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    if file.tell() != claim.bytes:
        return f"{claim.file} has {file.tell():,} bytes, not {claim.bytes:,}."
    return None if digest == claim.sha256 else f"{claim.file} has changed: its sha256 is {digest}, not {claim.sha256}."


def _content(file: BufferedReader, schema: pa.Schema, look: Look) -> Content | str:
    """Read every page; return what stands there, or how its columns differ. Raises anything at all."""
    content = Content()
    with pq.ParquetFile(file, buffer_size=BUFFER_BYTES, page_checksum_verification=True) as parquet:
        if wrong := difference(parquet.schema_arrow, schema):
            return wrong
        for first in range(0, len(schema), COLUMNS_AT_ONCE):
            rows = 0
            for batch in parquet.iter_batches(
                BATCH_ROWS, columns=schema.names[first : first + COLUMNS_AT_ONCE], use_threads=False
            ):
                batch.validate(full=True)
                rows += batch.num_rows
                if not first:
                    look(batch, content)
            if first and rows != content.rows:
                return f"its first columns have {content.rows:,} rows, and column {first + 1:,} has {rows:,}"
            content.rows = rows
    return content


def reason_of(error: Exception) -> str:
    """Put what the library or the system says into one short line."""
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(text.split())[:ERROR_CHARS_MAX].rstrip(".") or type(error).__name__
