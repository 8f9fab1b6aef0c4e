"""CSV: every record is one row; the text of its id goes on as it stands, and a row without one says why."""

import csv
import re
from collections.abc import Callable, Iterator
from itertools import chain, islice

from exporter.errors import InputError
from exporter.model import BadId, Reason
from exporter.source import kinds
from exporter.source.columns import header_column, positioned_column
from exporter.source.files import InputFile
from exporter.source.lines import Lines
from exporter.source.reading import ROWS_MAX, Ids, Reading
from exporter.source.unpack import Blocks, unpacked

RECORD_CHARS_MAX = 4 * 1024 * 1024

SPREADSHEET = re.compile(r"\d(\.\d+)?E\+\d+")


def read_csv(
    file: InputFile, reading: Reading, warn: Callable[[str], None], *, block_bytes: int
) -> Iterator[tuple[Ids, float]]:
    """The ids of consecutive rows, as they arrive, and how many bytes of the file were read. Raises InputError."""
    if file.bytes and (warning := kinds.name_warning(file.name, file.compression or "csv")):
        warn(warning)
    with file.opened() as stream:
        blocks = Blocks(file.name, stream, block_bytes)
        lines = Lines(file.name, unpacked(blocks, reading.encoding), reading.encoding)
        records = Records(file.name, lines, reading.delimiter)
        for ids in _watched(file.name, _ids(file.name, records, reading, warn), warn):
            yield ids, blocks.read_bytes


def _ids(name: str, records: "Records", reading: Reading, warn: Callable[[str], None]) -> Iterator[Ids]:
    first = records.take(1)
    if not first and not reading.allow_empty:
        raise InputError(f"{name}: is empty; pass --allow-empty if that is meant.")
    if not first:
        return
    width = 0
    if reading.header:
        width, index = len(first[0]), header_column(name, first[0], reading)
        first = records.take(ROWS_MAX)
        if not first:
            warn(f"{name}: has a header and no rows.")
    for rows in chain([first] if first else [], iter(lambda: records.take(ROWS_MAX), [])):
        if not width and (width := next(filter(None, map(len, rows)), 0)):
            index = positioned_column(name, reading, width)
        yield _picked(rows, index, width) if width else [None] * len(rows)


def _picked(rows: list[list[str]], index: int, width: int) -> Ids:
    if set(map(len, rows)) == {width}:
        return [row[index] for row in rows]
    return [_id(row, index, width) for row in rows]


def _id(row: list[str], index: int, width: int) -> str | BadId | None:
    if not row:
        return None
    if index < len(row) <= width:
        return row[index]
    text = row[index] if index < len(row) else None
    return BadId(text, Reason.BAD_ROW, f"{len(row):,} fields where {width:,} belong")


def _watched(name: str, batches: Iterator[Ids], warn: Callable[[str], None]) -> Iterator[Ids]:
    """Pass all on, and warn at the first id that a spreadsheet has rounded: 123456789012345678 -> 1.23457E+17."""
    row = 1
    for ids in batches:
        found = _rounded(ids)
        if found is not None:
            warn(
                f"{name}: the id of row {row + found:,} looks like a number that a spreadsheet has rounded; is it one?"
            )
        yield ids
        row += len(ids)
        if found is not None:
            break
    yield from batches


def _rounded(ids: Ids) -> int | None:
    texts = [each if isinstance(each, str) else "" for each in ids]
    # One search over all of them is ten times cheaper than one each.
    if "E+" not in "\n".join(texts):
        return None
    return next((place for place, text in enumerate(texts) if SPREADSHEET.fullmatch(text)), None)


class Records:
    """CSV records out of lines, by the standard library's strict reader."""

    def __init__(self, name: str, lines: Lines, delimiter: str) -> None:
        self._name = name
        self._lines = lines
        self._begun = self._begun_chars = 0
        self._reader = csv.reader(chain.from_iterable(self._fed()), delimiter=delimiter, strict=True)

    def take(self, rows_max: int) -> list[list[str]]:
        """Wait for one record, then take only what has arrived, at most `rows_max`; nothing at the end.

        A record whose quoted line break has not been followed up yet is waited for. Raises InputError for what is no CSV.
        """
        reader, lines = self._reader, self._lines
        self._begun, self._begun_chars = reader.line_num, lines.chars
        try:
            rows = list(islice(reader, 1))
            if lines.plain:
                rows += islice(reader, min(rows_max - 1, lines.count - reader.line_num))
            while len(rows) < rows_max and reader.line_num < lines.count:
                self._begun = reader.line_num
                rows.append(next(reader))
        except csv.Error as error:
            raise self._broken(str(error)) from error
        return rows

    def _fed(self) -> Iterator[list[str]]:
        for lines in self._lines:
            if self._lines.chars - self._begun_chars > RECORD_CHARS_MAX + sum(map(len, lines)):
                raise self._broken(f"a row of over {RECORD_CHARS_MAX:,} characters")
            yield lines

    def _broken(self, reason: str) -> InputError:
        return InputError(
            f"{self._name}: line {self._reader.line_num:,} is not CSV: {reason}; its row begins in line "
            f"{self._begun + 1:,}: look there for a quote that is left open."
        )
