"""Files that are the ones the manifest names, hash and all, and still are not what they must be."""

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.batching import problem
from exporter.verify.claims import FileClaim
from exporter.verify.content import COLUMNS_AT_ONCE, read
from exporter.verify.looks import Array, is_account, looks
from exporter.verify.schemas import schemas
from tests.unit.verify.conftest import Copy, settle

DATA, REJECTS, BAD = (f"{folder}/part-000001.parquet" for folder in ("data", "rejects", "bad_values"))
FILES = st.sampled_from([DATA, REJECTS, BAD])


def same(value: object) -> object:
    """Make NaN equal to itself."""
    return "nan" if isinstance(value, float) and math.isnan(value) else value


def rows(table: pa.Table) -> list[dict[str, object]]:
    return [{name: same(value) for name, value in row.items()} for row in table.to_pylist()]


@given(file=FILES, place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), footer=st.booleans())
@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damage_before_hashing_is_found_or_does_no_harm(
    copy: Copy, file: str, place: float, bit: int, *, footer: bool
) -> None:
    """A writer's machine may flip a bit before the hash is taken: never a traceback, and what passes reads the same."""
    path = copy.out / file
    good, manifest, before = path.read_bytes(), copy.manifest, rows(copy.table(file))
    bad = bytearray(good)
    first = len(good) - 8 - int.from_bytes(good[-8:-4], "little") if footer else 0
    bad[first + int(place * (len(good) - first))] ^= 1 << bit
    copy.put(file, bytes(bad))
    texts = copy.texts()
    try:
        if not texts:
            assert rows(copy.table(file)) == before
        assert all(text.startswith((file, "account ", "manifest.json: ")) or file in text for text in texts)
    finally:
        path.write_bytes(good)
        copy.tell(manifest)


def test_every_page_is_read(copy: Copy) -> None:
    """A bit flipped in the values of any column is found by the page's checksum, though the hash matches."""
    path = copy.out / DATA
    good, manifest = path.read_bytes(), copy.manifest
    group = pq.ParquetFile(path).metadata.row_group(0)
    for number in range(group.num_columns):
        column = group.column(number)
        bad = bytearray(good)
        bad[column.data_page_offset + column.total_compressed_size // 2] ^= 1
        end = (column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size
        bad[end - 1] ^= 1
        copy.put(DATA, bytes(bad))
        assert copy.texts()[0].startswith(f"{DATA} cannot be read: ")
        path.write_bytes(good)
        copy.tell(manifest)


def test_every_column_of_many_is_read(tmp_path: Path) -> None:
    """Names may hold dots, begin alike, or look like a path: each column is read, and damage in any one is found."""
    names = [f"a{'.b' * (number % 5)}.{number}" for number in range(99)] + ["account_id.a", "a"]
    columns = [{"name": "account_id", "type": "text"}]
    columns += [{"name": name, "type": "text", "attribute": name} for name in names]
    path, schema = tmp_path / "file", schemas(columns)["data"]
    texts = pa.array([f"text {number}" for number in range(50)])
    pq.write_table(pa.Table.from_arrays([texts] * 102, schema=schema), path, write_page_checksum=True)
    good = path.read_bytes()

    def found(data: bytes) -> list[str]:
        path.write_bytes(data)
        claim = FileClaim("file", 50, len(data), hashlib.sha256(data).hexdigest())
        return list(read(tmp_path, claim, schema, looks(columns)["data"]))

    assert found(good) == []
    group = pq.ParquetFile(path).metadata.row_group(0)
    for number in range(102):
        column = group.column(number)
        bad = bytearray(good)
        bad[(column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 1] ^= 1
        assert found(bytes(bad))[0].startswith("file cannot be read: "), number


def test_a_column_with_fewer_rows_than_the_others_is_found(tmp_path: Path) -> None:
    """The library reads as many as there are: a file whose footer promises more is told by counting each column."""
    names = [f"c{number:02d}" for number in range(COLUMNS_AT_ONCE)]
    columns = [{"name": "account_id", "type": "text"}, *({"name": n, "type": "text", "attribute": n} for n in names)]
    schema, plain = schemas(columns)["data"], tmp_path / "file"

    def written(last: list[str]) -> bytes:
        texts: Any = pa.array(["8 bytes!"] * len(last))
        table = pa.Table.from_arrays([*[texts] * COLUMNS_AT_ONCE, pa.array(last)], schema=schema)
        pq.write_table(table, plain, compression="none", use_dictionary=False, write_statistics=False)
        return plain.read_bytes()

    def chunk(data: bytes) -> slice:
        plain.write_bytes(data)
        column = pq.ParquetFile(plain).metadata.row_group(0).column(COLUMNS_AT_ONCE)
        return slice(column.data_page_offset, column.data_page_offset + column.total_compressed_size)

    whole, other = written(["8 bytes!"] * 50), written(["8 bytes!"] * 48 + ["twenty bytes of text"])
    short, place = other[chunk(other)], chunk(whole)
    assert len(short) == place.stop - place.start
    data = whole[: place.start] + short + whole[place.stop :]
    plain.write_bytes(data)
    claim = FileClaim("file", 50, len(data), hashlib.sha256(data).hexdigest())
    assert list(read(tmp_path, claim, schema, looks(columns)["data"])) == [
        "file: its first columns have 50 rows, and column 33 has 49."
    ]


@pytest.mark.parametrize("data", [b"", b"PAR1", b"account_id\na\n", b"PAR1" * 100, b"PAR1" + b"\xff" * 8 + b"PAR1"])
def test_what_is_no_parquet_is_found(copy: Copy, data: bytes) -> None:
    """Any bytes, with their hash."""
    copy.put(DATA, data)
    assert copy.texts()[0].startswith(f"{DATA} cannot be read: ")


def cast(name: str, kind: pa.DataType) -> Callable[[pa.Table], pa.Table]:
    def changed(table: pa.Table) -> pa.Table:
        place = table.column_names.index(name)
        return table.set_column(place, pa.field(name, kind), table.column(name).cast(kind))

    return changed


OTHER_SCHEMAS: list[tuple[str, Callable[[pa.Table], pa.Table], str]] = [
    (DATA, lambda table: table.drop_columns(["vip"]), "column 9 is '会员等级' string, not 'vip' bool"),
    (DATA, lambda table: table.append_column("z", pa.nulls(len(table), pa.string())), "column 11 is 'z' string, not"),
    (DATA, lambda table: table.select(table.column_names[::-1]), "column 1 is '会员等级' string, not 'account_id'"),
    (DATA, lambda table: table.rename_columns([*table.column_names[:-1], "x"]), "column 10 is 'x' string, not '会员"),
    (DATA, cast("account_id", pa.string()), "column 1 is 'account_id' string, not 'account_id' string not null"),
    (DATA, cast("nick", pa.large_string()), "column 5 is 'nick' large_string, not 'nick' string"),
    (DATA, cast("level", pa.int32()), "column 4 is 'level' int32, not 'level' int64"),
    (DATA, cast("seen", pa.timestamp("us")), r"column 7 is 'seen' timestamp\[us\], not 'seen' timestamp\[us, tz=UTC\]"),
    (REJECTS, cast("code", pa.string()), "column 3 is 'code' string, not 'code' int64"),
    (REJECTS, lambda table: table.drop_columns(["row_number"]), "column 6 is absent, not 'row_number' int64"),
    (BAD, lambda table: table.rename_columns(["account_id", "attribute", "text"]), "column 3 is 'text' string, not"),
]


@pytest.mark.parametrize(("file", "change", "words"), OTHER_SCHEMAS)
def test_other_columns_are_found(copy: Copy, file: str, change: Callable[[pa.Table], pa.Table], words: str) -> None:
    """One too few, too many, another order, name, type or nullability: the first that differs is named."""
    copy.put(file, change(copy.table(file)))
    with pytest.raises(AssertionError, match=f"{file}: {words}"):
        raise AssertionError(copy.texts()[0])


@pytest.mark.parametrize("change", [{"type": "float64"}, {"name": "else", "attribute": "else"}])
def test_a_schema_that_the_files_do_not_have_is_found(copy: Copy, change: dict[str, str]) -> None:
    """In each file of the data."""
    copy.change(lambda manifest: manifest["schema"][3].update(change))
    assert [text.partition(":")[0] for text in copy.texts()][:3] == [
        f"data/part-00000{number}.parquet" for number in range(3)
    ]


def replaced(table: pa.Table, row: int, **values: Any) -> pa.Table:
    """Give a table with other values in one row."""
    changed = table.to_pylist()
    changed[row].update(values)
    return pa.Table.from_pylist(changed, schema=table.schema)


OTHER_ROWS: list[tuple[str, dict[str, Any], str]] = [
    (DATA, {"account_id": ""}, "account_id is none that can exist in 1 row."),
    (DATA, {"account_id": "x" * 33}, "account_id is none that can exist in 1 row."),
    (DATA, {"account_id": "中" * 11}, "account_id is none that can exist in 1 row."),
    (DATA, {"account_id": "bell\x07"}, "account_id is none that can exist in 1 row."),
    (REJECTS, {"account_id": None}, "account_id is none that can have been asked for in 1 row."),
    (REJECTS, {"account_id": "\x85"}, "account_id is none that can have been asked for in 1 row."),
    (REJECTS, {"reason": "lost"}, "reason is no known one in 1 row."),
    (REJECTS, {"reason": None}, "reason is no known one in 1 row."),
    (REJECTS, {"source": None}, "source or row_number is null in 1 row."),
    (REJECTS, {"row_number": None}, "source or row_number is null in 1 row."),
    (REJECTS, {"row_number": 0}, "row_number is below 1 in 1 row."),
    (BAD, {"attribute": "nick"}, "attribute is none of those that have a type in 1 row."),
    (BAD, {"value": None}, "account_id or value is null in 1 row."),
    (BAD, {"account_id": "user_99999"}, f"account 'user_99999' has no row in {DATA}."),
]


@pytest.mark.parametrize(("file", "values", "words"), OTHER_ROWS)
def test_rows_that_cannot_be_are_found(copy: Copy, file: str, values: dict[str, Any], words: str) -> None:
    """Each rule of each folder, by one row that breaks it."""
    copy.put(file, replaced(copy.table(file), 0, **values))
    assert f"{file}: {words}" in copy.texts()


def test_a_null_account_is_found(copy: Copy) -> None:
    """Also in a file that says it has none: its columns are not those of the data then."""
    table = cast("account_id", pa.string())(copy.table(DATA))
    copy.put(DATA, replaced(table, 3, account_id=None))
    assert "not 'account_id' string not null" in copy.texts()[0]


def test_text_that_is_not_utf8_is_found(copy: Copy) -> None:
    """A value that no reader could decode."""
    table = copy.table(DATA)
    wrong: Array = pa.array([b"\xff\xfe"] * len(table), pa.binary())
    broken = pa.Array.from_buffers(pa.string(), len(table), wrong.buffers())
    copy.put(DATA, table.set_column(table.column_names.index("nick"), "nick", broken))
    assert copy.texts()[0].startswith(f"{DATA} cannot be read: ")


def test_fewer_rows_than_told_are_found(copy: Copy) -> None:
    """Rows left out of a file that is otherwise whole."""
    told = copy.manifest["shards"][1]["rows"]
    copy.put(DATA, copy.table(DATA).slice(2))
    copy.change(lambda manifest: manifest["shards"][1].update(rows=told))
    assert copy.texts()[0] == f"{DATA} has {told - 2} rows, not {told}."


def test_reasons_and_attributes_are_counted_in_the_files(copy: Copy) -> None:
    """A reject of another reason, and bad values of another attribute, with all other numbers right."""
    copy.put(REJECTS, replaced(copy.table(REJECTS), 1, reason="refused"))
    copy.put(BAD, replaced(copy.table(BAD), 1, attribute="level"))
    texts = copy.texts()
    assert len(texts) == 2
    assert texts[0].startswith("manifest.json: shards[1].rejects_by_reason is {")
    assert texts[1] == (
        "manifest.json: shards[1].bad_values is {'city': 28}, and it should be {'city': 27, 'level': 1}."
    )


def test_rows_left_out_of_everything_are_found(copy: Copy) -> None:
    """An account that is in no file, in a manifest that says so, is missing from the sum."""
    copy.put(DATA, copy.table(DATA).slice(1))
    copy.change(lambda manifest: manifest.update(rows=manifest["rows"] - 1))
    texts = copy.texts()
    assert "manifest.json: input is 100, and rows, rejects, duplicates and blank are 99 in all." in texts
    assert "manifest.json: shards[1] is 40 rows of the input, and accounts for 39." in texts
    copy.change(settle)  # called a duplicate, it cannot be told from one
    assert not any("shards[1]" in text for text in copy.texts())


@given(st.text(max_size=40))
@settings(derandomize=True)
def test_the_same_ids_are_accounts_here_and_there(text: str) -> None:
    """The verifier's rule of what an account is, written anew, is that of the batches."""
    one: Array = pa.array([text], pa.string())
    assert is_account(one).to_pylist() == [problem(text) is None]
