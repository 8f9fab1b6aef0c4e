"""What a plan says: plain data, the keys of `exporter plan --json` in their order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BadExample:
    """A row that gives no account: keys and figures are those of its line in rejects/.

    `account_id` is its text as far as it goes, cut and made printable: in quotes, other characters as escapes.
    """

    account_id: str | None
    source: str
    row_number: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run will do: the keys of `--json`, in their order. Rows count blank lines, and no header.

    Behind them `--json` has `asked` (see Asked, or null), `not_given`, what a request would need, and the `error` of one.

    files                     of the input
    input                     rows: accounts_asked, duplicates_within_shards, bad_ids and blank together
    blank                     rows without anything
    bad_ids                   rows that give no account, by reason: invalid_id, bad_row
    bad_examples              up to 5 of each reason
    ids_with_outer_spaces     accounts asked for with these; `--strip` removes them
    duplicates_within_shards  rows whose account stands earlier in the same shard: not asked again
    duplicates_across_shards  accounts of a shard that stand in an earlier one: asked again, dropped when publishing
    duplicates                rows that the run drops: both of these, and 0 with `--duplicates keep`
    accounts                  different accounts
    accounts_asked            accounts in all requests: an account is asked for once in each shard where it stands
    shards                    files in each folder of the export
    requests                  when none has to be repeated, the one for the names of `--attributes auto` included
    rate                      requests in any rolling second
    seconds                   from the first request to the last at this rate: what a run cannot be much faster than
    finish_at                 when that is over if the run begins now: ISO 8601, UTC; null beyond the calendar
    seconds_at_80             the same at 80 requests a second, or null where the rate is no higher; the vendor alarms above
    bytes                     an estimate of the disk that the run needs until it has published, on the careful side
    bytes_free                of the file system of `folder`
    folder                    --out, or else the current folder
    warnings                  sentences
    """

    files: int
    input: int
    blank: int
    bad_ids: Mapping[str, int]
    bad_examples: Mapping[str, Sequence[BadExample]]
    ids_with_outer_spaces: int
    duplicates_within_shards: int
    duplicates_across_shards: int
    duplicates: int
    accounts: int
    accounts_asked: int
    shards: int
    requests: int
    rate: float
    seconds: float
    finish_at: str | None
    seconds_at_80: float | None
    bytes: int
    bytes_free: int
    folder: str
    warnings: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one request told: the key `asked` of `--json`.

    `accounts` were asked for, the first of the input; the service knows `known` of them. Its answer took `seconds` from
    when the request had left. `attributes` different names were seen, and `bytes` of names and values, a rough measure of
    an answer. `in_flight` requests under way at once are needed to keep the rate at such answers, at least.
    """

    accounts: int
    known: int
    seconds: float
    attributes: int
    bytes: int
    in_flight: int
    warnings: Sequence[str]
