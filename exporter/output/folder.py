"""The output folder: who may write here, and what the same command finds when it is run again."""

import contextlib
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from exporter.errors import OutputError
from exporter.output import files, manifest, publish
from exporter.output.journal import Journal, Record, read
from exporter.output.manifest import Manifest
from exporter.output.shards import FOLDERS, ShardFacts

LOCK = ".lock"
RUN = ".run"


class Folder:
    """An output folder that this process alone writes to."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.run = out / RUN
        self._journal: Journal | None = None

    def records(self) -> list[Record]:
        """Return the journal of a run that was not finished; empty when there is none. Raises OutputError."""
        return read(self.run / publish.JOURNAL)[0]

    def finish_publishing(self) -> bool:
        """Finish a publishing that was cut off; tell whether there was one. Raises OutputError, MachineError."""
        records = self.records()
        cut_off = any(record["op"] == "publishing" for record in records)
        if cut_off:
            publish.roll_forward(self.out, self.run)
        elif not records and self.run.exists():
            self._remove_leftover()
        return cut_off

    def _remove_leftover(self) -> None:
        """Remove what a run left that was killed before its first record, or after its last."""
        with files.on_disk(self.run):
            foreign = next((path for path in self.run.iterdir() if path.name not in publish.RUN_NAMES), None)
        if foreign:
            raise OutputError(f"{foreign} is not of an export. Choose another --out, or move it away.")
        files.remove(self.run)

    def is_complete(self) -> bool:
        """Tell whether a complete export lies here, and no unfinished run. Raises OutputError, MachineError."""
        with files.on_disk(self.out):
            return (self.out / publish.SUCCESS).exists() and not self.records()

    def completed(self) -> Manifest | None:
        """Return the manifest of a complete export, or None. Raises OutputError, MachineError."""
        with files.on_disk(self.out):
            complete = (self.out / publish.SUCCESS).exists()
        return manifest.read(self.out) if complete else None

    def unfinished(self) -> object | None:
        """Return what the fingerprint of an unfinished run was made of, or None when there is none."""
        return next((record.get("fingerprint_of") for record in self.records() if record["op"] == "begin"), None)

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

    def begin(self, fingerprint: Mapping[str, object]) -> None:
        """Start a run from nothing: whatever an unfinished one left is removed. Raises MachineError."""
        # The journal goes first: it must never name what is gone.
        files.remove(self.run / publish.JOURNAL)
        files.remove(self.run)
        for name in FOLDERS:
            files.make_folder(self.run / name)
        self._journal = Journal(self.run / publish.JOURNAL)
        self._journal.append("begin", fingerprint_of=fingerprint)

    def record_shard(self, facts: ShardFacts) -> None:
        """Record a shard whose files are durable. Raises MachineError."""
        self._open_journal().append("shard", **asdict(facts))

    def publish(self, final: Manifest) -> None:
        """Make the export visible: from here on the run can only go forward. Raises MachineError."""
        files.write_bytes(self.run / publish.STAGE / manifest.NAME, final.to_json())
        self._open_journal().append("publishing")
        self.close()
        publish.roll_forward(self.out, self.run)

    def close(self) -> None:
        """Close the journal."""
        if self._journal:
            self._journal.close()
            self._journal = None

    def _open_journal(self) -> Journal:
        if self._journal is None:
            raise RuntimeError("begin comes first")
        return self._journal


@contextlib.contextmanager
def held(out: Path) -> Iterator[Folder]:
    """Open an output folder for writing, making it where needed, and hold it until the end.

    Raises OutputError for a folder that others may write to, and MachineError when it cannot be made or written, or
    when another run holds it.
    """
    files.make_folder(out)
    _refuse_open_to_others(out)
    with files.only_writer(out / LOCK):
        folder = Folder(out)
        try:
            yield folder
        finally:
            folder.close()


def _refuse_open_to_others(out: Path) -> None:
    with files.on_disk(out):
        mode = out.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise OutputError(f"{out} is writable by everyone. Take that right away (chmod o-w) or choose another --out.")
