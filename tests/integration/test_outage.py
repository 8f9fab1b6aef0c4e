"""Outages over real HTTP: nothing is lost, nothing hangs, and what is no outage is not taken for one."""

import asyncio
import json
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from exporter.app import Job, export
from exporter.errors import AttemptError, ServiceUnreachable
from exporter.progress import Progress
from exporter.settings import load
from tests.conftest import APP, CANARY, Exporting, read_export, write_ids

IDS = [f"user_{number:05d}" for number in range(6_000)]


@pytest.fixture(autouse=True)
def _calm_again(exporting: Exporting) -> Iterator[None]:
    yield
    exporting.double.control(outages=[], poison=[], poison_code=90048)


def outage(exporting: Exporting, kind: str, first: int) -> None:
    """Begin an outage with the so many-th request from now; it lasts."""
    first += exporting.double.stats()["requests"]
    exporting.double.control(outages=[f"{kind}:requests={first}-{first + 1_000_000}"])


class Returning(Progress):
    """Progress that brings the service back when a probe fails so many seconds after the pause began."""

    def __init__(self, exporting: Exporting, after_s: float) -> None:
        super().__init__(time.monotonic)
        self._exporting, self._after_s = exporting, after_s

    def failed(self, error: AttemptError) -> None:
        """Count a failed attempt."""
        super().failed(error)
        if self.paused_s > self._after_s:
            self._exporting.double.control(outages=[])


def log(exporting: Exporting) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{exporting.double.address}/log") as answer:
        return list(json.load(answer))


@pytest.mark.parametrize(("in_flight", "kind"), [(400, "http502"), (400, "refuse"), (400, "hang"), (1, "hang")])
def test_an_outage_in_mid_run_changes_nothing(exporting: Exporting, in_flight: int, kind: str) -> None:
    """No account is given up, with one batch in flight or with all of them: the export is that of a calm service."""
    ids = write_ids(exporting.folder / "ids.csv", IDS if in_flight > 1 else IDS[:800])
    calm = exporting.run(ids)
    outage(exporting, kind, 4)
    out, progress = exporting.folder / "rough", Returning(exporting, 0.1)
    made = exporting.manifest(ids, out, progress=progress, in_flight=in_flight, timeout_s=0.3)
    rough = read_export(out)
    assert rough.rows == calm.rows
    assert rough.rejects == calm.rejects
    assert progress.outages == 1
    assert made.requests == calm.manifest["requests"] + made.retries


def test_few_requests_go_into_an_outage_and_never_two_probes_at_a_time(exporting: Exporting) -> None:
    """After the first burst a single request is under way at any time, in the words of the service's log."""
    before = exporting.double.stats()["requests"]
    outage(exporting, "hang", 20)
    ids = write_ids(exporting.folder / "ids.csv", IDS)
    progress = Returning(exporting, 4.0)
    exporting.manifest(ids, exporting.folder / "out", progress=progress, in_flight=30, timeout_s=0.3)
    gone = [line for line in log(exporting) if line["number"] > before and line["faults"]]
    burst = next(place for place, line in enumerate(gone) if place and line["in_flight"] == 1)
    assert burst <= 30 + 20
    assert len(gone[burst:]) >= 3
    assert {line["in_flight"] for line in gone[burst:]} == {1}


@pytest.mark.parametrize("in_flight", [400, 1])
def test_poisonous_batches_at_the_end_of_a_run_are_no_outage(exporting: Exporting, in_flight: int) -> None:
    """They fail with a code that passes elsewhere, and nothing else is asked any more: given up, and the run goes on."""
    poison = [IDS[750], IDS[850], IDS[950]] if in_flight > 1 else [IDS[950]]
    exporting.double.control(poison=poison, poison_code=91000, unknown_share=0.0)
    progress = Progress(time.monotonic)
    made = exporting.manifest(
        write_ids(exporting.folder / "ids.csv", IDS[:1000]),
        exporting.folder / "out",
        in_flight=in_flight,
        progress=progress,
    )
    assert made.rows == 1000 - len(poison)
    assert made.rejects_by_reason == {"refused": len(poison)}
    assert progress.outages <= 1
    assert progress.paused_s < 3


async def refused(exporting: Exporting, ids: list[str], **flags: Any) -> tuple[str, list[str]]:
    """Run an export that ends as out of reach; return its error and what the user was told."""
    told = list[str]()
    wanted = {"base_url": exporting.double.address, **APP, "secret_key": CANARY, "rate": 1e6, **flags}
    source = write_ids(exporting.folder / "ids.csv", ids)
    out = exporting.folder / "out"
    with pytest.raises(ServiceUnreachable) as caught:
        await export(Job([str(source)], out, load(**wanted), Progress(time.monotonic), tell=told.append))
    assert not (out / "_SUCCESS").exists()
    return str(caught.value), told


async def test_an_outage_longer_than_allowed_ends_the_run(exporting: Exporting) -> None:
    """The sentence says for how long, what the host last did, and how to go on; the user was told when it began."""
    outage(exporting, "http502", 10)
    error, told = await refused(exporting, IDS, outage_max=0.03)
    assert error.startswith("the service was out of reach for 1.8 s; the same command goes on from here. 127.0.0.1:")
    assert "HTTP status 502" in error
    assert len(told) == 1
    assert told[0].startswith(
        "Paused: the service is out of reach and is asked again every few seconds for at most 1.8 s"
    )


@pytest.mark.parametrize("number", [1, 6_000])
async def test_nobody_listening_is_out_of_reach(exporting: Exporting, number: int) -> None:
    """A dead host gives no account up, be it the only one: the run ends, and names the host."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{listener.getsockname()[1]}"
    error, _ = await refused(exporting, IDS[:number], base_url=f"http://{dead}", outage_max=0.03)
    assert dead in error
    assert "no connection could be made" in error


async def test_a_paused_run_can_be_cancelled(exporting: Exporting, tmp_path: Path) -> None:
    """Stopped while the breaker is open: it ends, and leaves no task behind."""
    outage(exporting, "http502", 10)
    told = asyncio.Event()
    wanted = {"base_url": exporting.double.address, **APP, "secret_key": CANARY, "rate": 1e6}
    source = write_ids(tmp_path / "ids.csv", IDS)
    job = Job([str(source)], tmp_path / "out", load(**wanted), Progress(time.monotonic), tell=lambda _: told.set())
    run = asyncio.ensure_future(export(job))
    await told.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(run, 5)
    assert asyncio.all_tasks() == {asyncio.current_task()}
