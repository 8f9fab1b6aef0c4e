import asyncio
import threading

import pytest

from exporter.library.handover import Handover


async def test_giving_waits_until_somebody_asks() -> None:
    """One thing for one question, in order; what nobody asks for is kept by who gives it."""
    handover: Handover[int] = Handover()
    giving = asyncio.create_task(handover.give(1))
    await asyncio.sleep(0)
    assert not giving.done()
    first = handover.ask()
    await giving
    assert first.result() == 1
    second = handover.ask()
    await handover.give(2)
    assert second.result() == 2


async def test_who_gave_up_is_passed_over() -> None:
    """A thing goes to the first who still waits for it."""
    handover: Handover[int] = Handover()
    gone, here = handover.ask(), handover.ask()
    gone.cancel()
    await handover.give(1)
    assert here.result() == 1
    giving = asyncio.create_task(handover.give(2))
    await asyncio.sleep(0)
    handover.ask().cancel()
    await asyncio.sleep(0.01)
    late = handover.ask()
    await giving
    assert late.result(timeout=0) == 2


@pytest.mark.parametrize("error", [None, ValueError("gone")])
def test_after_the_end_everybody_is_told(error: Exception | None) -> None:
    """Who waits and who comes later: nothing more, or what went wrong."""
    handover: Handover[int] = Handover()
    before = handover.ask()
    handover.end(error)
    for future in (before, handover.ask()):
        assert future.exception() is error
        assert error or future.result() is None


def test_every_thing_arrives_once_and_in_order_in_another_thread() -> None:
    """However the two threads take turns."""
    handover: Handover[int] = Handover()

    async def give() -> None:
        for number in range(2_000):
            await handover.give(number)

    def work() -> None:
        asyncio.run(give())
        handover.end()

    giver = threading.Thread(target=work)
    giver.start()
    found = []
    while (number := handover.ask().result(timeout=30)) is not None:
        found.append(number)
    giver.join()
    assert found == list(range(2_000))
