"""The adaptive rate, in calls a second: what the service accepts, found and kept by what it refuses. Pure.

Every refusal first costs a pause, longer for further ones in a row: where refused calls use the quota up as well, only a
pause lets the service accept again. Then it is told apart what refuses:

    a few, scattered      calls met on the way, or the service's mood: the tokens' holds see to that (`window.py`). Only when
                          it goes on the pace is cut to what was accepted in the last second, and at most to FLOOR of
                          what it was; what still goes on then is no matter of the pace, and is left alone for a while
    many, or in a row     the quota is lower than we thought. At the first call accepted again it is known: the service
                          accepted at least as many in the last second, and fewer than when it refused last

After a cut the pace climbs slowly past the level that refused, which costs a refusal now and then, and beyond it fast:
what nobody refuses there is allowed again. Never above the rate.
"""

import math
from collections import deque

CATCH_UP = 1.25  # times the pace: the tokens keep to it, and what a stall of this machine cost is made up for
PACE_MIN = 0.5  # calls a second, however often the service refuses
CUT = 0.95  # of the level that refused
PAST = 1.04  # times that level is reached slowly
SLOW_S = 8.0  # in so long
GROWTH = 1.4  # times a second after that
FLOOR = 0.7  # of the pace before is what scattered refusals can cut it to
ROW = 4  # refusals in a row, or in a second with the share: the quota
MANY = 0.25
DOUBT_S = 2.0  # a scattered refusal at the full rate cuts when another one follows so soon
LONGEST_S = 60.0  # of growth, which any rate is reached in
KEPT_S = 8.0  # how long the moments of calls are kept, for answers that come late
MOOD_S = 15.0  # how long scattered refusals are left alone
PAUSE_CALLS = 2  # calls that are left out for one refusal
PROBE_S = 0.08  # between calls while all are refused, and a quarter of the time since the first where that is more


class Pace:
    """How fast calls may start, at most `rate_max`."""

    def __init__(self, rate_max: float) -> None:
        self._rate_max = self._level = rate_max
        self._full = True  # nothing that was refused holds the rate down
        self._top = 0.0  # the most that was accepted in a second at this level
        self._climbs_from = -math.inf
        self._began = math.inf
        self._cut_at = self._doubted_at = self._mood_until = -math.inf
        self._left: deque[float] = deque()  # when calls left
        self._refused: deque[float] = deque()  # and those that were too frequent
        self._row = 0
        self._row_began = 0.0
        self._lost = False  # refused in a row, and nothing accepted since
        self.paused_until = -math.inf

    def allow(self, rate_max: float) -> None:
        """Allow so much from now on; what was found out stays so: the full rate of before may be all that is known."""
        self._rate_max, self._full = rate_max, False

    def at(self, now: float) -> float:
        """Return the rate in force."""
        if self._full:
            return self._rate_max
        climbed_s = 0.0 if self._lost else max(0.0, now - self._climbs_from)
        rate = self._level * (CUT + (PAST - CUT) * min(climbed_s / SLOW_S, 1.0))
        rate *= math.pow(GROWTH, min(max(0.0, climbed_s - SLOW_S), LONGEST_S))
        self._full = rate >= self._rate_max
        return max(min(PACE_MIN, self._rate_max), min(rate, self._rate_max))

    def gap_s(self, now: float) -> float:
        """Return how long after a start the next may follow, in seconds."""
        return self._probe_s(now) if self._row > 1 else 1 / (CATCH_UP * self.at(now))

    def left(self, now: float) -> None:
        """Take note that a call leaves: it counts as accepted until it is refused, for answers may be long in coming."""
        _add(self._left, now)

    def accepted(self, now: float, left_at: float) -> None:
        """Take note of an answer, of whatever kind, to a call that left at that time: the quota let it pass."""
        self._began = min(self._began, left_at)
        self._row = 0
        if not self._lost:
            return
        self._lost = False
        self._cut(now, (2 * self._level + self._counted(left_at)) / 3)
        self._top = self._level
        if left_at - self._row_began > 1:  # what was accepted before is no measure any more: climb at once
            self._climbs_from = now - SLOW_S

    def refused(self, now: float, left_at: float) -> bool:
        """Take note that a call which left at that time was too frequent; return whether the pace is cut for it."""
        _add(self._refused, left_at)
        refused = _in_second(self._refused, left_at)
        accepted = max(0, _in_second(self._left, left_at) - refused)
        self._began = min(self._began, left_at)
        self._row += 1
        if self._row == 1:
            self._row_began = left_at
        self._pause(now)
        self._top = max(self._top, accepted)
        if self._row >= ROW:
            anew, self._lost = not self._lost, True
            self._cut(now, min(self._counted(left_at), self._rate_max))
            return anew
        if left_at < self._cut_at or now < self._cut_at + 1:
            return False  # it met what the pace was cut for
        if refused >= ROW and refused >= MANY * (refused + accepted):
            self._cut(now, min(accepted, self.at(now)))
            self._top = self._level
            return True
        return self._cut_for_a_few(now, left_at, accepted)

    def _counted(self, until: float) -> float:
        """What the service may have counted in the second that ends then: whether refused calls count is not known."""
        refused = _in_second(self._refused, until)
        accepted = max(0, _in_second(self._left, until) - refused)
        return accepted + min(refused, accepted / 4)

    def _pause(self, now: float) -> None:
        wait_s = PAUSE_CALLS / self.at(now) if self._row == 1 else self._probe_s(now)
        self.paused_until = max(self.paused_until, now + min(wait_s, 1 / PACE_MIN))

    def _probe_s(self, now: float) -> float:
        return min(max(PROBE_S, PAUSE_CALLS / self.at(now), (now - self._row_began) / 4), 1 / PACE_MIN)

    def _cut_for_a_few(self, now: float, left_at: float, accepted: int) -> bool:
        if self._row > 1 or now < self._mood_until or left_at < self._began + 1:
            return False
        if self._full and not self._doubted_at <= left_at <= now < self._doubted_at + DOUBT_S:
            if now >= self._doubted_at + DOUBT_S:
                self._doubted_at = now
            return False
        level = min(accepted, self.at(now))
        if level * CUT < self._top * FLOOR:
            self._mood_until = now + MOOD_S
            return False
        self._cut(now, level)
        return True

    def _cut(self, now: float, level: float) -> None:
        self._level, self._full = max(level, PACE_MIN), False
        self._cut_at = self._climbs_from = now


def _add(moments: deque[float], moment: float) -> None:
    """Take a moment in, and drop what is too old to be counted: answers come in any order, but not after so long."""
    moments.append(moment)
    while moments[0] < moment - KEPT_S:
        moments.popleft()


def _in_second(moments: deque[float], until: float) -> int:
    """Count the moments of the second that ends then."""
    # A copy: where garbage is collected meanwhile, a call may end that nobody awaits any more.
    return sum(until - 1 < moment <= until for moment in list(moments))
