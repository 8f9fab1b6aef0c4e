"""One token per attempt: which are in use, how fast they are given, who shares them, and the wrapper that pays them."""

from exporter.limiter.limiting import Limiter, Token, limited
from exporter.limiter.pace import Pace
from exporter.limiter.process import QUOTAS, Quotas
from exporter.limiter.quota import Quota
from exporter.limiter.window import RATE_UNLIMITED, Way, Window, seconds_of

__all__ = [
    "QUOTAS",
    "RATE_UNLIMITED",
    "Limiter",
    "Pace",
    "Quota",
    "Quotas",
    "Token",
    "Way",
    "Window",
    "limited",
    "seconds_of",
]
