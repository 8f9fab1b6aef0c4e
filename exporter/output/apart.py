"""Whether the accounts of all shards lie apart: then none of them stands in two, and nobody has to look for it.

Tables are mostly read in the order of their key, and then every shard has a range of accounts of its own. The ranges are
those that the footers of the shards tell. Where one does not tell, or ranges meet, nothing is known.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from exporter.output import files
from exporter.output.facts import DATA, REJECTS, ShardFacts, file_name

Range = tuple[bytes, bytes]


def lie_apart(run: Path, shards: Sequence[ShardFacts]) -> bool:
    """Tell whether no account can stand in two of these shards, which lie in `run`. Raises MachineError."""
    ranges: list[Range] = []
    for shard in shards:
        of_files = [_range(run / folder / file_name(shard.number)) for folder in (DATA, REJECTS)]
        if None in of_files:
            return False
        ranges += joined(span for of_file in of_files for span in of_file or ())
    return disjoint(ranges)


def disjoint(ranges: Iterable[Range]) -> bool:
    """Tell whether no two of these ranges meet."""
    return all(before[1] < after[0] for before, after in pairwise(sorted(ranges)))


def joined(spans: Iterable[Range]) -> list[Range]:
    """Give the one range that holds all of these, if there is any."""
    firsts, lasts = [], []
    for first, last in spans:
        firsts.append(first)
        lasts.append(last)
    return [(min(firsts), max(lasts))] if firsts else []


def _range(path: Path) -> list[Range] | None:
    """Give the range of the accounts in a file, none for a file without accounts, and None where the footer doesn't tell."""
    with files.on_disk(path):
        try:
            return joined(_told(pq.read_metadata(path)))
        except (pa.ArrowException, LookupError):
            return None


def _told(footer: Any) -> Iterator[Range]:
    """Read the ranges of the first column. Raises LookupError for a row group that does not tell."""
    for number in range(footer.num_row_groups):
        column = footer.row_group(number).column(0)
        told = column.statistics
        if not column.num_values or (told is not None and told.null_count == column.num_values):
            continue  # no account at all
        if told is None or not told.has_min_max:
            raise LookupError(number)
        yield told.min.encode(), told.max.encode()
