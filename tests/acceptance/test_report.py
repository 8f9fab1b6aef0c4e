"""The report of real runs: it comes with the export, whatever happens on the way, and costs it nothing."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from exporter.app import report
from exporter.errors import MachineError, OutputError
from exporter.output import folder, publish
from exporter.report import page
from tests.acceptance.conftest import Command, Input, ended, files_of
from tests.conftest import Double, Exporting, Ran, environment, exporter, read_export, write_ids

Cli = Callable[..., Ran]
BEGIN = '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="generator" content="exporter">'


def page_of(out: Path, name: str = "report.html") -> str:
    """The report of an export: whole, private, and of this very export."""
    path = out / name
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text(encoding="utf-8")
    assert text.startswith(BEGIN)
    assert text.endswith("</html>\n")
    made = json.loads((out / "manifest.json").read_text())
    for key in ("rows", "input", "requests"):
        assert f">{made[key]:,}<" in text
    assert made["fingerprint"] in text
    return text


@pytest.fixture
def exported(run_cli: Cli, double: Double, tmp_path: Path) -> Path:
    """A complete export of a few accounts, with some of everything."""
    double.control(unknown_share=0.2)
    ids = [*(f"user_{n:05d}" for n in range(300)), "user_00007", "", "x" * 40]
    write_ids(tmp_path / "ids.csv", ids)
    ran = run_cli(
        "run",
        "ids.csv",
        "--out",
        "out",
        *double.flags,
        "--shard-rows",
        "100",
        "--max-rejects",
        "100%",
        "--types",
        "level=int64",
    )
    assert ran.code == 0, ran.err
    assert f"\n  report    {Path('out') / 'report.html'}\n" in ran.out
    return tmp_path / "out"


def test_a_page_is_replaced_whole(exported: Path) -> None:
    """Whoever reads the old one reads it to its end; the new one is another file, and nothing else is left beside it."""
    path = exported / "report.html"
    old, names = path.read_bytes(), sorted(exported.iterdir())
    with path.open("rb") as reading:
        begin = reading.read(100)
        report(exported)
        assert begin + reading.read() == old
        assert os.fstat(reading.fileno()).st_ino != path.stat().st_ino
    assert page_of(exported).encode() != old
    assert sorted(exported.iterdir()) == names
    elsewhere = exported.parent / "page.html"
    elsewhere.write_bytes(b"old")
    with elsewhere.open("rb") as reading:
        report(exported, to=elsewhere)
        assert reading.read() == b"old"


def test_an_export_that_is_replaced_meanwhile_gives_no_page(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the old one and half of the new would be a report of neither: exit 2, and nothing is written."""
    draw = page.render

    def replaced(*args: Any, **more: Any) -> bytes:
        path = exported / "manifest.json"
        made = json.loads(path.read_text())
        path.write_text(json.dumps({**made, "finished_at": "2030-01-01T00:00:00.000+00:00"}))
        return draw(*args, **more)

    monkeypatch.setattr(page, "render", replaced)
    with pytest.raises(OutputError, match="was replaced while it was read"):
        report(exported, to=exported.parent / "page.html")
    assert not (exported.parent / "page.html").exists()


# With the run


def test_a_run_leaves_a_page_beside_its_manifest(exported: Path) -> None:
    """Its figures are those of the manifest; the data is not read for it; verifying finds nothing."""
    text = page_of(exported)
    read_export(exported)
    assert "unknown_account" in text
    assert "user_00007" not in text
    assert "Most frequent values" not in text


def test_a_run_may_tell_of_its_data(run_cli: Cli, double: Double, tmp_path: Path, exported: Path) -> None:
    """With --report data, the page has the attributes and examples of rejects; the bytes of the export are the same."""
    ran = run_cli("run", "ids.csv", "--out", "told", *double.flags, "--shard-rows", "100", "--max-rejects", "100%", "--types", "level=int64", "--report", "data")  # fmt: skip
    assert ran.code == 0, ran.err
    text = page_of(tmp_path / "told")
    assert "Most frequent values" in text
    assert "Examples of" in text
    assert files_of(tmp_path / "told") == files_of(exported)


@pytest.mark.parametrize(
    ("told", "point"),
    [
        ("run", "assembled"),
        ("data", "assembled"),
        ("run", "publishing"),
        ("data", "published-part:4"),
        ("run", "published-part:5"),
        ("data", "run-removed-part"),
    ],
)
def test_killed_while_publishing_the_page_arrives(command: Command, given: Input, told: str, point: str) -> None:
    """Over an export before: what lies there in the end is the page of the new one, never that of the old."""
    command.done()
    old = page_of(command.out)
    (command.folder / "ids.csv").write_bytes(given.csv() + b"one-more\n")
    flags = ("--overwrite", "--report", told)
    command.killed(point, *flags)
    if point == "assembled":
        assert page_of(command.out) == old
    if (command.out / "_SUCCESS").exists():
        page_of(command.out)
    command.done("--report", told)
    found = read_export(command.out)
    assert found.manifest["input"] == len(given.ids) + 1
    assert page_of(command.out) != old


def test_a_page_is_there_before_the_export_is_said_to_be_complete(command: Command) -> None:
    """Killed right before `_SUCCESS` is written, the page is in place."""
    command.killed("published-part:5")
    assert not (command.out / "_SUCCESS").exists()
    page_of(command.out)


def test_a_retry_makes_the_page_anew(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """It tells of the export as it is now."""
    write_ids(tmp_path / "ids.csv", [f"user_{n:05d}" for n in range(50)])
    double.control(poison=["user_00009"])
    assert run_cli("run", "ids.csv", "--out", "out", *double.flags).code == 3
    assert "refused" in page_of(tmp_path / "out")
    double.control(poison=[])
    assert run_cli("retry", "out", *double.flags).code == 0
    text = page_of(tmp_path / "out")
    assert '<bdi class="code">refused</bdi>' not in text
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["rejects_by_reason"].keys() <= {
        "unknown_account"
    }


def test_a_bug_in_the_page_costs_no_export(
    exporting: Exporting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page in its place says so, and the export is the same."""
    source = write_ids(tmp_path / "ids.csv", [f"user_{n:05d}" for n in range(50)])
    exporting.manifest(source, tmp_path / "good")

    def fails(*_: object, **__: object) -> bytes:
        raise ZeroDivisionError("<b>by the test</b>")

    monkeypatch.setattr(page, "render", fails)
    exporting.manifest(source, tmp_path / "out")
    read_export(tmp_path / "out")
    text = (tmp_path / "out" / "report.html").read_text()
    assert text.startswith(BEGIN)
    assert "This page could not be made" in text
    assert files_of(tmp_path / "out") == files_of(tmp_path / "good")


def test_a_signal_ends_the_reading_of_the_data(double: Double, tmp_path: Path) -> None:
    """Stopped between two shards: nothing is published, and the same command goes on without a request."""
    ids = Input(200).written(tmp_path / "ids.csv")
    flags = ("--shard-rows", "2", "--rate", "100000", "--max-rejects", "100%", "--report", "data")
    line = exporter("run", str(ids), "--out", str(tmp_path / "out"), *double.flags, *flags)
    stage = tmp_path / "out" / ".run" / "publish"
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), cwd=tmp_path)
    until = time.monotonic() + 60
    while not (stage / "bad_values" / "part-000099.parquet").exists():
        assert process.poll() is None, ended(process)
        assert time.monotonic() < until
    process.send_signal(signal.SIGTERM)
    ran = ended(process)
    assert ran.code == 143, ran
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    before = double.stats()["requests"]
    again = subprocess.run(line, capture_output=True, env=environment(), cwd=tmp_path, check=False, timeout=90)
    assert again.returncode == 0
    assert double.stats()["requests"] == before
    assert "Most frequent values" in page_of(tmp_path / "out") or "No value stands there twice" in page_of(
        tmp_path / "out"
    )


# Made again


def test_the_report_of_an_export_tells_of_its_data(run_cli: Cli, exported: Path) -> None:
    """It takes the place of the page of the run; nothing else changes, and its figures are those of the files."""
    before = files_of(exported)
    ran = run_cli("report", "out")
    assert (ran.code, ran.out) == (0, f"{Path('out') / 'report.html'}\n")
    text = page_of(exported)
    assert files_of(exported) == before
    read_export(exported)
    assert not (exported / ".run").exists()
    table = pq.read_table(exported / "data", partitioning=None)
    levels = [level for level in table.column("level").to_pylist() if level is not None]
    assert f"<dt>smallest</dt><dd>{min(levels)}</dd>" in text
    assert f"<dt>largest</dt><dd>{max(levels)}</dd>" in text
    for name in table.column_names[1:]:
        assert f">{name}</bdi>" in text
    assert run_cli("report", "out").code == 0
    assert page_of(exported) == text


def test_a_report_without_ids_holds_none(run_cli: Cli, exported: Path) -> None:
    """Not one of the input, neither of accounts with a row nor of rejects, nor the administrator's."""
    assert run_cli("report", "out").code == 0
    ids = {row["account_id"] for name in ("data", "rejects") for row in pq.read_table(exported / name, partitioning=None).to_pylist()}  # fmt: skip
    shown = unescape(page_of(exported))
    assert any(name and name in shown for name in ids)
    assert "administrator" in shown
    assert run_cli("report", "out", "--redact-ids").code == 0
    hidden = unescape(page_of(exported))
    assert [name for name in ids if name and name in hidden] == []
    assert "administrator" not in hidden
    assert "ids.csv" in hidden


def test_an_export_made_without_ids_stays_so(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """What the run was told holds for every report of it."""
    write_ids(tmp_path / "ids.csv", names := [f"user_{n:05d}" for n in range(50)])
    told = ("--report", "data", "--redact-ids", "--max-rejects", "100%")
    double.control(poison=names[:3])
    assert run_cli("run", "ids.csv", "--out", "out", *double.flags, *told).code == 0
    pages = [page_of(tmp_path / "out")]
    assert run_cli("report", "out").code == 0
    pages.append(page_of(tmp_path / "out"))
    for text in pages:
        assert "Examples of" in text
        assert [name for name in (*names, "administrator") if name in text] == []


def test_a_report_elsewhere_leaves_the_export_alone(run_cli: Cli, exported: Path, tmp_path: Path) -> None:
    """With --to nothing in OUT is written, not even a time changes; OUT need not be writable."""
    before = {path: path.stat().st_mtime_ns for path in (exported, *exported.rglob("*"))}
    exported.chmod(0o500)
    ran = run_cli("report", "out", "--to", "elsewhere.html")
    exported.chmod(0o700)
    assert (ran.code, ran.out) == (0, "elsewhere.html\n"), ran.err
    assert {path: path.stat().st_mtime_ns for path in (exported, *exported.rglob("*"))} == before
    shutil.copy(exported / "manifest.json", tmp_path)
    assert "Most frequent values" in page_of(tmp_path, "elsewhere.html")


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("missing/report.html", "there is no folder missing"),
        ("out/data/report.html", "lies in the export"),
        ("out/manifest.json", "lies in the export"),
        ("out", "it is no file"),
    ],
)
def test_a_place_that_is_none_is_refused(run_cli: Cli, exported: Path, place: str, words: str) -> None:
    """In a sentence, and nothing is written."""
    before = sorted(exported.rglob("*"))
    ran = run_cli("report", "out", "--to", place)
    assert ran.code == 2
    assert words in ran.err
    assert sorted(exported.rglob("*")) == before


def test_the_page_of_the_export_by_its_name_is_written_by_its_writer_alone(exported: Path) -> None:
    """As without --to: under the lock, and not over a page of somebody else."""
    page_of(exported)
    assert report(exported, to=exported / "report.html") == exported / "report.html"
    assert "Most frequent values" in page_of(exported)
    with folder.held(exported), pytest.raises(MachineError, match="pid"):
        report(exported, to=exported / "report.html")
    (exported / "report.html").write_text("mine")
    with pytest.raises(OutputError, match="not of an export"):
        report(exported, to=exported / "report.html")
    assert (exported / "report.html").read_text() == "mine"


def test_an_export_that_is_not_complete_has_no_report(run_cli: Cli, command: Command, tmp_path: Path) -> None:
    """Exit 2, what to do, and nothing is made: of a folder that is missing, empty, or of an unfinished run."""
    command.killed("shard-recorded:4")
    (tmp_path / "empty").mkdir()
    for name in ("missing", "empty", str(command.out)):
        for more in ((), ("--to", "page.html")):
            ran = run_cli("report", name, *more)
            assert ran.code == 2
            assert "holds no complete export: _SUCCESS is not there. `exporter status" in ran.err
    assert not (tmp_path / "missing").exists()
    assert list((tmp_path / "empty").iterdir()) == []
    assert not (tmp_path / "page.html").exists()


def test_a_publishing_that_was_cut_off_is_finished_first(run_cli: Cli, command: Command) -> None:
    """As every command that writes does."""
    command.killed("success-removed")
    assert run_cli("report", str(command.out)).code == 0
    read_export(command.out)
    assert "Most frequent values" in page_of(command.out)


def test_a_run_at_work_is_not_disturbed(run_cli: Cli, command: Command) -> None:
    """Whoever holds the folder is named; a report elsewhere needs no lock."""
    command.done()
    command.double.control(latency_ms=[3_000, 3_000])
    process = command.start("--overwrite", "--in-flight", "1")
    command.wait_for(process, lambda: bool(command.shards))
    ran = run_cli("report", str(command.out))
    assert ran.code == 5
    assert f"pid {process.pid}" in ran.err
    assert run_cli("report", str(command.out), "--to", "page.html").code == 0
    process.kill()
    ended(process)


def test_damaged_data_is_named(run_cli: Cli, exported: Path) -> None:
    """Exit 5, the file, and what tells more; the page that is there stays."""
    old = page_of(exported)
    part = exported / "data" / "part-000001.parquet"
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])
    ran = run_cli("report", "out")
    assert ran.code == 5
    assert "part-000001.parquet cannot be read" in ran.err
    assert "`exporter verify out`" in ran.err
    part.unlink()
    ran = run_cli("report", "out")
    assert ran.code == 5
    assert "part-000001.parquet is missing" in ran.err
    assert page_of(exported) == old


@pytest.mark.parametrize(
    "damage",
    [
        {"series": [{"at_s": "x"}]},
        {"series": [{}]},
        {"rejects_by_reason": {"missing": "x"}},
        {"requests": "<b>"},
        {"seconds": None},
        {"schema": [{"name": "account_id", "type": "text"}, {"name": "gone", "attribute": "gone", "type": "text"}]},
    ],
)
def test_a_manifest_that_was_changed_is_a_sentence(
    run_cli: Cli, exported: Path, damage: dict[str, object], tmp_path: Path
) -> None:
    """Never a traceback: exit 2 for what it says, exit 5 for data that is not as it says."""
    path = exported / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    old = (exported / "report.html").read_bytes()
    ran = run_cli("report", "out", "--to", str(tmp_path / "page.html"))
    assert ran.code in {2, 5}
    assert ran.err.startswith("Error: ")
    assert not (tmp_path / "page.html").exists()
    assert (exported / "report.html").read_bytes() == old


def test_a_page_of_somebody_else_is_not_overwritten(run_cli: Cli, double: Double, exported: Path) -> None:
    """Neither by a report nor by a run."""
    (exported / "report.html").write_text("<p>precious")
    for command in (("report", "out"), ("run", "ids.csv", "--out", "out", *double.flags, "--overwrite")):
        ran = run_cli(*command)
        assert ran.code == 2
        assert "report.html is not of an export" in ran.err
    assert (exported / "report.html").read_text() == "<p>precious"


def test_an_export_without_a_page_gets_one(run_cli: Cli, exported: Path) -> None:
    """As those of versions before have none."""
    (exported / "report.html").unlink()
    read_export(exported)
    assert run_cli("report", "out").code == 0
    page_of(exported)


def test_a_full_disk_leaves_the_page_as_it_was(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page is whole or absent: what fails in writing leaves the old one."""
    old = page_of(exported)

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(MachineError, match="the disk is full"):
        report(exported)
    monkeypatch.undo()
    assert page_of(exported) == old
    assert {path.name for path in exported.iterdir()} == {*publish.PUBLISHED, "_SUCCESS", ".lock"}
