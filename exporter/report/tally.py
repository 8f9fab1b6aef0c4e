"""Counting the values of one column in bounded memory, whatever the column holds.

Counts of batches wait until they outgrow what is kept, then all are joined: each value is joined a few times at most.
Beyond the bound the rarer values are forgotten, and every count from then on is a lower bound, never a false figure.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from exporter.flatten import Array

DISTINCT_MAX = 1_000_000
KEPT_BYTES_MAX = 128 * 1024 * 1024
PENDING_MIN = 65_536
KEPT_SHARE = 8
"""Beyond the bounds, they are so many times lower: it is only the most frequent values that still matter."""


class Tally:
    """How often each value of a column stands there; nulls are not counted."""

    def __init__(self, kind: pa.DataType, *, distinct_max: int = DISTINCT_MAX, bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._kept = _table(pa.array([], kind), pa.array([], pa.int64()))
        self._pending: list[pa.Table] = []
        self._pending_rows = self._pending_bytes = 0
        self._distinct_max, self._bytes_max = distinct_max, bytes_max
        self._more_than = 0
        self.joined_rows = 0
        """Rows that went through joins so far: the work done."""
        self._exact = True

    def add(self, values: Array, counts: Array) -> None:
        """Take in the different values of a batch, and how often each stands there."""
        table = _table(values, counts)
        self._pending.append(table)
        self._pending_rows += len(table)
        self._pending_bytes += table.nbytes
        many = self._pending_rows > max(PENDING_MIN, self._kept.num_rows)
        if many or self._pending_bytes > max(self._bytes_max // 4, self._kept.nbytes):
            self._join()

    @property
    def exact(self) -> bool:
        """Whether every value is counted; else there are more than `distinct`, and counts are lower bounds."""
        self._join()
        return self._exact

    @property
    def distinct(self) -> int:
        """How many different values there are; more than that where not `exact`."""
        return self._kept.num_rows if self.exact else self._more_than

    @property
    def held_rows(self) -> int:
        """Counts that are held now, joined or waiting."""
        return self._kept.num_rows + self._pending_rows

    @property
    def held_bytes(self) -> int:
        """Bytes that these take."""
        return self._kept.nbytes + self._pending_bytes

    def top(self, number: int) -> list[tuple[Any, int]]:
        """Give the most frequent values and their counts; of equal counts the smaller value first."""
        self._join()
        rows = _largest(self._kept, number, [("n", "descending"), ("value", "ascending")])
        return list(zip(rows.column("value").to_pylist(), rows.column("n").to_pylist(), strict=True))

    def all(self) -> tuple[Array, Array]:
        """Give all values that are kept, and their counts."""
        self._join()
        return self._kept.column("value"), self._kept.column("n")

    def _join(self) -> None:
        if not self._pending:
            return
        whole = pa.concat_tables([self._kept, *self._pending])
        self.joined_rows += whole.num_rows
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0
        grouped = whole.group_by("value", use_threads=False).aggregate([("n", "sum")])
        self._kept = _table(grouped.column("value"), grouped.column("n_sum"))
        if self._is_too_large():
            self._forget()

    def _forget(self) -> None:
        """Keep the most frequent values. The first time the bounds shrink as well: less is kept, and joined faster."""
        if self._exact:
            self._exact = False
            self._more_than = min(self._kept.num_rows - 1, self._distinct_max)
            self._distinct_max = max(2, self._distinct_max // KEPT_SHARE)
            self._bytes_max //= KEPT_SHARE
        while self._kept.num_rows > 1 and self._is_too_large(half=True):
            ranked = _largest(self._kept, self._kept.num_rows // 2, [("n", "descending")])
            self._kept = ranked.combine_chunks()

    def _is_too_large(self, *, half: bool = False) -> bool:
        part = 2 if half else 1
        return self._kept.num_rows > self._distinct_max // part or self._kept.nbytes > self._bytes_max // part


def _table(values: Array, counts: Array) -> pa.Table:
    return pa.table({"value": values, "n": counts})


def _largest(table: Any, number: int, keys: Sequence[tuple[str, str]]) -> Any:
    select: Any = pc.select_k_unstable
    return table.take(select(table, k=number, sort_keys=keys))


def value_counts(values: Array) -> tuple[Array, Array]:
    """Give the different values of an array without nulls, and how often each stands there."""
    counted: Array = pc.value_counts(values)
    return counted.field("values"), counted.field("counts")


def binned(values: Array, counts: Array, edges: Sequence[Array]) -> list[int]:
    """Count values by edges (Arrow scalars of their type): from each on up to the next, the last one held too."""
    total = pc.sum(counts).as_py() or 0
    below = [pc.sum(counts.filter(pc.less(values, edge))).as_py() or 0 for edge in edges[1:-1]]
    return [after - before for before, after in pairwise([0, *below, total])]
