"""The composition root: builds the parts from Settings, and runs the job."""

from exporter.app.check import check_service
from exporter.app.export import export
from exporter.app.job import Job, Outcome
from exporter.app.retry import retry
from exporter.app.status import Status, status

__all__ = ["Job", "Outcome", "Status", "check_service", "export", "retry", "status"]
