"""Every exit code, reached by a real process, with a sentence that names what happened and the way out."""

import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Double, Ran, environment, exporter, read_export, write_ids

Cli = Callable[..., Ran]


@pytest.fixture
def ids(tmp_path: Path) -> Path:
    return write_ids(tmp_path / "ids.csv", [f"user_{number:05d}" for number in range(1500)])


def test_a_complete_export_ends_with_0_and_says_where_it_lies(run_cli: Cli, double: Double, ids: Path) -> None:
    """The summary counts rows, rejects by reason and requests, and tells how to read the result."""
    ran = run_cli("run", str(ids), "--out", "export", *double.flags, "--rate", "100000")
    assert ran.code == 0
    made = read_export(ids.parent / "export")
    assert f"rows      {len(made.rows):,}" in ran.out
    assert f"{len(made.rejects):,} unknown_account" in ran.out
    assert "duckdb" in ran.out
    assert "pandas" in ran.out
    assert made.manifest["requests"] == 15


def test_the_same_command_again_asks_nothing(run_cli: Cli, double: Double, ids: Path) -> None:
    """A complete export is complete: exit 0, the time, no request. Another input is refused unless it may overwrite."""
    command = ["run", str(ids), "--out", "export", *double.flags, "--rate", "100000"]
    run_cli(*command)
    before = (ids.parent / "export/manifest.json").read_bytes()
    requests = double.stats()["requests"]
    ran = run_cli(*command)
    assert (ran.code, double.stats()["requests"]) == (0, requests)
    assert ran.out.startswith("Already complete since 20")
    assert (ids.parent / "export/manifest.json").read_bytes() == before

    write_ids(ids, ["somebody else"])
    ran = run_cli(*command)
    assert ran.code == 2
    assert "input 1 has other content" in ran.err
    assert "--overwrite" in ran.err
    ran = run_cli(*command, "--overwrite")
    assert ran.code == 0
    assert read_export(ids.parent / "export").manifest["input"] == 1


def test_another_setting_is_named(run_cli: Cli, double: Double, ids: Path) -> None:
    """What shaped the old export and is different now stands in the error."""
    command = ["run", str(ids), "--out", "export", *double.flags, "--rate", "100000"]
    run_cli(*command)
    ran = run_cli(*command, "--shard-rows", "700")
    assert ran.code == 2
    assert "shard_rows was 200000, now it is 700" in ran.err


def test_json_is_one_object_on_standard_output(run_cli: Cli, double: Double, ids: Path) -> None:
    """`--json` prints the figures for a program, and nothing else."""
    ran = run_cli("run", str(ids), "--out", "export", *double.flags, "--rate", "100000", "--json")
    told = json.loads(ran.out)
    assert (ran.code, told["complete"], told["input"]) == (0, True, 1500)


@pytest.mark.parametrize(
    ("flags", "env", "words"),
    [
        (["--rate", "0"], {}, "--rate"),
        (["--rate", "many"], {}, "--rate"),
        (["--types", "level=int"], {}, "did you mean int64?"),
        (["--region", "singapur"], {}, "did you mean singapore?"),
        (["--column", "user_id"], {}, "account_id"),
        (["--column", "Account_ID"], {}, "account_id"),
        (["--config", "missing.toml"], {}, "there is no such file"),
        (["--no-such-flag"], {}, "--no-such-flag"),
        (["--base-url", "http://192.0.2.1"], {}, "https"),
        ([], {"EXPORTER_SECRET_KEY": ""}, "EXPORTER_SECRET_KEY"),
        ([], {"EXPORTER_USERSIG": "not a usersig"}, "exclude each other"),
        ([], {"EXPORTER_SECRET_KEY": "", "EXPORTER_USERSIG": "rubbish"}, "EXPORTER_USERSIG"),
        ([], {"EXPORTER_SECRET_KEY": "", "EXPORTER_SECRET_KEY_FILE": "/nowhere/key"}, "/nowhere/key"),
        ([], {"EXPORTER_SHARD_ROWS": "-5"}, "EXPORTER_SHARD_ROWS: '-5' is too little"),
    ],
)
def test_what_cannot_be_meant_ends_with_2(
    run_cli: Cli, double: Double, ids: Path, flags: list[str], env: dict[str, str], words: str
) -> None:
    """Wrong flags, settings and columns: one line that names it, nothing asked, nothing written."""
    base = [] if {"--region", "--base-url"} & set(flags) else ["--base-url", double.address]
    requests = double.stats()["requests"]
    app = ["--sdkappid", "1400000000", "--identifier", "administrator"]
    ran = run_cli("run", str(ids), "--out", "export", *app, *base, *flags, env=env)
    assert ran.code == 2, ran.err
    assert words in ran.err
    assert ran.err.strip().splitlines()[-1].startswith("Error: ")
    assert double.stats()["requests"] == requests
    assert not (ids.parent / "export/_SUCCESS").exists()


def test_the_settings_file_and_the_environment_are_heard(run_cli: Cli, double: Double, ids: Path) -> None:
    """Flags win over the environment, and that over the file; an unknown key is refused with the nearest right one."""
    config = ids.parent / "settings.toml"
    config.write_text("shard_rows = 100\nrate = 90000\nduplicates = 'keep'\n")
    ran = run_cli(
        "run", str(ids), "--out", "export", *double.flags, "--config", str(config), "--rate", "80000", "--json",
        env={"EXPORTER_SHARD_ROWS": "500"},
    )  # fmt: skip
    used = json.loads(ran.out)["settings"]
    assert (used["shard_rows"], used["rate"], used["duplicates"]) == (500, 80000, "keep")
    config.write_text("shard_rovs = 100\n")
    ran = run_cli("run", str(ids), "--out", "other", *double.flags, "--config", str(config))
    assert ran.code == 2
    assert "did you mean 'shard_rows'?" in ran.err
    config.write_text("secret_key = 'in a file'\n")
    ran = run_cli("run", str(ids), "--out", "other", *double.flags, "--config", str(config))
    assert ran.code == 2
    assert "EXPORTER_SECRET_KEY" in ran.err
    assert "in a file" not in ran.err


def test_failed_accounts_end_with_3_unless_allowed(run_cli: Cli, double: Double, ids: Path) -> None:
    """Complete, but an account was refused or invalid: 3, unless --max-rejects says how many are fine."""
    double.control(poison=["user_00007"])
    ids.write_text(ids.read_text() + '"x\x01"\n')
    command = ["run", str(ids), "--out", "export", *double.flags, "--rate", "100000"]
    ran = run_cli(*command)
    assert ran.code == 3, ran.err
    assert "2 accounts failed" in ran.err
    assert "see export/rejects for each" in ran.err
    assert "`exporter retry export` asks again for the 1 that the service refused" in ran.err
    made = read_export(ids.parent / "export")
    assert made.manifest["rejects_by_reason"]["refused"] == 1
    assert made.manifest["rejects_by_reason"]["invalid_id"] == 1
    assert run_cli(*command, "--overwrite", "--max-rejects", "2").code == 0
    assert run_cli(*command, "--overwrite", "--max-rejects", "0.2%").code == 0
    double.control(poison=[])
    ran = run_cli(*command, "--overwrite", "--max-rejects", "0")
    assert ran.code == 3
    assert "retry" not in ran.err  # a bad id stays one
    double.control(poison=["user_00007"])
    assert run_cli(*command, "--overwrite", "--max-rejects", "0.1%").code == 3


def test_one_failed_account_is_told_as_one(run_cli: Cli, double: Double, ids: Path) -> None:
    """Not as "1 accounts"."""
    ids.write_text(f"account_id\n{'x' * 40}\n")
    ran = run_cli("run", str(ids), "--out", "export", *double.flags)
    assert (ran.code, "but 1 account failed" in ran.err) == (3, True), ran.err


def test_a_wrong_key_costs_one_call_and_ends_with_4(run_cli: Cli, double: Double, ids: Path) -> None:
    """The service's code, its meaning and what to do; one request, not one for each batch."""
    requests = double.stats()["requests"]
    ran = run_cli(
        "run", str(ids), "--out", "export", *double.flags, env={"EXPORTER_SECRET_KEY": "a wrong key altogether"}
    )
    assert ran.code == 4
    assert "70009" in ran.err
    assert "key" in ran.err
    assert "a wrong key altogether" not in ran.err
    assert double.stats()["requests"] == requests + 1
    assert not (ids.parent / "export/data").exists()


def test_a_ready_usersig_that_expires_ends_with_4(run_cli: Cli, double: Double, ids: Path) -> None:
    """Without the key there is no other UserSig: the run stops, says so, and can be started again with a fresh one."""
    from exporter.api.usersig import sign
    from tests.conftest import APP, CANARY

    usersig = sign(**APP, key=CANARY, now=int(time.time()) - 100, expire_s=50)  # type: ignore[arg-type] # both kinds
    ran = run_cli(
        "run", str(ids), "--out", "export", *double.flags,
        env={"EXPORTER_SECRET_KEY": "", "EXPORTER_USERSIG": usersig},
    )  # fmt: skip
    assert ran.code == 4
    assert "70001" in ran.err
    assert "fresh UserSig" in ran.err
    assert usersig not in ran.err + ran.out


def test_an_app_that_knows_nobody_ends_with_4(run_cli: Cli, double: Double, ids: Path) -> None:
    """When not one of the first 1,000 accounts is known, app or column is wrong: nothing is published."""
    double.control(unknown_share=1.0)
    ran = run_cli("run", str(ids), "--out", "export", *double.flags, "--rate", "100000")
    assert ran.code == 4
    assert "0 of 1,000 accounts" in ran.err
    assert "--column" in ran.err
    assert not (ids.parent / "export/_SUCCESS").exists()


def test_max_missing_ends_with_4(run_cli: Cli, double: Double, ids: Path) -> None:
    """More unknown accounts than --max-missing allows: nothing is published; within it all is well."""
    double.control(unknown_share=0.2)
    command = ["run", str(ids), "--out", "export", *double.flags, "--rate", "100000"]
    ran = run_cli(*command, "--max-missing", "10%")
    assert ran.code == 4
    assert "--max-missing" in ran.err
    assert run_cli(*command, "--max-missing", "40%").code == 0


def test_a_locked_output_ends_with_5(run_cli: Cli, double: Double, ids: Path) -> None:
    """One writer: the second run says who holds the folder."""
    out = ids.parent / "export"
    out.mkdir(mode=0o700)
    with (out / ".lock").open("w") as lock:
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        ran = run_cli("run", str(ids), "--out", "export", *double.flags)
    assert ran.code == 5
    assert f"pid {os.getpid()}" in ran.err


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 20 kB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20k,mode=700", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_ends_with_5(run_cli: Cli, double: Double, ids: Path, tiny_disk: Path) -> None:
    """The disk is named, and nothing stands half-written under a final name."""
    ran = run_cli("run", str(ids), "--out", str(tiny_disk / "export"), *double.flags, "--rate", "100000")
    assert ran.code == 5, ran.err
    assert "the disk is full" in ran.err
    assert str(tiny_disk) in ran.err
    assert not (tiny_disk / "export/_SUCCESS").exists()
    assert not list((tiny_disk / "export").glob("data/*"))


def test_a_path_through_a_file_ends_with_5(run_cli: Cli, double: Double, ids: Path) -> None:
    """An output folder that cannot be made is this machine's fault, and named."""
    ran = run_cli("run", str(ids), "--out", f"{ids}/export", *double.flags)
    assert ran.code == 5
    assert "ids.csv" in ran.err


def test_a_service_out_of_reach_ends_with_75(run_cli: Cli, ids: Path) -> None:
    """Before the first answer 30 seconds are enough: the host is named, and the same command may be run again."""
    ran = run_cli(
        "run", str(ids), "--out", "export", "--base-url", "http://127.0.0.1:9",
        "--sdkappid", "1400000000", "--identifier", "administrator",
    )  # fmt: skip
    assert ran.code == 75
    assert "127.0.0.1" in ran.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_run(double: Double, ids: Path, number: int, code: int) -> None:
    """The run ends soon, with the signal's exit code, and publishes nothing."""
    double.control(latency_ms=[200.0, 200.0])
    command = exporter("run", str(ids), "--out", str(ids.parent / "export"), *double.flags, "--in-flight", "1")
    process = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True)
    before = double.stats()["requests"]
    while double.stats()["requests"] < before + 2 and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert "Traceback" not in err
    assert not (ids.parent / "export/_SUCCESS").exists()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_input_whose_path_is_no_text_is_exported(run_cli: Cli, double: Double, ids: Path, kind: str) -> None:
    """Its bytes that are no UTF-8 are told as U+FFFD; nothing fails over them, least of all once all are asked."""
    odd = ids.parent / os.fsdecode(b"caf\xe9")
    odd.mkdir()
    if kind == "csv":
        path = ids.rename(odd / "ids.csv")
    else:
        path = odd / "ids.parquet"
        with path.open("wb") as file:
            pq.write_table(pa.table({"account_id": ["user_00001", "user_00002"]}), file)
    ran = run_cli("run", str(path), "--out", "export", *double.flags)
    assert ran.code == 0, ran.err
    (entry,) = read_export(ids.parent / "export").manifest["inputs"]
    assert entry["path"] == f"{ids.parent}/caf\ufffd/ids.{kind}"


def test_an_output_whose_path_is_no_text_is_refused_at_once(run_cli: Cli, double: Double, ids: Path) -> None:
    """In one line, before anything is asked."""
    requests = double.stats()["requests"]
    ran = run_cli("run", str(ids), "--out", os.fsdecode(b"out\xff"), *double.flags)
    assert (ran.code, ran.err.count("\n")) == (2, 1), ran.err
    assert "out\ufffd: its name cannot be read as UTF-8" in ran.err
    assert double.stats()["requests"] == requests
