"""Bytes in blocks: read as they arrive and unpacked, at most one block at a time whatever the packing promises."""

import bz2
import io
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import BinaryIO, Literal

import pyarrow as pa

from exporter.errors import InputError
from exporter.source import kinds
from exporter.source.files import readable

BLOCK_BYTES = 64 * 1024
PIECE_BYTES = 4 * 1024


class Blocks:
    """The bytes of one open file, a block at a time; `read_bytes` counts those that were read so far."""

    def __init__(self, name: str, stream: BinaryIO, block_bytes: int = BLOCK_BYTES) -> None:
        self.name = name
        self.read_bytes = 0
        self.block_bytes = block_bytes
        # read1 gives what a slow pipe has; read would wait until the block is full.
        self._read = getattr(stream, "read1", stream.read)

    def __iter__(self) -> Iterator[bytes]:
        while block := self._next():
            self.read_bytes += len(block)
            yield block

    def in_pieces(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Hand blocks out in small pieces, and count these: what is packed unfolds to many rows, and they come one by one."""
        for block in blocks:
            self.read_bytes -= len(block)
            for first in range(0, len(block), PIECE_BYTES):
                piece = block[first : first + PIECE_BYTES]
                self.read_bytes += len(piece)
                yield piece

    def _next(self) -> bytes:
        with readable(self.name):
            return self._read(self.block_bytes) or b""


def unpacked(blocks: Blocks, encoding: str) -> Iterator[bytes]:
    """The text's bytes: unpacked if they begin like a compression. Raises InputError for what is no text.

    Packed data comes out in full blocks: from a slow pipe, later than plain text would.
    """
    head, whole = _peeked(iter(blocks))
    if head[:4] in (kinds.MAGIC, kinds.MAGIC_ENCRYPTED):
        raise InputError(f"{blocks.name}: is Parquet, which cannot be read as a stream; pass the file's path.")
    kinds.refuse_foreign(blocks.name, head, b"", encoding)
    compression = kinds.compression_of(head)
    if compression is None:
        return whole
    inside, whole = _peeked(_decompressed(blocks.name, blocks.in_pieces(whole), compression, blocks.block_bytes))
    kinds.refuse_nested(blocks.name, compression, inside)
    kinds.refuse_foreign(blocks.name, inside, b"", encoding)
    return whole


def _peeked(blocks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    head = b""
    for block in blocks:
        head += block
        if len(head) >= kinds.HEAD_BYTES:
            break
    return head, chain([head] if head else [], blocks)


def _decompressed(name: str, blocks: Iterator[bytes], compression: str, block_bytes: int) -> Iterator[bytes]:
    try:
        yield from UNPACKERS[compression](blocks, block_bytes)
    except (OSError, EOFError, pa.ArrowException) as error:
        raise InputError(
            f"{name}: its {compression} data is cut off or damaged ({error}); fetch or pack the file again."
        ) from error


def _by_arrow(codec: Literal["gzip", "zstd"], blocks: Iterator[bytes], block_bytes: int) -> Iterator[bytes]:
    """Measured on pyarrow 26: takes several members in a row; refuses cut ones, wrong checksums, trailing bytes."""
    with pa.CompressedInputStream(pa.PythonFile(_Feed(blocks), mode="r"), codec) as stream:
        while block := stream.read(block_bytes):
            yield block


def _bzip2(blocks: Iterator[bytes], block_bytes: int) -> Iterator[bytes]:
    """By the standard library: pyarrow 26 refuses an empty member among others."""
    member = bz2.BZ2Decompressor()
    for block in blocks:
        data = block
        while data or not (member.needs_input or member.eof):
            if member.eof:
                member = bz2.BZ2Decompressor()
            yield member.decompress(data, block_bytes)
            data = member.unused_data
    if not member.eof:
        raise EOFError("it ends too early")


UNPACKERS: dict[str, Callable[[Iterator[bytes], int], Iterator[bytes]]] = {
    "gzip": partial(_by_arrow, "gzip"),
    "bzip2": _bzip2,
    "zstd": partial(_by_arrow, "zstd"),
}


class _Feed(io.RawIOBase):
    """Blocks in the shape of a file, for pyarrow."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._rest or next(self._blocks, b"")
        count = min(len(buffer), len(data))
        buffer[:count], self._rest = data[:count], data[count:]
        return count
