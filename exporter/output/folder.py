"""The output folder: who may write here, and what the same command finds when it is run again."""

import contextlib
import os
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from exporter.errors import MachineError, OutputError
from exporter.output import files, manifest, ownership, publish
from exporter.output.facts import DATA, FOLDERS, ShardFacts, file_name
from exporter.output.failpoints import reach
from exporter.output.journal import Journal, Record, encode, read
from exporter.output.left import Left, damaged_of, remove_all_but, survey
from exporter.output.lock import Lock, only_writer
from exporter.output.manifest import Manifest
from exporter.output.spool import Spool

LOCK = ".lock"
RUN = ".run"


def now() -> str:
    """Return this moment as it is written down: ISO 8601, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Folder:
    """An output folder that this process alone writes to."""

    def __init__(self, out: Path, lock: Lock | None = None) -> None:
        self.out = out
        self.run = out / RUN
        self._lock = lock
        self._journal: Journal | None = None
        self._spool: Spool | None = None
        self._forgot = False

    def records(self) -> list[Record]:
        """Return the journal of a run that was not finished; empty when there is none. Raises OutputError."""
        return read(self.run / publish.JOURNAL)[0]

    def finish_publishing(self) -> bool:
        """Finish a publishing that was cut off; tell whether there was one. Raises OutputError, MachineError."""
        cut_off = self.is_publishing()
        if cut_off:
            publish.roll_forward(self.out, self.run)
        elif not self.records() and self.run.exists():
            self._remove_leftover()
        return cut_off

    def _remove_leftover(self) -> None:
        """Remove what a run left that was killed before its first record, or after its last."""
        with files.on_disk(self.run):
            foreign = next((path for path in self.run.iterdir() if path.name not in publish.RUN_NAMES), None)
        if foreign:
            raise OutputError(f"{foreign} is not of an export. Choose another --out, or move it away.")
        files.remove(self.run)

    def is_publishing(self) -> bool:
        """Tell whether the publishing of a run was cut off. Raises OutputError, MachineError."""
        return any(record["op"] == publish.PUBLISHING for record in self.records())

    def is_complete(self) -> bool:
        """Tell whether a complete export lies here. Raises MachineError."""
        with files.on_disk(self.out):
            return (self.out / publish.SUCCESS).exists()

    def completed(self) -> Manifest | None:
        """Return the manifest of a complete export, or None. Raises OutputError, MachineError."""
        return manifest.read(self.out) if self.is_complete() else None

    def unfinished(self) -> object | None:
        """Return what the fingerprint of an unfinished run was made of, or None when there is none."""
        return next((record.get("fingerprint_of") for record in self.records() if record["op"] == "begin"), None)

    def retrying(self) -> list[str] | None:
        """Return the reasons of an unfinished retry, or None when there is none."""
        begin = next((record for record in self.records() if record["op"] == "begin"), {})
        reasons = begin.get("retry")
        return list(map(str, reasons)) if isinstance(reasons, list) else None

    def forget(self) -> None:
        """Remove what an unfinished run left. Raises MachineError."""
        self._forgot = self._forgot or (self.run / publish.JOURNAL).exists()
        # The journal goes first: it must never name what is gone.
        files.remove(self.run / publish.JOURNAL)
        files.remove(self.run)

    def refuse_foreign(self, *, overwrite: bool) -> None:
        """Raise OutputError when what a run would replace is no complete export, and was not given up either.

        What was never an export of ours is not ours to remove, whatever the flags say.
        """
        there = next((name for name in publish.PUBLISHED if (self.out / name).exists()), None)
        if there is None:
            return
        if not manifest.is_ours(self.out):
            raise OutputError(f"{self.out / there} is not of an export. Choose another --out, or move it away.")
        if not overwrite and not (self.out / publish.SUCCESS).exists():
            raise OutputError(
                f"{self.out / there} is of an export without {publish.SUCCESS}. Choose another --out, or give --overwrite."
            )
        self.refuse_foreign_report()

    def refuse_foreign_report(self) -> None:
        """Raise OutputError when a report of somebody else stands where ours would."""
        path = self.out / publish.REPORT
        if path.exists() and not (path.is_file() and publish.is_report(path)):
            raise OutputError(f"{path} is not of an export. Move it away, or choose another place for the report.")

    def begin(self, fingerprint: Mapping[str, object]) -> Left:
        """Start a run from nothing: whatever an unfinished one left is removed. Raises MachineError."""
        self.forget()
        for name in FOLDERS:
            files.make_folder(self.run / name)
        begin = {"op": "begin", "at": now(), "run_id": secrets.token_hex(4), "fingerprint_of": fingerprint}
        return self._begun([begin], [])

    def begin_again(
        self,
        fingerprint: Mapping[str, object],
        shards: Sequence[ShardFacts],
        again: Collection[int],
        reasons: Sequence[str],
    ) -> Left:
        """Start a retry of the `shards` numbered `again`: the others are those of the complete export, by a second name.

        Raises MachineError, also when one of them is not what it was.
        """
        if damaged := damaged_of(self.out, shards):
            raise MachineError(
                f"{self.out / DATA / file_name(damaged[0])}, or what belongs to it, is not what was written."
                " Restore it, or export again with --overwrite."
            )
        self.forget()
        for name in FOLDERS:
            files.make_folder(self.run / name)
        kept = [facts for facts in shards if facts.number not in again]
        names = [(folder, file_name(facts.number)) for folder in FOLDERS for facts in kept]
        files.share_all((self.out / folder / name, self.run / folder / name) for folder, name in names)
        begin = {
            "op": "begin",
            "at": now(),
            "run_id": secrets.token_hex(4),
            "fingerprint_of": fingerprint,
            "retry": reasons,
        }
        records = [begin, *({"op": "shard", **asdict(facts)} for facts in kept)]
        return self._begun(records, kept)

    def _begun(self, records: Sequence[Record], kept: Sequence[ShardFacts]) -> Left:
        self._journal = Journal(self.run / publish.JOURNAL, records)
        reach("run-begun")
        return Left(records=records, shards=kept, killed=self._forgot)

    def resume(self) -> Left:
        """Go on with an unfinished run: with the shards that hold, and nothing else. Raises OutputError, MachineError."""
        left = survey(self.run, self.records())
        self._journal = Journal(self.run / publish.JOURNAL, left.records)
        self._journal.append("resume", at=now())
        reach("run-resumed")
        remove_all_but(self.run, left)
        return left

    @property
    def begun_at(self) -> str:
        """When the run began, whatever happened since: ISO 8601, UTC."""
        return str(self._begin.get("at"))

    @property
    def run_id(self) -> str:
        """What names the run in logs, whatever happened since; empty for one that an older version began."""
        return str(self._begin.get("run_id", ""))

    @property
    def _begin(self) -> Record:
        if self._journal is None:
            raise RuntimeError("begin or resume comes first")
        return self._journal.records[0]

    def record(self, op: str, **facts: object) -> None:
        """Add a record to the journal, durably. Raises MachineError."""
        if self._lock:
            self._lock.check()
        if self._journal is None:
            raise RuntimeError("begin or resume comes first")
        self._journal.append(op, **facts)

    def record_shard(self, facts: ShardFacts, progress: Mapping[str, Any] | None = None) -> None:
        """Record a shard whose files are durable, and how far the run has come with it. Raises MachineError."""
        self.record("shard", **asdict(facts))
        if progress is not None:
            files.write_bytes(self.run / publish.PROGRESS, encode({"seq": 0, **progress}))

    def spool(self, *, keep_bytes: int = 0) -> Spool:
        """Open the spool of standard input. Raises MachineError."""
        self._spool = Spool(self.run / publish.SPOOL, keep_bytes=keep_bytes)
        return self._spool

    @property
    def stage(self) -> Path:
        """Where an export lies that is about to be published."""
        return self.run / publish.STAGE

    def publish(self, final: Manifest, report: bytes) -> None:
        """Make the export and its report visible: from here on the run can only go forward. Raises MachineError."""
        files.write_bytes(self.stage / manifest.NAME, final.to_json())
        files.write_bytes(self.stage / publish.REPORT, report)
        reach("assembled")
        self.record(publish.PUBLISHING)
        self.close()
        publish.roll_forward(self.out, self.run)

    def close(self) -> None:
        """Close the journal and the spool."""
        opened, self._journal, self._spool = (self._journal, self._spool), None, None
        for file in opened:
            if file:
                file.close()


@contextlib.contextmanager
def held(out: Path) -> Iterator[Folder]:
    """Open an output folder for writing, making it where needed, and hold it until the end.

    Raises OutputError for a folder that others may write to, and MachineError when it cannot be made or written, or
    when another run holds it.
    """
    try:
        str(out).encode()
    except UnicodeEncodeError:  # pyarrow opens no such path: better told before an hour of asking than after
        shown = os.fsencode(out).decode("utf-8", "replace")
        raise OutputError(f"{shown}: its name cannot be read as UTF-8 here. Choose another --out.") from None
    files.make_folder(out)
    ownership.refuse_hostile(out, out / LOCK, user=os.geteuid())
    with only_writer(out / LOCK) as lock:
        ownership.refuse_planted(out, out / RUN, user=os.geteuid())
        folder = Folder(out, lock)
        try:
            yield folder
        finally:
            folder.close()
