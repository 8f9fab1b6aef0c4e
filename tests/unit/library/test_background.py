import asyncio
import contextvars
import os
import signal
import threading

import pytest

from exporter.library.background import Work, carried

HERE = contextvars.ContextVar("here", default="nobody")


async def thread_name() -> str:
    return threading.current_thread().name


def test_it_returns_or_raises_what_the_work_does() -> None:
    """In a thread of its own, which is gone then, with the caller's context variables."""

    async def fail() -> None:
        raise ZeroDivisionError

    async def look() -> str:
        return HERE.get()

    calm = threading.enumerate()
    token = HERE.set("somebody")
    assert (carried(thread_name), carried(look)) == ("exporter", "somebody")
    HERE.reset(token)
    with pytest.raises(ZeroDivisionError):
        carried(fail)
    assert threading.enumerate() == calm


async def test_it_runs_within_a_running_loop() -> None:
    """Where `asyncio.run` refuses."""
    assert carried(thread_name) == "exporter"


def test_an_interrupt_waits_for_a_gentle_end() -> None:
    """What interrupts the wait cancels the work, which comes to its end before that is raised."""
    told: list[str] = []

    class Stop(BaseException):
        pass

    def interrupt(*_: object) -> None:
        raise Stop

    async def work() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)  # heard by the main thread
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            told.append("drained")

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(Stop):
            carried(work)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert told == ["drained"]


def test_cancelled_before_it_began_or_after_it_ended_is_harmless() -> None:
    """Before: nothing of it is done. After: it was done."""
    told: list[str] = []

    async def work() -> None:
        told.append("done")

    early = Work(work)
    early.cancel()
    early.start()
    assert isinstance(early.ended.exception(timeout=30), asyncio.CancelledError)
    assert told == []
    late = Work(work)
    late.start()
    late.join()
    late.cancel()
    assert (late.ended.result(), told) == (None, ["done"])


def test_who_gives_up_waiting_does_not_stop_it() -> None:
    """The future of its end is nobody's to cancel: `asyncio.wrap_future` would do so with the task that waits."""
    begun, go_on = threading.Event(), threading.Event()

    async def work() -> str:
        begun.set()
        go_on.wait()
        return "done"

    running = Work(work)
    running.start()
    assert begun.wait(30)
    assert not running.ended.cancel()
    go_on.set()
    assert running.ended.result(timeout=30) == "done"
