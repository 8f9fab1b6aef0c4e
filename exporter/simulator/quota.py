"""At most `rate` requests are accepted in any rolling second, and the worst second is remembered."""

from collections import deque


class RollingSecond:
    """How many events lie in the second that ends now: an event at t has left it at t + 1."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()
        self.worst = 0

    def count(self, now: float) -> int:
        """Events in (now - 1, now]; `now` in seconds, never going back."""
        while self._times and now - self._times[0] >= 1.0:
            self._times.popleft()
        return len(self._times)

    def add(self, now: float) -> None:
        """One more event."""
        self._times.append(now)
        self.worst = max(self.worst, self.count(now))


class Quota:
    """Accept or refuse by the starts of the last second.

    `rate` is in requests per second, 0 for no limit; it may be changed at any time. With `count_refused` a refused
    request uses the quota up like any other: a client that does not slow down then gets nothing at all.
    """

    def __init__(self, rate: int, *, count_refused: bool = False) -> None:
        self.rate = rate
        self.count_refused = count_refused
        self.starts = RollingSecond()
        self._counted = RollingSecond()

    def admit(self, now: float) -> bool:
        """Whether a request that starts at `now` (seconds, never going back) is accepted."""
        self.starts.add(now)
        accepted = self.rate == 0 or self._counted.count(now) < self.rate
        if accepted or self.count_refused:
            self._counted.add(now)
        return accepted
