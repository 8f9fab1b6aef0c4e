"""`exporter plan`: what a run will do, told before it, through real processes."""

import gzip
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.cells import cell_len

from tests.acceptance.conftest import measured
from tests.conftest import Double, Ran, environment, exporter, read_export, write_ids

Cli = Callable[..., Ran]

MANY = b"account_id\n" + b"".join(b"user_%d\n" % (number * 7919 % 1_000_003) for number in range(400_000))


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """An empty folder for scratch files."""
    (tmp_path / "tmp").mkdir()
    return tmp_path / "tmp"


def planned(run_cli: Cli, *arguments: str, **more: Any) -> dict[str, Any]:
    ran = run_cli("plan", *arguments, "--json", **more)
    assert ran.code == 0, ran.err
    return dict(json.loads(ran.out))


def table(ran: Ran) -> dict[str, str]:
    """The rows of the table by name; none is wider than 80 columns."""
    assert ran.code == 0, ran.err
    assert max(map(cell_len, ran.out.splitlines())) <= 80
    joined = re.sub(r"\n {12}(?=\S)", " ", ran.out)
    return dict(re.findall(r"^  (\S.{8}) (.*)$", joined, re.MULTILINE)) | {"": joined}


def test_a_plan_is_what_the_run_then_does(run_cli: Cli, double: Double, tmp_path: Path, scratch: Path) -> None:
    """The same input and flags: every figure is that of the manifest; nothing is asked, and nothing is left."""
    (tmp_path / "in").mkdir()
    ids = [f"user_{number * 37 % 700:05d}" for number in range(1500)]
    write_ids(tmp_path / "in/a.csv", [*ids[:900], "", "x" * 33, " user_00001"])
    array: Any = pa.array([*ids[900:], None, "\x07"])
    pq.write_table(pa.table({"account_id": array}), tmp_path / "in/b.parquet")
    (tmp_path / "in/c.csv.gz").write_bytes(gzip.compress(b"account_id,b\nu1,x\n\nu2,x,x\nu1,x\n"))
    before = double.stats()["requests"]
    for number, more in enumerate(([], ["--duplicates", "keep"], ["--strip", "--attributes", "auto"])):
        flags = ["in", "--shard-rows", "200", *more]
        made = planned(run_cli, *flags, env={"TMPDIR": str(scratch)})
        assert double.stats()["requests"] == before
        run_cli("run", *flags, "--out", f"out{number}", "--max-rejects", "100%", *double.flags, "--rate", "1e6")
        manifest = read_export(tmp_path / f"out{number}").manifest
        before = double.stats()["requests"]
        names = ("input", "blank", "duplicates", "ids_with_outer_spaces", "requests")
        assert {name: made[name] for name in names} == {name: manifest[name] for name in names}
        assert made["bad_ids"] == {"bad_row": 1, "invalid_id": manifest["rejects_by_reason"]["invalid_id"]}
        assert made["shards"] == len(manifest["shards"])
        assert made["files"] == 3
        assert (made["asked"], made["not_given"]) == (None, ["--region or --base-url", "--sdkappid", "--identifier"])
        assert not list(scratch.iterdir())


def test_the_json_has_these_keys(run_cli: Cli, tmp_path: Path) -> None:
    """They are read by programs: none goes, none changes its kind."""
    write_ids(tmp_path / "ids.csv", ["u1", "u1", ""])
    made = planned(run_cli, "ids.csv", env={"EXPORTER_SECRET_KEY": ""})
    assert {name: type(value).__name__ for name, value in made.items()} == {
        "files": "int",
        "input": "int",
        "blank": "int",
        "bad_ids": "dict",
        "bad_examples": "dict",
        "ids_with_outer_spaces": "int",
        "duplicates_within_shards": "int",
        "duplicates_across_shards": "int",
        "duplicates": "int",
        "accounts": "int",
        "accounts_asked": "int",
        "shards": "int",
        "requests": "int",
        "rate": "float",
        "seconds": "float",
        "finish_at": "str",
        "seconds_at_80": "float",
        "bytes": "int",
        "bytes_free": "int",
        "folder": "str",
        "warnings": "list",
        "asked": "NoneType",
        "not_given": "list",
        "error": "NoneType",
    }
    assert made["bad_examples"]["invalid_id"] == [
        {"account_id": "''", "source": "ids.csv", "row_number": 3, "message": "empty"}
    ]


def test_the_table_is_for_people(run_cli: Cli, tmp_path: Path) -> None:
    """At most 80 columns, wide characters counted twice; bad ids with file, row and reason; exit 0 in spite of them."""
    write_ids(tmp_path / "帐号帐号.csv", [f"u{n}" for n in range(250)] + ["u7", " u8", "中" * 60, "a\x1b[31m", ""])
    ran = run_cli("plan", "帐号帐号.csv", "--shard-rows", "100")
    rows = table(ran)
    assert rows["read     "] == "255 rows of 1 file, 0 blank"
    assert rows["accounts "] == "251 different ones"
    assert rows["bad ids  "] == "3: 3 invalid_id"
    assert rows["repeats  "] == "1, dropped: 0 within a shard, 1 across shards"
    assert rows["requests "].startswith("3 of at most 100 accounts;")
    assert re.match(r"0.0 s, until 20.{17,23}, at 100 requests/s", rows["time     "])
    assert "0.0 s at --rate 80: above it the vendor alarms the app's owner" in rows[""]
    assert rows["shards   "] == "3 data files"
    assert rows["asked    "] == "nothing: --region or --base-url, --sdkappid and --identifier must be given for that"
    assert "spaces stand around 1 id; --strip removes them" in rows[""]
    assert "帐号帐号.csv row 254: 'a\\x1b[31m' - holds a control character" in ran.out
    ages = table(run_cli("plan", "帐号帐号.csv", "--rate", "1e-320"))
    assert ages["time     "] == "more than the calendar has at 9.99989e-321 requests/s"
    assert "--rate 80" not in run_cli("plan", "帐号帐号.csv", "--rate", "80").out


def test_with_a_key_one_request_is_made(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """For the first 100 accounts; how many are known, how long it took, and whether --in-flight will do."""
    double.control(unknown_share=0.0, latency_ms=[200.0, 200.0])
    write_ids(tmp_path / "ids.csv", [f"user_{number:05d}" for number in range(1000)])
    before = double.stats()["requests"]
    asked = planned(run_cli, "ids.csv", *double.flags)["asked"]
    assert double.stats()["requests"] == before + 1
    assert (asked["accounts"], asked["known"]) == (100, 100)
    assert asked["seconds"] > 0.15
    assert asked["in_flight"] == pytest.approx(asked["seconds"] * 100, abs=1.1)
    assert asked["attributes"] > 3
    assert asked["bytes"] > 1000
    assert asked["warnings"] == []
    rows = table(run_cli("plan", "ids.csv", *double.flags, "--in-flight", "4"))
    assert rows["asked    "] == "1 request: the service knows 100 of 100 accounts"
    assert re.fullmatch(
        r"\d\d\d ms, \d+ attributes, .* kB; --in-flight \d\d at least keeps the rate", rows["answer   "]
    )
    assert rows["warning  "].startswith("--in-flight 4 is too small for 100 requests/s")


def test_a_refusal_is_told_after_the_plan(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """The plan stands; then code, meaning and remedy, with the exit code of a run."""
    write_ids(tmp_path / "ids.csv", ["user_00001"])
    ran = run_cli("plan", "ids.csv", *double.flags, env={"EXPORTER_SECRET_KEY": "some other key"})
    assert ran.code == 4
    assert "70009" in ran.err
    assert len(ran.err.splitlines()) == 1
    assert "  requests  1 of" in ran.out
    assert "see the error" in ran.out
    ran = run_cli("plan", "ids.csv", *double.flags, "--base-url", "http://127.0.0.1:9", "--json")
    assert ran.code == 75
    assert json.loads(ran.out)["requests"] == 1
    assert json.loads(ran.out)["asked"] is None
    assert ran.err.strip() == f"Error: {json.loads(ran.out)['error']}"


def test_nothing_is_asked_where_there_is_nobody(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """An input without any account costs no request."""
    write_ids(tmp_path / "ids.csv", [])
    before = double.stats()["requests"]
    assert "nothing: there is no account" in run_cli("plan", "ids.csv", *double.flags).out
    assert double.stats()["requests"] == before


def test_standard_input_is_read_and_that_is_told(run_cli: Cli) -> None:
    """Nobody can read it again."""
    made = planned(run_cli, "-", stdin=b"account_id\nu1\nu2\nu1\n")
    assert (made["input"], made["accounts"], made["duplicates"]) == (3, 2, 1)
    assert made["warnings"] == ["standard input was read to its end: the run needs it sent again."]


def test_what_lies_in_out_is_told(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """An unfinished run there is gone on with; beside a complete export a run asks for nothing, or wants a flag."""
    write_ids(tmp_path / "ids.csv", ["user_00001", "user_00002"])
    command = ["run", "ids.csv", "--out", "export", *double.flags, "--shard-rows", "1"]
    assert run_cli(*command, env={"EXPORTER_FAIL_POINT": "shard-recorded:1"}).code < 0
    (warning,) = planned(run_cli, "ids.csv", "--out", "export")["warnings"]
    assert warning.startswith("export holds an unfinished run")
    assert run_cli(*command).code == 0
    (warning,) = planned(run_cli, "ids.csv", "--out", "export")["warnings"]
    assert warning.startswith("export holds a complete export")


def test_bad_input_is_refused_as_by_the_run(run_cli: Cli, double: Double, tmp_path: Path, scratch: Path) -> None:
    """Missing, the wrong column, cut off: the same sentence, exit 2, nothing on standard output, no scratch file."""
    write_ids(tmp_path / "ids.csv", ["u1"])
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(MANY[:200_000])[:-2000])
    array: Any = pa.array([f"user_{number}" for number in range(100_000)])
    pq.write_table(pa.table({"account_id": array}), tmp_path / "whole.parquet")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "whole.parquet").read_bytes()[:-100])
    wrong = (["gone.csv"], ["ids.csv", "--column", "uid"], ["cut.csv.gz"], ["cut.parquet"], ["ids.csv", "-", "-"])
    for number, arguments in enumerate(wrong):
        ran = run_cli("plan", *arguments)
        assert (ran.code, ran.out) == (2, "")
        run = run_cli(
            "run", *arguments, *double.flags, "--out", f"out{number}", "--rate", "1e6", "--max-missing", "100%"
        )
        assert run.err.splitlines()[-1] == ran.err.splitlines()[-1]
    (tmp_path / "long.csv.gz").write_bytes(gzip.compress(MANY)[:-2000])
    ran = run_cli("plan", "long.csv.gz", "--shard-rows", "50000", env={"TMPDIR": str(scratch)})
    assert (ran.code, ran.out) == (2, "")
    assert not list(scratch.iterdir())


def test_an_export_is_not_spread_over_the_root_of_the_machine(run_cli: Cli, tmp_path: Path) -> None:
    """However it is spelled: all that lies beside `data/` there is somebody else's. Asked of a plan, which writes nothing."""
    write_ids(tmp_path / "ids.csv", ["user_1"])
    (tmp_path / "link").symlink_to("/")
    for out in ("/", "//", "/usr/..", "link"):
        ran = run_cli("plan", "ids.csv", "--out", out)
        assert ran.code == 2, out
        assert "must name a folder of its own" in ran.err


def test_a_folder_may_have_any_name(run_cli: Cli, tmp_path: Path) -> None:
    """Also one that is no text: in JSON it is shown as far as it goes."""
    write_ids(tmp_path / "ids.csv", ["u1"])
    assert planned(run_cli, "ids.csv", "--out", os.fsdecode(b"out\xff"))["folder"] == f"{tmp_path}/out\ufffd"
    assert "out" in run_cli("plan", "ids.csv", "--out", os.fsdecode(b"out\xff")).out


def test_settings_that_no_call_could_use_are_refused_before_the_input_is_read(run_cli: Cli, double: Double) -> None:
    """A region that is none: exit 2 at once."""
    ran = run_cli("plan", "-", "--region", "atlantis", *double.flags[2:], stdin=b"account_id\nu1\n")
    assert (ran.code, ran.out) == (2, "")
    assert "atlantis" in ran.err


@pytest.mark.parametrize(
    ("number", "code", "pack"),
    [
        (signal.SIGINT, 130, False),
        (signal.SIGTERM, 143, False),
        (signal.SIGHUP, 129, False),
        (signal.SIGINT, 130, True),
    ],
)
def test_a_signal_leaves_nothing(scratch: Path, number: int, code: int, pack: bool) -> None:  # noqa: FBT001 - a case
    """While more input is waited for: its own exit code, no traceback, no scratch file."""
    process = started(scratch, "-", "--shard-rows", "50000")
    assert process.stdin
    process.stdin.write(gzip.compress(MANY)[:-20_000] if pack else MANY)
    process.stdin.flush()
    wait_for(process, lambda: bool(list(scratch.glob("*/accounts"))))
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (code, b"")
    assert b"Traceback" not in err
    assert b"xception" not in err
    assert not list(scratch.iterdir())


def test_a_signal_while_repeats_are_counted_leaves_nothing(tmp_path: Path, scratch: Path) -> None:
    """After all was read, with the accounts in partitions."""
    (tmp_path / "ids.csv").write_bytes(MANY + MANY.partition(b"\n")[2])
    process = started(scratch, str(tmp_path / "ids.csv"), "--shard-rows", "50000")
    wait_for(process, lambda: bool(list(scratch.glob("*/partition-*"))))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, b"", b"")
    assert not list(scratch.iterdir())


def test_what_a_killed_plan_left_goes_with_the_next(run_cli: Cli, tmp_path: Path, scratch: Path) -> None:
    """Of plans that are at work nothing is taken: each comes to its end beside the other."""
    (tmp_path / "ids.csv").write_bytes(MANY)
    (scratch / "exporter-scratch-link").symlink_to(tmp_path)
    killed = fed(scratch)
    wait_for(killed, lambda: laid_down(scratch) == 1)
    working = fed(scratch)
    wait_for(working, lambda: laid_down(scratch) == 2)
    killed.kill()
    killed.communicate()
    assert laid_down(scratch) == 2
    made = planned(run_cli, "ids.csv", "--shard-rows", "50000", env={"TMPDIR": str(scratch)})
    assert laid_down(scratch) == 1
    out, err = working.communicate(timeout=30)
    assert (working.returncode, err) == (0, b"")
    assert f"{made['accounts']:,} different ones" in out.decode()
    assert [path.name for path in scratch.iterdir()] == ["exporter-scratch-link"]
    assert (tmp_path / "ids.csv").exists()


@pytest.mark.parametrize("holds", ["notes.txt", "accounts/notes.txt", "later-000001.bak"])
def test_what_somebody_else_called_so_is_left_alone(run_cli: Cli, tmp_path: Path, scratch: Path, holds: str) -> None:
    """A folder of that name that holds what no plan writes is no plan's: it stays as it is."""
    (tmp_path / "ids.csv").write_bytes(MANY)
    theirs = scratch / "exporter-scratch-theirs" / holds
    theirs.parent.mkdir(parents=True)
    (scratch / "exporter-scratch-theirs").chmod(0o700)
    theirs.write_text("theirs")
    planned(run_cli, "ids.csv", "--shard-rows", "50000", env={"TMPDIR": str(scratch)})
    assert theirs.read_text() == "theirs"


def test_memory_does_not_grow_with_the_input(tmp_path: Path) -> None:
    """Four times the rows, the same peak: what is read is not kept."""
    peaks = []
    for number in (400_000, 1_600_000):
        rows = (b"user_%d\n" % (row * 7919 % 10_000_019) for row in range(number))
        (tmp_path / "ids.csv").write_bytes(b"account_id\n" + b"".join(rows))
        code, peak_mib, _ = measured(exporter("plan", "ids.csv", "--shard-rows", "100000"), tmp_path)
        assert code == 0
        peaks.append(peak_mib)
    assert peaks[1] - peaks[0] < 30, peaks


def started(scratch: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    pipe = subprocess.PIPE
    env = environment(TMPDIR=str(scratch), EXPORTER_SECRET_KEY="")
    return subprocess.Popen(exporter("plan", *arguments), stdin=pipe, stdout=pipe, stderr=pipe, env=env)


def fed(scratch: Path) -> "subprocess.Popen[bytes]":
    """Start a plan that was given many ids, and waits for more."""
    process = started(scratch, "-", "--shard-rows", "50000")
    assert process.stdin
    process.stdin.write(MANY)
    process.stdin.flush()
    return process


def laid_down(scratch: Path) -> int:
    """How many plans have accounts in the folder."""
    return len(list(scratch.glob("*/accounts")))


def wait_for(process: "subprocess.Popen[bytes]", true: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not true():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.001)
