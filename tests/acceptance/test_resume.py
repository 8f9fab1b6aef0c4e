"""The same command again: nothing is lost, nothing is asked for twice that was kept, and no byte differs."""

import asyncio
import bz2
import gzip
import itertools
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exporter.app import Job, export
from exporter.errors import MachineError
from exporter.figures import count
from exporter.output import failpoints
from exporter.output.folder import Folder
from exporter.progress import Progress
from exporter.settings import load
from tests.acceptance.conftest import FLAGS, SHARD_ROWS, TYPED, Command, Input, copied, ended, files_of
from tests.conftest import APP, CANARY, Double, Exporting, assert_no_secret_below, read_export, write_ids

MakeDouble = Callable[..., Double]


class Stopping(Progress):
    """Counters of a run whose disk fails after so many shards: the files of the next lie there, unrecorded."""

    def __init__(self, shards: int) -> None:
        super().__init__(time.monotonic)
        self._shards = shards

    def state(self) -> dict[str, Any]:
        """Fail when it is time."""
        self._shards -= 1
        if self._shards < 0:
            raise MachineError("stopped by the test")
        return super().state()


def in_process(command: Command, *, progress: Progress | None = None, **flags: Any) -> None:
    """Run the same job in this process. Raises what it raises."""
    wanted: dict[str, Any] = {"rate": 1e6, "shard_rows": SHARD_ROWS, "in_flight": 4, **flags}
    settings = load(base_url=command.double.address, **APP, secret_key=CANARY, **wanted)
    inputs = [str(command.folder / name) for name in command.inputs]
    asyncio.run(export(Job(inputs, command.out, settings, progress or Progress(time.monotonic))))


def clean(command: Command, *more: str, stdin: bytes = b"") -> dict[str, str]:
    """Run the same command into another folder, without a break; return its files."""
    whole = Command(command.double, command.folder, command.inputs, command.folder / "clean", command.flags)
    whole.done(*more, stdin=stdin)
    return files_of(whole.out)


# Killed


def test_a_killed_run_goes_on_and_no_byte_differs(command: Command, given: Input) -> None:
    """Killed with four shards recorded: these are not asked for again, the sums hold over both starts."""
    command.killed("shard-recorded:4", *TYPED)
    begun_at = command.records[0]["at"]
    kept = command.shards
    assert len(kept) == 4
    before = given.asked(command.double)
    ran = command.done(*TYPED)
    assert ran.err.startswith(f"Going on with the run that was stopped: {4 * SHARD_ROWS} rows of the input are done.")
    assert given.asked_since(command.double, before) == set(range(10)) - kept
    found = read_export(command.out)
    assert found.manifest["started_at"] == begun_at
    assert found.manifest["input"] == len(given.ids)
    assert found.manifest["blank"] == given.ids.count("")
    assert found.manifest["requests"] >= 10
    assert sum(point["accounts"] for point in found.manifest["series"]) >= found.manifest["rows"]
    assert files_of(command.out) == clean(command, *TYPED)
    assert_no_secret_below(command.folder)


def test_killed_from_outside_again_and_again(command: Command, given: Input) -> None:
    """Killed at every shard that is new: every start goes on where the last one was, and the result is the same."""
    command.double.control(latency_ms=[60, 90])
    kept: set[int] = set()
    for _ in range(4):
        process = command.start("--in-flight", "1")
        command.wait_for(process, partial(command.has_more_than, kept))
        process.kill()
        assert ended(process).code == -signal.SIGKILL
        assert command.shards > kept
        kept = command.shards
    command.double.control(latency_ms=[0, 0])
    command.done("--in-flight", "1")
    assert read_export(command.out).manifest["input"] == len(given.ids)
    assert files_of(command.out) == clean(command)


def reached_in_all(command: Command, name: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Count how often a run comes by a fail point."""
    with monkeypatch.context() as patch:
        patch.setattr(failpoints, "_name", name)
        patch.setattr(failpoints, "_count", "1000000")
        failpoints._reached.clear()  # noqa: SLF001 - the count is inside
        counted = Command(command.double, command.folder, command.inputs, command.folder / "counted")
        in_process(counted, max_rejects="100%")
        shutil.rmtree(counted.out)
        return failpoints._reached[name]  # noqa: SLF001 - as above


OF_A_FIRST_START = [name for name in failpoints.NAMES if name not in {"run-resumed", "spool-synced"}]


@pytest.mark.parametrize("name", OF_A_FIRST_START)
def test_killed_at_a_fail_point_it_goes_on(command: Command, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the first and at the last time that a run comes by: killed there, the same command completes, the same."""
    last = reached_in_all(command, name, monkeypatch)
    assert last
    expected = None
    for nth in {1, last}:
        command.killed(f"{name}:{nth}")
        command.done()
        read_export(command.out)
        expected = expected or clean(command)
        assert files_of(command.out) == expected
        shutil.rmtree(command.out)


PAIRS = itertools.product(
    ["run-begun", "shard-recorded:3", "assembled"],
    ["run-resumed", "file-named:1", "file-written:1", "journal-appended:1"],
)
AT_ONCE = {("shard-recorded:3", "run-resumed"), ("run-begun", "file-written:1"), ("assembled", "journal-appended:1")}


@pytest.mark.parametrize(
    ("first", "second"),
    [pytest.param(*pair, marks=() if pair in AT_ONCE else pytest.mark.durability) for pair in PAIRS],
)
def test_killed_while_it_goes_on_it_goes_on(command: Command, given: Input, first: str, second: str) -> None:
    """A kill while a killed run is taken up again costs nothing that was kept."""
    command.killed(first)
    kept = command.shards
    command.killed(second)
    assert command.shards >= kept
    before = given.asked(command.double)
    command.done()
    assert read_export(command.out).manifest["input"] == len(given.ids)
    assert not given.asked_since(command.double, before) & kept
    assert files_of(command.out) == clean(command)


@pytest.mark.parametrize(
    "point", ["assembled", "publishing", "success-removed", "published-part:2", "run-removed-part"]
)
def test_killed_while_publishing_nothing_is_asked(command: Command, point: str) -> None:
    """All shards are done: the next start ends it without one request, and says that it is complete."""
    command.killed(point)
    before = command.double.stats()["requests"]
    ran = command.done()
    assert command.double.stats()["requests"] == before
    assert ran.out.startswith("Complete." if point == "assembled" else "Already complete since ")
    read_export(command.out)
    assert command.done().out.startswith("Already complete since ")


def test_overwriting_keeps_the_old_export_until_the_swap(command: Command, given: Input) -> None:
    """Killed in mid-run the old export can be read and is what it was; the run that goes on swaps it."""
    write_ids(command.folder / "old.csv", ["user_1", "user_2"])
    old = Command(command.double, command.folder, ["old.csv"], command.out)
    old.done()
    before = files_of(command.out)
    command.killed("shard-recorded:5", "--overwrite")
    manifest = json.loads((command.out / "manifest.json").read_text())
    assert (command.out / "_SUCCESS").exists()
    assert files_of(command.out) == before
    listed = [*manifest["shards"], *manifest["reject_files"], *manifest["bad_value_files"]]
    assert {entry["file"]: entry["sha256"] for entry in listed} == before
    assert "holds an unfinished run of another export" in old.run().err
    assert command.done("--overwrite").err.startswith("Going on with the run that was stopped: 500 rows")
    assert read_export(command.out).manifest["input"] == len(given.ids)
    assert files_of(command.out) == clean(command)


# Signals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_drains_and_the_printed_command_goes_on(
    command: Command, given: Input, shell_path: str, number: int, code: int
) -> None:
    """What is in flight ends, complete shards are recorded, and the line that is printed works when it is pasted."""
    command.double.control(latency_ms=[20, 60])
    process = command.start()
    command.wait_for(process, lambda: len(command.shards) >= 2)
    process.send_signal(number)
    ran = ended(process)
    assert ran.code == code
    kept = command.shards
    first, second = ran.err.splitlines()[-2:]
    assert first.startswith(f"Stopped: {count(len(kept), 'whole shard')} kept in {command.out}, nothing is published.")
    assert command.double.stats()["in_flight"] == 0
    assert not list(command.run_folder.rglob("*.tmp"))
    before = given.asked(command.double)
    pasted = subprocess.run(
        ["sh", "-c", second],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "EXPORTER_SECRET_KEY": CANARY, "PATH": shell_path, "PYTHONPATH": pythonpath()},
        cwd=command.folder,
        check=False,
    )
    assert pasted.returncode == 0, pasted.stderr
    assert not given.asked_since(command.double, before) & kept
    assert files_of(command.out) == clean(command)


def pythonpath() -> str:
    return str(Path(__file__).parents[2])


def test_a_second_signal_ends_at_once(command: Command, given: Input) -> None:
    """While a hanging service is waited for, a second signal does not wait; told all the same, and the run goes on."""
    command.double.control(outages=[f"hang:requests={command.double.stats()['requests'] + 4}-1000000000"])
    process = command.start("--timeout-s", "300", "--json")
    command.wait_for(process, lambda: command.double.stats()["in_flight"] > 0 and bool(command.shards))
    process.send_signal(signal.SIGTERM)
    until = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < until:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
    ran = ended(process)
    assert ran.code == 143
    assert json.loads(ran.out) == {"complete": False, "exit_code": 143, "error": "stopped by SIGTERM"}
    assert "Stopped" not in ran.err
    command.double.control(outages=[])
    command.done()
    assert read_export(command.out).manifest["input"] == len(given.ids)


def test_a_hanging_service_does_not_keep_a_stopped_run(command: Command, given: Input) -> None:
    """One signal is enough where no answer comes: it ends by itself, and what it leaves is sound."""
    command.double.control(outages=[f"hang:requests={command.double.stats()['requests'] + 2}-1000000000"])
    process = command.start("--timeout-s", "300")
    command.wait_for(process, lambda: command.double.stats()["in_flight"] > 0 and bool(command.shards))
    process.send_signal(signal.SIGINT)
    ran = ended(process)
    assert ran.code == 130
    kept = command.shards
    assert f"Stopped: 1 whole shard kept in {command.out}, " in ran.err
    assert {path.name for path in (command.run_folder / "data").iterdir()} == {
        f"part-{number:06d}.parquet" for number in kept
    }
    command.double.control(outages=[])
    command.done()
    assert read_export(command.out).manifest["input"] == len(given.ids)


def test_under_nohup_a_hang_up_is_none(command: Command, given: Input) -> None:
    """Whoever started it with hang-ups ignored wants it to go on."""
    command.double.control(latency_ms=[20, 60])
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = command.start()
    finally:
        signal.signal(signal.SIGHUP, before)
    command.wait_for(process, lambda: bool(command.shards))
    process.send_signal(signal.SIGHUP)
    assert ended(process).code == 0
    assert read_export(command.out).manifest["input"] == len(given.ids)


async def test_the_folder_is_held_until_a_stopped_start_is_through(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped while it looks through what is left, it first ends that: nobody else may begin in the meantime."""
    command.killed("shard-recorded:3")
    looking, through, resume = threading.Event(), threading.Event(), Folder.resume

    def slow(place: Folder) -> Any:
        looking.set()
        assert through.wait(60)
        return resume(place)

    monkeypatch.setattr(Folder, "resume", slow)
    settings = load(
        base_url=command.double.address, **APP, secret_key=CANARY, rate=1e6, shard_rows=SHARD_ROWS, max_rejects="100%"
    )
    inputs = [str(command.folder / name) for name in command.inputs]
    task = asyncio.create_task(export(Job(inputs, command.out, settings, Progress(time.monotonic))))
    await asyncio.to_thread(looking.wait, 60)
    task.cancel()
    ran = await asyncio.to_thread(command.run)
    through.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ran.code == 5, ran.err
    monkeypatch.undo()
    assert (await asyncio.to_thread(command.done)).out.startswith("Complete.")


# Not the same command


OTHERS = {
    "column": (["--column", "id"], "column was not given, now it is 'id'"),
    "shard-rows": (["--shard-rows", "50"], "shard_rows was 100, now it is 50"),
    "duplicates": (["--duplicates", "keep"], "duplicates was 'drop', now it is 'keep'"),
    "types": (["--types", "level=int64"], "types was not given, now it is level=int64"),
    "attributes": (["--attributes", "level"], "attributes was not given, now it is level"),
    "strip": (["--strip"], "strip was false, now it is true"),
}


def test_another_command_is_refused_and_names_the_difference(command: Command, given: Input) -> None:
    """Other settings or another input: exit 2, what differs, and nothing of the run is lost."""
    lines = [f"{row},{row}" for row in given.csv().decode().replace("account_id", "id").splitlines()[1:]]
    (command.folder / "ids.csv").write_text("\n".join(["account_id,id", *lines, ""]))
    command.killed("shard-recorded:3")
    kept = command.records
    for flags, words in OTHERS.values():
        ran = command.run(*flags)
        assert ran.code == 2
        assert words in ran.err
        assert "--restart" in ran.err
    path = command.folder / "ids.csv"
    mine = path.read_bytes()
    path.write_bytes(mine.replace(b"_000000", b"_999999"))
    assert "input 1 has other content" in command.run().err
    path.write_bytes(mine)
    assert command.records == kept
    ran = command.done("--restart", "--duplicates", "keep")
    assert "Going on" not in ran.err
    assert read_export(command.out).manifest["settings"]["duplicates"] == "keep"


def test_what_does_not_shape_the_export_may_differ(command: Command, given: Input, make_double: MakeDouble) -> None:
    """Another pace, patience and address go on with the same run."""
    command.killed("shard-recorded:3")
    other = make_double("--rate", "0")
    moved = Command(other, command.folder, command.inputs, command.out, command.flags)
    flags = ["--rate", "5000", "--in-flight", "7", "--outage-max", "1", "--timeout-s", "9", "--max-missing", "90%"]
    assert moved.done(*flags).err.startswith("Going on with the run that was stopped")
    assert read_export(command.out).manifest["input"] == len(given.ids)
    assert files_of(command.out) == clean(command)


@pytest.mark.parametrize("other", ["ids.csv", "-"])
def test_a_file_does_not_go_on_with_a_stream_nor_a_stream_with_a_file(
    command: Command, given: Input, other: str
) -> None:
    """Where one of both was not read yet, nobody knows that they are the same: refused, and never mixed."""
    first, second = ("-", "ids.csv") if other == "ids.csv" else ("ids.csv", "-")
    theirs = Input(len(given.ids)).csv()
    begun = Command(command.double, command.folder, [first], command.out)
    begun.killed("shard-recorded:3", stdin=given.csv())
    kept = begun.records
    (command.folder / "ids.csv").write_bytes(theirs)
    ran = Command(command.double, command.folder, [second], command.out).run(stdin=theirs)
    assert ran.code == 2
    assert "--restart" in ran.err
    assert begun.records == kept


# What lies there is not what was written


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def swapped(path: Path) -> None:
    other = next(each for each in sorted(path.parent.iterdir()) if each != path)
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize("folder", ["data", "rejects", "bad_values"])
def test_a_damaged_shard_is_asked_for_again(command: Command, given: Input, folder: str) -> None:
    """Flipped, cut, gone or swapped: it is named, redone alone, and the result is the same."""
    command.killed("shard-recorded:4", *TYPED)
    number = min(command.shards)
    expected = clean(command, *TYPED)
    for damage in (flipped, truncated, Path.unlink, swapped):
        damaged = copied(command, f"damaged-{damage.__name__}")
        damage(damaged.run_folder / folder / f"part-{number:06d}.parquet")
        before = given.asked(command.double)
        ran = damaged.done(*TYPED)
        assert f"Warning: what was written of shard {number} is damaged or gone; it is asked for again." in ran.err
        assert given.asked_since(command.double, before) == set(range(10)) - command.shards | {number}
        read_export(damaged.out)
        assert files_of(damaged.out) == expected


def test_a_torn_journal_goes_on_and_a_damaged_one_is_refused(command: Command, given: Input) -> None:
    """Cut in its last record, that shard is redone; damage in the middle is a sentence, and --restart begins anew."""
    command.killed("shard-recorded:4")
    journal = (command.run_folder / "journal").read_bytes()
    torn = copied(command, "torn")
    (torn.run_folder / "journal").write_bytes(journal[:-20])
    assert torn.done().err.startswith("Going on with the run that was stopped: 300 rows")
    expected = files_of(torn.out)
    assert expected == clean(command)
    flipped(command.run_folder / "journal")
    ran = command.run()
    assert ran.code == 2
    assert "journal is damaged" in ran.err
    assert "--restart" in ran.err
    command.done("--restart")
    assert read_export(command.out).manifest["input"] == len(given.ids)
    assert files_of(command.out) == expected


def test_what_no_record_names_is_gone_in_the_end(command: Command) -> None:
    """Files that a killed run left half-way, or somebody put there, are no shards."""
    command.killed("shard-recorded:3")
    theirs = command.run_folder / "data"
    shutil.copy(next(theirs.iterdir()), theirs / "part-000099.parquet")
    shutil.copy(next(theirs.iterdir()), theirs / "part-000009.parquet")
    (theirs / ".part-000007.parquet.tmp").write_bytes(b"half")
    (command.run_folder / ".journal.tmp").write_bytes(b"half")
    (command.run_folder / "progress").write_bytes(b"{half")
    command.done()
    read_export(command.out)
    assert files_of(command.out) == clean(command)


def test_an_input_whose_middle_changed_is_refused(command: Command) -> None:
    """Its size, head and tail are the same: rows that are read again are held against what was read before."""
    given = Input(20_000)
    path = given.written(command.folder / "ids.csv")
    mine = path.read_bytes()
    command.killed("shard-recorded:99")
    number = 90
    assert number in command.shards
    (command.run_folder / "data" / "part-000089.parquet").unlink()
    path.write_bytes(mine.replace(f"_{number * SHARD_ROWS + 5:06d}".encode(), b"_999999"))
    ran = command.run()
    assert ran.code == 2
    assert f"rows {number * SHARD_ROWS + 1:,} to {(number + 1) * SHARD_ROWS:,} of the input are not those" in ran.err


# Standard input and pipes


@pytest.fixture
def piped(command: Command) -> Command:
    """The command that reads standard input."""
    return Command(command.double, command.folder, ["-"], command.out)


def test_standard_input_killed_before_its_end_is_sent_again(piped: Command, given: Input) -> None:
    """The same goes on; anything else, nothing included, is refused, and refusing it costs nothing."""
    process = piped.start("--in-flight", "1", stdin=subprocess.PIPE)  # so that no shard is whole before an earlier one
    assert process.stdin
    process.stdin.write(given.csv()[:10_000])
    process.stdin.flush()
    piped.wait_for(process, lambda: len(piped.shards) >= 3)
    process.kill()
    process.stdin.close()
    process.stdin = None
    ended(process)
    kept = piped.shards
    whole_shards = b"".join(given.csv().splitlines(keepends=True)[: 1 + SHARD_ROWS * (max(kept))])
    other = Input(len(given.ids))
    for wrong in (other.csv(), given.csv(first=1), b"", whole_shards):
        ran = piped.run(stdin=wrong)
        assert ran.code == 2, (wrong[:40], ran)
        assert piped.shards == kept
    assert not other.asked(piped.double)
    before = given.asked(piped.double)
    piped.done(stdin=given.csv())
    assert not given.asked_since(piped.double, before) & kept
    assert read_export(piped.out).manifest["input"] == len(given.ids)
    assert files_of(piped.out) == clean(piped, stdin=given.csv())


def test_standard_input_that_was_kept_is_not_needed_again(piped: Command, given: Input) -> None:
    """Killed after its end was read: nothing goes on, so does the same; anything else is refused."""
    piped.killed("shard-recorded:4", stdin=given.csv())
    assert any(record["op"] == "spooled" for record in piped.records)
    expected = clean(piped, stdin=given.csv())
    for number, stdin in enumerate([b"", given.csv()]):
        again = copied(piped, f"again-{number}")
        again.done(stdin=stdin)
        assert files_of(again.out) == expected
        assert again.done(stdin=given.csv()).out.startswith("Already complete")
    ran = piped.run(stdin=Input(len(given.ids)).csv())
    assert ran.code == 2
    assert "standard input is not what the unfinished run has read" in ran.err
    assert piped.done().code == 0


def test_standard_input_killed_before_it_is_known_to_be_whole(piped: Command, given: Input) -> None:
    """All of it lies in the spool, but nothing says so: it is sent again."""
    piped.killed("spool-synced", stdin=given.csv())
    assert not any(record["op"] == "spooled" for record in piped.records)
    piped.done(stdin=given.csv())
    assert read_export(piped.out).manifest["input"] == len(given.ids)
    assert files_of(piped.out) == clean(piped, stdin=given.csv())


@pytest.mark.parametrize("point", ["publishing", "published-part:2", "success-written"])
def test_standard_input_killed_while_publishing(piped: Command, given: Input, point: str) -> None:
    """It was asked for in full: the next start ends it, whether the same is sent again or nothing."""
    piped.killed(point, stdin=given.csv())
    before = piped.double.stats()["requests"]
    for number, stdin in enumerate([b"", given.csv()]):
        again = copied(piped, f"again-{number}")
        assert again.done(stdin=stdin).out.startswith("Already complete since ")
        assert read_export(again.out).manifest["input"] == len(given.ids)
    assert piped.run(stdin=Input(len(given.ids)).csv()).code == 2
    assert piped.double.stats()["requests"] == before


def test_a_slow_pipe_is_asked_for_as_it_comes(piped: Command, given: Input) -> None:
    """The first requests go out while the pipe is still open."""
    process = piped.start(stdin=subprocess.PIPE)
    assert process.stdin
    process.stdin.write(given.csv()[:8_000])
    process.stdin.flush()
    piped.wait_for(process, lambda: bool(given.asked(piped.double)))
    process.stdin.write(given.csv()[8_000:])
    process.stdin.close()
    process.stdin = None
    assert ended(process).code == 0
    assert read_export(piped.out).manifest["input"] == len(given.ids)


def test_a_named_pipe_goes_on_by_what_it_says(command: Command, given: Input) -> None:
    """It cannot be passed over: what it gives is held against what was read, and only the rest is asked for."""
    pipe = command.folder / "pipe"
    os.mkfifo(pipe)
    named = Command(command.double, command.folder, ["pipe"], command.out)

    def fed(data: bytes) -> Any:
        feeder = threading.Thread(target=_feed, args=(pipe, data))
        feeder.start()
        return feeder

    feeder = fed(given.csv())
    named.killed("shard-recorded:4")
    feeder.join()
    kept = named.shards
    feeder = fed(Input(len(given.ids)).csv())
    assert named.run().code == 2
    feeder.join()
    before = given.asked(named.double)
    feeder = fed(given.csv())
    named.done()
    feeder.join()
    assert not given.asked_since(named.double, before) & kept
    assert read_export(named.out).manifest["input"] == len(given.ids)


def _feed(pipe: Path, data: bytes) -> None:
    with pipe.open("wb", buffering=0) as file:
        try:
            file.write(data)
        except BrokenPipeError:
            return


# Every kind of input


def of_csv(folder: Path, given: Input) -> list[str]:
    given.written(folder / "a.csv")
    return ["a.csv"]


def of_gzip(folder: Path, given: Input) -> list[str]:
    (folder / "a.csv.gz").write_bytes(gzip.compress(given.csv()))
    return ["a.csv.gz"]


def of_bzip2(folder: Path, given: Input) -> list[str]:
    (folder / "a.csv.bz2").write_bytes(bz2.compress(given.csv()))
    return ["a.csv.bz2"]


def of_zstd(folder: Path, given: Input) -> list[str]:
    (folder / "a.csv.zst").write_bytes(pa.Codec("zstd").compress(given.csv(), asbytes=True))
    return ["a.csv.zst"]


def of_quoted(folder: Path, given: Input) -> list[str]:
    lines = [f'"a ""note""\r\nof two, lines",{row}' if row else "" for row in given.ids]
    (folder / "a.csv").write_text("\r\n".join(["note,account_id", *lines, ""]), newline="")
    return ["a.csv"]


def of_several_files(folder: Path, given: Input) -> list[str]:
    (folder / "in").mkdir()
    for number, (first, last) in enumerate([(0, 130), (130, 131), (131, 131), (131, 700), (700, len(given.ids))]):
        data = "\n".join(["account_id", *given.ids[first:last], ""]).encode()
        packed = gzip.compress(data) if number % 2 else data
        (folder / "in" / f"{number}.csv{'.gz' if number % 2 else ''}").write_bytes(packed)
    return ["in"]


def of_parquet(folder: Path, given: Input) -> list[str]:
    table = pa.table({"account_id": [row or None for row in given.ids]})
    pq.write_table(table.slice(0, 450), folder / "a.parquet", row_group_size=70)
    pq.write_table(table.slice(450), folder / "b.parquet", row_group_size=1_000)
    return ["a.parquet", "b.parquet"]


def of_utf_16(folder: Path, given: Input) -> list[str]:
    (folder / "a.csv").write_bytes(given.csv().decode().encode("utf-16"))
    return ["a.csv"]


KINDS = [of_csv, of_gzip, of_bzip2, of_zstd, of_quoted, of_several_files, of_parquet, of_utf_16]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shard_rows", [37, pytest.param(250, marks=pytest.mark.durability)])
def test_every_kind_of_input_goes_on(
    exporting: Exporting, tmp_path: Path, given: Input, kind: Callable[[Path, Input], list[str]], shard_rows: int
) -> None:
    """Stopped after one, three and all shards but one, it goes on from the row, and the result is the same."""
    inputs = kind(tmp_path, given)
    flags: dict[str, Any] = {"shard_rows": shard_rows, "encoding": "utf-16" if kind is of_utf_16 else "utf-8"}
    flags["max_rejects"] = "100%"
    whole = Command(exporting.double, tmp_path, inputs, tmp_path / "whole")
    in_process(whole, **flags)
    assert read_export(whole.out).manifest["input"] == len(given.ids)
    stopped = Command(exporting.double, tmp_path, inputs, tmp_path / "stopped")
    for shards in (1, 2, len(given.ids) // shard_rows - 4):
        if shards > 0:
            with pytest.raises(MachineError, match="by the test"):
                in_process(stopped, progress=Stopping(shards), **flags)
    in_process(stopped, **flags)
    made, expected = (read_export(each.out).manifest for each in (stopped, whole))
    assert (made["input"], made["shards"]) == (len(given.ids), expected["shards"])
    assert files_of(stopped.out) == files_of(whole.out)


# Order, pace and names


def test_a_shard_that_is_missing_in_the_middle_is_asked_for_alone(command: Command, given: Input) -> None:
    """Later shards overtake a slow one; killed then, the slow one and what was never asked are all that is asked."""
    slow = given.ids[3 * SHARD_ROWS + 5]
    command.double.control(poison=[slow], poison_code=60008)
    flags = ("--in-flight", "8")
    process = command.start(*flags)
    command.wait_for(process, lambda: len([number for number in command.shards if number > 3]) >= 2)
    process.kill()
    ended(process)
    kept = command.shards
    assert 3 not in kept
    assert {0, 1, 2} < kept
    command.double.control(poison=[])
    before = given.asked(command.double)
    command.done(*flags)
    assert given.asked_since(command.double, before) == set(range(10)) - kept
    assert files_of(command.out) == clean(command)


def test_the_quota_holds_over_a_kill_and_a_restart(tmp_path: Path, make_double: MakeDouble) -> None:
    """At the full rate, killed and started again at once: no second that sees both starts has more than the rate.

    The double lets everything through and notes when it came: a busy machine may bunch what one start sends.
    """
    double = make_double("--rate", "0")
    given = Input(40_000)
    given.written(tmp_path / "ids.csv")
    flags = ("--rate", "100", "--shard-rows", "1000", "--max-rejects", "100%")
    command = Command(double, tmp_path, ["ids.csv"], tmp_path / "export", flags)
    kills = []
    for _ in range(2):
        process = command.start()
        command.wait_for(process, partial(command.has_more_than, command.shards, 8))
        process.kill()
        kills.append(time.time())
        ended(process)
    command.done()
    came = [entry["at"] for entry in log_of(double)]
    assert len(came) == double.stats()["requests"]
    assert max(most_around(kill, came) for kill in kills) <= 100
    assert read_export(command.out).manifest["input"] == len(given.ids)


def most_around(moment: float, came: list[float]) -> int:
    """Count the requests of the fullest second that holds some before and some after a moment."""
    seconds = [[other for other in came if begin <= other < begin + 1] for begin in came if begin <= moment]
    return max((len(each) for each in seconds if each[-1] > moment), default=0)


def test_attribute_names_are_asked_for_once(command: Command, make_double: MakeDouble) -> None:
    """They are kept with the run: a start that goes on does not ask again."""
    flags = ("--attributes", "auto")
    command.double = make_double("--rate", "0")  # its log holds all of this test
    command.killed("shard-recorded:2", *flags)
    command.killed("shard-recorded:2", *flags)
    command.done(*flags)
    assert names_asked(command.double) == 1
    assert files_of(command.out) == clean(command, *flags)


def names_asked(double: Double) -> int:
    """Count the requests that were for no account."""
    return sum(entry["ids"] == 0 for entry in log_of(double))


def log_of(double: Double) -> list[dict[str, Any]]:
    """The last thousand requests, as the double noted them."""
    with urllib.request.urlopen(f"{double.address}/log") as answer:
        return list(json.load(answer))


# Two at once


def test_a_second_run_is_told_who_is_at_work(command: Command, given: Input) -> None:
    """It ends with exit 5 and the other's pid, and does not disturb it."""
    command.double.control(latency_ms=[300, 500])
    process = command.start("--in-flight", "1")
    command.wait_for(process, lambda: bool(command.shards))
    ran = command.run("--in-flight", "1")
    assert ran.code == 5
    assert f"another run (pid {process.pid}) is writing here" in ran.err
    assert ended(process).code == 0
    assert read_export(command.out).manifest["input"] == len(given.ids)


def test_a_run_whose_lock_was_removed_stops(command: Command, given: Input) -> None:
    """Another may hold a lock too: it ends at its next commit, and only one of both publishes."""
    command.double.control(latency_ms=[300, 500])
    process = command.start("--in-flight", "1")
    command.wait_for(process, lambda: bool(command.shards))
    (command.out / ".lock").unlink()
    ran = ended(process)
    assert ran.code == 5
    assert ".lock was removed during this run" in ran.err
    assert not (command.out / "_SUCCESS").exists()
    command.done()
    assert read_export(command.out).manifest["input"] == len(given.ids)


# Room


def test_a_disk_that_may_be_too_small_is_told_before_the_first_request(command: Command, tmp_path: Path) -> None:
    """A sentence on a small file system, none on a large one; small inputs never earn it."""
    assert "free, and" not in command.done().err
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("this machine does not allow mounts")
    try:
        Input(20_000).written(command.folder / "ids.csv")
        before = command.double.stats()["requests"]
        command.double.control(outages=[f"hang:requests={before}-1000000000"])
        process = Command(command.double, command.folder, ["ids.csv"], small / "export", FLAGS).start()
        assert process.stderr
        words = process.stderr.readline().decode()
        process.kill()
        ended(process)
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)
    assert words.startswith(f"Warning: {small}/export has 2.1 MB free, and 20,")
    assert "goes on once there is room" in words


def test_to_begin_anew_replaces_no_complete_export(command: Command, given: Input) -> None:
    """`--restart` forgets the unfinished run alone: what is complete beside it stays, and needs `--overwrite` to go."""
    command.done()
    old = files_of(command.out)
    command.killed("shard-recorded:2", "--overwrite")
    ran = command.run("--restart")
    assert ran.code == 0
    assert ran.out.startswith("Already complete")
    assert files_of(command.out) == old
    command.killed("shard-recorded:2", "--overwrite")
    with (command.folder / "ids.csv").open("ab") as file:
        file.write(b"one-more\n")
    ran = command.run("--restart")
    assert ran.code == 2
    assert "--overwrite" in ran.err
    assert files_of(command.out) == old
    assert command.run("--restart", "--overwrite").code == 0
    assert read_export(command.out).manifest["input"] == len(given.ids) + 1


def test_a_stopped_run_starts_no_new_request(tmp_path: Path, make_double: MakeDouble) -> None:
    """What waits for its turn at the limiter when the signal comes is not sent any more."""
    double = make_double("--rate", "0")
    ids = Input(5_000).written(tmp_path / "ids.csv")
    flags = ("--rate", "20", "--max-rejects", "100%")
    process = Command(double, tmp_path, [str(ids)], tmp_path / "export", flags).start()
    while double.stats()["requests"] < 5:
        assert process.poll() is None
    process.terminate()
    seen = double.stats()["requests"]
    assert ended(process).code == 143
    assert double.stats()["requests"] <= seen + 2


def test_a_journal_that_is_removed_ends_the_run(command: Command, given: Input) -> None:
    """Nothing could be resumed any more: exit 5 names it, and the same command begins anew."""
    command.double.control(latency_ms=[20, 60])
    process = command.start()
    command.wait_for(process, lambda: len(command.shards) >= 1)
    (command.run_folder / "journal").unlink()
    ran = ended(process)
    assert ran.code == 5
    assert "journal was removed" in ran.err
    command.double.control(latency_ms=[0, 0])
    command.done()
    assert read_export(command.out).manifest["input"] == len(given.ids)
