"""How long calls take at a rate: told before, and kept by the limiter."""

import asyncio

import pytest

from exporter.limiter import RATE_UNLIMITED, seconds_of
from tests.unit.limiter.limiters import alone
from tests.unit.virtual import run


@pytest.mark.parametrize("rate", [0.3, 0.5, 1, 1.5, 2.7, 49.5, 100])
@pytest.mark.parametrize("calls", [1, 2, 7, 150, 1_000])
def test_the_limiter_needs_just_that_long(rate: float, calls: int) -> None:
    """Within a percent for its holds; what is less than a window may go a quarter faster: then the next window waits."""

    async def took() -> float:
        limiter, clock = alone(rate), asyncio.get_running_loop().time
        began = clock()
        for _ in range(calls):
            await limiter.start()
        return clock() - began

    told = seconds_of(calls, rate)
    assert told * 0.99 - 0.25 <= run(took()) <= told * 1.01 + 0.01


def test_without_a_limit_it_is_what_one_process_could_send() -> None:
    """A rate that limits nothing makes no promise of its own."""
    assert seconds_of(1_000_001, 1e9) == seconds_of(1_000_001, RATE_UNLIMITED) == 10.0
    assert seconds_of(0, 100) == seconds_of(1, 100) == 0.0
