"""Ids of an async iterable, read by a thread: each piece is fetched on the loop that the iterable belongs to."""

import asyncio
from collections.abc import AsyncIterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Future

PIECE_ROWS = 1_000


class Pulled:
    """An iterable over an async one. `loop` is set by whoever reads the stream, before the first id is read."""

    def __init__(self, ids: AsyncIterable[Any]) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._items = aiter(ids)
        self._piece: Future[list[Any]] | None = None
        self._stopped = False

    def __iter__(self) -> Iterator[Any]:
        while piece := self._fetched():
            yield from piece

    def stop(self) -> None:
        """Wait for no further id; from any thread."""
        self._stopped = True
        if piece := self._piece:
            piece.cancel()

    def _fetched(self) -> list[Any]:
        if self.loop is None or self._stopped:
            return []
        piece = self._piece = asyncio.run_coroutine_threadsafe(self._some(), self.loop)
        if self._stopped:
            piece.cancel()
        return piece.result()

    async def _some(self) -> list[Any]:
        some: list[Any] = []
        async for item in self._items:
            some.append(item)
            if len(some) == PIECE_ROWS:
                break
        return some
