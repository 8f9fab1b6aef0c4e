"""Reading the data for the page: one column at a time over all shards, some rows at a time.

Memory depends on the bounds written here, never on the data. What a library says of a damaged file names the file.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exporter.errors import MachineError
from exporter.flatten import ARROW_TYPES, Array
from exporter.report import redact, scales
from exporter.report.facts import Column, Data, Example, Histogram, Lengths, Spread, Top, Value
from exporter.report.tally import Tally, binned, value_counts

BATCH_ROWS = 16_384
BUFFER_BYTES = 1 << 20
TOP_MAX = 10
BINS_MAX = 24
ERROR_CHARS_MAX = 200
EXAMPLES_MAX = 5
ACCOUNT = {"account_id": pa.string()}
REJECTS: Mapping[str, pa.DataType] = {
    **ACCOUNT,
    "reason": pa.string(),
    "code": pa.int64(),
    "message": pa.string(),
    "source": pa.string(),
    "row_number": pa.int64(),
}


class Stopped(Exception):  # noqa: N818 - no error: somebody asked for it
    """The reading was stopped."""


@dataclass(frozen=True, slots=True)
class Files:
    """The files of an export: its data and its rejects, in order of the input."""

    data: Sequence[Path]
    rejects: Sequence[Path]
    stop: threading.Event | None = None

    def batches(self, paths: Sequence[Path], columns: Mapping[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        """Read some columns. Raises MachineError that names a file which cannot be read, and Stopped."""
        for path in paths:
            if self.stop and self.stop.is_set():
                raise Stopped
            try:
                with pq.ParquetFile(path, buffer_size=BUFFER_BYTES, page_checksum_verification=True) as file:
                    for name, kind in columns.items():
                        if file.schema_arrow.field(name).type != kind:
                            raise pa.ArrowInvalid(
                                f"its column {name!r:.100} is not of the type that the manifest tells"
                            )
                    yield from file.iter_batches(BATCH_ROWS, columns=list(columns), use_threads=False)
            except FileNotFoundError:
                raise MachineError(f"{path} is missing.") from None
            except (pa.ArrowException, OSError, ValueError, KeyError) as error:
                raise MachineError(f"{path} cannot be read: {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    """Put what the library or the system says into one short line."""
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(text.split())[:ERROR_CHARS_MAX].rstrip(".") or type(error).__name__


def profile(told: Mapping[str, Any], files: Files, *, redact_ids: bool) -> Data:
    """Read what an export holds; `told` is its manifest. Raises MachineError and Stopped."""
    attributes = [column for column in told["schema"] if "attribute" in column]
    columns = [_column(files, entry["name"], entry["attribute"], entry["type"]) for entry in attributes]
    examples = _examples(files, told["rejects_by_reason"])
    made = Data(columns, examples)
    if not redact_ids:
        return made
    ids = (batch.column(0) for paths in (files.data, files.rejects) for batch in files.batches(paths, ACCOUNT))
    return redact.redacted(made, ids)


def _column(files: Files, name: str, attribute: str, kind: str) -> Column:
    tally = Tally(ARROW_TYPES[kind])
    measure = Texts() if kind == "text" else Values()
    rows = filled = 0
    for batch in files.batches(files.data, {name: ARROW_TYPES[kind]}):
        values: Array = batch.column(name)
        rows += len(values)
        there: Array = values.drop_null()
        if kind == "float64":
            there = pc.add(there, 0.0)  # 0 and -0 are one value
        filled += len(there)
        if len(there):
            different, counts = value_counts(there)
            measure.add(different, counts, len(there))
            tally.add(different, counts)
    top = [Top(value, number) for value, number in tally.top(TOP_MAX)]
    lengths = measure.lengths(filled) if isinstance(measure, Texts) else None
    spread = measure.spread() if isinstance(measure, Values) else None
    histogram = _histogram(files, name, kind, tally, spread) if spread and kind != "bool" else None
    return Column(attribute, kind, rows, filled, tally.distinct, tally.exact, top, lengths, spread, histogram)


class Texts:
    """Lengths of texts."""

    def __init__(self) -> None:
        self._min: int | None = None
        self._max = self._sum = 0

    def add(self, different: Array, counts: Array, _number: int) -> None:
        """Take in the different texts of a batch."""
        chars: Array = pc.cast(pc.utf8_length(different), pa.int64())
        ends: Any = pc.min_max(chars).as_py()
        self._min = ends["min"] if self._min is None else min(self._min, ends["min"])
        self._max = max(self._max, ends["max"])
        self._sum += pc.sum(pc.multiply(chars, counts)).as_py()

    def lengths(self, filled: int) -> Lengths | None:
        """Give the lengths of all."""
        return None if self._min is None else Lengths(self._min, self._sum / filled, self._max)


class Values:
    """Ends and mean of values that have an order."""

    def __init__(self) -> None:
        self._min: Any = None
        self._max: Any = None
        self._mean: float | None = None
        self._number = 0

    def add(self, different: Array, counts: Array, number: int) -> None:
        """Take in the different values of a batch, so many in all."""
        ends: Any = pc.min_max(different).as_py()
        self._min = ends["min"] if self._min is None else min(self._min, ends["min"])
        self._max = ends["max"] if self._max is None else max(self._max, ends["max"])
        self._number += number
        if pa.types.is_integer(different.type) or pa.types.is_floating(different.type):
            # Divided before they are added: a sum of numbers that are there may be none that is.
            parts: Array = pc.divide(pc.cast(counts, pa.float64()), pa.scalar(float(number)))
            weighted: Array = pc.multiply(pc.cast(different, pa.float64(), safe=False), parts)
            mean = float(pc.sum(weighted).as_py())
            before = self._mean or 0.0
            self._mean = before * ((self._number - number) / self._number) + mean * (number / self._number)

    def spread(self) -> Spread | None:
        """Give the ends and the mean of all."""
        return None if self._min is None else Spread(self._min, self._max, self._mean)


def _histogram(files: Files, name: str, kind: str, tally: Tally, spread: Spread) -> Histogram:
    """Count values by bins: from what is kept where that is all of them, else by a second reading."""
    edges = EDGES[kind](spread.min, spread.max, BINS_MAX)
    scalars = [pa.scalar(edge, ARROW_TYPES[kind]) for edge in edges[1:-1]]
    inner: list[Array] = [None, *scalars, None]  # no value is below the first edge or above the last
    if tally.exact:
        return Histogram(edges, binned(*tally.all(), inner))
    counts = [0] * (len(edges) - 1)
    for batch in files.batches(files.data, {name: ARROW_TYPES[kind]}):
        there: Array = batch.column(name).drop_null()
        ones: Array = pa.repeat(1, len(there))
        counts = [old + new for old, new in zip(counts, binned(there, ones, inner), strict=True)]
    return Histogram(edges, counts)


def _date_edges(low: datetime, high: datetime, bins_max: int) -> list[datetime]:
    return scales.date_edges(low.astimezone(UTC), high.astimezone(UTC), bins_max)


EDGES: Mapping[str, Callable[[Any, Any, int], Sequence[Value]]] = {
    "int64": scales.whole_edges,
    "float64": scales.edges,
    "timestamp": _date_edges,
}


def _examples(files: Files, by_reason: Mapping[str, int]) -> Mapping[str, Sequence[Example]]:
    """Give the first rejects for each reason, and read no more than that takes."""
    found: dict[str, list[Example]] = {reason: [] for reason in sorted(by_reason)}
    lacking = {reason: min(number, EXAMPLES_MAX) for reason, number in by_reason.items()}
    if not any(lacking.values()):
        return {}
    for batch in files.batches(files.rejects, REJECTS):
        reasons: Array = batch.column("reason")
        for reason in [reason for reason, number in lacking.items() if number]:
            of_reason: Array = pc.equal(reasons, pa.scalar(reason))
            some = batch.filter(of_reason).slice(0, lacking[reason])
            found[reason] += [_example(row) for row in some.to_pylist()]
            lacking[reason] -= some.num_rows
        if not any(lacking.values()):
            break
    return found


def _example(row: Mapping[str, Any]) -> Example:
    return Example(row["account_id"], row["code"], row["message"], row["source"], row["row_number"])
