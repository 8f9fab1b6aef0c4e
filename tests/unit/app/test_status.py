"""What lies in an output folder, looked at from outside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.app import status
from exporter.errors import OutputError
from exporter.output.facts import FOLDERS
from exporter.output.folder import Folder, held
from exporter.output.journal import encode

Shards = Mapping[int, float | None]


def shard(number: int, share: float | None, rows: int = 10) -> dict[str, Any]:
    nothing = {"blank": 0, "duplicates": 0, "spaced": 0, "ids_hash": "", "attributes": [], "seen": [], "ignored": {}}
    files = {folder: {"rows": rows, "bytes": 1, "sha256": ""} for folder in FOLDERS}
    place = {"number": number, "first_row": number * rows + 1, "last_row": (number + 1) * rows}
    return {
        "op": "shard",
        **place,
        **nothing,
        "rejects": {},
        "bad_values": {},
        "files": files,
        "ends": None,
        "share": share,
    }


def left(out: Path, records: list[dict[str, Any]], progress: dict[str, Any] | None = None) -> None:
    """Leave a run with these records behind its beginning."""
    (out / ".run").mkdir(parents=True, exist_ok=True)
    every = [{"op": "begin", "at": "2024-01-01", "fingerprint_of": {}}, *records]
    lines = [encode({"seq": seq, **record}) for seq, record in enumerate(every)]
    (out / ".run" / "journal").write_bytes(b"".join(lines))
    if progress is not None:
        (out / ".run" / "progress").write_bytes(encode({"seq": 0, **progress}))


@given(
    st.dictionaries(st.integers(0, 30), st.none(), min_size=1),
    st.integers(31, 100),
    st.floats(0, 1e6, exclude_min=True),
)
def test_rows_and_time_left_follow_from_the_shards(
    tmp_path_factory: pytest.TempPathFactory, shards: dict[int, None], all_shards: int, seconds: float
) -> None:
    """Whatever is done, with gaps or twice: rows are counted once, and the rest takes its share of the time."""
    out = tmp_path_factory.mktemp("out")
    records = [shard(number, (number + 1) / all_shards) for number in shards]
    left(out, [*records, {"op": "resume", "at": "2024-01-02"}, records[0]], {"seconds": seconds, "requests": 7})
    found = status(out).unfinished
    assert found
    rows = 10 * len(shards)
    assert (found.shards, found.rows, found.rows_all) == (len(shards), rows, 10 * all_shards)
    assert found.left_s == pytest.approx((10 * all_shards - rows) * seconds / rows)
    assert (found.begun_at, found.requests, found.seconds, found.publishing) == ("2024-01-01", 7, seconds, False)


@pytest.mark.parametrize("share", [None, 0.0])
def test_without_a_share_nothing_is_guessed(tmp_path: Path, share: float | None) -> None:
    """Of a stream nobody knows how long it is."""
    left(tmp_path, [shard(0, share)], {"seconds": 5.0, "requests": 1})
    found = status(tmp_path).unfinished
    assert found
    assert (found.rows, found.rows_all, found.left_s) == (10, None, None)


def test_publishing_is_told_whatever_was_recorded_before_it(tmp_path: Path) -> None:
    """From that record on a run can only go forward."""
    left(tmp_path, [shard(0, 1.0), {"op": "publishing"}])
    found = status(tmp_path).unfinished
    assert found
    assert found.publishing


@pytest.mark.parametrize("progress", [None, {}, {"seconds": None, "requests": "many"}, {"seconds": "x"}])
def test_counts_that_are_lost_are_nought(tmp_path: Path, progress: dict[str, Any] | None) -> None:
    """What was done stands in the journal."""
    left(tmp_path, [shard(0, 0.5)], progress)
    found = status(tmp_path).unfinished
    assert found
    assert (found.rows, found.rows_all, found.requests, found.seconds, found.left_s) == (10, 20, 0, 0, None)


def test_a_run_of_another_version_is_told(tmp_path: Path) -> None:
    """A sentence, as the run itself would say it."""
    left(tmp_path, [{"op": "shard", "number": 0}])
    with pytest.raises(OutputError, match="another version"):
        status(tmp_path)


def test_a_folder_that_is_held_and_empty_is_a_run_at_work(tmp_path: Path) -> None:
    """A run that looks at its input has written nothing yet."""
    with held(tmp_path):
        found = status(tmp_path)
    assert (found.complete, found.unfinished) == (None, None)
    assert found.pid
    with pytest.raises(OutputError, match="neither an export nor an unfinished run"):
        status(tmp_path)


def test_a_begun_run_has_nothing_to_count(tmp_path: Path) -> None:
    """Its beginning is all that is known."""
    place = Folder(tmp_path)
    place.begin({})
    place.close()
    found = status(tmp_path).unfinished
    assert found
    assert (found.shards, found.rows, found.rows_all, found.requests, found.left_s) == (0, 0, None, 0, None)
