"""How many accounts stand in more than one shard, told before there is an export: exactly, and in bounded memory.

The accounts of each shard are laid down as they come, and looked through at the end as those of an export are. The
scratch files lie where TMPDIR says: some 40 bytes for an account of 14. A single shard needs none, and shards whose
accounts lie apart are not looked through.
"""

import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from exporter.errors import MachineError
from exporter.flatten import Array, arrow_schema
from exporter.output import memory
from exporter.output.apart import Range, disjoint
from exporter.output.duplicates import PARTITION_ACCOUNTS, SCRATCH, Later
from exporter.output.scratch import scratch

STAGED_ACCOUNTS = 100_000  # held in memory before they are laid down
_STAGED = arrow_schema({"account": pa.string()})


class Repeats:
    """The accounts of shards, as they come. Use as `with Repeats() as repeats`: its scratch files are gone with it."""

    def __init__(self, partition_accounts: int = PARTITION_ACCOUNTS, staged_accounts: int = STAGED_ACCOUNTS) -> None:
        self._partition_accounts = partition_accounts
        self._staged_accounts = staged_accounts
        self._accounts = self._on_disk = 0
        self._ranges: list[Range] = []
        self._held: list[Array] = []
        self._scratch = ExitStack()
        self._folder = Path()
        self._staged: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        with _in_scratch():
            self._scratch.close()

    def add(self, accounts: Sequence[str]) -> None:
        """Take the accounts of the next shard, all different. Raises MachineError."""
        array: Array = pa.array(accounts, pa.string())
        if not len(array):
            return
        ends: Any = pc.min_max(array)
        self._ranges.append((ends["min"].as_py().encode(), ends["max"].as_py().encode()))
        self._accounts += len(array)
        self._held.append(array)
        if len(self._ranges) > 1 and self._accounts - self._on_disk >= self._staged_accounts:
            self._stage()

    def count(self, stop: threading.Event | None = None) -> int:
        """Tell how many accounts stand in an earlier shard as well, once for each later one. Raises MachineError.

        Once `stop` is set, it ends soon, and what it tells is of no use.
        """
        if disjoint(self._ranges):
            return 0
        self._stage()
        with _in_scratch():
            self._staged.close()
            return Later(self._folder, self._accounts, self._partition_accounts).find(self._read(stop), stop)

    def _stage(self) -> None:
        held, self._held, self._on_disk = self._held, [], self._accounts
        with _in_scratch():
            if self._staged is None:
                self._folder = self._scratch.enter_context(scratch())
                file = self._scratch.enter_context((self._folder / "accounts").open("wb", buffering=0))
                self._staged = pa.ipc.new_stream(file, _STAGED, options=SCRATCH)
            if held:
                self._staged.write_batch(pa.RecordBatch.from_arrays([pa.concat_arrays(held)], schema=_STAGED))
        memory.give_back()

    def _read(self, stop: threading.Event | None) -> Iterator[Array]:
        with pa.OSFile(str(self._folder / "accounts"), "rb") as file, pa.ipc.open_stream(file) as batches:
            for batch in batches:
                if stop and stop.is_set():
                    return
                yield batch.column(0)


@contextmanager
def _in_scratch() -> Iterator[None]:
    """Turn the system's refusal into a sentence that names the folder for scratch files."""
    try:
        yield
    except (OSError, MachineError) as error:
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        reason = getattr(cause, "strerror", None) or str(cause)
        raise MachineError(
            f"{tempfile.tempdir or 'TMPDIR'}: {reason.lower()}. To count the accounts that stand in several shards takes"
            " some 50 bytes for each account there: make room, or set TMPDIR to another folder."
        ) from error
