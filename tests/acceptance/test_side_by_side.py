"""Several jobs of one app in one process share its quota: none is refused, all are complete, none starves.

The double refuses the request after the hundredth in any rolling second, and the jobs may have 80: how long each request is
on its way on a busy machine is no matter then, and two jobs that know nothing of each other are refused by the hundred.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Unpack

import pytest

import exporter
from exporter.library.options import StreamOptions
from tests.conftest import CANARY, Double, write_ids

REQUESTS = 100
ANY = "100%"


@pytest.fixture
def app(make_double: Callable[..., Double]) -> Iterator[Double]:
    """Give an app with a quota, and see that it was never over it."""
    app = make_double("--rate", "100")
    yield app
    seen = app.stats()
    assert seen["refused"] == 0
    assert seen["requests"] > 2 * REQUESTS


def wanted(app: Double, **more: Unpack[StreamOptions]) -> StreamOptions:
    here = StreamOptions(base_url=app.address, sdkappid=1400000000, identifier="administrator", secret_key=CANARY)
    return {**here, "rate": 80, "max_missing": ANY, "shard_rows": 500, **more}


def ids_of(job: int, requests: int = REQUESTS) -> list[str]:
    return [f"user_{job}_{number:06d}" for number in range(100 * requests)]


def streamed(app: Double, job: int, **more: Unpack[StreamOptions]) -> int:
    """Read a stream to its end; return how many ids it accounts for."""
    with exporter.stream(ids_of(job), **wanted(app, **more)) as batches:
        for _ in batches:
            pass
    return batches.totals.input


def test_exports_and_streams_in_threads_and_in_a_loop(app: Double, tmp_path: Path) -> None:
    """An export and two streams in threads, two `aexport` and a stream in one event loop, all at once."""
    inputs = [write_ids(tmp_path / f"{job}.csv", ids_of(job)) for job in range(3)]

    async def in_one_loop() -> list[int]:
        async def read() -> int:
            async with exporter.stream(ids_of(5), **wanted(app)) as batches:
                async for _ in batches:
                    pass
            return batches.totals.input

        reading = asyncio.create_task(read())
        made = await asyncio.gather(
            *(exporter.aexport(inputs[job], tmp_path / f"out-{job}", **wanted(app)) for job in (0, 1))
        )
        return [*(each.input for each in made), await reading]

    with ThreadPoolExecutor(4) as threads:
        jobs = [
            threads.submit(lambda: exporter.export(inputs[2], tmp_path / "out-2", **wanted(app)).input),
            *(threads.submit(streamed, app, job) for job in (3, 4)),
        ]
        looped = threads.submit(asyncio.run, in_one_loop())
        found = [*(job.result() for job in jobs), *looped.result()]
    assert found == [100 * REQUESTS] * 6


def test_of_two_equal_streams_neither_starves(app: Double) -> None:
    """When the first of two equal streams is through, the other has had at least half as much."""
    done, begin = [0, 0], threading.Barrier(2)

    def read(job: int) -> tuple[int, ...]:
        begin.wait()
        with exporter.stream(ids_of(job, 200), **wanted(app, shard_rows=100)) as batches:
            for batch in batches:
                done[job] += batch.num_rows
        return tuple(done)

    with ThreadPoolExecutor(2) as threads:
        at_end = list(threads.map(read, range(2)))
    first = min(at_end, key=sum)
    assert min(first) >= 0.5 * max(first)


def test_different_rates_keep_to_the_lowest_and_complete(app: Double) -> None:
    """A stream of 1,000 a second, which alone would be refused, beside one of 80 that lasts longer: both complete."""
    seen = threading.Event()

    def slow() -> int:
        with exporter.stream(ids_of(0, 300), **wanted(app, shard_rows=100)) as batches:
            for _ in batches:
                seen.set()
        return batches.totals.input

    with ThreadPoolExecutor(2) as threads:
        lasting = threads.submit(slow)
        seen.wait(30)
        assert streamed(app, 1, rate=1000) == 100 * REQUESTS
        assert lasting.result() == 100 * 300


def test_whoever_is_stopped_leaves_the_whole_to_the_others(app: Double, tmp_path: Path) -> None:
    """A stream that is closed and an export that is cancelled in the middle give back what they had; the third completes."""

    async def go() -> int:
        ids = write_ids(tmp_path / "ids.csv", ids_of(0))
        export = asyncio.create_task(exporter.aexport(ids, tmp_path / "out", **wanted(app)))
        third = asyncio.create_task(asyncio.to_thread(streamed, app, 1))
        async with exporter.stream(ids_of(2), **wanted(app)) as batches:
            await anext(batches)
        export.cancel()
        await asyncio.gather(export, return_exceptions=True)
        assert export.cancelled()
        assert (await exporter.aexport(ids, tmp_path / "out", **wanted(app))).input == 100 * REQUESTS
        return await third

    assert asyncio.run(go()) == 100 * REQUESTS


def test_one_after_the_other_shares_the_second_between_them(app: Double) -> None:
    """Ten short jobs in a row, each within a second of the last, are as one."""
    for job in range(10):
        with exporter.stream(ids_of(job, 25), **wanted(app, attributes=["level"])) as batches:
            assert sum(batch.num_rows for batch in batches) > 0


def test_an_address_written_in_another_way_is_the_same_app(app: Double) -> None:
    """Of two streams one has the address in capitals and with a slash behind it."""
    other = StreamOptions(base_url=f"{app.address.upper()}/")
    with ThreadPoolExecutor(2) as threads:
        jobs = [threads.submit(streamed, app, 0), threads.submit(streamed, app, 1, **other)]
        assert [job.result() for job in jobs] == [100 * REQUESTS] * 2
