"""Putting aside: what a shard knows leaves memory while it waits for stragglers, and comes back when it is complete.

It goes into a file without a name: nobody else can open it, and whatever ends the run, nothing is left of it. So it is
neither synced nor looked for by the next start, which asks again for a shard that was never committed.
"""

import pickle
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from exporter.output.files import on_disk


class Spill:
    """Some things, in memory until `write`; `take` gives them back from wherever they are, once, in order.

    They are written, freed and read one by one, so that no other thread has to wait for all of them.
    """

    def __init__(self, folder: Path, things: Sequence[object]) -> None:
        self._folder = folder
        self._things = list(things)
        self._number = len(things)
        self._file: IO[bytes] | None = None

    def write(self) -> None:
        """Move the things to the disk. Raises MachineError."""
        with on_disk(self._folder):
            file = tempfile.TemporaryFile(dir=self._folder, prefix=".spill-")  # noqa: SIM115 - `take` closes it
            try:
                for thing in self._things:
                    pickle.dump(thing, file, pickle.HIGHEST_PROTOCOL)
                file.flush()
            except BaseException:
                file.close()
                raise
        self._file = file
        while self._things:
            self._things.pop()

    def take(self) -> Iterator[object]:
        """Give the things back. Raises MachineError."""
        if self._file is None:
            yield from self._things
            return
        with on_disk(self._folder), self._file as file:
            file.seek(0)
            for _ in range(self._number):
                yield pickle.load(file)  # noqa: S301 - only this process can write this file
