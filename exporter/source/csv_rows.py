"""CSV: every record is one row; the text of its id goes on as it stands, and a row without one says why."""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice

from exporter.errors import InputError
from exporter.model import BadId, Reason
from exporter.source import kinds
from exporter.source.columns import header_column, otherwise_separated, positioned_column
from exporter.source.files import InputFile
from exporter.source.lines import Lines
from exporter.source.reading import ROWS_MAX, Ids, Place, Reading
from exporter.source.unpack import Blocks, unpacked

RECORD_CHARS_MAX = 4 * 1024 * 1024

SPREADSHEET = re.compile(r"\d(\.\d+)?E\+\d+")


def read_csv(
    file: InputFile, reading: Reading, warn: Callable[[str], None], *, block_bytes: int, at: Place = ()
) -> Iterator[tuple[Ids, float, Place]]:
    """The ids of consecutive rows, as they arrive, the bytes of the file up to their end, and where these rows begin.

    A place is (characters, lines and rows before it, index of the id's field, fields in a row): with `at` only what comes
    after it is read as CSV. Raises InputError.
    """
    if file.bytes and (warning := kinds.name_warning(file.name, file.compression or "csv")):
        warn(warning)
    with file.opened() as stream:
        blocks = Blocks(file.name, stream, block_bytes)
        chars, passed, *known = at or (0, 0)
        lines = Lines(file.name, unpacked(blocks, reading.encoding), reading.encoding, skip=(chars, passed))
        records = Records(file.name, lines, reading.delimiter)
        done = 0.0
        rows = _ids(file.name, records, reading, warn, known)
        for ids, place in _watched(file.name, rows if at else _begun(file.name, lines, rows, reading, warn), warn):
            # What was read and not yet given is no part of what is done: a small file is read at once.
            done = max(done, blocks.read_bytes * records.ended[0] / max(lines.chars_read, 1))
            yield ids, done, place


def _begun(
    name: str, lines: Lines, rows: Iterator[tuple[Ids, Place]], reading: Reading, warn: Callable[[str], None]
) -> Iterator[tuple[Ids, Place]]:
    """Pass all on. What fails at its beginning is told for what it looks like; without a header it is warned about."""
    try:
        first = next(rows, None)
    except InputError as error:
        if told := kinds.looks_like(name, lines.begins):
            raise InputError(told) from error
        raise
    if first is None:
        return
    if not reading.header and (told := kinds.looks_like(name, lines.begins)):
        warn(told)
    yield first
    yield from rows


def _ids(
    name: str, records: "Records", reading: Reading, warn: Callable[[str], None], known: Sequence[int]
) -> Iterator[tuple[Ids, Place]]:
    header = records.take(1) if reading.header and not known else []
    row, index, width = known or (0, 0, 0)
    if header:
        index, width = header_column(name, header[0], reading), len(header[0])
    begun = row
    while rows := records.take(ROWS_MAX):
        place = (*records.began, row, index, width)
        if not width and (width := next(filter(None, map(len, rows)), 0)):
            index = positioned_column(name, reading, width)
        yield _picked(rows, index, width) if width else [None] * len(rows), place
        row += len(rows)
    if row == begun and header:
        warn(f"{name}: has a header and no rows.")
    elif row == begun and not known and not reading.allow_empty:
        raise InputError(
            f"{name}: is empty; check what should have written it, or pass --allow-empty if that is meant."
        )


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


def _watched(
    name: str, batches: Iterator[tuple[Ids, Place]], warn: Callable[[str], None]
) -> Iterator[tuple[Ids, Place]]:
    """Pass all on, and warn at the first id that a spreadsheet has rounded: 123456789012345678 -> 1.23457E+17."""
    for ids, place in batches:
        found = _rounded(ids)
        if found is not None:
            row = place[2] + found + 1
            warn(f"{name}: the id of row {row:,} looks like a number that a spreadsheet has rounded; is it one?")
        yield ids, place
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
    """CSV records out of lines, by the standard library's strict reader.

    `began` says how many characters and lines lie before what was taken last, `ended` how many before what is taken next.
    """

    def __init__(self, name: str, lines: Lines, delimiter: str) -> None:
        self._name = name
        self._lines = lines
        self._delimiter = delimiter
        self._list: list[str] = []
        self._passed_over = lines.count
        self.began = self.ended = lines.before
        self._begun = self._begun_chars = 0
        self._reader = csv.reader(chain.from_iterable(self._fed()), delimiter=delimiter, strict=True)

    @property
    def _line(self) -> int:
        """Lines read so far, those passed over included."""
        return self._passed_over + self._reader.line_num

    def take(self, rows_max: int) -> list[list[str]]:
        """Wait for one record, then take only what has arrived, at most `rows_max`; nothing at the end.

        A record whose quoted line break has not been followed up yet is waited for. Raises InputError for what is no CSV.
        """
        reader, lines = self._reader, self._lines
        self._begin()
        try:
            rows = list(islice(reader, 1))
            if lines.plain:
                rows += islice(reader, min(rows_max - 1, lines.count - self._line))
            while len(rows) < rows_max and self._line < lines.count:
                self._begun = self._line
                rows.append(next(reader))
        except csv.Error as error:
            raise self._broken(str(error)) from error
        self._end()
        return rows

    def _begin(self) -> None:
        self.began = self.ended
        self._begun, self._begun_chars = self._line, self._lines.chars

    def _end(self) -> None:
        """Take note of where the next record begins: all lines of the last list that were read lie before it."""
        chars, line = max(self.began, self._lines.before)
        first = self._lines.before[1]
        self.ended = (chars + sum(map(len, islice(self._list, line - first, self._line - first))), self._line)

    def _fed(self) -> Iterator[list[str]]:
        for lines in self._lines:
            if self._lines.chars - self._begun_chars > RECORD_CHARS_MAX + sum(map(len, lines)):
                raise self._broken(f"a row of over {RECORD_CHARS_MAX:,} characters")
            self._list = lines
            yield lines

    def _broken(self, reason: str) -> InputError:
        # Of the first row alone: where rows before it were right, the fault is in this one.
        first = self._list[0] if self._line == 1 and self._list else ""
        hint = otherwise_separated(first, self._delimiter, after='"')
        begun = f"its row begins in line {self._begun + 1:,}: look there for a quote that is left open."
        return InputError(
            f"{self._name}: line {self._line:,} is not CSV: {reason}{f'. {hint}' if hint else f'; {begun}'}"
        )
