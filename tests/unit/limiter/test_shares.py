"""What share of a quota is used and what is refused, on a clock that leaps, against a model of the service."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from exporter.errors import AttemptError, Verdict
from exporter.limiter import limited
from exporter.model import ON_SENT, Fetch, Reply
from tests.unit.limiter.limiters import alone
from tests.unit.virtual import run

IN_FLIGHT = 100
LEAVES_S = (0.0003, 0.0012)
Span = tuple[float, float]


@dataclass
class Model:
    """A service that refuses what is over its quota in any rolling second, and the way to it.

    `seen` holds of every call when the service saw it, in seconds from the start, and whether it was accepted; `mood` is
    the share of calls that is refused for no reason.
    """

    seed: int
    quota: Callable[[float], int] = lambda _at: 100
    counts_refused: bool = False
    way_s: Span = (0.0, 0.0)
    answer_s: Span = (0.02, 0.02)
    mood: float = 0.0
    seen: list[tuple[float, bool]] = field(default_factory=list)
    _window: deque[float] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.clock = asyncio.get_running_loop().time
        self.began = self.clock()

    async def fetch(self, _accounts: Sequence[str]) -> Reply:
        """Answer one call."""
        leaves = ON_SENT.get()
        await asyncio.sleep(self.chance.uniform(*LEAVES_S))
        leaves()
        await asyncio.sleep(self.chance.uniform(*self.way_s))
        accepted = self._admits()
        await asyncio.sleep(self.chance.uniform(*self.answer_s))
        if not accepted:
            raise AttemptError("too frequent", verdict=Verdict.SLOW_DOWN, code=60007)
        return Reply()

    def _admits(self) -> bool:
        now = self.clock()
        while self._window and now - self._window[0] >= 1:
            self._window.popleft()
        accepted = len(self._window) < self.quota(now - self.began)
        if accepted or self.counts_refused:
            self._window.append(now)
        accepted = accepted and self.chance.random() >= self.mood
        self.seen.append((now - self.began, accepted))
        return accepted


def played(seconds: float, make: Callable[[], Model]) -> tuple[Model, list[tuple[float, float]]]:
    """Ask a model for so long; return it with the pace in force four times a second."""

    async def go() -> tuple[Model, list[tuple[float, float]]]:
        model, paces = make(), []
        limiter = alone(100)
        fetch = limited(model.fetch, limiter)
        asking = [asyncio.ensure_future(_ask(fetch, model.chance)) for _ in range(IN_FLIGHT)]
        while (at := model.clock() - model.began) < seconds:
            paces.append((at, limiter.pace()))
            await asyncio.sleep(0.25)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        return model, paces

    played: tuple[Model, list[tuple[float, float]]] = run(go())
    return played


async def _ask(fetch: Fetch, chance: random.Random) -> None:
    while True:
        try:
            await fetch(["a"])
        except AttemptError:
            await asyncio.sleep(chance.random())


def share(model: Model) -> float:
    """The share of a quota of 100 that was used from the first to the last accepted call."""
    times = [at for at, accepted in model.seen if accepted]
    return (len(times) - 1) / (times[-1] - times[0]) / 100


def refused(seen: Sequence[tuple[float, bool]]) -> float:
    """The share of calls that was refused."""
    return sum(not accepted for _, accepted in seen) / len(seen)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("way_s", [(0.0, 0.0), (0.0, 0.004)])
@pytest.mark.parametrize("answer_s", [(0.001, 0.001), (0.02, 0.02), (0.02, 0.06), (0.5, 0.5)])
def test_the_whole_quota_and_none_refused(seed: int, way_s: Span, answer_s: Span) -> None:
    """A steady way and any latency that the calls in flight cover: 99 % of the quota in 30 s, and not one refusal."""
    model, _ = played(30, lambda: Model(seed, way_s=way_s, answer_s=answer_s))
    assert refused(model.seen) == 0
    assert share(model) >= 0.99


@pytest.mark.parametrize("counts_refused", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_calls_that_overtake_one_another_cost_little(seed: int, counts_refused: bool) -> None:  # noqa: FBT001
    """0 to 50 ms on the way, for each call its own: 96 % of the quota and under 0.5 % refused."""
    model, _ = played(30, lambda: Model(seed, counts_refused=counts_refused, way_s=(0, 0.05)))
    assert refused(model.seen) < 0.005
    assert share(model) >= 0.96


@pytest.mark.parametrize("answer_s", [(0.001, 0.001), (0.02, 0.02), (0.02, 0.06)])
@pytest.mark.parametrize("counts_refused", [False, True])
@pytest.mark.parametrize("low", [50, 70, 90])
def test_a_lowered_quota_is_found_used_and_left_again(low: int, counts_refused: bool, answer_s: Span) -> None:  # noqa: FBT001
    """From 10 s to 40 s less is allowed: found within 5 s, 90 % of it used, under 2 % refused; back within 15 s."""
    quota = lambda at: low if 10 <= at < 40 else 100  # noqa: E731 - one line
    model, paces = played(60, lambda: Model(1, quota, counts_refused, answer_s=answer_s))
    while_low = [(at, accepted) for at, accepted in model.seen if 10 <= at < 40]
    settled = sum(accepted for at, accepted in while_low if at >= 15)
    assert settled >= 0.9 * low * 25
    assert sum(accepted for _, accepted in while_low) >= 0.88 * low * 30
    assert refused(while_low) < 0.02
    assert min(pace for at, pace in paces if 10 <= at < 15) <= low
    assert min(pace for at, pace in paces if at >= 55) == 100


@pytest.mark.parametrize("seed", range(2))
def test_a_service_in_a_mood_keeps_most_of_the_rate(seed: int) -> None:
    """One call in twenty refused for no reason, for two minutes: the pace stays near the rate, without a ratchet."""
    model, paces = played(120, lambda: Model(seed, mood=0.05))
    assert share(model) >= 0.7
    assert sum(pace for _, pace in paces[-200:]) / 200 >= 70
