"""Whether the numbers of a manifest add up, with each other and with what stands in the files. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

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
    name = f"{NAME}: shards[{shard.number}]"
    rejects = shard.files[REJECTS].rows
    settled = shard.files[DATA].rows + rejects
    if shard.rejects not in (None, rejects):
        yield f"{name}.rejects is {shard.rejects:,}, and its file of rejects has {rejects:,} rows."
    if shard.duplicates is None or shard.blank is None:
        if shard.input < settled:
            yield f"{name} is {shard.input:,} rows of the input, and has {settled:,} rows and rejects."
    elif shard.input != (settled := settled + shard.duplicates + shard.blank):
        yield f"{name} is {shard.input:,} rows of the input, and accounts for {settled:,}."


def totals(claims: Claims, contents: Contents) -> Iterator[str]:
    """The numbers of the run are the sums of what its shards say, and of what stands in their files."""
    told, shards = claims.told, claims.shards
    sums: dict[str, object] = {
        "rows": sum(shard.files[DATA].rows for shard in shards),
        "rejects": sum(shard.files[REJECTS].rows for shard in shards),
        "missing": told["rejects_by_reason"].get("missing", 0),
        **dict(_told_by_shard(shards)),
        **dict(_counted(shards, contents)),
    }
    for name, found in sums.items():
        if told[name] != found:
            yield f"{NAME}: {name} is {_short(told[name])}, and it should be {_short(found)}."


def _short(value: object) -> str:
    return f"{value!s:.200}"


def _told_by_shard(shards: Sequence[ShardClaim]) -> Iterator[tuple[str, int]]:
    for name in ("duplicates", "blank"):
        numbers = [getattr(shard, name) for shard in shards]
        if None not in numbers:
            yield name, sum(numbers)


def _counted(shards: Sequence[ShardClaim], contents: Contents) -> Iterator[tuple[str, dict[str | None, int]]]:
    for name, folder in (("rejects_by_reason", REJECTS), ("bad_values", BAD)):
        names = [shard.files[folder].file for shard in shards]
        if all(file in contents for file in names):
            counts = sum((contents[file].counts for file in names), Counter[str | None]())
            yield name, dict(sorted(counts.items(), key=str))


def outer_spaces(claims: Claims, contents: Contents) -> Iterator[str]:
    """Ids with spaces around them were counted when they were asked for, each once a shard.

    So of those that stand in the files none is left out, unless duplicates are kept: then each shows as often as the input
    has it. And those that stand in no file are later duplicates.
    """
    told = claims.told["ids_with_outer_spaces"]
    names = [shard.files[folder].file for shard in claims.shards for folder in (DATA, REJECTS)]
    if not all(name in contents for name in names):
        return
    found = sum(contents[name].spaced for name in names)
    kept = claims.told["settings"]["duplicates"] == "keep"
    least, most = (min(found, 1), found) if kept else (found, found + claims.told["duplicates"])
    if not least <= told <= most:
        between = f"{found:,}" if least == most else f"from {least:,} to {most:,}"
        yield f"{NAME}: ids_with_outer_spaces is {told:,}, and it should be {between}."
