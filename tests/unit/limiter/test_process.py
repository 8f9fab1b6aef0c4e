"""The quotas of a process: shared by app, forgotten when nobody needs them, begun anew in a child."""

import gc
import subprocess
import sys
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from exporter.limiter import Quota, Quotas
from tests.conftest import environment


class Clock:
    """Stands until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def test_an_app_has_one_quota_and_another_app_another() -> None:
    """Two jobs of an app draw from one quota, one of another app does not."""
    quotas = Quotas(Clock())
    one, other, stranger = (quotas.join(app, 1) for app in (("here", 1), ("here", 1), ("here", 2)))
    assert one.quota is other.quota
    assert not isinstance(one.quota.take(one), float)
    assert isinstance(other.quota.take(other), float)
    assert not isinstance(stranger.quota.take(stranger), float)


@pytest.mark.parametrize(("later_s", "is_kept"), [(0.5, True), (1.5, False)])
def test_a_quota_outlives_its_jobs_by_their_second(later_s: float, is_kept: bool) -> None:  # noqa: FBT001
    """While a token is in use its quota stays, though nobody is left; then it is forgotten when another job comes."""
    clock = Clock()
    quotas = Quotas(clock)
    share = quotas.join("app", 10)
    taken = share.quota.take(share)
    assert not isinstance(taken, float)
    share.quota.left(share, taken)
    found: weakref.ref[Quota] = weakref.ref(share.quota)
    del share, taken
    clock.now += later_s
    quotas.join("another app", 10)
    gc.collect()
    assert (found() is not None) is is_kept


def test_a_job_that_rests_keeps_its_quota() -> None:
    """One that asks for nothing for an hour, and goes on, still shares with those that came meanwhile."""
    clock = Clock()
    quotas = Quotas(clock)
    resting = quotas.join("app", 1)
    clock.now += 3600
    quotas.join("another app", 1)
    assert quotas.join("app", 1).quota is resting.quota


def test_whatever_threads_do_with_a_quota_they_do_one_at_a_time() -> None:
    """Four threads, each of which stays for a while in the middle of all that it does: never two at once."""
    inside, most = 0, 0

    def clock() -> float:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.001)
        inside -= 1
        return time.monotonic()

    quotas = Quotas(clock)

    def draw() -> None:
        share = quotas.join("app", 1e6)
        quota = share.quota
        quota.spend_all(share)
        for _ in range(5):
            taken = quota.take(share)
            assert not isinstance(taken, float)
            quota.pace()
            quota.left(share, taken)
            quota.answered(taken, refused=False)

    with ThreadPoolExecutor(4) as threads:
        for drawn in [threads.submit(draw) for _ in range(4)]:
            drawn.result()
    assert most == 1


FORKED = """
import os, threading, time
from exporter.limiter import Quotas

held, parent = threading.Event(), os.getpid()

def clock():
    if threading.current_thread().name == "holder":
        held.set()
        time.sleep(600)  # in the middle of what the locks guard
    return time.monotonic()

quotas = Quotas(clock)
share = quotas.join("app", 10)
share.quota.take(share)
threading.Thread(target=lambda: quotas.join("another app", 1), name="holder", daemon=True).start()
held.wait()
child = os.fork()
if child:
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
share = quotas.join("app", 10)
wait_s = share.quota.take(share)
print(wait_s)
os._exit(0 if 0.9 < wait_s < 1.1 else 1)
"""


def test_a_forked_process_waits_for_no_lock_and_for_its_parents_second() -> None:
    """Forked while a thread of the parent holds every lock: the child may ask, once what the parent asked is over."""
    env = environment(PYTHONWARNINGS="error,ignore::DeprecationWarning")  # which forking beside threads is
    done = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, env=env, timeout=30, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
