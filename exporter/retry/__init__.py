"""Trying again: a pure policy, the wrapper that obeys it, the first request of a run, and the breaker beside them."""

from exporter.retry.apart import Apart
from exporter.retry.breaker import Breaker
from exporter.retry.gate import Gate, held, hold
from exporter.retry.leading import leading
from exporter.retry.patience import Patience, patient
from exporter.retry.policy import Policy, Step, Tried, calls_max, delay_s, next_step, probes_max
from exporter.retry.retrying import retrying

__all__ = [
    "Apart",
    "Breaker",
    "Gate",
    "Patience",
    "Policy",
    "Step",
    "Tried",
    "calls_max",
    "delay_s",
    "held",
    "hold",
    "leading",
    "next_step",
    "patient",
    "probes_max",
    "retrying",
]
