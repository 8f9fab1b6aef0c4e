"""`exporter status`: what is done, what is left, and never a trace of having looked."""

import gzip
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import FLAGS, ROWS, SHARD_ROWS, Command, Input, ended
from tests.conftest import Ran, environment, exporter, read_export, write_ids


def look(out: Path, *flags: str) -> Ran:
    """Look at a folder; nothing in it may change, not even a time."""
    before = everything(out)
    done = subprocess.run(
        exporter("status", str(out), *flags), capture_output=True, text=True, env=environment(), check=False
    )
    assert everything(out) == before
    assert "Traceback" not in done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


def everything(out: Path) -> dict[str, tuple[int, int, int]]:
    """All that a folder holds, with sizes, inodes and times."""
    if not out.exists():
        return {}
    found = [(path, path.lstat()) for path in (out, *sorted(out.rglob("*")))]
    return {str(path): (status.st_size, status.st_ino, status.st_mtime_ns) for path, status in found}


def facts(out: Path) -> dict[str, Any]:
    ran = look(out, "--json")
    assert ran.code == 0, ran.err
    return dict(json.loads(ran.out))


def test_a_folder_without_anything_is_told(tmp_path: Path) -> None:
    """Missing, empty, or of somebody else: exit 2 and a sentence; nothing is made."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "notes.txt").write_text("precious")
    for name in ("missing", "empty", "theirs"):
        ran = look(tmp_path / name)
        assert ran.code == 2
        assert ran.err.startswith(f"Error: {tmp_path / name} holds neither an export nor an unfinished run.")
        assert ran.out == ""
    assert not (tmp_path / "missing").exists()


def test_an_unfinished_run_is_told_with_what_is_left(command: Command) -> None:
    """Rows done, their share of the input, requests and time so far; and what goes on with it."""
    Input(100_000).written(command.folder / "ids.csv")
    long = Command(command.double, command.folder, command.inputs, command.out, (*FLAGS[:2], "--shard-rows", "1000"))
    long.killed("shard-recorded:50")
    shards = len(command.shards)
    ran = look(command.out)
    assert ran.code == 0
    assert "Unfinished, begun 20" in ran.out
    assert f"done      {shards},000 of about " in ran.out
    assert f"rows of the input in {shards} shards" in ran.out
    assert "at the pace so far" in ran.out
    assert "No run is at work here: the command that began it goes on with it." in ran.out
    found = facts(command.out)
    assert (found["complete"], found["rows"], found["pid"]) == (False, None, None)
    run = found["unfinished"]
    assert (run["shards"], run["rows"], run["publishing"]) == (shards, shards * 1_000, False)
    assert run["rows_all"] == pytest.approx(100_000, rel=0.15)
    assert run["left_s"] == pytest.approx(run["seconds"] * (run["rows_all"] - run["rows"]) / run["rows"])
    assert run["begun_at"] == command.records[0]["at"]


@pytest.mark.parametrize("packed", [False, True])
def test_a_small_input_is_not_taken_for_what_is_done_of_it(command: Command, *, packed: bool) -> None:
    """It is read at once, long before it is done: the guess is by where the shard ends, not by what was read."""
    if packed:
        (command.folder / "ids.csv").write_bytes(gzip.compress((command.folder / "ids.csv").read_bytes()))
    command.killed("shard-recorded:3")
    rows = SHARD_ROWS * len(command.shards)
    run = facts(command.out)["unfinished"]
    assert run["rows"] == rows < ROWS
    assert run["rows_all"] == pytest.approx(ROWS, rel=0.05)
    assert run["left_s"] > 0


def test_a_run_that_has_no_shard_yet_does_not_guess(command: Command) -> None:
    """Nothing is known before the first shard: no share, no time left."""
    command.killed("run-begun")
    run = facts(command.out)["unfinished"]
    assert (run["shards"], run["rows"], run["rows_all"], run["left_s"], run["requests"]) == (0, 0, None, None, 0)
    assert "left      not known yet" in look(command.out).out


def test_of_a_stream_nobody_knows_how_long_it_is(command: Command, given: Input) -> None:
    """Standard input tells no share: rows done, and no guess."""
    piped = Command(command.double, command.folder, ["-"], command.out)
    piped.killed("shard-recorded:4", stdin=given.csv())
    run = facts(piped.out)["unfinished"]
    assert (run["rows"], run["rows_all"], run["left_s"]) == (4 * SHARD_ROWS, None, None)
    assert f"done      {4 * SHARD_ROWS} rows of the input" in look(piped.out).out


def test_a_run_at_work_is_named_and_not_disturbed(command: Command, given: Input) -> None:
    """Its pid is told, again and again, and it comes to its end as if nobody had looked."""
    command.double.control(latency_ms=[100, 200])
    process = command.start()
    command.wait_for(process, lambda: bool(command.shards))
    looks = 0
    while process.poll() is None and looks < 5:
        done = subprocess.run(
            exporter("status", str(command.out), "--json"),
            capture_output=True,
            text=True,
            env=environment(),
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["pid"] in {process.pid, None}
        assert found["pid"] or found["complete"]
        looks += 1
    assert looks
    assert ended(process).code == 0
    assert read_export(command.out).manifest["input"] == len(given.ids)


def test_a_run_may_begin_while_somebody_looks(command: Command) -> None:
    """Looking takes the lock for a moment at most: a run that starts just then waits, and is not refused."""
    with subprocess.Popen(
        ["sh", "-c", 'while :; do "$@" >/dev/null 2>&1; done', "sh", *exporter("status", str(command.out))],
        env=environment(),
        process_group=0,
    ) as looking:
        try:
            command.done()
        finally:
            os.killpg(looking.pid, 9)
    assert (command.out / "_SUCCESS").exists()


def test_a_publishing_that_was_cut_off_is_told(command: Command) -> None:
    """Everything was asked for: only the renames are left."""
    command.killed("publishing")
    assert "left      publishing alone: no request" in look(command.out).out
    assert facts(command.out)["unfinished"]["publishing"] is True


def test_a_complete_export_is_told(command: Command) -> None:
    """When it was complete, rows and rejects; nothing unfinished, nobody at work."""
    command.done()
    manifest = read_export(command.out).manifest
    ran = look(command.out)
    assert ran.out == (
        f"Complete since {manifest['finished_at']}: {manifest['rows']:,} rows, {manifest['rejects']:,} rejects in"
        f" {command.out}\n"
    )
    assert facts(command.out) == {
        "out": str(command.out),
        "complete": True,
        "finished_at": manifest["finished_at"],
        "rows": manifest["rows"],
        "rejects": manifest["rejects"],
        "unfinished": None,
        "pid": None,
    }


def test_an_old_export_beside_a_new_run_is_told_too(command: Command) -> None:
    """While --overwrite is under way both are there."""
    write_ids(command.folder / "old.csv", ["user_1"])
    Command(command.double, command.folder, ["old.csv"], command.out).done()
    command.killed("shard-recorded:2", "--overwrite")
    ran = look(command.out)
    assert ran.out.startswith("Complete since ")
    assert "Unfinished, begun " in ran.out
    found = facts(command.out)
    assert found["complete"]
    assert found["unfinished"]["rows"] == 2 * SHARD_ROWS


def test_a_damaged_journal_is_told(command: Command) -> None:
    """The sentence that the run itself would say: exit 2."""
    command.killed("shard-recorded:3")
    journal = command.run_folder / "journal"
    journal.write_bytes(journal.read_bytes().replace(b"shard", b"shart", 1))
    ran = look(command.out)
    assert ran.code == 2
    assert "journal is damaged" in ran.err
