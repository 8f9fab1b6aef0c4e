"""Runs of which some shards are done, made without asking for each account: one real shard under many names.

The journal says what a run would have said, so the same command goes on with it.
"""

import os
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from exporter.model import Mark
from exporter.output import journal, publish
from exporter.output.facts import FOLDERS, ShardFacts, file_name
from exporter.source import fingerprint
from rig.runs import HERE, environment, export, write_ids

SHARD_ROWS = 200_000
HEADER, LINE = len("account_id\n"), len("user_000000000\n")

Change = Callable[[Path, ShardFacts], ShardFacts]
"""Makes the files of a shard what they are to be, in a folder where they lie under its name; returns its facts."""


@dataclass(frozen=True, slots=True)
class Template:
    """An export that was stopped before it was published, and the first records of its journal by what they tell."""

    run: Path
    records: dict[str, dict[str, Any]]


def template(place: Path, address: str, *flags: str) -> Template:
    """Export two shards, and stop before publishing."""
    out = place / "template"
    command = export(address, write_ids(place / "template.csv", 2 * SHARD_ROWS), out, "--rate", "1000000", *flags)
    stopped = {**environment(), "EXPORTER_FAIL_POINT": "assembled"}
    subprocess.run(command, env=stopped, check=False, capture_output=True, cwd=HERE)
    records, _ = journal.read(out / ".run" / publish.JOURNAL)
    return Template(out / ".run", {record["op"]: record for record in reversed(records)})


def unfinished(out: Path, ids: Path, made_of: Template, done: int, change: Change = lambda _run, facts: facts) -> None:
    """Make an output folder in which the first `done` shards of an input (see `write_ids`) are done."""
    first = ShardFacts.of(made_of.records["shard"])
    begin = {**made_of.records["begin"]}
    begin["fingerprint_of"] = {**begin["fingerprint_of"], "inputs": [fingerprint(ids)]}
    kept = [begin]
    for folder in FOLDERS:
        (out / ".run" / folder).mkdir(parents=True)
    out.chmod(0o700)
    size = ids.stat().st_size
    for number in range(done):
        last = (number + 1) * SHARD_ROWS
        chars = HEADER + LINE * (last - 1)
        ends = Mark(0, last - 1, (chars, last, last - 1, 0, 1), 1)
        facts = replace(
            first, number=number, first_row=last - SHARD_ROWS + 1, last_row=last, ends=ends, share=chars / size
        )
        for folder in FOLDERS:
            os.link(made_of.run / folder / file_name(first.number), out / ".run" / folder / file_name(number))
        kept.append({"op": "shard", **asdict(change(out / ".run", facts))})
    lines = (journal.encode({**record, "seq": seq}) for seq, record in enumerate(kept))
    (out / ".run" / publish.JOURNAL).write_bytes(b"".join(lines))
