"""Bad input, as the catalogue has it: refused with file, place and reason, or every odd row accounted for."""

import bz2
import gzip
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exporter.errors import InputError
from tests.conftest import Double, Exporting, Ran, environment, exporter, read_export, write_ids

Cli = Callable[..., Ran]


def parquet(path: Path, ids: Any, kind: pa.DataType | None = None) -> bytes:
    array: Any = pa.array(ids, kind)
    pq.write_table(pa.table({"account_id": array}), path, write_page_checksum=True, compression="none")
    return path.read_bytes()


def flipped(data: bytes, word: bytes) -> bytes:
    place = data.index(word)
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


PLAIN = b"account_id\nu1\nu2\nu3\n"
LONG = b"account_id\n" + b"".join(b"u%d\n" % number for number in range(50_000))

REFUSED: dict[str, tuple[bytes, str]] = {
    "unclosed quote": (b'account_id,name\nu1,"a\nu2,b\nu3,c\n', "quot"),
    "unclosed quote near the end": (LONG + b'u,"a\nb', "quot"),
    "bad utf-8": (b"account_id\nu1\nu\xff\xfe2\nu3\n", "--encoding"),
    "latin-1": ("account_id\ncafé\n".encode("latin-1"), "--encoding"),
    "utf-16": ("account_id\nu1\n".encode("utf-16"), "UTF-16"),
    "no header": (b"u1\nu2\nu3\n", "--no-header"),
    "duplicated header": (b"account_id,account_id\nu1,x\n", "account_id"),
    "empty": (b"", "empty"),
    "semicolons": (b"account_id;name\nu1;a\n", "--delimiter"),
    "a field of 20 MB": (b"account_id\n" + b"x" * (20 << 20) + b"\nu2\n", "2"),
    "one line of 8 MB": (b"x" * (8 << 20), "1"),
    "cut gzip": (gzip.compress(LONG)[:-2000], "gzip"),
    "wrong gzip checksum": (gzip.compress(LONG)[:-8] + bytes(4) + gzip.compress(LONG)[-4:], "gzip"),
    "rubbish behind gzip": (gzip.compress(PLAIN) + b"GARBAGE", "gzip"),
    "gzip bomb": (gzip.compress(b"account_id\n" + b"0" * (300 << 20)), "line"),
    "cut bzip2": (bz2.compress(LONG)[:-50], "bzip2"),
    "excel": (b"PK\x03\x04" + bytes(200), "CSV"),
}

ACCEPTED: dict[str, tuple[bytes, list[str], dict[str, int]]] = {
    "byte order mark": (b"\xef\xbb\xbf" + PLAIN, ["u1", "u2", "u3"], {}),
    "CRLF": (PLAIN.replace(b"\n", b"\r\n"), ["u1", "u2", "u3"], {}),
    "CR alone": (PLAIN.replace(b"\n", b"\r"), ["u1", "u2", "u3"], {}),
    "mixed line ends": (b"account_id\r\nu1\nu2\r\nu3\n", ["u1", "u2", "u3"], {}),
    "no final newline": (b"account_id\nu1\nu2", ["u1", "u2"], {}),
    "quoted newline": (b'account_id,name\nu1,"a\nb"\nu2,"c"\n', ["u1", "u2"], {}),
    "NUL": (b"account_id\nu1\nu\x002\nu3\n", ["u1", "u3"], {"invalid_id": 1}),
    "row too long": (b"account_id,b\nu1,1\nu2,2,EXTRA\nu3,3\n", ["u1", "u3"], {"bad_row": 1}),
    "row too short": (b"b,account_id\n1,u1\n2\n3,u3\n", ["u1", "u3"], {"bad_row": 1}),
    "row short of another field": (b"account_id,b\nu1,1\nu2\n", ["u1", "u2"], {}),
    "blank lines": (b"account_id\nu1\n\n\nu2\n", ["u1", "u2"], {"blank": 2}),
    "empty ids": (b"account_id,b\nu1,1\n,2\n", ["u1"], {"invalid_id": 1}),
    "header only": (b"account_id\n", [], {}),
    "header without newline": (b"account_id", [], {}),
    "leading zeros": (b"account_id\n00123\n00007\n", ["00123", "00007"], {}),
    "spreadsheet numbers": (b"account_id\n1e5\n1.23457E+17\n", ["1e5", "1.23457E+17"], {}),
    "long numbers": (b"account_id\n12345678901234567890\n9007199254740993\n",
                     ["12345678901234567890", "9007199254740993"], {}),
    "words for nothing": (b"account_id\nNA\nNULL\nNaN\nNone\n", ["NA", "NULL", "NaN", "None"], {}),
    "dates": (b"account_id\n2024-01-01\ntrue\n", ["2024-01-01", "true"], {}),
    "outer spaces": (b"account_id\n u1\nu2 \n", [" u1", "u2 "], {"ids_with_outer_spaces": 2}),
    "outer tab": (b"account_id\n\tu3\n", [], {"invalid_id": 1}),
    "Ctrl-Z": (b"account_id\nu1\n\x1a", ["u1"], {"invalid_id": 1}),
    "duplicates": (b"account_id\nu1\nu1\nu2\n", ["u1", "u2"], {"duplicates": 1}),
    "32 and 33 bytes": (f"account_id\n{'é' * 16}\n{'é' * 16}x\n".encode(), ["é" * 16], {"invalid_id": 1}),
    "gzip": (gzip.compress(PLAIN), ["u1", "u2", "u3"], {}),
    "gzip in two members": (gzip.compress(PLAIN) + gzip.compress(b"u4\n"), ["u1", "u2", "u3", "u4"], {}),
    "bzip2": (bz2.compress(PLAIN), ["u1", "u2", "u3"], {}),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_file_names_itself_and_the_reason(exporting: Exporting, case: str) -> None:
    """No row is guessed: the error is one sentence with file and reason, and nothing is published."""
    data, words = REFUSED[case]
    path = exporting.folder / "ids.csv"
    path.write_bytes(data)
    with pytest.raises(InputError) as refusal:
        exporting.run(path, out=exporting.folder / "out", max_missing=1.0)
    assert str(path) in str(refusal.value)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not (exporting.folder / "out/_SUCCESS").exists()


@pytest.mark.parametrize("case", ACCEPTED)
def test_an_accepted_file_accounts_for_every_row(exporting: Exporting, case: str) -> None:
    """Ids survive to the letter; every odd row is counted as what it is."""
    data, ids, counted = ACCEPTED[case]
    path = exporting.folder / "ids.csv"
    path.write_bytes(data)
    exporting.double.control(unknown_share=0.0)
    made = exporting.run(path)
    assert made.accounts == ids
    seen = {
        **made.manifest["rejects_by_reason"],
        **{name: made.manifest[name] for name in counted if name in made.manifest},
    }
    assert seen == counted


def test_parquet_ids(exporting: Exporting) -> None:
    """Texts, whole numbers and decimals are ids to the digit; null is a reject; other types and damage are refused."""
    path = exporting.folder / "ids.parquet"
    exporting.double.control(unknown_share=0.0)
    good: list[tuple[Any, pa.DataType | None, list[str]]] = [
        (["u1", None, "u3"], None, ["u1", "u3"]),
        ([1, 2, 9007199254740993], None, ["1", "2", "9007199254740993"]),
        ([2**64 - 1], pa.uint64(), [str(2**64 - 1)]),
        (["u1", "u2"], pa.large_string(), ["u1", "u2"]),
        (pa.array(["u1", "u2"]).dictionary_encode(), None, ["u1", "u2"]),
        ([], pa.string(), []),
    ]
    for ids, kind, expected in good:
        parquet(path, ids, kind)
        made = exporting.run(path)
        assert made.accounts == expected
        assert made.manifest["input"] == len(ids)
    whole = parquet(path, [f"user{number}" for number in range(3)])
    damaged = [whole[:-10], whole[:50], whole[:-4] + b"XXXX", b"XXXX" + whole[4:], b"", PLAIN, flipped(whole, b"user1")]
    for data in damaged:
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"ids\.parquet"):
            exporting.run(path)
    for ids, kind in (([1.0], None), ([True], None), ([1], pa.timestamp("us")), ([b"u"], None), ([["u1"]], None)):
        parquet(path, ids, kind)
        with pytest.raises(InputError, match=r"ids\.parquet"):
            exporting.run(path)


def test_a_refused_file_ends_with_2(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """Through the command line: exit 2, one line, no traceback, no export, though rows before the damage were asked for."""
    (tmp_path / "ids.csv").write_bytes(LONG + b'u,"a\nb')
    ran = run_cli("run", "ids.csv", "--out", "export", *double.flags, "--rate", "100000", "--shard-rows", "1000")
    assert ran.code == 2
    assert len(ran.err.strip().splitlines()) == 1
    assert ran.err.startswith("Error: ids.csv: ")
    assert not (tmp_path / "export/_SUCCESS").exists()
    assert not (tmp_path / "export/data").exists()


def test_many_files_are_one_input(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """Folders, globs, CSV and Parquet together: read in order, and each reject names its own file and row there."""
    folder = tmp_path / "ids"
    folder.mkdir()
    write_ids(folder / "a.csv", ["a1", "", "a3"])
    (folder / "b.csv.gz").write_bytes(gzip.compress(b"account_id\nb1\nb\x022\n"))
    parquet(folder / "c.parquet", ["c1", None])
    ran = run_cli("run", "ids", "ids/[ac]*", "--out", "export", *double.flags, "--max-missing", "100%", "--json")
    assert ran.code == 3, ran.err
    made = read_export(tmp_path / "export")
    bad = [(Path(row["source"]).name, row["row_number"]) for row in made.rejects if row["reason"] == "invalid_id"]
    assert bad == [("a.csv", 2), ("b.csv.gz", 2), ("c.parquet", 2), ("a.csv", 2), ("c.parquet", 2)]
    assert json.loads(ran.out)["duplicates"] == 3


def test_a_run_never_reads_what_it_wrote(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """An output folder within the input is refused before anything is asked, and so are files that a run would replace."""
    (tmp_path / "ids").mkdir()
    write_ids(tmp_path / "ids/a.csv", ["user_1"])
    assert run_cli("run", "ids/a.csv", "--out", "ids", *double.flags, "--max-missing", "100%").code == 0
    for inputs, out in (("ids", "ids/export"), ("ids", "ids"), ("ids/data/*.parquet", "ids")):
        ran = run_cli("run", inputs, "--out", out, *double.flags)
        assert ran.code == 2
        assert "part of the input" in ran.err
    assert not (tmp_path / "ids/export").exists()


def test_an_export_has_a_folder_of_its_own(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """One that holds the working directory is refused before anything is written, however it is spelled."""
    write_ids(tmp_path / "ids.csv", ["user_1"])
    (tmp_path / "below").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for out in (".", "..", "", "below/..", str(tmp_path), "/", "/proc/self/cwd"):
        ran = run_cli("run", "ids.csv", "--out", out, *double.flags)
        assert ran.code == 2, out
        assert "must name a folder of its own" in ran.err
        assert "it holds the current folder" in ran.err
    assert sorted(tmp_path.rglob("*")) == before


def test_the_root_is_no_export_s_own_from_a_removed_folder_either(double: Double, tmp_path: Path) -> None:
    """Nobody works in a folder that is gone, and still `--out /` would spread an export among all files."""
    ids = write_ids(tmp_path / "ids.csv", ["user_1"])
    (tmp_path / "gone").mkdir()
    command = exporter("plan", str(ids), "--out", "/", *double.flags)  # a run would write there if this failed
    shell = ["sh", "-c", 'rmdir ../gone && exec "$@"', "sh", *command]
    done = subprocess.run(shell, cwd=tmp_path / "gone", env=environment(), capture_output=True, check=False)
    assert done.returncode == 2, done.stdout
    assert b"must name a folder of its own" in done.stderr


def test_an_export_may_be_named_from_within(double: Double, tmp_path: Path) -> None:
    """Empty, unfinished or complete: `--out .` means the folder that one stands in, and the input beside it is fine."""
    write_ids(tmp_path / "ids.csv", ["user_1", "user_2", "user_3"])
    place = tmp_path / "export"
    place.mkdir(mode=0o700)

    def run(**env: str) -> "subprocess.CompletedProcess[bytes]":
        command = exporter("run", "../ids.csv", "--out", ".", *double.flags, "--shard-rows", "1")
        return subprocess.run(command, cwd=place, env=environment(**env), capture_output=True, check=False)

    assert run(EXPORTER_FAIL_POINT="shard-recorded:2").returncode == -signal.SIGKILL
    done = run()
    assert done.returncode == 0, done.stderr
    assert b"Going on with the run that was stopped: " in done.stderr
    assert read_export(place).manifest["input"] == 3
    assert b"Already complete" in run().stdout


def test_a_name_that_nobody_has_is_told(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """A misspelt attribute gives a column of nulls, and a note that says so."""
    write_ids(tmp_path / "ids.csv", ["user_1", "user_2", "user_3", "user_5"])
    ran = run_cli(
        "run", "ids.csv", "--out", "export", *double.flags, "--attributes", "citty,city", "--types", "lvel=int64"
    )
    assert ran.code == 0
    assert "no account has citty" in ran.out
    assert "no account has lvel" in ran.out
    assert "no account has city," not in ran.out


def test_surrounding_spaces_are_told_and_can_be_removed(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """They are kept unless --strip says otherwise, and never silently."""
    write_ids(tmp_path / "ids.csv", [" user_1", "user_1 ", "user_1"])
    ran = run_cli("run", "ids.csv", "--out", "kept", *double.flags, "--max-missing", "100%")
    assert "2 ids have spaces around; --strip removes them" in ran.out
    assert "took  " in ran.out  # one request has no pace
    assert "requests/s" not in ran.out
    run_cli("run", "ids.csv", "--out", "stripped", *double.flags, "--max-missing", "100%", "--strip")
    assert read_export(tmp_path / "stripped").manifest["duplicates"] == 2


def test_standard_input_flows(double: Double, tmp_path: Path) -> None:
    """Ids from a pipe are asked for as they arrive, long before the pipe ends; the export is that of the same file."""
    flags = ["--out", str(tmp_path / "export"), *double.flags, "--rate", "100000", "--json"]
    process = subprocess.Popen(
        exporter("run", "-", *flags), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
    )
    assert process.stdin
    before = double.stats()["accounts_asked"]
    process.stdin.write(b"account_id\n" + b"".join(b"user_%05d\n" % number for number in range(1000)))
    process.stdin.flush()
    ends = time.monotonic() + 30
    while double.stats()["accounts_asked"] < before + 1000 and time.monotonic() < ends:
        time.sleep(0.05)
    assert double.stats()["accounts_asked"] == before + 1000
    out, _ = process.communicate(b"user_99999\n", timeout=30)
    assert process.returncode == 0
    assert json.loads(out)["input"] == 1001
    again = subprocess.run(
        exporter("run", "-", *flags),
        input=b"account_id\nsomebody\n",
        capture_output=True,
        env=environment(),
        check=False,
    )
    assert again.returncode == 2
    assert b"other content" in again.stderr


def test_a_silent_pipe_does_not_keep_the_run_from_ending(double: Double, tmp_path: Path) -> None:
    """Ctrl-C ends a run that waits for a producer that never writes."""
    reader, writer = os.pipe()
    command = exporter("run", "-", "--out", str(tmp_path / "export"), *double.flags)
    process = subprocess.Popen(command, stdin=reader, stderr=subprocess.PIPE, env=environment(), text=True)
    while not (tmp_path / "export/.run/journal").exists() and process.poll() is None:
        time.sleep(0.05)
    killer = threading.Timer(20, process.kill)
    killer.start()
    process.terminate()
    _, err = process.communicate()
    killer.cancel()
    os.close(writer)
    os.close(reader)
    assert process.returncode == 143
    assert "Traceback" not in err
