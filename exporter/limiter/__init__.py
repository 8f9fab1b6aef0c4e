"""One token per attempt: which are in use, how fast they are given, and the wrapper that pays them."""

from exporter.limiter.limiting import RATE_UNLIMITED, Limiter, Token, limited, seconds_of
from exporter.limiter.pace import Pace
from exporter.limiter.window import Way, Window

__all__ = ["RATE_UNLIMITED", "Limiter", "Pace", "Token", "Way", "Window", "limited", "seconds_of"]
