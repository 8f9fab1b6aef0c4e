"""Accounts that stand where they must not."""

import itertools
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.errors import MachineError
from exporter.verify.accounts import Shelf, hashes, misplaced
from exporter.verify.claims import FileClaim, ShardClaim
from tests.unit.verify.conftest import Copy, settle

Copied = Callable[..., Copy]

FIRST, SECOND = "data/part-000000.parquet", "data/part-000001.parquet"
REJECTS = "rejects/part-000001.parquet"


def added(copy: Copy, file: str, **values: Any) -> None:
    """Put one more row into a file, instead of a duplicate of the input, and let the sums match."""
    table = copy.table(file)
    row = {**table.to_pylist()[-1], **values}
    copy.put(file, pa.Table.from_pylist([*table.to_pylist(), row], schema=table.schema))
    copy.change(settle)


def counted(manifest: dict[str, Any], **more: int) -> None:
    """Let the second shard have so many more rejects by reason."""
    shard = manifest["shards"][1]
    shard["rejects_by_reason"] = Counter(shard["rejects_by_reason"]) + Counter(more)
    settle(manifest)


def test_a_row_twice_in_one_shard_is_found(copy: Copy) -> None:
    """With numbers that match."""
    account = copy.table(SECOND).column("account_id")[4].as_py()
    added(copy, SECOND, account_id=account)
    assert copy.texts() == [f"account {account!r} stands more than once: in {SECOND}, {SECOND}."]


def test_a_row_in_two_shards_is_found(copy: Copy) -> None:
    """With numbers that match."""
    account = copy.table(FIRST).column("account_id")[4].as_py()
    added(copy, SECOND, account_id=account)
    assert copy.texts() == [f"account {account!r} stands more than once: in {FIRST}, {SECOND}."]


@pytest.mark.parametrize("file", [FIRST, SECOND])
def test_an_account_with_row_and_reject_is_found(copy: Copy, file: str) -> None:
    """In one shard or in two, with numbers that match."""
    account = copy.table(file).column("account_id")[4].as_py()
    added(copy, REJECTS, account_id=account, reason="unknown_account")
    copy.change(lambda manifest: counted(manifest, unknown_account=1))
    assert copy.texts() == [f"account {account!r} stands more than once: in {file}, {REJECTS}."]


@pytest.mark.parametrize("reason", ["invalid_id", "bad_row"])
def test_what_was_never_asked_is_no_duplicate(copy: Copy, reason: str) -> None:
    """A bad row may show the same text as an account."""
    account = copy.table(SECOND).column("account_id")[4].as_py()
    added(copy, REJECTS, account_id=account, reason=reason)
    copy.change(lambda manifest: counted(manifest, **{reason: 1}))
    assert copy.texts() == []


def test_kept_duplicates_are_none(copied: Copied) -> None:
    """Where duplicates are kept an account has a row each time; a row and a reject in one shard it has never."""
    copy = copied("keep")
    accounts = [name for file in (FIRST, SECOND) for name in copy.table(file).column("account_id").to_pylist()]
    assert len(accounts) > len(set(accounts))
    table = copy.table(REJECTS)
    account = copy.table(SECOND).column("account_id")[4].as_py()
    place = table.column("reason").to_pylist().index("unknown_account")
    rows = table.to_pylist()
    rows[place]["account_id"] = account
    copy.put(REJECTS, pa.Table.from_pylist(rows, schema=table.schema))
    assert copy.texts() == [f"account {account!r} stands in {SECOND} and in {REJECTS}."]
    rows[place]["account_id"] = copy.table(FIRST).column("account_id")[0].as_py()
    copy.put(REJECTS, pa.Table.from_pylist(rows, schema=table.schema))
    assert copy.texts() == []


def test_a_hundred_are_named_and_all_counted(copy: Copy) -> None:
    """Every account of the export twice over: those that are named, and how many more."""
    table = copy.table(FIRST)
    rows = [{**table.to_pylist()[0], "account_id": f"x{number % 130}"} for number in range(260)]
    copy.put(FIRST, pa.Table.from_pylist(rows, schema=table.schema))
    twice = [text for text in copy.texts() if text.startswith("account 'x")]
    shelf = shelf_of(copy)
    told = list(misplaced(shelf, "drop"))
    assert len(twice) >= 90
    assert len(told) == 101 + 30  # those without a row have bad values
    assert "30 more accounts stand more than once." in told


def shelf_of(copy: Copy) -> Shelf:
    rows = {str(path.relative_to(copy.out)): pq.read_metadata(path).num_rows for path in copy.files()}
    return Shelf(copy.out, [claim(number) for number in range(3)], rows)


def test_a_file_that_is_gone_since_is_found(copy: Copy) -> None:
    """It was read once, and cannot be read for its accounts."""
    shelf = shelf_of(copy)
    assert list(misplaced(shelf, "drop")) == []
    (copy.out / SECOND).unlink()
    assert next(misplaced(shelf, "drop")).startswith(f"{SECOND} cannot be read again: ")


# Many runs

NEAR = [
    "a",
    "a ",
    " a",
    "A",
    "aa",
    "x" * 31,
    "x" * 32,
    "中" * 10,
    "中" * 10 + "ab",
    "é",
    "e\u0301",
    "🙂" * 8,
    "0",
    "00",
]
ids = st.sampled_from(NEAR) | st.integers(0, 40).map(lambda number: f"user_{number:05d}")


def claim(number: int) -> ShardClaim:
    names = {folder: f"{folder}/part-{number:06d}.parquet" for folder in ("data", "rejects", "bad_values")}
    files = {folder: FileClaim(name, 0, 0, "") for folder, name in names.items()}
    return ShardClaim(number, 1, 1, files, 0, {}, {}, 0, 0, 0, {})


def shelved(folder: str, shards: Sequence[Sequence[str]]) -> Shelf:
    """Lay out accounts as files of data; there are no rejects."""
    (Path(folder) / "data").mkdir()
    claims = [claim(number) for number in range(len(shards))]
    for shard, accounts in zip(claims, shards, strict=True):
        pq.write_table(
            pa.table({"account_id": pa.array(accounts, pa.string())}), Path(folder) / shard.files["data"].file
        )
    rows = {shard.files["data"].file: len(accounts) for shard, accounts in zip(claims, shards, strict=True)}
    return Shelf(Path(folder), claims, rows)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    return lambda: str(tmp_path_factory.mktemp("shelf"))


@given(st.lists(st.lists(ids, max_size=12), max_size=6), st.integers(1, 9))
@example([], 1)
@example([NEAR, list(reversed(NEAR))], 1)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_number_of_runs_finds_the_same_as_a_set(
    fresh: Callable[[], str], shards: list[list[str]], size: int
) -> None:
    """Exactly the accounts that stand twice, each named once, however few a run holds."""
    shelf = replace(shelved(fresh(), shards), run_accounts=size)
    everything = [account for shard in shards for account in shard]
    twice = {account for account in everything if everything.count(account) > 1}
    told = list(misplaced(shelf, "drop"))
    assert sorted(text.partition(" stands more than once: in ")[0] for text in told) == sorted(
        f"account {account!r}" for account in twice
    )


def test_no_room_for_temporary_files_is_told(
    fresh: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More accounts than a run holds, and nowhere to lay runs down: a sentence that says what to do."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    shelf = shelved(fresh(), [["a", "b"], ["c"]])
    assert list(misplaced(shelf, "drop")) == []
    with pytest.raises(MachineError, match=r"gone: no such file or directory. .* set TMPDIR"):
        list(misplaced(replace(shelf, run_accounts=1), "drop"))


MIX, WORD = 0xD6E8FEB86659FD93, 2**64


def state(text: str) -> int:
    """Hash the first 24 bytes of an account."""
    mixed = 0
    for place in range(0, 24, 8):
        mixed = (mixed + int.from_bytes(text.encode()[place : place + 8], "little")) * MIX % WORD
        mixed ^= mixed >> 32
    return mixed


def colliding(first: str) -> str:
    """Make another account of 32 printable characters with the same hash."""
    wanted = state(first) + int.from_bytes(first[24:].encode(), "little")
    begins = (f"other account {number:010d}" for number in itertools.count())
    tails = ((begin, ((wanted - state(begin)) % WORD).to_bytes(8, "little")) for begin in begins)
    return next(begin + tail.decode() for begin, tail in tails if all(0x20 <= byte < 0x7F for byte in tail))


def test_accounts_of_the_same_hash_are_not_the_same(fresh: Callable[[], str]) -> None:
    """Nobody is accused for a hash, and who does stand twice is still found."""
    first = "some account with 32 characters."
    other = colliding(first)
    hashed = hashes(pa.array([first, other])).to_pylist()
    assert first != other
    assert hashed[0] == hashed[1]
    assert list(misplaced(shelved(fresh(), [[first], [other]]), "drop")) == []
    told = list(misplaced(shelved(fresh(), [[first, other], [other]]), "drop"))
    assert [text.partition(" stands")[0] for text in told] == [f"account {other!r}"]


@pytest.mark.parametrize("shape", ["user{:08d}", "{:d}", "{:d}@example.com", "{:032d}", "{:024x}", "中文{:d}"])
def test_ranges_share_evenly(shape: str) -> None:
    """Ids that differ in a few places alone still spread: memory is bounded by what a range is meant to hold."""
    hashed = hashes(pa.array([shape.format(number) for number in range(16_000)])).to_pylist()
    assert len(set(hashed)) == 16_000
    sizes = Counter(each * 16 // WORD for each in hashed)
    assert len(sizes) == 16
    assert max(sizes.values()) < 1_200
