"""Whether the numbers of a manifest add up, with each other and with what stands in the files. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from exporter.verify.claims import BAD, DATA, NAME, REJECTS, Claims, ShardClaim
from exporter.verify.content import Content

Contents = Mapping[str, Content]
"""What stands in the files that could be read, by name."""


def ranges(claims: Claims) -> Iterator[str]:
    """Every row of the input is in one shard: they follow each other from row 1, and end where the input ends."""
    for before, after in pairwise([None, *claims.shards]):
        wanted = before.last_row + 1 if before else 1
        if after and after.first_row != wanted:
            yield f"{NAME}: shards[{after.number}].first_row is {after.first_row:,}, not {wanted:,}."
    last = claims.shards[-1].last_row
    if last != claims.told["input"]:
        yield f"{NAME}: input is {claims.told['input']:,}, and the last shard ends at row {last:,}."


def accounting(claims: Claims) -> Iterator[str]:
    """Every row of the input is a row, a reject, a duplicate or blank: in the run, and in each shard."""
    told = claims.told
    settled = sum(told[name] for name in ("rows", "rejects", "duplicates", "blank"))
    if settled != told["input"]:
        yield f"{NAME}: input is {told['input']:,}, and rows, rejects, duplicates and blank are {settled:,} in all."
    for shard in claims.shards:
        yield from _shard_accounting(shard)


def _shard_accounting(shard: ShardClaim) -> Iterator[str]:
    settled = shard.files[DATA].rows + shard.files[REJECTS].rows + shard.duplicates + shard.blank
    if shard.input != settled:
        yield f"{NAME}: shards[{shard.number}] is {shard.input:,} rows of the input, and accounts for {settled:,}."


def totals(claims: Claims) -> Iterator[str]:
    """The numbers of the run are the sums of those of its shards."""
    told, shards = claims.told, claims.shards
    sums: dict[str, object] = {
        "rows": sum(shard.files[DATA].rows for shard in shards),
        "rejects": sum(shard.files[REJECTS].rows for shard in shards),
        "rejects_by_reason": _added(shard.rejects_by_reason for shard in shards),
        "duplicates": sum(shard.duplicates for shard in shards),
        "blank": sum(shard.blank for shard in shards),
        "missing": told["rejects_by_reason"].get("missing", 0),
        "ids_with_outer_spaces": sum(shard.spaced for shard in shards),
        "bad_values": _added(shard.bad_values for shard in shards),
    }
    for name, wanted in sums.items():
        yield from _unless(name, told[name], wanted)
    yield from _ignored(claims)


def _ignored(claims: Claims) -> Iterator[str]:
    """Hold the ignored attributes against those of the shards: a name beyond the limit of each may go under another."""
    told = claims.told["ignored_attributes"]
    added = _added(shard.ignored for shard in claims.shards)
    if "(others)" not in told:
        yield from _unless("ignored_attributes", told, added)
    elif sum(told.values()) != sum(added.values()):
        yield f"{NAME}: ignored_attributes are {sum(told.values()):,} in all, and in the shards {sum(added.values()):,}."


def counts(claims: Claims, contents: Contents) -> Iterator[str]:
    """What a shard says of its rejects and bad values is what stands in its files."""
    for shard in claims.shards:
        rejects, bad = (contents.get(shard.files[folder].file) for folder in (REJECTS, BAD))
        if rejects:
            yield from _unless(f"shards[{shard.number}].rejects", shard.rejects, rejects.rows)
            yield from _unless(f"shards[{shard.number}].rejects_by_reason", shard.rejects_by_reason, rejects.counts)
        if bad:
            yield from _unless(f"shards[{shard.number}].bad_values", shard.bad_values, bad.counts)


def _added(counted: Iterable[Mapping[str, int]]) -> Mapping[str, int]:
    added = Counter[str]()
    for each in counted:
        added.update(each)
    return added


def _unless(name: str, told: Any, wanted: Any) -> Iterator[str]:
    if told != wanted:
        yield f"{NAME}: {name} is {_short(told)}, and it should be {_short(wanted)}."


def _short(value: object) -> str:
    text = dict(sorted(value.items(), key=str)) if isinstance(value, dict) else value
    return f"{text!s:.200}"


def outer_spaces(claims: Claims, contents: Contents) -> Iterator[str]:
    """Ids with spaces around them were counted when they were asked for, each once a shard.

    So all that stand in the files of a shard are counted, unless duplicates are kept: then each shows as often as the input
    has it. And those counted that stand in no file are among the duplicates.
    """
    kept = claims.told["settings"]["duplicates"] == "keep"
    for shard in claims.shards:
        both = [contents.get(shard.files[folder].file) for folder in (DATA, REJECTS)]
        found = sum(content.spaced for content in both if content)
        least, most = (min(found, 1), found) if kept else (found, found + shard.duplicates)
        if None not in both and not least <= shard.spaced <= most:
            between = f"{found:,}" if least == most else f"from {least:,} to {most:,}"
            yield f"{NAME}: shards[{shard.number}].spaced is {shard.spaced:,}, and it should be {between}."
