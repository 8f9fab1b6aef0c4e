"""Every way a run can fail: one class for each decision that the caller makes.

ExporterError
├── SettingsError          the command cannot mean anything: mend the flags            exit 2
├── InputError             an input file is refused: names file, place and reason      exit 2
├── OutputError            what lies in the output folder is not this export           exit 2
├── MachineError           this machine failed: disk, permission, lock                 exit 5
├── ServiceRefusal         the service will not serve this run: code, meaning, remedy  exit 4
├── ServiceUnreachable     the service was out of reach for too long                   exit 75
├── TooManyRejects         complete, but more accounts failed than allowed             exit 3
└── AttemptError           one call failed; its Verdict says what the policy does next

An error's message is a sentence for the person who runs the command: it names the file, account or code and says what
to do. It never holds a URL, a key or a UserSig.
"""

from enum import Enum
from typing import Any


class Verdict(Enum):
    """What a failed call means for us. The adapter decides it, `retry.py` obeys it."""

    RETRY = "retry"  # the same call may succeed in a moment
    SLOW_DOWN = "slow_down"  # over the frequency: everybody waits, nobody pays an attempt
    RESIGN = "resign"  # the UserSig was stale and has been renewed
    SPLIT = "split"  # too much in one call: halve it
    ACCOUNT = "account"  # one of the accounts is at fault: bisect at once
    FATAL = "fatal"  # no call of this run can succeed until somebody mends something


class ExporterError(Exception):
    """The export failed."""


class SettingsError(ExporterError):
    """The settings cannot be used as they stand."""


class InputError(ExporterError):
    """An input file is refused."""


class OutputError(ExporterError):
    """The output folder holds something else."""


class MachineError(ExporterError):
    """This machine could not do its part."""


class ServiceRefusal(ExporterError):  # noqa: N818 - said as people say it
    """The service will not serve this run."""

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class ServiceUnreachable(ExporterError):  # noqa: N818 - said as people say it
    """The service was out of reach for too long."""


class TooManyRejects(ExporterError):  # noqa: N818 - said as people say it
    """Complete, but more accounts failed than are allowed: `export`, or a stream's `totals`, tells of all of them."""

    def __init__(self, message: str, *, export: Any = None, totals: Any = None) -> None:
        super().__init__(message)
        self.export = export
        self.totals = totals


class AttemptError(ExporterError):
    """One call failed.

    `code` is the service's `ErrorCode`, None when there was no readable answer; `attempts_max` is how many attempts a
    whole batch may spend on this kind of failure; `known` is False for a code that is in no table.
    """

    def __init__(
        self,
        message: str,
        *,
        verdict: Verdict,
        code: int | None = None,
        attempts_max: int = 8,
        known: bool = True,
    ) -> None:
        super().__init__(message)
        self.verdict = verdict
        self.code = code
        self.attempts_max = attempts_max
        self.known = known
