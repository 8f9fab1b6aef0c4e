"""What Prometheus is given."""

import re
import socket
import struct
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from exporter.errors import AttemptError, MachineError, SettingsError, Verdict
from exporter.metrics import ASK_S_MAX, BUCKETS_S, PREFIX, ROWS, End, Metrics, RunCollector, last_success
from exporter.model import Reason, Rejection, Reply
from exporter.progress import LATENCY_BOUNDS_S, Progress


def _samples(collector: RunCollector) -> dict[tuple[str, str], float]:
    return {
        (sample.name, ",".join(value for name, value in sample.labels.items() if name != "sdkappid")): sample.value
        for family in collector.collect()
        for sample in family.samples
    }


def test_every_name_follows_the_conventions() -> None:
    """Lower case, one prefix, base units; a counter says nothing twice, and everything has its help."""
    for row in ROWS:
        assert re.fullmatch("[a-z]+(_[a-z]+)*", row.name)
        assert not row.name.endswith("total")
        assert row.text.endswith(".")
    assert len({row.name for row in ROWS}) == len(ROWS)
    CollectorRegistry().register(RunCollector(Progress(time.monotonic), None, "1"))


def test_the_buckets_are_bounds_that_latencies_are_counted_by() -> None:
    """Or the histogram would be off by what lies between."""
    assert set(BUCKETS_S) <= set(LATENCY_BOUNDS_S)


@given(st.lists(st.floats(0.0001, 300), max_size=80))
def test_the_histogram_counts_what_was_measured(latencies: list[float]) -> None:
    """Each bucket holds the answers up to its bound, the last one all of them; the sum is that of all latencies."""
    progress = Progress(time.monotonic)
    for latency in latencies:
        progress.answered(latency)
    found = _samples(RunCollector(progress, 1, "1"))
    name = f"{PREFIX}request_duration_seconds"
    for bound in BUCKETS_S:
        assert found[f"{name}_bucket", f"{bound:g}"] == sum(latency <= bound for latency in latencies)
    assert found[f"{name}_bucket", "+Inf"] == found[f"{name}_count", ""] == len(latencies)
    assert found[f"{name}_sum", ""] == pytest.approx(sum(latencies))


def test_every_counter_is_that_of_the_run() -> None:
    """Requests, errors by code, accounts by what became of them, an outage that lasts, and the rate in force."""
    now = [0.0]
    progress = Progress(lambda: now[0])
    progress.rate, progress.pace = 100.0, lambda: 60.0
    progress.started()
    progress.failed(AttemptError("x", verdict=Verdict.SLOW_DOWN, code=60007))
    progress.retried()
    progress.slowed()
    progress.settle(Reply(found={"a": {}, "b": {}}, rejected={"c": Rejection(Reason.REFUSED)}))
    progress.committed()
    progress.paused("out of reach")
    now[0] = 5.0
    found = _samples(RunCollector(progress, 1400000000, "1.2.3"))
    expected = {
        ("requests_total", ""): 1,
        ("retries_total", ""): 1,
        ("refusals_total", ""): 1,
        ("slow_downs_total", ""): 1,
        ("request_errors_total", "60007"): 1,
        ("accounts_total", "found"): 2,
        ("accounts_total", "refused"): 1,
        ("shards_total", ""): 1,
        ("outages_total", ""): 1,
        ("paused_seconds_total", ""): 5,
        ("paused", ""): 1,
        ("rate_limit", ""): 100,
        ("rate_in_force", ""): 60,
        ("elapsed_seconds", ""): 5,
        ("info", "1.2.3"): 1,
    }
    assert {key: found[f"{PREFIX}{key[0]}", key[1]] for key in expected} == expected
    assert (f"{PREFIX}progress_ratio", "") not in found  # unknown is absent, not 0


def test_a_rate_in_force_is_told_where_there_is_a_limit() -> None:
    """Before the limiter has said anything the limit itself; none where there is no limit."""
    progress = Progress(time.monotonic)
    key = (f"{PREFIX}rate_in_force", "")
    progress.rate = 100.0
    assert _samples(RunCollector(progress, 1, "1"))[key] == 100
    progress.rate, progress.pace = None, lambda: 1e6
    assert key not in _samples(RunCollector(progress, 1, "1"))


def test_how_far_and_how_long_still_are_those_of_the_run() -> None:
    """The share that is settled, not the one that was read; the time left, not the time gone."""
    now = [0.0]
    progress = Progress(lambda: now[0])
    progress.share_read, progress.planned = 0.5, 200
    now[0] = 100.0
    progress.settle(Reply(found={str(place): {} for place in range(100)}))
    found = _samples(RunCollector(progress, 1, "1"))
    assert found[f"{PREFIX}progress_ratio", ""] == pytest.approx(0.25)
    assert found[f"{PREFIX}time_left_seconds", ""] == pytest.approx(300)


def test_a_file_that_cannot_be_replaced_leaves_no_draft(tmp_path: Path) -> None:
    """Or the node exporter's folder would fill up with them."""
    path = tmp_path / "exporter.prom"
    path.mkdir()
    with pytest.raises(MachineError, match="cannot be written"):
        Metrics(RunCollector(Progress(time.monotonic), 5, "1")).write(path)
    assert list(tmp_path.iterdir()) == [path]


def test_metrics_can_be_collected_while_they_grow() -> None:
    """A scrape comes from another thread at any moment: it fails never, and no counter goes down."""
    now = [0.0]
    progress = Progress(lambda: now[0])
    collector = RunCollector(progress, 1, "1")
    errors = AttemptError("x", verdict=Verdict.RETRY, code=0)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            now[0] += 0.7
            errors.code = (errors.code or 0) + 1
            progress.started()
            progress.answered(now[0] % 3)
            progress.failed(errors)
            if now[0] > 5_000:  # wider and wider points would make it slow, not different
                stop.set()

    thread = threading.Thread(target=work)
    thread.start()
    seen = 0.0
    try:
        while thread.is_alive():
            found = _samples(collector)
            count = found[f"{PREFIX}request_duration_seconds_count", ""]
            assert count >= seen
            seen = count
    finally:
        stop.set()
        thread.join()
    assert seen > 0


def test_a_file_gives_back_when_a_run_was_last_complete(tmp_path: Path) -> None:
    """Of its app; a file that is not there, or is something else, tells nothing."""
    path = tmp_path / "exporter.prom"
    collector = RunCollector(Progress(time.monotonic), 5, "1")
    metrics = Metrics(collector)
    metrics.write(path)
    assert last_success(path, 5) is None
    collector.last_success_s, collector.end = 1_790_000_000.25, End(3, 1_790_000_001, 60, 10, {"missing": 2})
    metrics.write(path)
    assert last_success(path, 5) == 1_790_000_000.25
    assert last_success(path, 6) is None
    samples = {s.name: s.value for f in text_string_to_metric_families(path.read_text()) for s in f.samples}
    assert samples["exporter_last_run_exit_code"] == 3
    assert samples["exporter_rejects"] == 2
    path.write_bytes(b"\xff{{{")
    assert last_success(path, 5) is None
    assert last_success(tmp_path / "nothing", 5) is None


def test_whoever_goes_away_while_it_asks_costs_no_word(capfd: pytest.CaptureFixture[str]) -> None:
    """A scraper that gives up resets the connection; one that says nothing is let go."""
    metrics = Metrics(RunCollector(Progress(time.monotonic), 1, "1"))
    port = int(metrics.serve("127.0.0.1", 0).split(":")[2].partition("/")[0])
    try:
        assert metrics._served is not None  # noqa: SLF001 - it listens
        handler: Any = metrics._served[0].RequestHandlerClass  # noqa: SLF001 - of the library
        assert handler.timeout == ASK_S_MAX
        for _ in range(5):
            asking = socket.create_connection(("127.0.0.1", port))
            asking.send(b"GE")
            time.sleep(0.05)
            asking.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            asking.close()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            assert answer.status == 200
        time.sleep(0.1)
    finally:
        metrics.close()
    assert capfd.readouterr().err == ""


def test_a_host_that_is_no_name_is_a_mistake_in_the_settings() -> None:
    """One label of a name has 63 characters at most: the resolver does not even ask for more."""
    with pytest.raises(SettingsError, match=r"cannot listen at a{70}"):
        Metrics(RunCollector(Progress(time.monotonic), 1, "1")).serve("a" * 70, 0)
