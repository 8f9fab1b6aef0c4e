"""Carrying: every batch from the ids to the sink, the shards that are open, and the threads beside the loop."""

from exporter.pipeline.carrying import DRAIN_S_MAX, WAITING_MAX, carry_all, first_of, in_turn
from exporter.pipeline.room import ASIDE_MAX, STRAGGLES_S, Sink
from exporter.pipeline.sample import SAMPLE_ACCOUNTS, KnownCheck, judge_absent
from exporter.pipeline.threads import abandonable, read_ahead, through

__all__ = [
    "ASIDE_MAX",
    "DRAIN_S_MAX",
    "SAMPLE_ACCOUNTS",
    "STRAGGLES_S",
    "WAITING_MAX",
    "KnownCheck",
    "Sink",
    "abandonable",
    "carry_all",
    "first_of",
    "in_turn",
    "judge_absent",
    "read_ahead",
    "through",
]
