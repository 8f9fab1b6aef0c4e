"""Work in a thread and an event loop of its own: it goes on whatever the caller's thread does, and leaves its loop alone.

So it works within a running loop, as a notebook has one, and Ctrl-C stays the caller's: no signal handler is needed.
"""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Work(Generic[T]):
    """A coroutine that runs in the background once it is started; `ended` has its result, or what it raised.

    A `daemon` does not keep the process from ending: for work that leaves nothing half done.
    """

    def __init__(self, make: Callable[[], Coroutine[Any, Any, T]], *, daemon: bool = False) -> None:
        self.ended: Future[T] = Future()
        self._make = make
        self._task: asyncio.Task[T] | None = None
        self._cancelled = False
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(self._run,), name="exporter", daemon=daemon)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def cancel(self) -> None:
        """Let it end as soon as it can; from any thread, more than once, and also after its end."""
        self._cancelled = True
        if task := self._task:
            with contextlib.suppress(RuntimeError):  # its loop is closed: it has ended
                task.get_loop().call_soon_threadsafe(task.cancel)

    def join(self) -> None:
        """Wait until its thread has ended."""
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        self.ended.set_running_or_notify_cancel()  # from now on nobody who waits for it can cancel it
        try:
            result = asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001 - whatever it is, the caller gets it
            self.ended.set_exception(error)
        else:
            self.ended.set_result(result)

    async def _main(self) -> T:
        self._task = asyncio.current_task()
        if self._cancelled:  # before there was a task to cancel
            raise asyncio.CancelledError
        return await self._make()


def carried(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end in the background; return or raise what it does.

    What interrupts the wait (Ctrl-C, a scheduler's own signal) cancels it; it is raised once the work has come to its end. A
    second one does not wait for that.
    """
    work = Work(make)
    try:
        work.start()
        wait([work.ended])
    except BaseException:
        work.cancel()
        work.join()
        raise
    work.join()
    return work.ended.result()
