"""Metrics of a run, for Prometheus: read from its counters when somebody asks, so that they cost a run nothing.

Names and units follow Prometheus' conventions: base units (seconds, ratios), `_total` for what only grows. All have the
prefix `exporter_` and the label `sdkappid`, so that the text files of several apps can lie side by side.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from exporter.errors import MachineError, SettingsError
from exporter.progress import Progress

if TYPE_CHECKING:
    import threading
    from wsgiref.simple_server import WSGIServer

PREFIX = "exporter_"
_BEGINS = f"# HELP {PREFIX}".encode()
LAST_SUCCESS = f"{PREFIX}last_success_timestamp_seconds"
BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 100.0)
"""Bounds of the histogram of latencies: some of those that `progress` counts by."""

ASK_S_MAX = 10.0
"""Whoever connects and does not ask, or does not read, is let go after so many seconds."""

Values = Mapping[str, float | None]
"""A value for each value of the label, or one under "" where there is no label; None for what is not known."""


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended: what a text file still tells the next day."""

    exit_code: int
    at_s: float
    seconds: float
    rows: int | None = None
    rejects: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Row:
    kind: type[CounterMetricFamily | GaugeMetricFamily]
    name: str
    text: str
    values: Callable[[Progress], Values]
    label: str = ""


def _one(read: Callable[[Progress], float | None]) -> Callable[[Progress], Values]:
    return lambda progress: {"": read(progress)}


def _accounts(progress: Progress) -> Values:
    return {"found": progress.found, **{str(reason): count for reason, count in dict(progress.reasons).items()}}


def _in_force(progress: Progress) -> float | None:
    return progress.pace() if progress.pace and progress.rate else progress.rate


COUNTER, GAUGE = CounterMetricFamily, GaugeMetricFamily
ROWS = (
    _Row(COUNTER, "requests", "Requests sent, first and repeated ones.", _one(lambda p: p.requests)),
    _Row(COUNTER, "retries", "Requests that repeated another.", _one(lambda p: p.retries)),
    _Row(COUNTER, "refusals", "Answers that the service was called too frequently.", _one(lambda p: p.refusals)),
    _Row(
        COUNTER,
        "request_errors",
        "Requests that failed, by the service's error code.",
        lambda p: dict(p.series.total().errors),
        "code",
    ),
    _Row(COUNTER, "slow_downs", "How often refusals cut the rate.", _one(lambda p: p.slow_downs)),
    _Row(COUNTER, "outages", "How often the service was out of reach.", _one(lambda p: p.outages)),
    _Row(COUNTER, "paused_seconds", "Time in which the service was out of reach.", _one(lambda p: p.paused_s)),
    _Row(COUNTER, "accounts", "Accounts settled, by what became of them.", _accounts, "result"),
    _Row(COUNTER, "shards", "Shards that are durable.", _one(lambda p: p.shards)),
    _Row(GAUGE, "rate_limit", "Requests a second that --rate allows.", _one(lambda p: p.rate)),
    _Row(GAUGE, "rate_in_force", "Requests a second allowed just now.", _one(_in_force)),
    _Row(GAUGE, "progress_ratio", "Share of the input that is settled.", _one(lambda p: p.share_done)),
    _Row(GAUGE, "time_left_seconds", "Estimated time to the end.", _one(lambda p: p.left_s())),
    _Row(GAUGE, "elapsed_seconds", "Time at work so far, over all starts of this run.", _one(lambda p: p.elapsed_s)),
    _Row(GAUGE, "paused", "1 while the service is out of reach.", _one(lambda p: float(p.paused_why is not None))),
)


class RunCollector(Collector):
    """The metrics of a run, and of its end once it is known; any thread may collect them."""

    def __init__(self, progress: Progress, sdkappid: int | None, version: str) -> None:
        self._progress = progress
        self._app = str(sdkappid or "")
        self._version = version
        self.end: End | None = None
        self.last_success_s: float | None = None

    def collect(self) -> Iterator[Metric]:
        """Read the counters."""
        yield self._family(GAUGE, "info", "What is running.", {self._version: 1.0}, "version")
        for row in ROWS:
            yield self._family(row.kind, row.name, row.text, row.values(self._progress), row.label)
        yield self._latencies()
        if end := self.end:
            yield self._family(GAUGE, "last_run_exit_code", "How the last run ended.", {"": end.exit_code})
            yield self._family(GAUGE, "last_run_timestamp_seconds", "When the last run ended.", {"": end.at_s})
            yield self._family(GAUGE, "last_run_duration_seconds", "Time at work of the last run.", {"": end.seconds})
            yield self._family(GAUGE, "rows", "Rows of the export.", {"": end.rows})
            yield self._family(GAUGE, "rejects", "Rejects of the export.", dict(end.rejects), "reason")
        yield self._family(
            GAUGE, "last_success_timestamp_seconds", "When a run was last complete.", {"": self.last_success_s}
        )

    def _family(
        self,
        kind: type[CounterMetricFamily | GaugeMetricFamily],
        name: str,
        text: str,
        values: Values,
        label: str = "",
    ) -> Metric:
        family = kind(f"{PREFIX}{name}", text, labels=["sdkappid", *([label] if label else [])])
        for key, value in values.items():
            if value is not None:
                family.add_metric([self._app, *([key] if label else [])], value)
        return family

    def _latencies(self) -> Metric:
        total = self._progress.series.total()
        counts = [(float(bound), count) for bound, count in total.latencies.items()]
        buckets = [(f"{le:g}", sum(count for bound, count in counts if bound <= le)) for le in BUCKETS_S]
        family = HistogramMetricFamily(
            f"{PREFIX}request_duration_seconds", "Time from a request to its answer.", labels=["sdkappid"]
        )
        family.add_metric([self._app], [*buckets, ("+Inf", total.answers)], total.latency_s_sum)
        return family


class Metrics:
    """Where the metrics of a run can be had: over HTTP while it lasts, and in a text file also afterwards."""

    def __init__(self, collector: RunCollector) -> None:
        self._collector = collector
        self._registry = CollectorRegistry()
        self._registry.register(collector)
        self._served: tuple[WSGIServer, threading.Thread] | None = None

    def serve(self, host: str, port: int) -> str:
        """Serve them until `close`; return the address. Raises SettingsError when the port cannot be listened at."""
        process = ProcessCollector(registry=None)  # of this process; a text file outlives it
        try:
            registry = CollectorRegistry()
            registry.register(self._collector)
            registry.register(process)
            self._served = start_http_server(port, host, registry)
        except (OSError, UnicodeError) as error:  # a name that is none is no text to the resolver
            words = (getattr(error, "strerror", None) or str(error)).lower()
            raise SettingsError(
                f"--metrics-port {port}: cannot listen at {host}: {words}. Choose another port, or 0 for any."
            ) from None
        _guard(self._served[0])
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{self._served[0].server_port}/metrics"

    def close(self) -> None:
        """Serve them no more."""
        if self._served:
            server, thread = self._served
            server.shutdown()
            server.server_close()
            thread.join()

    def write(self, path: Path) -> None:
        """Write them to a file that others may read: they tell of no account. Raises MachineError."""
        draft = None
        try:
            # A name of its own: in containers that share a folder every process has the same number.
            with NamedTemporaryFile(dir=path.parent, prefix=".exporter-", delete=False) as file:
                draft = Path(file.name)
                file.write(generate_latest(self._registry))
            draft.chmod(0o644)
            draft.replace(path)
        except OSError as error:
            if draft:
                with contextlib.suppress(OSError):
                    draft.unlink()
            raise _unwritable(path, error) from None


def _guard(server: "WSGIServer") -> None:
    """Let whoever asks cost the run neither a thread for ever nor a word: the library would print a traceback."""
    handler: Any = server.RequestHandlerClass
    server.RequestHandlerClass = type("Handler", (handler,), {"timeout": ASK_S_MAX})
    server.handle_error = lambda request, client_address: None  # type: ignore[method-assign] # noqa: ARG005 - its shape


def refuse_foreign(path: Path) -> None:
    """Refuse a file that holds anything but metrics: it would be replaced. Raises SettingsError and MachineError."""
    try:
        there = os.path.lexists(path)
        foreign = there and (not os.path.isfile(path) or not _is_ours(path))  # noqa: PTH113 - `Path.is_file` raises
    except OSError as error:
        raise _unwritable(path, error) from None
    if foreign or not path.name:
        raise SettingsError(
            f"--metrics-textfile {path}: it is no file of metrics, and would be replaced. Name one that nothing else writes."
        )


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        begin = file.read(len(_BEGINS))
    return not begin or begin == _BEGINS


def _unwritable(path: Path, error: OSError) -> MachineError:
    words = (error.strerror or str(error)).lower()
    return MachineError(f"--metrics-textfile {path}: cannot be written: {words}. Name another file.")


def last_success(path: Path, sdkappid: int | None) -> float | None:
    """Read when a run of this app was last complete from the file that an earlier one wrote; None where it does not tell."""
    try:
        text = path.read_text(encoding="utf-8")
        families = list(text_string_to_metric_families(text))
    except (OSError, ValueError):
        return None
    samples = (sample for family in families for sample in family.samples if sample.name == LAST_SUCCESS)
    ours = (sample.value for sample in samples if sample.labels.get("sdkappid") == str(sdkappid or ""))
    return next(map(float, ours), None)
