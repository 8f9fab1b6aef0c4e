"""The policy, pure: whether and when to try again, when to split, and when the service must first be proved alive.

The bound on calls. A whole batch has 8 attempts, a piece of it 2, a single account 8. The pieces of a batch of n form
a tree with n leaves and at most n - 2 pieces between root and leaves, so one batch costs at most

    8                        for n = 1
    8 + 2 (n - 2) + 8 n      for n > 1      (1,004 for n = 100)

calls whatever the answers, and one more when its UserSig had to be renewed. Besides, it costs at most one probe for the
whole and one for each of its accounts (`probes_max`). Not counted are calls answered "too frequent", which spend no
attempt and are bounded in time, and what an outage met or disproved: after it a piece begins anew.

The proof. An outage must never cost an account. So the last attempt of a whole batch and of a single account, when the
others failed with RETRY, is made only after the service was heard, or answered a probe. Before that attempt and not after
it: an outage may end while the last attempt still waits for its timeout. A code in no table needs no proof, for whoever
says it is there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from exporter.errors import AttemptError, Verdict


@dataclass(frozen=True, slots=True)
class Policy:
    """How often and how long. Delays are drawn with full jitter: uniform between 0 and base x 2^failures, capped.

    A whole batch and a single account have at least two attempts: the proof stands before the last.
    """

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
    PROVE = "prove"  # again, for the last time, once the service is proved alive
    HALVE = "halve"
    GIVE_UP = "give up"
    STOP = "stop"  # the whole run
    PAUSE = "pause"  # the whole run, resumable: the service was out of reach for too long


@dataclass(slots=True)
class Tried:
    """What one piece has been through; `renewed` once any call of its batch was refused for a stale UserSig."""

    piece: Sequence[str]
    whole: bool = False
    renewed: bool = False
    attempts: int = 0
    stale: int = 0  # answers in a row that refused the UserSig
    slowed: int = 0
    slowed_s: float = 0.0
    failure: AttemptError | None = None  # the last that was RETRY, and when it came
    failed_at: float = 0.0
    doubted: bool = False  # its last attempt needs a proof first
    proved: bool = False
    behind: bool = False  # it was put behind the other pieces of its batch

    @property
    def single(self) -> bool:
        """Whether it is one account."""
        return len(self.piece) == 1

    def begin_anew(self) -> None:
        """Forget the attempts: they met an outage."""
        self.attempts = 0
        self.doubted = self.proved = False


def calls_max(accounts: int, policy: Policy) -> int:
    """Bound the calls that one batch can cost, probes aside (see the module's docstring)."""
    if accounts == 1:
        return max(policy.attempts_whole_max, policy.attempts_single_max)
    pieces = policy.attempts_piece_max * (accounts - 2)
    return policy.attempts_whole_max + pieces + policy.attempts_single_max * accounts


def probes_max(accounts: int) -> int:
    """Bound the probes that one batch can cost: one for the whole, one for each account, and none twice."""
    return 1 if accounts == 1 else 1 + accounts


def next_step(error: AttemptError, tried: Tried, policy: Policy) -> Step:
    """Decide what follows a failed attempt, which `tried` already counts."""
    attempts_max = allowed = _allowed(tried, policy)
    match error.verdict:
        case Verdict.FATAL:
            return Step.STOP
        case Verdict.SLOW_DOWN:
            return Step.AGAIN if tried.slowed_s < policy.slow_s_max else Step.PAUSE
        case Verdict.RESIGN:
            if tried.stale >= error.attempts_max:
                return Step.STOP
        case Verdict.ACCOUNT:
            attempts_max = 0
        case Verdict.SPLIT if not tried.single:
            attempts_max = 0
        case _:
            attempts_max = min(allowed, error.attempts_max)
    doubtful = _doubtful(error, tried)
    if tried.attempts >= (allowed if doubtful else attempts_max):
        return Step.GIVE_UP if tried.single else Step.HALVE
    return Step.PROVE if doubtful and tried.attempts >= attempts_max - 1 else Step.AGAIN


def _doubtful(error: AttemptError, tried: Tried) -> bool:
    """Whether the piece may have met an outage: it would lose an account, or its batch, for a failure that passes."""
    return error.verdict is Verdict.RETRY and error.known and (tried.whole or tried.single) and not tried.proved


def _allowed(tried: Tried, policy: Policy) -> int:
    if tried.single:
        return policy.attempts_single_max
    return policy.attempts_whole_max if tried.whole else policy.attempts_piece_max


def delay_s(error: AttemptError, tried: Tried, policy: Policy, jitter: Callable[[], float]) -> float:
    """Draw the wait before the next attempt, in seconds; `jitter` gives a number in 0..1."""
    base, failures = {
        Verdict.SLOW_DOWN: (policy.slow_base_s, tried.slowed),
        Verdict.RESIGN: (policy.base_s, tried.stale - 1),  # the first is followed by a new UserSig at once
    }.get(error.verdict, (policy.base_s, tried.attempts))
    return jitter() * min(policy.delay_s_max, base * 2.0 ** min(failures - 1, 30)) if failures else 0.0
