"""The verifier: holds an export against its manifest, and shares no code with the writer beyond the manifest's format."""

from exporter.verify.checks import CHECKS, verify
from exporter.verify.report import Finding, Report

__all__ = ["CHECKS", "Finding", "Report", "verify"]
