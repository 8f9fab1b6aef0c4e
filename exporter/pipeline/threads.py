"""Blocking work in threads, so that a slow disk or pipe never stops the event loop."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


async def read_ahead(lists: Generator[Sequence[T], None, None]) -> AsyncGenerator[T, None]:
    """Read a generator in a thread, one list ahead, so that a slow disk or pipe never stops the event loop."""
    loop = asyncio.get_running_loop()
    reader = ThreadPoolExecutor(1, "read")
    ahead = loop.run_in_executor(reader, next, lists, None)
    try:
        while (items := await ahead) is not None:
            ahead = loop.run_in_executor(reader, next, lists, None)
            for item in items:
                yield item
    finally:
        ahead.cancel()
        reader.submit(lists.close)
        # A read from a pipe cannot be interrupted: it must not keep a failed run from ending.
        reader.shutdown(wait=False)


async def through(call: Callable[[], T], on_cancel: Callable[[], None] = lambda: None) -> T:
    """Run a blocking call in a thread, to its end also when this is cancelled: what it works on is held until then.

    `on_cancel` may let it end sooner.
    """
    work = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        on_cancel()
        await asyncio.gather(work, return_exceptions=True)
        raise


async def abandonable(call: Callable[[], T]) -> T:
    """Run a blocking call in a thread of its own, which nobody waits for when this is cancelled."""
    thread = ThreadPoolExecutor(1, "abandonable")
    try:
        return await asyncio.get_running_loop().run_in_executor(thread, call)
    finally:
        thread.shutdown(wait=False)
