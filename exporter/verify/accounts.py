"""No account stands where it must not: twice, in a row and a reject of one shard, or in bad values without a row. Exact.

To find accounts that stand twice in N, their columns are read N / PASS_ACCOUNTS times over; each pass holds the accounts
of one hash range, some FIGURE MB, and compares them themselves, not their hashes. That is quadratic in N, but without scratch space.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exporter.verify.claims import BAD, DATA, REJECTS, ShardClaim
from exporter.verify.content import BATCH_ROWS, BUFFER_BYTES, reason_of
from exporter.verify.looks import ID_BYTES_MAX, Array, is_account, was_asked
from exporter.verify.report import FINDINGS_MAX
from exporter.verify.schemas import ACCOUNT

PASS_ACCOUNTS = 1_000_000
PLACES_MAX = 3  # named for one account
_MIX = 0xD6E8FEB86659FD93  # odd, its bits half set: spreads the low bits of a product


class UnreadableError(Exception):
    """A file that was read before cannot be read again."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """The accounts of an export, file by file."""

    out: Path
    shards: Sequence[ShardClaim]
    rows: Mapping[str, int]
    """Rows of each file that could be read, by name; no other file is opened."""
    pass_accounts: int = PASS_ACCOUNTS

    def asked(self, shards: Sequence[ShardClaim]) -> list[str]:
        """Name the files of data and rejects of these shards that could be read."""
        names = [shard.files[folder].file for shard in shards for folder in (DATA, REJECTS)]
        return [name for name in names if name in self.rows]

    def accounts(self, file: str) -> Iterator[Array]:
        """Give the accounts of a file that can exist, of rejects only those that were asked for. Raises UnreadableError."""
        rejects = file.startswith(REJECTS)
        columns = [ACCOUNT, "reason"] if rejects else [ACCOUNT]
        try:
            with (
                (self.out / file).open("rb") as opened,
                pq.ParquetFile(opened, buffer_size=BUFFER_BYTES, page_checksum_verification=True) as parquet,
            ):
                for batch in parquet.iter_batches(BATCH_ROWS, columns=columns, use_threads=False):
                    ids: Array = batch.column(ACCOUNT)
                    ids = ids.filter(is_account(ids) if not rejects else _asked(batch))
                    if len(ids):
                        yield ids
        except Exception as error:
            raise UnreadableError(f"{file} cannot be read again: {reason_of(error)}.") from error


def _asked(batch: pa.RecordBatch) -> Array:
    return pc.and_(was_asked(batch.column("reason")), is_account(batch.column(ACCOUNT)))


def misplaced(shelf: Shelf, duplicates: str) -> Iterator[str]:
    """Yield what is wrong with the accounts of an export; `duplicates` is what it did with them: drop or keep."""
    try:
        yield from _RULES[duplicates](shelf)
        for shard in shelf.shards:
            if shelf.rows.get(shard.files[BAD].file) and shard.files[DATA].file in shelf.rows:
                yield from _without_row(shelf, shard)
    except UnreadableError as error:
        yield str(error)


def _twice(shelf: Shelf) -> Iterator[str]:
    files = shelf.asked(shelf.shards)
    passes = max(1, -(-sum(shelf.rows[file] for file in files) // shelf.pass_accounts))
    found, named = 0, list[str]()
    for number in range(passes):
        again = _again(part for file in files for ids in shelf.accounts(file) for part in in_pass(ids, number, passes))
        found += len(again)
        named += again.slice(0, FINDINGS_MAX - len(named)).to_pylist()
    for account, places in _places(shelf, files, named).items():
        yield f"account {account!r} stands more than once: in {', '.join(places)}."
    if found > len(named):
        yield f"{found - len(named):,} more accounts stand more than once."


def _again(parts: Iterator[Array]) -> Array:
    """Give the accounts that are there more than once."""
    counts: Array = pc.value_counts(pa.chunked_array(list(parts), pa.string()))
    return counts.field("values").filter(pc.greater(counts.field("counts"), pa.scalar(1)))


def in_pass(ids: Array, number: int, passes: int) -> Iterator[Array]:
    """Give those accounts whose hash falls to a pass: the four 64-bit words of each, mixed; then the high bits."""
    if passes == 1:
        yield ids
        return
    padded: Array = pc.ascii_rpad(ids, ID_BYTES_MAX, "\0")
    words = padded.buffers()[2].slice(padded.offset * ID_BYTES_MAX)
    lists = pa.FixedSizeListArray.from_arrays(pa.Array.from_buffers(pa.uint64(), len(ids) * 4, [None, words]), 4)
    mixed: Array = pa.scalar(0, pa.uint64())
    half = pa.scalar(32, pa.uint64())
    for place in range(4):
        mixed = pc.multiply(pc.add(mixed, pc.list_element(lists, place)), pa.scalar(_MIX, pa.uint64()))
        mixed = pc.bit_wise_xor(mixed, pc.shift_right(mixed, half))
    share = pc.multiply(pc.shift_right(mixed, half), pa.scalar(passes, pa.uint64()))
    yield ids.filter(pc.equal(pc.shift_right(share, half), pa.scalar(number, pa.uint64())))


def _places(shelf: Shelf, files: Sequence[str], accounts: Sequence[str]) -> dict[str, list[str]]:
    """Name the files in which each account stands, the first PLACES_MAX of them."""
    places: dict[str, list[str]] = {account: [] for account in accounts}
    wanted = pa.array(accounts, pa.string())
    for file in files if accounts else ():
        for ids in shelf.accounts(file):
            for account in ids.filter(pc.is_in(ids, value_set=wanted)).to_pylist():
                if len(places[account]) < PLACES_MAX:
                    places[account].append(file)
    return places


def _row_and_reject(shelf: Shelf) -> Iterator[str]:
    """Where duplicates are kept, an account of a shard was still asked once: it has rows or rejects, never both."""
    for shard in shelf.shards:
        rejects = shard.files[REJECTS].file
        if shelf.rows.get(rejects) and shard.files[DATA].file in shelf.rows:
            rows = _joined(shelf, shard.files[DATA].file)
            for ids in shelf.accounts(rejects):
                for account in pc.unique(ids.filter(pc.is_in(ids, value_set=rows))).to_pylist():
                    yield f"account {account!r} stands in {shard.files[DATA].file} and in {rejects}."


def _without_row(shelf: Shelf, shard: ShardClaim) -> Iterator[str]:
    file = shard.files[BAD].file
    rows = _joined(shelf, shard.files[DATA].file)
    for ids in shelf.accounts(file):
        for account in pc.unique(ids.filter(pc.invert(pc.is_in(ids, value_set=rows)))).to_pylist():
            yield f"{file}: account {account!r} has no row in {shard.files[DATA].file}."


def _joined(shelf: Shelf, file: str) -> Array:
    """Give all accounts of one file of a shard: as many as the settings make a shard."""
    return pa.chunked_array(list(shelf.accounts(file)), pa.string()).combine_chunks()


_RULES: Mapping[str, Callable[[Shelf], Iterator[str]]] = {"drop": _twice, "keep": _row_and_reject}
