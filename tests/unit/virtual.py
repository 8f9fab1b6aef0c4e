"""A clock that leaps: hours pass in no time, and the same way in every run."""

import asyncio
import selectors
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

TURN_S = 1e-6  # a turn of the loop takes a moment, as everywhere


class LeapingSelector(selectors.SelectSelector):
    """Never waits: its clock leaps to the end of each wait."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Leap to the end of the wait."""
        assert timeout is not None, "nothing is left that could happen"
        self.now += max(timeout, TURN_S)
        return super().select(0)


class LeapingLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time: hours pass in no time, and the same way in every run."""

    def __init__(self) -> None:
        self._leaping = LeapingSelector()
        super().__init__(self._leaping)

    def time(self) -> float:
        """Tell the virtual time, in seconds."""
        return self._leaping.now


def run(job: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        return runner.run(job)


def most_in_a_second(times: Sequence[float], second: float = 1.0) -> int:
    """Count the starts in the fullest stretch [start, start + second)."""
    most = first = 0
    for place, time in enumerate(times):
        while times[first] <= time - second:
            first += 1
        most = max(most, place - first + 1)
    return most
