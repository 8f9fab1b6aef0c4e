"""Trying again: a pure policy, the wrapper that obeys it, and the first request of a run."""

from exporter.retry.leading import leading
from exporter.retry.policy import Policy, Step, Tried, calls_max, delay_s, next_step
from exporter.retry.retrying import retrying

__all__ = ["Policy", "Step", "Tried", "calls_max", "delay_s", "leading", "next_step", "retrying"]
