"""What the simulator saw: counts for tests to compare with what the client believes; never a query string."""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

LOG_LINES_MAX = 1_000


@dataclass(slots=True)
class Facts:
    """Counters since the start; times are Unix seconds.

    Every request counts once among `answered` (ErrorCode 0), `codes` (any other) and `broken` (no readable answer) as
    soon as that is decided. `refused` are those of the quota. `faults` counts each kind that was done, outages as
    `outage:KIND`. `accounts_asked` are the ids of all requests that passed the checks; `elsewhere` counts requests to
    paths that do not exist, where a followed redirect would show.
    """

    requests: int = 0
    answered: int = 0
    refused: int = 0
    broken: int = 0
    elsewhere: int = 0
    accounts_asked: int = 0
    in_flight: int = 0
    in_flight_max: int = 0
    first_at: float | None = None
    last_at: float | None = None
    faults: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    accounts: Counter[str] = field(default_factory=Counter)
    log: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=LOG_LINES_MAX))

    def start(self, at: float) -> int:
        """A request came; returns its number, from 1."""
        self.requests += 1
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        self.first_at = self.first_at or at
        self.last_at = at
        return self.requests

    def outcome(self, code: int | None, faults: tuple[str, ...]) -> None:
        """What it is answered: a code, 0 for OK, None for nothing readable."""
        if code is None:
            self.broken += 1
        elif code:
            self.codes[code] += 1
        else:
            self.answered += 1
        self.faults.update(faults)

    def as_json(self) -> dict[str, Any]:
        """The counters as JSON with text keys, without the log and the accounts."""
        plain = ("requests", "answered", "refused", "broken", "elsewhere", "accounts_asked")
        times = ("in_flight", "in_flight_max", "first_at", "last_at")
        counters = {
            "faults": dict(self.faults),
            "codes": {str(code): count for code, count in self.codes.items()},
            "accounts_max": max(self.accounts.values(), default=0),
        }
        return {name: getattr(self, name) for name in plain + times} | counters
