"""The policy, pure: whether and when to try again, and when to split.

The bound on calls. A whole batch has 8 attempts, a piece of it 2, a single account 8. The pieces of a batch of n form
a tree with n leaves and at most n - 2 pieces between root and leaves, so one batch costs at most

    8                        for n = 1
    8 + 2 (n - 2) + 8 n      for n > 1      (1,004 for n = 100)

calls whatever the answers, and one more when its UserSig had to be renewed. Not counted are calls answered "too
frequent": these spend no attempt, and are bounded in time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from exporter.errors import AttemptError, Verdict


@dataclass(frozen=True, slots=True)
class Policy:
    """How often and how long. Delays are drawn with full jitter: uniform between 0 and base x 2^failures, capped."""

    attempts_whole_max: int = 8
    attempts_piece_max: int = 2
    attempts_single_max: int = 8
    base_s: float = 0.1
    slow_base_s: float = 1.0
    delay_s_max: float = 20.0
    slow_s_max: float = 3600.0  # how long one batch is slowed down before the run ends as out of reach


class Step(Enum):
    """What to do with a piece whose call failed."""

    AGAIN = "again"
    HALVE = "halve"
    GIVE_UP = "give up"
    STOP = "stop"  # the whole run
    PAUSE = "pause"  # the whole run, resumable: the service was out of reach for too long


@dataclass(slots=True)
class Tried:
    """What one piece has been through; `renewed` once any call of its batch was refused for a stale UserSig."""

    size: int
    whole: bool
    renewed: bool = False
    attempts: int = 0
    stale: int = 0  # answers in a row that refused the UserSig
    slowed: int = 0
    slowed_s: float = 0.0


def calls_max(accounts: int, policy: Policy) -> int:
    """Bound the calls that one batch can cost (see the module's docstring)."""
    if accounts == 1:
        return max(policy.attempts_whole_max, policy.attempts_single_max)
    pieces = policy.attempts_piece_max * (accounts - 2)
    return policy.attempts_whole_max + pieces + policy.attempts_single_max * accounts


def next_step(error: AttemptError, tried: Tried, policy: Policy) -> Step:
    """Decide what follows a failed attempt, which `tried` already counts."""
    smaller = Step.HALVE if tried.size > 1 else Step.GIVE_UP
    attempts_max = _allowed(tried, policy)
    match error.verdict:
        case Verdict.FATAL:
            return Step.STOP
        case Verdict.SLOW_DOWN:
            return Step.AGAIN if tried.slowed_s < policy.slow_s_max else Step.PAUSE
        case Verdict.ACCOUNT:
            return smaller
        case Verdict.SPLIT if tried.size > 1:
            return Step.HALVE
        case Verdict.RESIGN:
            if tried.stale >= error.attempts_max:
                return Step.STOP
        case _:
            attempts_max = min(attempts_max, error.attempts_max)
    return Step.AGAIN if tried.attempts < attempts_max else smaller


def _allowed(tried: Tried, policy: Policy) -> int:
    if tried.size == 1:
        return policy.attempts_single_max
    return policy.attempts_whole_max if tried.whole else policy.attempts_piece_max


def delay_s(error: AttemptError, tried: Tried, policy: Policy, jitter: Callable[[], float]) -> float:
    """Draw the wait before the next attempt, in seconds; `jitter` gives a number in 0..1."""
    base, failures = {
        Verdict.SLOW_DOWN: (policy.slow_base_s, tried.slowed),
        Verdict.RESIGN: (policy.base_s, tried.stale - 1),  # the first is followed by a new UserSig at once
    }.get(error.verdict, (policy.base_s, tried.attempts))
    return jitter() * min(policy.delay_s_max, base * 2.0 ** min(failures - 1, 30)) if failures else 0.0
