"""The output folder: what the same command finds when it is run again."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.errors import MachineError, OutputError
from exporter.model import Attrs
from exporter.output import manifest, publish
from exporter.output.assemble import assemble, read
from exporter.output.facts import DATA, ShardFacts, file_name
from exporter.output.folder import Folder, held
from exporter.output.identity import Identity
from exporter.output.manifest import Manifest
from exporter.schema import Column

Write = Callable[..., list[ShardFacts]]

REPORT = b'<!doctype html><meta name="generator" content="exporter">'
IDENTITY = Identity([{"bytes": 1}], {"column": None})
ANSWERS: dict[str, Attrs] = {"a": {"n": "1"}, "b": {"n": "2"}}


def run_to_the_shards(folder: Folder, write_shards: Write) -> list[ShardFacts]:
    """Begin, and make every shard durable."""
    folder.begin(IDENTITY.parts)
    facts = write_shards(folder.run, ["a", "b"], ANSWERS, shard_rows=1)
    for shard in facts:
        folder.record_shard(shard)
    return facts


def run_to_the_end(folder: Folder, write_shards: Write, finished_at: str = "2024-01-01") -> Manifest:
    """A whole run."""
    facts = run_to_the_shards(folder, write_shards)
    columns = [Column("n", "n")]
    made = Manifest(
        format=manifest.FORMAT,
        exporter="1.0",
        inputs=[{"name": "ids.csv", "path": "ids.csv"}],
        schema=manifest.schema_rows(columns),
        absent_attributes=[],
        settings={},
        fingerprint=IDENTITY.fingerprint,
        fingerprint_of=IDENTITY.parts,
        requests=1,
        retries=0,
        refusals=0,
        outages=0,
        paused_s=0.0,
        requests_per_s=0.0,
        started_at="2024-01-01",
        finished_at=finished_at,
        seconds=1.0,
        series=[],
        **manifest.totals(assemble(folder.run, facts, columns, drop_duplicates=True)),
    )
    folder.publish(made, REPORT)
    return made


def names(out: Path) -> set[str]:
    return {path.name for path in out.iterdir()}


EXPORT = {"data", "rejects", "bad_values", "manifest.json", "report.html", "_SUCCESS", ".lock"}


# The same command again


def test_a_new_folder_is_private_and_holds_nothing(tmp_path: Path) -> None:
    """Nothing unfinished, nothing complete, nothing to finish; only the owner gets in."""
    out = tmp_path / "deep" / "out"
    with held(out) as folder:
        assert (folder.records(), folder.unfinished(), folder.completed()) == ([], None, None)
        assert not folder.finish_publishing()
        folder.refuse_foreign(overwrite=False)
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert names(out) == {".lock"}


def test_a_complete_export_is_found_complete(tmp_path: Path, write_shards: Write) -> None:
    """Run again, its manifest is there, nothing is unfinished, and nothing of the run is left."""
    with held(tmp_path) as folder:
        made = run_to_the_end(folder, write_shards)
    with held(tmp_path) as folder:
        assert not folder.finish_publishing()
        assert folder.unfinished() is None
        assert folder.completed() == made
    assert names(tmp_path) == EXPORT
    assert [row for n in (0, 1) for row in read(tmp_path / DATA / file_name(n)).to_pylist()] == [
        {"account_id": "a", "n": "1"},
        {"account_id": "b", "n": "2"},
    ]


def test_an_unfinished_run_says_whose_it_is(tmp_path: Path, write_shards: Write) -> None:
    """Stopped before publishing: the parts of its fingerprint are told, and its shards; nothing is published."""
    with held(tmp_path) as folder:
        facts = run_to_the_shards(folder, write_shards)
    with held(tmp_path) as folder:
        assert not folder.finish_publishing()
        assert folder.completed() is None
        IDENTITY.refuse_other(folder.unfinished(), "x", "y")
        assert [record["op"] for record in folder.records()] == ["begin", "shard", "shard"]
        assert folder.records()[1]["ids_hash"] == facts[0].ids_hash
    assert names(tmp_path) == {".lock", ".run"}


def test_a_publishing_that_was_cut_off_is_finished(
    tmp_path: Path, write_shards: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal says publishing, nothing is in place yet: the next start ends it, and then it is complete."""
    monkeypatch.setattr(publish, "roll_forward", interrupted)
    with held(tmp_path) as folder, pytest.raises(KeyboardInterrupt):
        run_to_the_end(folder, write_shards)
    monkeypatch.undo()
    assert names(tmp_path) == {".lock", ".run"}
    with held(tmp_path) as folder:
        assert folder.finish_publishing()
        assert folder.unfinished() is None
        assert folder.completed() is not None
    assert names(tmp_path) == EXPORT


def interrupted(_out: Path, _run: Path) -> None:
    raise KeyboardInterrupt


def test_beginning_again_starts_from_nothing(tmp_path: Path, write_shards: Write) -> None:
    """What an unfinished run left is gone; a complete export beside it stays until it is replaced."""
    with held(tmp_path) as folder:
        old = run_to_the_end(folder, write_shards)
        run_to_the_shards(folder, write_shards)
    (tmp_path / ".run" / "data" / "stray").touch()
    with held(tmp_path) as folder:
        folder.begin(IDENTITY.parts)
        assert [record["op"] for record in folder.records()] == ["begin"]
        assert list((folder.run / "data").iterdir()) == []
        assert folder.completed() == old
        new = run_to_the_end(folder, write_shards, "2024-02-02")
    with held(tmp_path) as folder:
        assert folder.completed() == new != old
    assert names(tmp_path) == EXPORT


def test_a_damaged_journal_is_told_and_can_be_started_over(tmp_path: Path, write_shards: Write) -> None:
    """A refusal that names the file; beginning anew needs nothing of it."""
    with held(tmp_path) as folder:
        run_to_the_shards(folder, write_shards)
    journal = tmp_path / ".run" / "journal"
    journal.write_bytes(journal.read_bytes().replace(b"shard", b"shart", 1))
    with held(tmp_path) as folder:
        with pytest.raises(OutputError, match="journal is damaged"):
            folder.unfinished()
        run_to_the_end(folder, write_shards)
        assert folder.completed() is not None


# Folders that are not ours


@pytest.mark.parametrize("name", ["data", "rejects", "bad_values", "manifest.json"])
def test_what_a_run_would_replace_is_refused(tmp_path: Path, name: str) -> None:
    """Folders and files of somebody else stand in the way, are named, and are not given up by any flag."""
    (tmp_path / name).mkdir()
    with held(tmp_path) as folder:
        for overwrite in (False, True):
            with pytest.raises(OutputError, match=rf"/{name} is not of an export"):
                folder.refuse_foreign(overwrite=overwrite)


def test_an_export_that_lost_its_success_is_replaced_only_when_told(tmp_path: Path, write_shards: Write) -> None:
    """It is ours, but nobody can trust it."""
    with held(tmp_path) as folder:
        run_to_the_end(folder, write_shards)
        folder.refuse_foreign(overwrite=False)
        (tmp_path / "_SUCCESS").unlink()
        with pytest.raises(OutputError, match="--overwrite"):
            folder.refuse_foreign(overwrite=False)
        folder.refuse_foreign(overwrite=True)


def test_a_foreign_run_folder_is_not_removed(tmp_path: Path) -> None:
    """`.run` without a journal may be somebody else's."""
    (tmp_path / ".run").mkdir()
    (tmp_path / ".run/theirs").write_text("precious")
    with held(tmp_path) as folder, pytest.raises(OutputError, match="theirs"):
        folder.finish_publishing()
    assert (tmp_path / ".run/theirs").read_text() == "precious"


def test_a_report_of_somebody_else_is_not_lost(tmp_path: Path, write_shards: Write) -> None:
    """A file that publishing would replace is refused, beside an export of ours as well, whatever the flags say."""
    (tmp_path / "report.html").write_text("theirs")
    with held(tmp_path) as folder:
        with pytest.raises(OutputError, match=r"report\.html is not of an export"):
            folder.refuse_foreign(overwrite=True)
        (tmp_path / "report.html").unlink()
        run_to_the_end(folder, write_shards)
        folder.refuse_foreign(overwrite=True)
        folder.refuse_foreign_report()
        (tmp_path / "report.html").write_text("theirs")
        with pytest.raises(OutputError, match=r"report\.html is not of an export"):
            folder.refuse_foreign(overwrite=True)
    assert (tmp_path / "report.html").read_text() == "theirs"


def test_success_of_another_program_is_no_export(tmp_path: Path) -> None:
    """Other programs write `_SUCCESS` too: without our manifest, the folder holds something else."""
    (tmp_path / "_SUCCESS").touch()
    with held(tmp_path) as folder, pytest.raises(OutputError, match=r"manifest\.json"):
        folder.completed()


def test_a_folder_that_everyone_writes_is_refused(tmp_path: Path) -> None:
    """Others could swap files under us, or take our names first: nothing is made in such a folder."""
    tmp_path.chmod(0o1777)
    with pytest.raises(OutputError, match="mode 1777"), held(tmp_path):
        pass
    assert names(tmp_path) == set()


def test_a_planted_name_is_refused_under_the_lock(tmp_path: Path) -> None:
    """What a run would open is looked at before it is opened: a pipe would be waited for without end."""
    os.mkfifo(tmp_path / "manifest.json")
    with pytest.raises(OutputError, match=r"manifest\.json is a named pipe"), held(tmp_path):
        pass


def test_a_file_is_no_output_folder(tmp_path: Path) -> None:
    """A file under the name is told."""
    (tmp_path / "out").touch()
    with pytest.raises(MachineError, match="/out"), held(tmp_path / "out"):
        pass


def test_a_second_run_is_refused(tmp_path: Path) -> None:
    """One writer at a time; afterwards the next may."""
    with held(tmp_path), pytest.raises(MachineError, match=f"{tmp_path}: another run"), held(tmp_path):
        pass
    with held(tmp_path):
        pass


def test_a_full_disk_is_told(small_disk: Path) -> None:
    """A run cannot even begin: a sentence."""
    with held(small_disk) as folder:
        (small_disk / "fill").write_bytes(bytes(1_040_384))
        with pytest.raises(MachineError, match="the disk is full"):
            folder.begin({"much": "x" * 200_000})


def test_nothing_is_recorded_before_the_beginning(tmp_path: Path) -> None:
    """A record without a run is a mistake of the caller."""
    with held(tmp_path) as folder, pytest.raises(RuntimeError, match="comes first"):
        folder.record("shard")


# Order

CHILD = """
import sys
from pathlib import Path
import pyarrow as pa
from exporter.output.folder import held
from exporter.output.facts import FOLDERS, ShardFacts, file_name
from exporter.output.shards import write_table
with held(Path(sys.argv[1])) as folder:
    folder.begin({})
    for number in range(3):
        table = pa.table({"account_id": [str(number)]})
        files = {name: write_table(folder.run / name / file_name(number), table) for name in FOLDERS}
        nothing = dict(blank=0, duplicates=0, spaced=0, ids_hash="", attributes=[], seen=[], ignored={}, rejects={}, bad_values={})
        folder.record_shard(ShardFacts(number=number, first_row=1, last_row=1, files=files, **nothing))
"""


def test_a_shard_is_durable_before_the_journal_names_it(tmp_path: Path, system_calls: Callable[..., list[str]]) -> None:
    """For every file: fsync, rename, fsync of its folder; then the record, and its own sync. Seen in the system calls."""
    calls = system_calls(CHILD, tmp_path)
    run, before = f"{tmp_path}/.run", 0
    for number in range(3):
        recorded = place_of(calls, ("write", f"{run}/journal>"), before + 1)
        for folder in ("data", "rejects", "bad_values"):
            name = file_name(number)
            synced = place_of(calls, ("fsync", f"{run}/{folder}/.{name}.tmp>"), before)
            renamed = place_of(calls, ("rename", f'{folder}/{name}"'), synced)
            assert renamed < place_of(calls, ("fsync", f"{run}/{folder}>"), renamed) < recorded
        before = place_of(calls, ("fdatasync", f"{run}/journal>"), recorded)
        assert before == recorded + 1


def place_of(calls: list[str], wanted: tuple[str, str], begin: int) -> int:
    """Where a call with this name and argument stands first, from a place on."""
    name, argument = wanted
    return next(n for n in range(begin, len(calls)) if calls[n].startswith(name) and argument in calls[n])
