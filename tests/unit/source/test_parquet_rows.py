"""Parquet: what comes out of every kind of good, odd and bad file."""

import base64
import decimal
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import InputError
from exporter.model import BadId, Reason
from exporter.source import Reading, open_source

Save = Callable[..., str]
Read = Callable[..., Any]

NULL = BadId(None, Reason.INVALID_ID, "null")


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def saved(column: Any, *, name: str = "account_id", file: str = "ids.parquet", **options: Any) -> str:
        table = column if isinstance(column, pa.Table) else pa.table({name: column})
        pq.write_table(table, tmp_path / file, **options)
        return str(tmp_path / file)

    return saved


def changed(path: str, change: Callable[[bytes], bytes]) -> str:
    Path(path).write_bytes(change(Path(path).read_bytes()))
    return path


TEXTS = ["u1", None, "00123", "ü\u2028", "", "u1"]

GOOD = {
    "string": (pa.array(TEXTS), [NULL if text is None else text for text in TEXTS]),
    "large string": (pa.array(["u1", None], pa.large_string()), ["u1", NULL]),
    "string view": (pa.array(["u1", None], pa.string_view()), ["u1", NULL]),
    "dictionary": (pa.array(["u1", None, "u1"]).dictionary_encode(), ["u1", NULL, "u1"]),
    "dictionary of large strings": (pa.array(["u1"], pa.large_string()).dictionary_encode(), ["u1"]),
    "int64": (pa.array([1, None, 2**53 + 1, -(2**63)]), ["1", NULL, "9007199254740993", "-9223372036854775808"]),
    "uint64": (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
    "int8": (pa.array([-1], pa.int8()), ["-1"]),
    "decimal": (pa.array([10**19, 100, None], pa.decimal128(20, 0)), ["10000000000000000000", "100", NULL]),
    "wide decimal": (pa.array([10**50], pa.decimal256(60, 0)), ["1" + "0" * 50]),
}


@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize("case", GOOD)
def test_texts_and_whole_numbers_come_out_exactly(case: str, dictionary: bool, save: Save, read: Read) -> None:  # noqa: FBT001
    """Every type that can hold an id exactly gives its exact text, and null is a bad id."""
    column, ids = GOOD[case]
    result = read(save(column, use_dictionary=dictionary))
    assert (result.ids, result.warnings) == (ids, [])
    assert result.shares == [1.0]


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=70), max_size=60),
    rows=st.integers(1, 60),
    options=st.sampled_from([{}, {"use_dictionary": False}, {"compression": "zstd", "data_page_version": "2.0"}]),
)
def test_whatever_was_written_reads_back(
    texts: list[str | None], rows: int, options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any texts in any row groups come back in order; what is longer than 256 bytes is cut, and says its length."""
    path = str(tmp_path_factory.mktemp("p") / "ids.parquet")
    pq.write_table(pa.table({"account_id": pa.array(texts, pa.string())}), path, row_group_size=rows, **options)
    ids = [each for chunk in open_source([path], Reading()).chunks() for each in chunk.ids]
    assert len(ids) == len(texts)
    for text, each in zip(texts, ids, strict=True):
        if text is None:
            assert each == NULL
        elif len(text.encode()) <= 256:
            assert each == text
        else:
            assert isinstance(each, BadId)
            assert each.message == f"{len(text.encode())} bytes; an account id has at most 32"
            assert text.startswith(each.text or "?")
            assert 253 <= len((each.text or "").encode()) <= 256


@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_a_long_value_among_others_is_cut(folded: bool, kind: pa.DataType, save: Save, read: Read) -> None:  # noqa: FBT001
    """A long value is cut between two characters; its neighbours and nulls stay what they are."""
    column: Any = pa.array(["u1", "é" * 127 + "€" * 1_000, None, "x" * 256, "x" * 257], kind)
    ids = read(save(column.dictionary_encode() if folded else column)).ids
    assert ids == [
        "u1",
        BadId("é" * 127, Reason.INVALID_ID, "3,254 bytes; an account id has at most 32"),
        NULL,
        "x" * 256,
        BadId("x" * 256, Reason.INVALID_ID, "257 bytes; an account id has at most 32"),
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"use_dictionary": True},
        {"use_dictionary": False, "column_encoding": "DELTA_BYTE_ARRAY"},
    ],
)
def test_one_huge_value_many_times_stays_small(options: dict[str, Any], save: Save, read: Read) -> None:
    """A file of 500 bytes that unfolds to 400 MB is read in a small part of that."""
    path = save(["x" * 1_000_000] * 400, compression="zstd", **options)
    pool = pa.system_memory_pool()
    before, default = pool.max_memory(), pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        ids = read(path).ids
    finally:
        pa.set_memory_pool(default)
    assert ids == [BadId("x" * 256, Reason.INVALID_ID, "1,000,000 bytes; an account id has at most 32")] * 400
    assert (pool.max_memory() or 0) - (before or 0) < 150 << 20


def test_a_column_of_long_texts_is_refused(save: Save, read: Read) -> None:
    """Pages are unpacked whole: a lone column of 100 MB in 100 rows is refused by its footer."""
    path = save(["x" * 1_000_000] * 100, compression="zstd", use_dictionary=False)
    with pytest.raises(InputError, match=r"row group 1 has 1,000,\d+ bytes for each value of column 'account_id'"):
        read(path)


@pytest.mark.parametrize(
    "options",
    [
        {"use_dictionary": False},
        {"use_dictionary": False, "column_encoding": {"account_id": "DELTA_LENGTH_BYTE_ARRAY", "b": "PLAIN"}},
        {"dictionary_pagesize_limit": 2**31 - 1},
    ],
)
def test_long_texts_beside_another_column_are_refused(options: dict[str, Any], save: Save, read: Read) -> None:
    """Where only the sum of all columns is known, what packs 256-fold is refused; what packs less is read."""
    long = [f"{number:04d}" + "x" * 1_000_000 for number in range(100)]
    path = save(pa.table({"account_id": long, "b": [1] * 100}), compression="zstd", **options)
    with pytest.raises(InputError, match=r"row group 1 unpacks to 100,\d+,\d+ bytes, from a file of .*'account_id'"):
        read(path)
    noise = [random.Random(number).randbytes(500_000).hex() for number in range(100)]
    assert read(save(pa.table({"account_id": ["u1"] * 100, "b": noise}), **options)).ids == ["u1"] * 100


def test_rows_are_counted_over_row_groups(save: Save) -> None:
    """Chunks number their rows through all row groups, an empty one included, none over 5,000 rows."""
    path = save(pa.array([f"u{n:06d}" for n in range(12_000)]), row_group_size=7_000)
    chunks = list(open_source([path], Reading()).chunks())
    assert [each for chunk in chunks for each in chunk.ids] == [f"u{n:06d}" for n in range(12_000)]
    assert all(chunk.ids[0] == f"u{chunk.first_row - 1:06d}" and len(chunk.ids) <= 5_000 for chunk in chunks)
    shares = [chunk.share or 0 for chunk in chunks]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_the_column_is_found(save: Save, read: Read) -> None:
    """`account_id` first, else the only column, else the named one; a field of a struct by its dotted path."""
    assert read(save(["u1"], name="whatever")).ids == ["u1"]
    assert read(save(pa.table({"b": [1], "account_id": ["u1"]}))).ids == ["u1"]
    assert read(save(pa.table({"b": ["u2"], "account_id": ["u1"]})), column="b").ids == ["u2"]
    nested = save([{"id": "u1", "a": {"b": 7}}, None], name="user")
    assert read(nested, column="user.id").ids == ["u1", NULL]
    assert read(nested, column="user.a.b").ids == ["7", NULL]
    dotted = save(pa.table({"user": [{"id": "inside"}], "user.id": ["outside"]}))
    assert read(dotted, column="user.id").ids == ["outside"]


COLUMNS = {
    "missing": (pa.table({"a": ["x"], "b": ["y"]}), None, r"no column 'account_id'\. Its columns: 'a', 'b'\."),
    "other case": (pa.table({"Account_ID": ["x"], "b": ["y"]}), None, r"Did you mean --column 'Account_ID'\?"),
    "no such field": (pa.table({"user": [{"id": "x"}]}), "user.uid", r"no column 'user\.uid'"),
    "two of a name": (
        pa.Table.from_arrays([pa.array(["x"]), pa.array(["y"])], names=["account_id", "account_id"]),
        None,
        r"several columns called 'account_id'",
    ),
    "float": (pa.table({"account_id": [1.0]}), None, r"of type double.*a float rounds long ids"),
    "bool": (pa.table({"account_id": [True]}), None, r"of type bool.*as text"),
    "timestamp": (pa.table({"account_id": pa.array([1], pa.timestamp("us"))}), None, r"of type timestamp\[us\]"),
    "date": (pa.table({"account_id": pa.array([1], pa.date32())}), None, r"of type date32"),
    "binary": (pa.table({"account_id": [b"u1"]}), None, r"of type binary.*write the ids as text"),
    "fixed binary": (pa.table({"account_id": pa.array([b"0123"], pa.binary(4))}), None, r"fixed_size_binary"),
    "list": (pa.table({"account_id": [["u1"]]}), None, r"of type list"),
    "struct": (pa.table({"account_id": [{"id": "u1"}]}), None, r"--column account_id\.FIELD"),
    "null": (pa.table({"account_id": pa.nulls(3)}), None, r"every value in it is null"),
    "decimal": (pa.table({"account_id": [decimal.Decimal("1.50")]}), None, r"of type decimal128\(3, 2\)"),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_a_column_that_cannot_hold_ids_is_refused(case: str, save: Save) -> None:
    """A column that is not there once, or whose type does not keep ids exact, is refused on opening."""
    table, column, sentence = COLUMNS[case]
    path = save(table)
    with pytest.raises(InputError, match=sentence) as raised:
        open_source([path], Reading(column=column))
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut tail": (lambda data: data[:-10], "PAR1 must stand at both its ends"),
    "cut after its head": (lambda data: data[:50], "PAR1 must stand at both its ends"),
    "wrong tail": (lambda data: data[:-4] + b"XXXX", "PAR1 must stand at both its ends"),
    "wrong head": (lambda data: b"XXXX" + data[4:], "PAR1 must stand at both its ends"),
    "nothing": (lambda _: b"", "PAR1 must stand at both its ends"),
    "text": (lambda _: b"account_id\nu1\n", "PAR1 must stand at both its ends"),
    "huge footer": (lambda data: data[:-8] + struct.pack("<I", 0x7FFFFFFF) + b"PAR1", "cannot be read in its footer"),
    "magic alone": (lambda _: b"PAR1PAR1", "cannot be read in its footer"),
    "scribbled footer": (lambda data: data[:-208] + b"\xff" * 200 + data[-8:], "cannot be read in its footer"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_file_is_refused(case: str, save: Save) -> None:
    """Cut, overwritten or mistaken files are refused on opening."""
    damage, sentence = DAMAGE[case]
    with pytest.raises(InputError, match=sentence):
        open_source([changed(save(["u1", "u2"]), damage)], Reading())


def test_a_flipped_bit_under_a_page_checksum_is_refused(save: Save) -> None:
    """A wrong page in the third row group ends the reading there, and the sentence names it."""
    ids = [f"u{n:06d}" for n in range(30_000)]
    path = save(ids, row_group_size=10_000, compression="none", use_dictionary=False, write_page_checksum=True)
    changed(path, lambda data: data.replace(b"u025000", b"u925000", 1))
    chunks = open_source([path], Reading()).chunks()
    seen: list[Any] = []
    with pytest.raises(InputError, match=r"row group 3 of 3: .*CRC"):
        seen.extend(each for chunk in chunks for each in chunk.ids)
    assert seen == ids[: len(seen)]
    assert len(seen) >= 20_000


def test_invalid_utf8_is_refused(save: Save) -> None:
    """Bytes that are no text, short or long, are refused with the row group, never handed on."""
    for size in (2, 300):
        data = pa.py_buffer(b"\xff\xfe" * (size // 2))
        array = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(struct.pack("<ii", 0, 2)), data])
        with pytest.raises(InputError, match="row group 1 of 1: 'utf-8' codec"):
            open_source([save(array)], Reading())


def test_zero_rows_are_a_warning(save: Save, read: Read, tmp_path: Path) -> None:
    """No rows, with or without a row group, are zero rows and one warning."""
    path = save(pa.array([], pa.string()))
    assert (read(path).ids, read(path).warnings) == ([], [f"{path}: has no rows."])
    pq.ParquetWriter(tmp_path / "none.parquet", pa.schema([("account_id", pa.string())])).close()
    assert read(str(tmp_path / "none.parquet")).ids == []


class _Keys(pe.KmsClient):
    def wrap_key(self, key_bytes: bytes, _: str) -> bytes:  # type: ignore[override]
        return base64.b64encode(key_bytes)

    def unwrap_key(self, wrapped_key: bytes, _: str) -> bytes:  # type: ignore[override]
        return base64.b64decode(wrapped_key)


@pytest.mark.parametrize("plain_footer", [True, False])
def test_encrypted_files_are_refused_by_that_word(plain_footer: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """An encrypted footer, or only an encrypted column, is refused; the process lives on."""
    path = tmp_path / "ids.parquet"
    table = pa.table({"account_id": ["u1"], "b": ["x"]})
    wanted = pe.EncryptionConfiguration(
        footer_key="a", column_keys={"b": ["account_id"]}, plaintext_footer=plain_footer
    )
    properties = pe.CryptoFactory(lambda _: _Keys()).file_encryption_properties(pe.KmsConnectionConfig(), wanted)
    with pq.ParquetWriter(path, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)
    with pytest.raises(InputError, match="is encrypted Parquet"):
        open_source([str(path)], Reading())


def test_no_damage_ends_in_anything_but_a_refusal(save: Save) -> None:
    """300 files, each with a few wrong bytes, are read or refused: no other exception, no end of the process."""
    path = save(pa.table({"b": list(range(50)), "account_id": [f"u{n}" for n in range(50)]}), row_group_size=20)
    whole = Path(path).read_bytes()
    chance = random.Random(20_240_229)
    refused = 0
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 2, 8])):
            data[chance.randrange(4, len(data) - 4)] = chance.randrange(256)
        Path(path).write_bytes(data)
        try:
            assert sum(len(chunk.ids) for chunk in open_source([path], Reading()).chunks()) <= 200
        except InputError as error:
            refused += "\n" not in str(error)
    assert refused > 100
