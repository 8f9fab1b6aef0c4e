"""The journal: whatever happens to it, it never says what was not written."""

import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import MachineError, OutputError
from exporter.output.journal import Journal, Record, decode, encode, read

RECORDS: list[Record] = [
    {"seq": 0, "op": "begin", "fingerprint_of": {"inputs": [{"bytes": 12}], "column": "编号"}},
    {"seq": 1, "op": "shard", "number": 0, "rejects": {"missing": 2}},
    {"seq": 2, "op": "shard", "number": 1, "rejects": {}, "ids_hash": "00ff"},
    {"seq": 3, "op": "publishing"},
]
WHOLE = b"".join(encode(record) for record in RECORDS)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
facts = st.dictionaries(texts.filter(lambda name: name not in {"seq", "op"}), values, max_size=4)


def good_prefix(data: bytes, whole: list[Record] | None = None) -> bool:
    """Tell whether the records read are the first of those written; False for a refusal."""
    try:
        records, good = decode(data)
    except ValueError:
        return False
    whole = RECORDS if whole is None else whole
    assert records == whole[: len(records)]
    assert data[:good].count(b"\n") == len(records)
    return True


@given(st.lists(st.tuples(texts, facts), max_size=5))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_what_is_appended_is_read(
    fresh_folder: Callable[[], AbstractContextManager[str]], appended: list[tuple[str, dict[str, Any]]]
) -> None:
    """Any records come back as they were, in order and numbered, with all their bytes."""
    with fresh_folder() as folder:
        path = Path(folder) / "journal"
        journal = Journal(path)
        for op, more in appended:
            journal.append(op, **more)
        journal.close()
        records, good = read(path)
        assert records == [{"seq": seq, "op": op, **more} for seq, (op, more) in enumerate(appended)]
        assert good == path.stat().st_size
        assert records == journal.records


@given(st.binary(max_size=200))
@settings(deadline=None, derandomize=True)
def test_a_strange_file_is_no_record(data: bytes) -> None:
    """Bytes that nobody wrote give no record."""
    assert good_prefix(data, []) in {True, False}


def test_every_truncation_is_a_good_prefix() -> None:
    """Cut anywhere, exactly the records that are whole are read."""
    for size in range(len(WHOLE) + 1):
        assert good_prefix(WHOLE[:size])
        assert len(decode(WHOLE[:size])[0]) == WHOLE[:size].count(b"\n")


def test_every_flipped_bit_is_a_prefix_or_a_refusal() -> None:
    """No single flipped bit gives a record that was not written, and none before the last two lines passes unseen."""
    for place in range(len(WHOLE)):
        for bit in range(8):
            flipped = bytearray(WHOLE)
            flipped[place] ^= 1 << bit
            taken = good_prefix(bytes(flipped))
            if taken and WHOLE[:place].count(b"\n") < len(RECORDS) - 2:
                # The case of a hex digit: the checksum is still the same number.
                assert decode(bytes(flipped))[0] == RECORDS


@given(st.data())
@settings(deadline=None, derandomize=True)
def test_lost_repeated_and_swapped_records_are_seen(data: st.DataObject) -> None:
    """Each record is whole, but the sequence is not: a prefix, or a refusal."""
    lines = data.draw(st.lists(st.sampled_from(WHOLE.splitlines(keepends=True)), max_size=6))
    good_prefix(b"".join(lines))


@pytest.mark.parametrize("tail", [b"\0" * 4096, b"\0" * 30 + b"\n", b"00000000 {}", b"garbage\n", b"\n"])
def test_a_torn_tail_is_cut(tmp_path: Path, tail: bytes) -> None:
    """Zeros, half a record or rubbish at the end: what stands before is read, and the tail goes."""
    path = tmp_path / "journal"
    path.write_bytes(WHOLE + tail)
    journal = Journal(path)
    assert journal.records == RECORDS
    journal.close()
    assert path.read_bytes() == WHOLE


def test_appending_after_any_cut_goes_on(tmp_path: Path) -> None:
    """A journal cut anywhere takes new records, and then holds the whole old ones and the new one."""
    path = tmp_path / "journal"
    for size in [*range(0, len(WHOLE), 9), *(place + 1 for place, byte in enumerate(WHOLE) if byte == ord("\n"))]:
        path.write_bytes(WHOLE[:size])
        whole = RECORDS[: WHOLE[:size].count(b"\n")]
        journal = Journal(path)
        journal.append("again")
        journal.close()
        assert read(path)[0] == [*whole, {"seq": len(whole), "op": "again"}]


def test_a_damaged_middle_is_refused(tmp_path: Path) -> None:
    """Damage before the end is a sentence with the file, the place and the way out; the file stays as it is."""
    path = tmp_path / "journal"
    damaged = WHOLE.replace(b"shard", b"shart", 1)
    path.write_bytes(damaged)
    with pytest.raises(OutputError, match=r"/journal is damaged \(record 1 at byte \d+\).*--restart"):
        Journal(path)
    assert path.read_bytes() == damaged


def test_no_journal_has_no_records(tmp_path: Path) -> None:
    """A file that is not there is an empty journal, and reading makes none."""
    assert read(tmp_path / "journal") == ([], 0)
    assert list(tmp_path.iterdir()) == []


def test_a_journal_is_private(tmp_path: Path) -> None:
    """Nobody else reads it."""
    Journal(tmp_path / "journal").close()
    assert stat.S_IMODE((tmp_path / "journal").stat().st_mode) == 0o600


def test_a_record_without_room_is_no_record(small_disk: Path) -> None:
    """A disk that fills in the middle of a record: the run is told, and the next start reads the records before it."""
    path = small_disk / "journal"
    journal = Journal(path)
    journal.append("begin")
    with pytest.raises(MachineError, match="the disk is full"):
        journal.append("shard", much="x" * 2_000_000)
    assert len(journal.records) == 1
    journal.close()
    journal = Journal(path)
    journal.append("shard")
    journal.close()
    assert [record["op"] for record in read(path)[0]] == ["begin", "shard"]
