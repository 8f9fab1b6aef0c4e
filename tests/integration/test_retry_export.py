"""A retry: the result is what a clean run would have written, and nothing else is asked."""

import asyncio
import hashlib
import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from exporter.app import Job, retry, status
from exporter.app.retry import before
from exporter.errors import InputError, OutputError, ServiceUnreachable, SettingsError
from exporter.progress import Progress
from exporter.settings import load
from exporter.source import StandardInput
from tests.conftest import APP, CALM, CANARY, Exporting, read_export, write_ids

IDS = [f"user_{number:05d}" for number in range(400)]
TYPES = "level=int64,vip=bool,score=float64,seen=timestamp,city=int64"


def hashes(out: Path) -> dict[str, str]:
    paths = [path for folder in ("data", "rejects", "bad_values") for path in sorted((out / folder).iterdir())]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def retried(
    exporting: Exporting, out: Path, *inputs: str, reasons: tuple[str, ...] = ("refused",), **flags: Any
) -> bool:
    """Retry an export; tell whether anything was asked."""
    wanted = load(None, before(out), base_url=exporting.double.address, **APP, secret_key=CANARY, **flags)
    job = Job(list(inputs), out, wanted, Progress(time.monotonic))
    return asyncio.run(retry(job, reasons)).asked


@given(
    numbers=st.lists(st.integers(0, 79), min_size=1, max_size=120),
    poison=st.sets(st.integers(0, 79), max_size=20),
    shard_rows=st.sampled_from([7, 30, 1000]),
    duplicates=st.sampled_from(["drop", "keep"]),
    types=st.sampled_from(["", TYPES]),
    chosen=st.sampled_from([None, "vip,city,level", "auto"]),
)
@settings(
    max_examples=25,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_retry_writes_what_a_clean_run_would_have_written(
    exporting: Exporting,
    numbers: list[int],
    poison: set[int],
    shard_rows: int,
    duplicates: str,
    types: str,
    chosen: str | None,
) -> None:
    """Any input with any repeats, any accounts refused at first: byte for byte the clean export, and only they are asked."""
    ids = write_ids(
        exporting.folder / f"{time.monotonic_ns()}.csv", [IDS[number] for number in numbers] + ["", "x" * 40]
    )
    flags: dict[str, Any] = {
        "shard_rows": shard_rows, "duplicates": duplicates, "types": types, "attributes": chosen, "max_missing": 1.0
    }  # fmt: skip
    exporting.double.control(**{**CALM, "late_after": 40})
    clean = exporting.run(ids, **flags)
    exporting.double.control(poison=[IDS[number] for number in poison])
    rough = exporting.run(ids, **flags)
    exporting.double.control(poison=[])
    before_stats = exporting.double.stats()
    refused = [row["account_id"] for row in rough.rejects if row["reason"] == "refused"]
    assert retried(exporting, rough.out) == bool(refused)
    exporting.double.control(late_after=40_000)
    asked = exporting.double.stats()["accounts_asked"] - before_stats["accounts_asked"]
    assert asked <= len(refused)
    assert hashes(rough.out) == hashes(clean.out) or not refused
    again = read_export(rough.out).manifest
    for name in ("input", "rows", "rejects_by_reason", "duplicates", "blank", "schema", "fingerprint", "settings"):
        assert again[name] == clean.manifest[name] or name == "settings", name
    assert again["ignored_attributes"] == clean.manifest["ignored_attributes"]
    assert again["absent_attributes"] == clean.manifest["absent_attributes"]


def test_only_what_is_worth_it_is_asked(exporting: Exporting) -> None:
    """Without a refused or exhausted reject nothing is asked; unknown accounts are asked when --reasons says so."""
    exporting.double.control(unknown_share=0.1)
    made = exporting.run(IDS[:100])
    unknown = len(made.rejects)
    asked = exporting.double.stats()["accounts_asked"]
    assert not retried(exporting, made.out)
    assert exporting.double.stats()["accounts_asked"] == asked
    exporting.double.control(unknown_share=0.0)
    assert retried(exporting, made.out, reasons=("unknown_account",))
    assert exporting.double.stats()["accounts_asked"] == asked + unknown
    assert read_export(made.out).accounts == IDS[:100]
    with pytest.raises(SettingsError, match="invalid_id"):
        retried(exporting, made.out, reasons=("invalid_id",))


def test_how_low_the_rate_was_is_still_told(exporting: Exporting) -> None:
    """A retry counts on from the run: the lowest rate of both stands in the manifest, not that of the retry."""
    exporting.double.control(poison=[IDS[7]])
    made = exporting.run(IDS[:100], rate=50)
    assert made.manifest["rate_min"] == 50
    exporting.double.control(poison=[])
    assert retried(exporting, made.out, rate=80)
    assert read_export(made.out).manifest["rate_min"] == 50


def test_a_retry_forgets_neither_the_lowest_rate_nor_that_ids_are_hidden(exporting: Exporting) -> None:
    """A rate that was cut before stays in the manifest; a page made again shows no more than the retry was told to."""
    exporting.double.control(poison=[IDS[7]])
    made = exporting.run(IDS[:20])
    told = {**made.manifest, "slow_downs": 2, "rate_min": 13.5}
    (made.out / "manifest.json").write_text(json.dumps(told))
    exporting.double.control(poison=[])
    assert retried(exporting, made.out, redact_ids=True)
    again = read_export(made.out).manifest
    assert (again["slow_downs"], again["rate_min"]) == (2, 13.5)
    assert again["settings"] == {**made.manifest["settings"], "redact_ids": True}


def test_other_input_is_refused(exporting: Exporting) -> None:
    """A changed file, a file more, or ids that only the hash of a shard tells apart: a sentence, and the export stays."""
    ids = write_ids(exporting.folder / "ids.csv", IDS)
    exporting.double.control(poison=[IDS[7], IDS[390]])
    made = exporting.run(ids, shard_rows=100)
    kept = hashes(made.out)
    with pytest.raises(InputError, match="made of 1 files"):
        retried(exporting, made.out, str(ids), str(ids))
    write_ids(ids, [*IDS[:-1], "somebody else"])
    with pytest.raises(OutputError, match="input 1 has other content"):
        retried(exporting, made.out)
    assert hashes(made.out) == kept
    assert not (made.out / ".run").exists()


def test_a_moved_input_keeps_its_old_name(exporting: Exporting, tmp_path: Path) -> None:
    """Read from where it lies now, the rejects name it as the export did."""
    ids = write_ids(exporting.folder / "ids.csv", IDS[:20])
    exporting.double.control(poison=[IDS[7], IDS[8]])
    made = exporting.run(ids)
    ids.rename(tmp_path / "moved.csv")
    exporting.double.control(poison=[IDS[8]])
    with pytest.raises(InputError, match="no such file"):
        retried(exporting, made.out)
    assert retried(exporting, made.out, str(tmp_path / "moved.csv"))
    again = read_export(made.out)
    assert [(row["account_id"], row["source"]) for row in again.rejects] == [(IDS[8], str(ids))]
    assert again.manifest["requests"] == made.manifest["requests"] + 3


def test_a_damaged_export_is_not_carried_on(exporting: Exporting) -> None:
    """A flipped byte in any of its files: the retry says which, and leaves all as it is."""
    exporting.double.control(poison=[IDS[7]])
    made = exporting.run(IDS, shard_rows=100)
    path = made.out / "data/part-000002.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(Exception, match=r"part-000002\.parquet, or what belongs to it, is not what was written"):
        retried(exporting, made.out)
    assert not (made.out / ".run").exists()


def test_a_pipe_is_held_against_its_ids(exporting: Exporting) -> None:
    """What was piped in is sent again: the same ids are taken, and other ids are refused before anything is published."""
    exporting.double.control(poison=[IDS[7]])
    made = exporting.run(IDS[:20])
    exporting.double.control(poison=[])
    source = Path(made.manifest["inputs"][0]["path"]).read_bytes()

    def piped(data: bytes) -> None:
        wanted = load(None, before(made.out), base_url=exporting.double.address, **APP, secret_key=CANARY)
        job = Job(["-"], made.out, wanted, Progress(time.monotonic), StandardInput(io.BytesIO(data)))
        asyncio.run(retry(job))

    with pytest.raises(InputError, match="are not those that the export was made of"):
        piped(source.replace(b"user_00003", b"user_00333"))
    assert read_export(made.out, unfinished=True).accounts == [name for name in IDS[:20] if name != IDS[7]]
    piped(source)
    assert read_export(made.out).accounts == IDS[:20]


def test_an_account_that_still_fails_is_no_outage(exporting: Exporting) -> None:
    """A retry asks nobody but suspects: accounts of the export itself tell that the service is there, and it ends."""
    exporting.double.control(poison=[IDS[250]], unknown_share=0.0)
    made = exporting.run(IDS, shard_rows=100)
    exporting.double.control(poison=[IDS[250]], poison_code=91000)
    assert retried(exporting, made.out, outage_max=0.05)
    exporting.double.control(poison_code=90048)
    again = read_export(made.out)
    assert [(row["account_id"], row["reason"], row["code"]) for row in again.rejects] == [(IDS[250], "refused", 91000)]
    assert again.accounts == [name for name in IDS if name != IDS[250]]


def test_a_service_out_of_reach_leaves_a_retry_that_goes_on(exporting: Exporting) -> None:
    """Nobody at all is answered: that is an outage; the export stays as it is, and the same retry ends it later.

    How much is left is known meanwhile, the shards that are taken over of all rows; how long it takes is not.
    """
    exporting.double.control(poison=[IDS[7]], unknown_share=0.0)
    made = exporting.run(IDS[:100], shard_rows=30)
    exporting.double.control(poison=[], faults={"reset": 1.0})
    with pytest.raises(ServiceUnreachable):
        retried(exporting, made.out, outage_max=0.02)
    exporting.double.control(faults={})
    left = status(made.out).unfinished
    assert left
    assert (left.rows, left.rows_all, left.left_s) == (70, 100, None)
    assert IDS[7] not in read_export(made.out, unfinished=True).accounts
    assert retried(exporting, made.out)
    assert read_export(made.out).accounts == IDS[:100]
