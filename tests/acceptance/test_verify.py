"""`exporter verify` through real processes: what a person sees, and the exit codes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Double, Ran, write_ids

Cli = Callable[..., Ran]


@pytest.fixture
def out(run_cli: Cli, double: Double, tmp_path: Path) -> Path:
    """A complete export of three shards, with its rejects allowed."""
    double.control(unknown_share=0.1)
    ids = write_ids(tmp_path / "ids.csv", [f"user_{number:05d}" for number in range(250)])
    ran = run_cli("run", str(ids), "--out", "export", *double.flags, "--shard-rows", "100", "--max-rejects", "250")
    assert ran.code == 0, ran.err
    return tmp_path / "export"


def test_an_export_is_verified(run_cli: Cli, out: Path) -> None:
    """Exit 0, a few aligned rows on standard output, and nothing else."""
    ran = run_cli("verify", "export")
    assert (ran.code, ran.err) == (0, "")
    manifest = json.loads((out / "manifest.json").read_text())
    lines = dict(line.split(maxsplit=1) for line in ran.out.replace("lies in", "lies").splitlines()[1:])
    assert ran.out.startswith("Verified.\n")
    assert lines["files"].startswith("9: ")
    assert lines["rows"] == f"{manifest['rows']:,}"
    assert lines["rejects"] == f"{manifest['rejects']:,}"
    assert lines["lies"] == "export"


def test_a_damaged_export_is_told(run_cli: Cli, out: Path) -> None:
    """Exit 5, one line a finding with its file, the last one with the number and the way out; nothing on standard output."""
    path = out / "data/part-000001.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    (out / "rejects/part-000002.parquet").unlink()
    ran = run_cli("verify", "export")
    assert (ran.code, ran.out) == (5, "")
    first, second, last = ran.err.splitlines()
    assert first.startswith("Error: data/part-000001.parquet has ")
    assert second == "Error: rejects/part-000002.parquet is missing."
    assert last.startswith("Error: export does not match its manifest: 2 findings. Restore it from a copy, or ")


def test_a_hundred_findings_are_shown(run_cli: Cli, out: Path) -> None:
    """And how many more there are."""
    for number in range(150):
        (out / "data" / f"{number}.parquet").touch()
    ran = run_cli("verify", "export")
    assert ran.code == 5
    assert len(ran.err.splitlines()) == 102
    assert ran.err.splitlines()[100] == "… and 50 more."
    assert "150 findings" in ran.err.splitlines()[101]


def test_json_is_one_object(run_cli: Cli, out: Path) -> None:
    """For programs: whether it is right, what was found by which check, and how much was read."""
    ran = run_cli("verify", "export", "--json")
    told = json.loads(ran.out)
    assert (ran.code, told["ok"], told["findings"], told["files"], told["found"]) == (0, True, [], 9, 0)
    assert told["rows"] + told["rejects"] == 250
    (out / "data/part-000000.parquet").unlink()
    ran = run_cli("verify", "export", "--json")
    told = json.loads(ran.out)
    assert (ran.code, told["ok"], told["found"]) == (5, False, 1)
    assert told["findings"] == [{"check": "files", "text": "data/part-000000.parquet is missing."}]


def test_no_complete_export_is_no_verdict(run_cli: Cli, out: Path) -> None:
    """Exit 2 and the way on: nothing there, or a run that is not complete."""
    (out / "_SUCCESS").unlink()
    for place in ("export", "nowhere"):
        ran = run_cli("verify", place)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith(f"Error: {place} holds no complete export: _SUCCESS is not there. `exporter status ")
        assert len(ran.err.splitlines()) == 1


def test_a_run_beside_it_is_told(run_cli: Cli, out: Path) -> None:
    """The export is verified all the same."""
    (out / ".run").mkdir()
    ran = run_cli("verify", "export")
    assert ran.code == 0
    assert ran.err == "An unfinished run lies beside it (export/.run); it is no part of what is verified.\n"
