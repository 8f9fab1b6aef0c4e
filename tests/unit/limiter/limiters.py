"""Limiters on the clock of the running loop: alone, or side by side."""

import asyncio
from collections.abc import Callable

from exporter.limiter import Limiter, Quota


def alone(
    rate: float, *, clock: Callable[[], float] | None = None, on_slow_down: Callable[[], None] = lambda: None
) -> Limiter:
    """Make a limiter whose quota nobody shares."""
    quota = Quota(clock or asyncio.get_running_loop().time)
    return Limiter(quota.join(rate), on_slow_down=on_slow_down)


def side_by_side(*rates: float) -> list[Limiter]:
    """Make limiters of these rates that share a quota."""
    quota = Quota(asyncio.get_running_loop().time)
    return [Limiter(quota.join(rate)) for rate in rates]
