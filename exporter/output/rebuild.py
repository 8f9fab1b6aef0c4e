"""Rebuilding: shards of a complete export made again, from what it holds and new answers to some of its rejects.

The rebuilt shard goes the way of every other: batches in input order into the one writer. What the export knows already is
not asked for; an account that stands in neither its rows nor its rejects was a duplicate of an earlier shard, and stays one.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from exporter.batching import Shard
from exporter.errors import InputError
from exporter.flatten import Array
from exporter.model import NEVER_ASKED, Batch, Reason, Rejection, Reply
from exporter.output.assemble import read
from exporter.output.facts import BAD, DATA, REJECTS, ShardFacts, file_name
from exporter.output.shards import ShardWriter
from exporter.schema import ACCOUNT, Column


@dataclass(frozen=True, slots=True)
class Known:
    """What an export says of the accounts of one shard. `texts` has one text column an attribute, `places` its rows."""

    texts: pa.Table
    places: Mapping[str, int]
    unparsed: Mapping[str, Mapping[str, str]]
    rejected: Mapping[str, Rejection]

    def reply(self, accounts: Collection[str]) -> Reply:
        """Give the answers that the export holds for these accounts."""
        found = [account for account in accounts if account in self.places]
        rows = self.texts.take(pa.array([self.places[account] for account in found], pa.int64())).to_pylist()
        attrs = [{name: text for name, text in row.items() if text is not None} for row in rows]
        return Reply(
            found={name: {**own, **self.unparsed.get(name, {})} for name, own in zip(found, attrs, strict=True)},
            rejected={name: self.rejected[name] for name in accounts if name in self.rejected},
        )

    def only(self, accounts: Collection[str]) -> "Known":
        """Keep what concerns these accounts alone."""
        places = {account: self.places[account] for account in accounts if account in self.places}
        return Known(
            texts=self.texts.take(pa.array(list(places.values()), pa.int64())),
            places={account: place for place, account in enumerate(places)},
            unparsed={account: self.unparsed[account] for account in accounts if account in self.unparsed},
            rejected={account: self.rejected[account] for account in accounts if account in self.rejected},
        )


def known(out: Path, number: int, columns: Sequence[Column]) -> Known:
    """Read one shard of an export. Raises MachineError."""
    data, rejects, bad = (read(out / folder / file_name(number)) for folder in (DATA, REJECTS, BAD))
    unparsed: dict[str, dict[str, str]] = {}
    for row in bad.to_pylist():
        unparsed.setdefault(row[ACCOUNT], {})[row["attribute"]] = row["value"]
    return Known(
        texts=pa.table({column.attribute: text_of(data.column(column.name)) for column in columns}),
        places={account: place for place, account in reversed(list(enumerate(data.column(ACCOUNT).to_pylist())))},
        unparsed=unparsed,
        rejected={
            row[ACCOUNT]: Rejection(Reason(row["reason"]), row["code"], row["message"])
            for row in rejects.to_pylist()
            if row["reason"] not in NEVER_ASKED
        },
    )


def some_accounts(place: Path, shards: Sequence[ShardFacts], most: int = 100) -> list[str]:
    """Give some accounts that have a row in one of these shards, which lie in `place`. Raises MachineError."""
    facts = next((facts for facts in shards if facts.files[DATA].rows), None)
    if facts is None:
        return []
    accounts: Array = read(place / DATA / file_name(facts.number), [ACCOUNT]).column(ACCOUNT)
    return list(dict.fromkeys(accounts.slice(0, most).to_pylist()))


def text_of(column: Array) -> Array:
    """Write typed values so that they parse to themselves again."""
    return pc.cast(column, pa.string())


class Rebuilder:
    """The sink of a retry: takes the new answers to a batch, adds the old ones, and hands both to the writer.

    `facts` are those of the shards as they are, by number.
    """

    def __init__(
        self,
        out: Path,
        facts: Mapping[int, ShardFacts],
        columns: Sequence[Column],
        reasons: Collection[Reason],
        writer: ShardWriter,
    ) -> None:
        self._out, self._facts, self._columns, self._reasons, self._writer = out, facts, columns, reasons, writer
        self._known: dict[int, Known] = {}
        self._whole: dict[tuple[int, int], Batch] = {}

    def narrowed(self, batch: Batch) -> Batch:
        """Leave of a batch the accounts that are worth asking again; remember the whole of it."""
        if batch.shard not in self._known:
            self._known[batch.shard] = known(self._out, batch.shard, self._columns)
        self._whole[batch.shard, batch.seq] = batch
        rejected = self._known[batch.shard].rejected
        again = [name in rejected and rejected[name].reason in self._reasons for name in batch.accounts]
        return replace(
            batch,
            accounts=[name for name, wanted in zip(batch.accounts, again, strict=True) if wanted],
            rows=[row for row, wanted in zip(batch.rows, again, strict=True) if wanted],
        )

    def add(self, batch: Batch, reply: Reply) -> None:
        """Take the new answers to a narrowed batch."""
        whole = self._whole.pop((batch.shard, batch.seq))
        asked = set(batch.accounts)
        old = self._known[batch.shard].reply([name for name in whole.accounts if name not in asked])
        self._writer.add(whole, Reply(found={**old.found, **reply.found}, rejected={**old.rejected, **reply.rejected}))

    async def put_aside(self, number: int) -> None:
        """Keep of a shard, all of whose batches are begun, what the open ones need; the answers so far go to the disk."""
        open_batches = [whole for (shard, _), whole in list(self._whole.items()) if shard == number]
        if number in self._known:
            self._known[number] = self._known[number].only({name for batch in open_batches for name in batch.accounts})
        await self._writer.put_aside(number)

    async def commit(self, shard: Shard) -> None:
        """Write a shard whose batches are all in. Raises InputError when its ids are not those of the export."""
        self._known.pop(shard.number, None)
        if shard.ids_hash != self._facts[shard.number].ids_hash:
            raise InputError(
                f"rows {shard.first_row:,} to {shard.last_row:,} of the input are not those that the export was made of."
                " Bring the same input back; for other input, run a new export."
            )
        await self._writer.commit(shard)

    def completed(self, facts: ShardFacts) -> ShardFacts:
        """Add to a rebuilt shard's facts what its old rows no longer tell."""
        old = self._facts[facts.number]
        return replace(
            facts,
            # Duplicates of earlier shards are in no file: the sum is checked with all others before publishing.
            duplicates=old.duplicates,
            seen=sorted({*old.seen, *facts.seen}),
            ignored=dict(sorted((Counter(old.ignored) + Counter(facts.ignored)).items())),
        )
