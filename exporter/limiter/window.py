"""Which tokens are in use: in any rolling second no more requests leave than there are tokens. Pure, times in seconds.

A token is in use from the moment it is given until one second, and a hold, after its request left. The hold is there
because the service counts a request when it sees it: one that was long on its way would meet those of the next second.
How long it was shows in its answer: an answer that came 20 ms later than the fastest belongs to a request that was seen
up to 20 ms later. So every token is held for as long as its own answer was late, and no second is overfull. A token whose
request never leaves, for nobody runs its event loop any more, comes back after a minute.

But an answer may also be late for reasons of its own, and holds cost quota. So holds draw on an account that has
five thousandths of a second for each token: enough for all of them where answers are steady, and for no more than half a
percent of the quota where they are not. A refusal shows that it is the way after all: from then on holds may cost more.
"""

import heapq
import math
from collections import deque
from dataclasses import dataclass

RATE_UNLIMITED = 100_000.0  # calls a second: more than one process can send, so there is nothing to limit


def window_of(rate: float) -> tuple[int, float]:
    """Tell how many calls may start in a window, and its seconds: below one call a second it is longer, and holds one."""
    return max(1, math.floor(rate)), max(1.0, 1.0 / rate)


def seconds_of(calls: int, rate: float) -> float:
    """Tell how long so many calls take at this rate, from the start of the first to that of the last."""
    tokens, window_s = window_of(min(rate, RATE_UNLIMITED))
    return max(0, calls - 1) * window_s / tokens


@dataclass(slots=True, eq=False)
class Sent:
    """A request: when its token was given, when it left (infinite before), and when its answer came, None before."""

    given_at: float
    at: float = math.inf
    answered_at: float | None = None


class Way:
    """How long a token is held after its second, by what is known of the way to the service."""

    HOLD_S_MIN = 0.002  # the fastest so far is not the fastest that will come
    LATE_S_MAX = 0.1
    CALM_S, LEARNT_S = 0.006, 0.05  # what a hold may cost on average: before anything was refused, and after it
    HALF_LIFE_S = 120.0
    SAVED_S_MAX = 2.0
    LEAST_OF_S = 10.0

    def __init__(self) -> None:
        self._saved_s = self.SAVED_S_MAX
        self._refused_at = -math.inf
        self._least = (math.inf, math.inf)  # of the period before, and of this one
        self._until = -math.inf

    def answered(self, sent: Sent, now: float) -> None:
        """Take note of an answer, and of the least time from a token to an answer.

        From the token on, not from when the request left: where that was noted too late, an answer would seem fast.
        """
        sent.answered_at = now
        before, least = self._least
        if now >= self._until:
            before, least = least, math.inf
            self._until = now + self.LEAST_OF_S
        self._least = (before, min(least, now - sent.given_at))

    def refused(self, now: float) -> None:
        """Take note of a refusal: calls do overtake one another on the way."""
        self._refused_at = now

    def hold_s(self, sent: Sent, now: float) -> float:
        """Decide how long to hold the token of a request, and pay for it."""
        learnt_s = self.LEARNT_S * math.exp2((self._refused_at - now) / self.HALF_LIFE_S)
        allowed_s = max(self.CALM_S, learnt_s)
        if sent.answered_at is None:
            return self.HOLD_S_MIN + allowed_s
        late_s = max(0.0, min(sent.answered_at - sent.at - min(self._least), self.LATE_S_MAX))
        self._saved_s = min(self.SAVED_S_MAX, self._saved_s + allowed_s)
        paid_s = min(late_s, self._saved_s)
        self._saved_s -= paid_s
        return self.HOLD_S_MIN + paid_s


class Window:
    """The tokens of a rolling second, or of the longer window of a rate below one."""

    SPENT_HOLD_S = 0.025  # for those of others, of whose way nothing is known
    LEAVES_S_MAX = 60.0  # from its token to its leaving: ten times what an attempt may last

    def __init__(self, tokens: int, window_s: float) -> None:
        self._tokens, self._window_s = tokens, window_s
        self.way = Way()
        self._leaving: dict[Sent, None] = {}  # in the order in which they were given
        self._sent: deque[Sent] = deque()  # in their second
        self._held: list[float] = []  # after it: a heap of the moments until which

    def allow(self, tokens: int, window_s: float) -> None:
        """Have so many tokens from now on; those in use stay so."""
        self._tokens, self._window_s = tokens, window_s

    def spend_all(self, now: float) -> None:
        """Take every token as used right now."""
        self._held = [now + self._window_s + self.SPENT_HOLD_S] * self._tokens

    def give(self, now: float) -> Sent:
        """Take a token, whose request has not left yet."""
        sent = Sent(now)
        self._leaving[sent] = None
        return sent

    def leave(self, sent: Sent, now: float) -> None:
        """Take note that the request of a token leaves."""
        self._leaving.pop(sent, None)
        sent.at = now
        self._sent.append(sent)

    def answered(self, sent: Sent, now: float, *, refused: bool) -> None:
        """Take note of the answer to a request."""
        self.way.answered(sent, now)
        if refused:
            self.way.refused(now)

    def free_at(self, now: float, tokens: int | None = None) -> float:
        """Return when a token will be free, of so many (all of them).

        Where more than that are in use, or wait to leave, it tells when the next of them comes back: ask again then.
        """
        least_s = self._window_s + Way.HOLD_S_MIN
        self._take_back(now, least_s)
        in_use = len(self._leaving) + len(self._sent) + len(self._held)
        if in_use < (self._tokens if tokens is None else min(tokens, self._tokens)):
            return now
        first = self._sent[0].at + least_s if self._sent else math.inf
        if leaving := self._first_leaving():
            first = min(first, leaving.given_at + self.LEAVES_S_MAX)
        return min(first, self._held[0]) if self._held else first

    def _take_back(self, now: float, least_s: float) -> None:
        while self._sent and self._sent[0].at + least_s <= now:
            sent = self._sent.popleft()
            heapq.heappush(self._held, sent.at + self._window_s + self.way.hold_s(sent, now))
        while self._held and self._held[0] <= now:
            heapq.heappop(self._held)
        while (first := self._first_leaving()) and first.given_at + self.LEAVES_S_MAX <= now:
            self._leaving.pop(first, None)

    def _first_leaving(self) -> Sent | None:
        # Calls that nobody awaits any more end where garbage is collected, which may be between any two steps.
        return next(iter(self._leaving), None)
