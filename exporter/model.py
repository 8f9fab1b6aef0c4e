"""The vocabulary: what the parts say to each other. Plain data, nothing imported but the standard library."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum

Attrs = Mapping[str, str | None]
"""One account's attributes: name -> value as text (whatever is not a string is its JSON text), None for JSON null."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows(Mapping[str, Attrs]):
    """The attributes of many accounts in the least room: for each a tuple of texts that stand for `names`, in order.

    None stands for an attribute that the account does not have; a JSON null has no place here.
    """

    names: Sequence[str]
    texts: Mapping[str, tuple[str | None, ...]]

    def __getitem__(self, account: str) -> Attrs:
        return {name: text for name, text in zip(self.names, self.texts[account], strict=True) if text is not None}

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    def __len__(self) -> int:
        return len(self.texts)

    def __contains__(self, account: object) -> bool:
        return account in self.texts


class Reason(StrEnum):
    """Why an account has no row."""

    MISSING = "missing"  # not in the answer
    UNKNOWN_ACCOUNT = "unknown_account"  # the service says that it does not know it
    INVALID_ID = "invalid_id"  # empty, over 32 bytes, or with control characters
    BAD_ROW = "bad_row"  # the line has no such field, or too many
    REFUSED = "refused"  # alone, and still answered with an error code
    EXHAUSTED = "exhausted"  # alone, and still no usable answer


ANSWERS = frozenset({Reason.MISSING, Reason.UNKNOWN_ACCOUNT})
"""Reasons that are answers of the service, not failures: they alone leave exit code 0."""

NEVER_ASKED = frozenset({Reason.INVALID_ID, Reason.BAD_ROW})
"""Reasons of rows that give no account to ask for."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why one account has no row, in the service's words where it said any."""

    reason: Reason
    code: int | None = None
    message: str | None = None


@dataclass(slots=True)
class Reply:
    """What became of each asked account: every one is in exactly one of the three.

    `again` holds accounts for which the answer itself carried a passing error: they are worth asking again.
    """

    found: Mapping[str, Attrs] = field(default_factory=dict)
    rejected: dict[str, Rejection] = field(default_factory=dict)
    again: dict[str, Rejection] = field(default_factory=dict)


ON_SENT: ContextVar[Callable[[], None]] = ContextVar("on_sent")
"""Called by the client when the request of the running attempt leaves: before that the service cannot count it."""

ON_TURN: ContextVar[Callable[[], None]] = ContextVar("on_turn")
"""Called behind the limiter when the running attempt has its token: its batch stands in line no more."""

Fetch = Callable[[Sequence[str]], Awaitable[Reply]]
"""Ask for some accounts (at most 100, all different). Raises AttemptError, and above the retries only final errors."""


@dataclass(frozen=True, slots=True)
class BadId:
    """A row of the input that gives no account to ask for: its text as far as it goes, and why."""

    text: str | None
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the input from which reading can go on, without understanding what lies before it.

    `file` counts the input's files from 0, `row` the rows before the place in that file; `skip` rows that follow are to
    be read and dropped. `at` is how the file's reader finds the place: nobody else looks into it.
    """

    file: int
    row: int
    at: Sequence[int]
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive rows of one input file, in order.

    `ids` has one item a row: the id's text exactly as it stands, None for a blank line, or BadId for a row or cell
    that cannot be read as an id. `first_row` counts the rows of `source` from 1 (a header is no row, blank lines are).
    `share` is how much of the whole input has been read after this chunk, 0..1, or None when that is unknown; `mark` is
    where it begins.
    """

    source: str
    first_row: int
    ids: Sequence[str | BadId | None]
    share: float | None = None
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """One request: at most 100 different accounts of one shard, and the input row (from 1) where each first stands."""

    shard: int
    seq: int
    accounts: Sequence[str]
    rows: Sequence[int]
