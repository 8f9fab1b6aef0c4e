"""The whole input as one run of chunks: every file checked before the first, none read before its turn."""

from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

from exporter.model import Chunk, Mark
from exporter.source.csv_rows import read_csv
from exporter.source.files import InputFile, find_files
from exporter.source.parquet_rows import read_parquet
from exporter.source.reading import Ids, Place, Reading
from exporter.source.unpack import BLOCK_BYTES

HEAD_BLOCK_BYTES = 8 * 1024

READERS: dict[str, Callable[..., Iterator[tuple[Ids, float, Place]]]] = {"csv": read_csv, "parquet": read_parquet}


class Source:
    """The files of one input, in reading order, and what had to be said about them (`warnings`, sentences)."""

    def __init__(self, files: Sequence[InputFile], reading: Reading, *, block_bytes: int = BLOCK_BYTES) -> None:
        self.files = files
        self.warnings: list[str] = []
        self._reading = reading
        self._block_bytes = block_bytes

    def check(self) -> None:
        """Read the first rows of every regular file, streams untouched. Raises InputError."""
        for file in self.files:
            if file.bytes is not None:
                next(self._read(file, HEAD_BLOCK_BYTES), None)

    def chunks(self, start: Mark | None = None) -> Iterator[Chunk]:
        """All rows in order, or those from a mark on, at most 5,000 a chunk; of a stream what has arrived.

        Raises InputError at any point.
        """
        sizes = [file.bytes for file in self.files]
        total = None if None in sizes else sum(size or 0 for size in sizes)
        first = start.file if start else 0
        before = sum(size or 0 for size in sizes[:first])
        for number, file in enumerate(self.files[first:], first):
            here = start if start and number == first else Mark(number, 0, ())
            row, drop = here.row, here.skip
            for ids, done, at in self._read(file, self._block_bytes, tuple(here.at)):
                dropped = min(drop, len(ids))
                drop -= dropped
                share = min(1.0, (before + done) / total) if total else None
                if dropped < len(ids):
                    mark = Mark(number, row, at, dropped)
                    yield Chunk(file.name, row + dropped + 1, ids[dropped:] if dropped else ids, share, mark)
                row += len(ids)
            before += file.bytes or 0

    def _read(self, file: InputFile, block_bytes: int, at: Place = ()) -> Iterator[tuple[Ids, float, Place]]:
        return READERS[file.kind](file, self._reading, self._warn, block_bytes=block_bytes, at=at)

    def _warn(self, sentence: str) -> None:
        # A file is opened twice, once to check it: it is warned about once.
        if sentence not in self.warnings:
            self.warnings.append(sentence)


def open_source(inputs: Sequence[str], reading: Reading, *, standard_input: BinaryIO | None = None) -> Source:
    """Find the input's files and look at the head of each: files, folders, patterns, and `-` for `standard_input`.

    Raises InputError for whatever cannot be read, a wrong column included, before any row is handed out.
    """
    source = Source(find_files(inputs, reading.encoding, standard_input), reading)
    source.check()
    return source
