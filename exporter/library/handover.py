"""Handing things over from an event loop to a reader in any thread: one at a time, and only when the reader asks."""

import asyncio
import threading
from collections import deque
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Handover(Generic[T]):
    """`ask` from any thread, `give` on the loop, `end` from any thread: whoever asks from then on gets None, or the error."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: deque[Future[T | None]] = deque()
        self._giver: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._error: BaseException | None = None
        self._over = False

    def ask(self) -> "Future[T | None]":
        """Ask for the next thing."""
        future: Future[T | None] = Future()
        with self._lock:
            self._asked.append(future)
            if self._over:
                self._answer()
            elif self._giver:
                loop, asked = self._giver
                loop.call_soon_threadsafe(asked.set)  # the loop is there as long as somebody waits on it
        return future

    async def give(self, thing: T) -> None:
        """Wait until somebody asks, and give it to them; one at a time."""
        asked = asyncio.Event()
        with self._lock:
            self._giver = asyncio.get_running_loop(), asked
        try:
            while (future := self._next()) is None:
                await asked.wait()
                asked.clear()
            future.set_result(thing)
        finally:
            with self._lock:
                self._giver = None

    def end(self, error: BaseException | None = None) -> None:
        """Nothing more will be given."""
        with self._lock:
            self._over, self._error = True, error
            self._answer()

    def _next(self) -> "Future[T | None] | None":
        """Return who asked first, unless they gave up meanwhile."""
        with self._lock:
            while self._asked:
                if (future := self._asked.popleft()).set_running_or_notify_cancel():
                    return future
        return None

    def _answer(self) -> None:
        while self._asked:
            if (future := self._asked.popleft()).set_running_or_notify_cancel():
                if self._error:
                    future.set_exception(self._error)
                else:
                    future.set_result(None)
