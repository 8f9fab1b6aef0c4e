"""Errors of the caller's ids that mean something else to an event loop: carried past it in a cover, raised again behind it.

A cancellation that the ids raise would pass for one of the reading, which then ends as if there were no more ids; what ends
a process would end the loop with its work half done.
"""

from collections.abc import Generator, Iterator
from concurrent.futures import CancelledError

from exporter.model import Chunk


class Carried(Exception):  # noqa: N818 - a cover, which nobody outside sees
    """Holds the `error` that the ids raised."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


def carried_past(chunks: Iterator[Chunk]) -> Generator[Chunk, None, None]:
    """Give all chunks; what must not reach an event loop comes as Carried."""
    while True:
        try:
            chunk = next(chunks, None)
        except BaseException as error:
            if isinstance(error, Exception) and not isinstance(error, CancelledError | StopAsyncIteration):
                raise
            raise Carried(error) from None
        if chunk is None:
            return
        yield chunk
