"""The composition root: builds the parts from Settings, and runs the job."""

from exporter.app.check import check_service
from exporter.app.export import export
from exporter.app.job import Job, Outcome
from exporter.app.judging import excess
from exporter.app.plan import ask, plan
from exporter.app.planned import Asked, BadExample, Plan
from exporter.app.report import report
from exporter.app.retry import WORTH_IT, retry
from exporter.app.service import make_client, missing
from exporter.app.status import Status, status

__all__ = [
    "WORTH_IT",
    "Asked",
    "BadExample",
    "Job",
    "Outcome",
    "Plan",
    "Status",
    "ask",
    "check_service",
    "excess",
    "export",
    "make_client",
    "missing",
    "plan",
    "report",
    "retry",
    "status",
]
