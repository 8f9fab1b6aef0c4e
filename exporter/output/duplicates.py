"""Accounts that stand in more than one shard: find all but the first, exactly, in bounded memory.

An account has at most 32 bytes and no NUL, so padded with NULs it is four words of its own: what partition it falls to
follows from them. Within a partition accounts themselves are compared, so two are never mistaken for each other.

More accounts than one partition may hold are spread over partition files, and a partition that is still too large is
spread again by other bits; then each is settled on its own. The places found are kept in files as well, one for each
range of places: many accounts may be duplicates. On disk an account of 14 bytes takes some 20 until its partition is
settled, and a duplicate 8 until the export is assembled (measured on 100 million ids: 2.0 GB).
"""

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from exporter.flatten import Array, arrow_schema
from exporter.output import files, memory

KEY_BYTES = 32
PARTITION_ACCOUNTS = 200_000  # some 30 MB while it is settled
PARTITIONS_MAX = 1024  # so that what a shard adds to one is worth writing
SPREADS_MAX = 3  # of 10 bits each
SCRATCH = pa.ipc.IpcWriteOptions(compression="lz4")
_MIX = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: spreads the low bits of a product
_ACCOUNTS = arrow_schema({"account": pa.string(), "place": pa.int64()})


class Later:
    """Where accounts stand that have stood before; places count the accounts of all shards from 0.

    `folder` is for scratch files, which are its alone and stay until it is removed.
    """

    def __init__(self, folder: Path, accounts: int, partition_accounts: int = PARTITION_ACCOUNTS) -> None:
        self._folder = folder
        self._accounts = accounts
        self._partition_accounts = partition_accounts
        self._held: tuple[int, Array, memoryview] = (-1, pa.array([], pa.int64()), memoryview(b"").cast("q"))

    def find(self, shards: Iterable[Array], stop: threading.Event | None = None) -> int:
        """Find them in the accounts of each shard, in order: `accounts` in all. Once `stop` is set, no more are.

        Returns how many were found. Memory holds one shard's accounts and one partition. Raises MachineError.
        """
        found = 0
        with files.on_disk(self._folder):
            for places in self._settled(_placed(shards), self._accounts, self._folder / "partition", 0):
                if stop and stop.is_set():
                    break
                self._keep(places)
                found += len(places)
                memory.give_back()
        return found

    def among(self, first: int, count: int) -> Array:
        """Those of `count` places from `first` on, counted from there, in order. Raises MachineError."""
        last = first + count
        found: list[Array] = [pa.array([], pa.int64())]
        for number in range(first // self._partition_accounts, -(-last // self._partition_accounts)):
            places, view = self._kept(number)
            begin, end = bisect_left(view, first), bisect_left(view, last)
            found.append(places.slice(begin, end - begin))
        return pc.subtract(pa.concat_arrays(found), pa.scalar(first))

    def _settled(self, tables: Iterator[pa.Table], accounts: int, path: Path, spreads: int) -> Iterator[Array]:
        if accounts <= self._partition_accounts or spreads == SPREADS_MAX:
            yield repeated(pa.concat_tables([_ACCOUNTS.empty_table(), *tables]))
            return
        # A fifth of room: they are never of quite the same size, and none is to be spread again for that.
        partitions = min(PARTITIONS_MAX, accounts * 5 // (self._partition_accounts * 4) + 1)
        paths = [path.with_name(f"{path.name}-{number:03d}") for number in range(partitions)]
        for part, held in zip(paths, _spread(tables, paths, spreads), strict=True):
            if held:
                yield from self._settled(_read(part), held, part, spreads + 1)
                part.unlink()

    def _keep(self, places: Array) -> None:
        """Add places to the files of their ranges."""
        ranges = pc.divide(places, pa.scalar(self._partition_accounts))
        for number, part in _parted(places, ranges):
            with open(self._path(number), "ab", opener=files.private) as file:
                file.write(part.buffers()[1].slice(part.offset * 8, len(part) * 8))

    def _kept(self, number: int) -> tuple[Array, memoryview]:
        """Give the places of a range in order, and a view of them; the last range is held, for the next shard."""
        if self._held[0] != number:
            with files.on_disk(self._folder):
                path = self._path(number)
                data = path.read_bytes() if path.exists() else b""
            places: Array = pa.Array.from_buffers(pa.int64(), len(data) // 8, [None, pa.py_buffer(data)])
            places = places.take(pc.sort_indices(places))
            self._held = (number, places, memoryview(places.buffers()[1]).cast("B")[: len(data)].cast("q"))
        return self._held[1:]

    def _path(self, number: int) -> Path:
        return self._folder / f"later-{number:06d}"


def _placed(shards: Iterable[Array]) -> Iterator[pa.Table]:
    first = 0
    for accounts in shards:
        places = pa.arange(first, first + len(accounts))  # type: ignore[attr-defined] # newer than the stubs
        yield pa.Table.from_arrays([accounts, places], schema=_ACCOUNTS)
        first += len(accounts)


def _spread(tables: Iterator[pa.Table], paths: list[Path], spreads: int) -> list[int]:
    """Spread accounts over files; return how many each holds."""
    held = [0] * len(paths)
    for table in tables:
        homes = homes_of(table.column("account").combine_chunks(), len(paths), spreads)
        for number, part in _parted(table.combine_chunks(), homes):
            # Not held open: how many files a process may have open is the machine's to say.
            with (
                open(paths[number], "ab", opener=files.private) as file,
                pa.ipc.new_stream(file, _ACCOUNTS, options=SCRATCH) as stream,
            ):
                stream.write_table(part)
            held[number] += len(part)
        memory.give_back()
    return held


def _read(path: Path) -> Iterator[pa.Table]:
    """Read back what was added to a partition, one addition at a time."""
    with pa.OSFile(str(path), "rb") as file:
        while file.tell() < file.size():
            with pa.ipc.open_stream(file) as stream:
                yield stream.read_all()


def _parted(rows: Array, homes: Array) -> Iterator[tuple[int, Array]]:
    """Give the rows of each home, in their order: sorted once, so that each is a slice."""
    order = pc.sort_indices(homes)
    sorted_homes, rows = homes.take(order), rows.take(order)
    counts = pc.value_counts(sorted_homes)
    ends = [0, *pc.cumulative_sum(counts.field("counts")).to_pylist()]
    for home, (first, end) in zip(counts.field("values").to_pylist(), pairwise(ends), strict=True):
        yield home, rows.slice(first, end - first)


def homes_of(accounts: Array, partitions: int, spreads: int) -> Array:
    """Spread accounts evenly: mix their four 64-bit words, then take high bits, other ones each time."""
    words = _words(accounts)
    mixed: Array = pa.scalar(0, pa.uint64())
    for place in (0, 1, 2, 3, 0):  # the last word alone would not reach all bits
        mixed = pc.multiply(pc.bit_wise_xor(pc.list_element(words, place), mixed), pa.scalar(_MIX, pa.uint64()))
        mixed = pc.bit_wise_xor(mixed, pc.shift_right(mixed, pa.scalar(29, pa.uint64())))
    bits = pc.bit_wise_and(pc.shift_right(mixed, pa.scalar(32 - 10 * spreads, pa.uint64())), pa.scalar(2**32 - 1))
    share = pc.multiply(bits, pa.scalar(partitions, pa.uint64()))
    return pc.shift_right(share, pa.scalar(32, pa.uint64())).cast(pa.uint16())


def _words(accounts: Array) -> Array:
    padded: Array = pc.ascii_rpad(accounts, KEY_BYTES, "\0")
    buffer = padded.buffers()[2] if len(accounts) else pa.py_buffer(b"")
    words = buffer.slice(padded.offset * KEY_BYTES)
    return pa.FixedSizeListArray.from_arrays(pa.Array.from_buffers(pa.uint64(), len(accounts) * 4, [None, words]), 4)


def repeated(table: pa.Table) -> Array:
    """Give the places of all but the first of each account: rows stand in input order."""
    codes: Any = pc.dictionary_encode(table.column("account").combine_chunks())
    places: Array = table.column("place").combine_chunks()
    if len(codes.dictionary) == len(table):
        return places.slice(0, 0)
    # Codes count up as accounts are first seen: what is no new highest one has been there.
    highest = pc.cumulative_max(codes.indices)
    return places.slice(1).filter(pc.equal(highest.slice(1), highest.slice(0, len(highest) - 1)))
