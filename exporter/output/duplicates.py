"""Accounts that stand in more than one shard: find all but the first, exactly, in bounded memory.

An account has at most 32 bytes and no NUL, so padded with NULs it is its own 32-byte key: no hash stands for it, and two
accounts are never mistaken for each other. The keys of all shards are spread over partition files by their bits, and each
partition is then settled on its own.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from exporter.flatten import Array, arrow_schema
from exporter.output import files, memory

KEY_BYTES = 32
PARTITION_ACCOUNTS = 65_536  # some 10 MB while it is settled
PARTITIONS_MAX = 256  # open files
_MIX = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: spreads the low bits of a product
_WORD = 2**64 - 1


def partitions_for(accounts: int) -> int:
    """Choose how many partitions so many accounts are spread over."""
    return min(PARTITIONS_MAX, max(1, -(-accounts // PARTITION_ACCOUNTS)))


def later_duplicates(shards: Iterable[Array], folder: Path, *, partitions: int) -> Mapping[int, Sequence[Array]]:
    """Find, by shard, the places of accounts that stand in an earlier shard (or earlier in the same).

    `shards` gives the accounts of each shard in order; `folder` is for scratch files. Memory holds one shard's accounts
    and one partition, and the places found (8 bytes each). Raises MachineError.
    """
    with files.on_disk(folder):
        _spread(shards, folder, partitions)
        found: dict[int, list[Array]] = {}
        for number in range(partitions):
            for shard, places in _settle(folder / f"{number:03d}.arrow"):
                found.setdefault(shard, []).append(places)
            memory.give_back()
    return found


def _spread(shards: Iterable[Array], folder: Path, partitions: int) -> None:
    writers = [pa.ipc.new_stream(str(folder / f"{number:03d}.arrow"), _SPREAD) for number in range(partitions)]
    try:
        for shard, accounts in enumerate(shards):
            table = _keyed(shard, accounts)
            home = _partition_of(table.column("key").chunk(0), partitions) if len(accounts) else None
            for number, writer in enumerate(writers):
                part = table if partitions == 1 or home is None else table.filter(pc.equal(home, pa.scalar(number)))
                writer.write_table(part)
            memory.give_back()
    finally:
        for writer in writers:
            writer.close()


_SPREAD = arrow_schema({"key": pa.binary(KEY_BYTES), "shard": pa.int32(), "place": pa.int64()})


def _keyed(shard: int, accounts: Array) -> pa.Table:
    padded: Array = pc.ascii_rpad(accounts, KEY_BYTES, "\0")
    buffer = padded.buffers()[2] if len(accounts) else pa.py_buffer(b"")
    skipped = padded.offset * KEY_BYTES
    key = pa.Array.from_buffers(pa.binary(KEY_BYTES), len(accounts), [None, buffer.slice(skipped)])
    numbers = pa.repeat(pa.scalar(shard, pa.int32()), len(accounts))
    places = pa.arange(0, len(accounts))  # type: ignore[attr-defined] # newer than the stubs
    return pa.Table.from_arrays([key, numbers, places], schema=_SPREAD)


def _partition_of(keys: Array, partitions: int) -> Array:
    """Spread keys evenly: mix their four 64-bit words, then take the high bits."""
    words = pa.Array.from_buffers(pa.uint64(), len(keys) * 4, [None, keys.buffers()[1]])
    groups = pa.FixedSizeListArray.from_arrays(words, 4)
    mixed: Array = pa.scalar(0, pa.uint64())
    for place in range(4):
        mixed = pc.multiply(pc.bit_wise_xor(pc.list_element(groups, place), mixed), pa.scalar(_MIX, pa.uint64()))
        mixed = pc.bit_wise_xor(mixed, pc.shift_right(mixed, pa.scalar(29, pa.uint64())))
    high = pc.shift_right(mixed, pa.scalar(32, pa.uint64()))
    share = pc.multiply(high, pa.scalar(partitions, pa.uint64()))
    return pc.shift_right(share, pa.scalar(32, pa.uint64()))


def _settle(path: Path) -> Iterator[tuple[int, Array]]:
    """Yield (shard, places) of all but the first of each key in a partition."""
    table = pa.ipc.open_stream(pa.OSFile(str(path), "rb")).read_all()
    path.unlink()
    # Rows stand in input order, so the lowest number is the first occurrence.
    table = table.append_column("number", pa.arange(0, len(table)))  # type: ignore[attr-defined] # newer than the stubs
    first = table.group_by("key").aggregate([("number", "min")]).column("number_min")
    if len(first) == len(table):
        return
    later = table.filter(pc.invert(pc.is_in(table.column("number"), value_set=first.combine_chunks())))
    shards: Array = pc.unique(later.column("shard"))
    for shard in shards:
        yield shard.as_py(), later.filter(pc.equal(later.column("shard"), shard)).column("place").combine_chunks()
