"""The answers to one shard as they come in, kept as columns; once all are in, joined in input order."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from exporter.batching import Shard
from exporter.errors import SettingsError
from exporter.flatten import Array, Attributes, Sighting, Texts, arrow_schema, texts
from exporter.model import Batch, Rejection, Reply
from exporter.output.spill import Spill

REJECT_SCHEMA = arrow_schema(
    {
        "account_id": pa.string(),
        "reason": pa.string(),
        "code": pa.int64(),
        "message": pa.string(),
        "source": pa.string(),
        "row_number": pa.int64(),
    }
)


@dataclass(frozen=True, slots=True)
class Part:
    """What was found of one batch: accounts, their attributes, and input rows."""

    texts: Texts
    rows: Sequence[int]


@dataclass(slots=True)
class Answers:
    """What is known of one shard so far: what was found, by batch."""

    found: dict[int, Part] = field(default_factory=dict)
    sighting: Sighting = field(default_factory=Sighting)
    rejected: list[tuple[int, str, Rejection]] = field(default_factory=list)
    spill: Spill | None = None

    def add(self, batch: Batch, reply: Reply, attributes: Attributes) -> None:
        """Take a batch's answers. Raises ServiceRefusal for too many attribute names."""
        accounts, rows = batch.accounts, batch.rows
        if len(reply.found) < len(accounts):
            places = list(zip(rows, accounts, strict=True))
            self.rejected += [(row, name, reply.rejected[name]) for row, name in places if name in reply.rejected]
            found = [(row, name) for row, name in places if name in reply.found]
            accounts, rows = [name for _, name in found], [row for row, _ in found]
        if accounts:
            made, having = texts(reply.found, accounts)
            self.sighting.add(attributes.see(having))
            self.found[batch.seq] = Part(made, array("q", rows))

    def put_aside(self, folder: Path) -> Spill:
        """Leave what is known so far to a spill; what comes later is kept beside it."""
        self.spill = Spill(folder, [*self.found.items(), (None, self.rejected)])
        self.found, self.rejected = {}, []
        return self.spill

    def take_back(self) -> None:
        """Take in again what was put aside. Raises MachineError."""
        things: Iterable[Any] = self.spill.take() if self.spill else ()
        for seq, thing in things:
            if seq is None:
                self.rejected += thing
            else:
                self.found[seq] = thing
        self.spill = None


def in_input_order(shard: Shard, answers: Answers) -> tuple[pa.StringArray, dict[str, Array]]:
    """Join a shard's batches in order, and repeat what stands again in the input. Takes the answers apart."""
    parts = [answers.found.pop(seq) for seq in sorted(answers.found)]
    accounts = _joined([part.texts.accounts for part in parts], shard)
    rows = [row for part in parts for row in part.rows] if shard.repeats else []
    names = sorted(answers.sighting.seen)
    columns = {name: _joined([part.texts.column(name) for part in parts], shard) for name in names}
    if shard.repeats:
        order = _with_repeats(shard, accounts, rows, answers)
        accounts = accounts.take(order)
        columns = {name: column.take(order) for name, column in columns.items()}
    return accounts, columns


def _joined(arrays: Sequence[Array], shard: Shard) -> Array:
    """Join arrays of texts into one. Raises SettingsError where that cannot hold them.

    By way of a table, which lets other threads go on: joining arrays themselves stopped the event loop for 20 ms.
    """
    whole = pa.table([pa.chunked_array(arrays, pa.string())], names=["whole"]).combine_chunks().column(0)
    if whole.num_chunks > 1:
        raise SettingsError(
            f"shard {shard.number} has more than 2 GiB of text in one column."
            " Run again with --restart and a smaller --shard-rows."
        )
    return whole.chunk(0) if whole.num_chunks else pa.array([], pa.string())


def _with_repeats(shard: Shard, accounts: pa.StringArray, rows: Sequence[int], answers: Answers) -> pa.Int64Array:
    """Give the order of found accounts in which each repeated row shows its account again; add repeated rejects."""
    found = {name: place for place, name in enumerate(accounts.to_pylist())}
    rejected = {name: rejection for _, name, rejection in answers.rejected}
    placed = list(zip(rows, range(len(rows)), strict=True))
    placed += [(row, found[name]) for row, name in shard.repeats if name in found]
    answers.rejected += [(row, name, rejected[name]) for row, name in shard.repeats if name in rejected]
    return pa.array([place for _, place in sorted(placed)], pa.int64())


def rejects(shard: Shard, rejected: Sequence[tuple[int, str | None, Rejection]]) -> pa.Table:
    """Lay out all accounts without a row in input order."""
    bad = [(row, bad.text, Rejection(bad.reason, None, bad.message)) for row, bad in shard.bad]
    rows = []
    for row, account, why in sorted([*rejected, *bad], key=lambda item: item[0]):
        source, source_row = shard.place(row)
        rows.append((account, str(why.reason), why.code, why.message, source, source_row))
    columns = list(zip(*rows, strict=True)) or [()] * len(REJECT_SCHEMA)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, REJECT_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=REJECT_SCHEMA)
