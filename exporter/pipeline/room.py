"""The shards that are open. A straggler idles nothing: a shard that waits for its last answers makes room for a new one.

Where too many shards are open, the oldest is put aside, out of memory, once it should long have been complete.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Protocol

from exporter.batching import Shard
from exporter.model import Batch, Reply

ASIDE_MAX = 32  # shards put aside at a time: of the usual size ten minutes' work at 100 requests a second
STRAGGLES_S = 1.0  # after its last batch was begun, a shard that is still open waits for stragglers


class Sink(Protocol):
    """Where answers go."""

    def add(self, batch: Batch, reply: Reply) -> None:
        """Take a batch's answers; batches come in any order."""

    async def put_aside(self, number: int) -> None:
        """Keep a shard's answers so far out of memory: the others may take long."""

    async def commit(self, shard: Shard) -> None:
        """Make a shard durable: all its batches are in."""


@dataclass(slots=True)
class Pending:
    """A shard whose batches are on their way: `begun_at` says when the last of them was begun."""

    done: int = 0
    shard: Shard | None = None
    begun_at: float = 0.0
    is_aside: bool = False

    def complete(self) -> bool:
        """Tell whether all its batches are in."""
        return self.shard is not None and self.done == self.shard.batches


@dataclass(slots=True)
class Room:
    """The shards that are open: those in memory, at most `open_max`, and those put aside."""

    sink: Sink
    open_max: int
    straggles_s: float
    pending: dict[int, Pending] = field(default_factory=dict)
    open: int = 0
    aside: int = 0
    committed: asyncio.Event = field(default_factory=asyncio.Event)

    async def begin(self, number: int) -> None:
        """Begin a shard, once there is room for it."""
        while self.open >= self.open_max:
            straggling = self._straggling()
            if straggling is not None:
                await self._put_aside(straggling)
                continue
            self.committed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.straggles_s):
                    await self.committed.wait()
        self.open += 1
        self.pending[number] = Pending()

    def begun(self, shard: Shard) -> None:
        """Take note that all batches of a shard are begun."""
        self.pending[shard.number].shard = shard
        self.pending[shard.number].begun_at = asyncio.get_running_loop().time()

    async def commit_if_complete(self, number: int) -> None:
        """Commit a shard whose batches are all in: whoever comes last finds it so, and takes it out; nobody else does."""
        pending = self.pending.get(number)
        if pending is None or not pending.complete() or pending.shard is None:
            return
        del self.pending[number]
        await self.sink.commit(pending.shard)
        self.open -= not pending.is_aside
        self.aside -= pending.is_aside
        self.committed.set()

    def _straggling(self) -> int | None:
        """Tell which shard to put aside: of those in memory the oldest, if it should long have been complete."""
        in_memory = ((number, pending) for number, pending in self.pending.items() if not pending.is_aside)
        number, oldest = next(in_memory, (None, None))
        if oldest is None or oldest.shard is None or self.aside >= ASIDE_MAX:
            return None
        age_s = asyncio.get_running_loop().time() - oldest.begun_at
        return number if age_s >= self.straggles_s else None

    async def _put_aside(self, number: int) -> None:
        self.pending[number].is_aside = True
        self.aside += 1
        await self.sink.put_aside(number)
        self.open -= 1
