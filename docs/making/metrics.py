"""The page of all metrics, made from those that a run has."""

from collections.abc import Iterable
from typing import Any

from exporter.errors import AttemptError, Verdict
from exporter.metrics import End, RunCollector
from exporter.progress import Progress
from making import page


def metrics() -> str:
    """Make the page of all metrics: name, type, labels, meaning."""
    columns = ["metric", "type", "labels", "meaning"]
    parts = [
        *page.head("Metrics", "exporter/metrics.py"),
        (
            "A run gives these at `--metrics-port` while it lasts, and in the file of `--metrics-textfile`, where they stay after its"
            " end. The names that begin with `exporter_last_` are there from the end of a run on. At the port there are also the"
            " `process_…` metrics of the Prometheus client (CPU, memory, open files). See [Watch a run](../how-to/watch-a-run.md)."
        ),
        "",
        *page.table(columns, (_metric(family) for family in _families())),
        "",
        (
            "`result` is `found`, or a reason as in [the rejects](output-format.md#rejects). `code` is the service's"
            " [error code](error-codes.md), or `no answer`."
        ),
    ]
    return page.text(parts)


def _families() -> Iterable[Any]:
    """Collect from a run in which everything has happened once: what has no value has no labels to tell."""
    progress = Progress(lambda: 0.0)
    progress.failed(AttemptError("", verdict=Verdict.RETRY, code=91000))
    progress.rate, progress.share_read, progress.planned, progress.found = 100.0, 1.0, 2, 1
    collector = RunCollector(progress, 1400000000, "")
    collector.end = End(exit_code=0, at_s=0.0, seconds=0.0, rows=0, rejects={"missing": 1})
    collector.last_success_s = 0.0
    return collector.collect()


def _metric(family: Any) -> tuple[str, ...]:
    labels = {label: None for sample in family.samples for label in sample.labels}
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return page.code(name), family.type, ", ".join(map(page.code, labels)), family.documentation
