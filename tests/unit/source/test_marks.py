"""Marks: reading from any place of the input on gives exactly the rows that lie behind it."""

import bz2
import codecs
import gzip
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.errors import InputError
from exporter.model import Chunk, Mark
from exporter.source import Reading, open_source
from exporter.source.reader import Source

CELLS = st.text(st.sampled_from('ab1 é张,;"\n\r'), max_size=6)
ENCODINGS = {"utf-8": b"", "utf-8-bom": codecs.BOM_UTF8, "utf-16": b"", "gb18030": b"", "cp1252": b""}
PACKINGS: dict[str, Callable[[bytes], bytes]] = {"plain": bytes, "gzip": gzip.compress, "bzip2": bz2.compress}


def quoted(rows: Sequence[Sequence[str]], line_end: str) -> str:
    """Write rows as CSV; a blank line now and then, quotes only where they are needed."""

    def cell(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if set(text) & set('",\n\r') else text

    return "".join(",".join(map(cell, row)) + line_end for row in rows)


def assert_goes_on_anywhere(source: Source, skips: Sequence[int]) -> None:
    """From each chunk's mark, and some rows further, the rest comes out as it did at first: ids, rows and files."""

    def rows_of(chunks: Sequence[Chunk]) -> list[tuple[str, int, object]]:
        return [
            (chunk.source, chunk.first_row + place, item) for chunk in chunks for place, item in enumerate(chunk.ids)
        ]

    chunks = list(source.chunks())
    every = rows_of(chunks)
    before = 0
    for number, chunk in enumerate(chunks):
        assert chunk.mark
        for skip in {0, min(skips[number % len(skips)], len(chunk.ids)), len(chunk.ids)}:
            mark = replace(chunk.mark, skip=chunk.mark.skip + skip)
            assert rows_of(list(source.chunks(mark))) == every[before + skip :], mark
        before += len(chunk.ids)


@given(
    rows=st.lists(st.lists(CELLS, min_size=1, max_size=3), min_size=1, max_size=25),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(list(ENCODINGS)),
    packing=st.sampled_from(list(PACKINGS)),
    header=st.sampled_from(["account_id", None]),
    block_bytes=st.sampled_from([7, 16, 64, 4096]),
    skips=st.lists(st.integers(0, 4), min_size=1, max_size=5),
)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_csv_goes_on_from_any_row(
    tmp_path: Path,
    rows: list[list[str]],
    line_end: str,
    encoding: str,
    packing: str,
    header: str | None,
    block_bytes: int,
    skips: list[int],
) -> None:
    """Quoted line breaks, blank lines, any line end, encoding and packing: the place is found to the row."""
    codec = encoding.removesuffix("-bom")
    text = quoted([[header, "more"], *rows] if header else [["x"], *rows], line_end)
    data = ENCODINGS[encoding] + text.encode(codec, "replace")
    (tmp_path / "a.csv").write_bytes(PACKINGS[packing](data))
    (tmp_path / "b.csv").write_bytes(PACKINGS[packing](data))
    reading = Reading(header=bool(header), encoding=codec)
    found = open_source([str(tmp_path / "a.csv"), str(tmp_path / "b.csv")], reading)
    assert_goes_on_anywhere(Source(found.files, reading, block_bytes=block_bytes), skips)


@given(
    ids=st.lists(st.one_of(st.none(), st.text(max_size=5)), min_size=1, max_size=60),
    group_rows=st.sampled_from([1, 7, 100]),
    kind=st.sampled_from([pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]),
    skips=st.lists(st.integers(0, 4), min_size=1, max_size=5),
    rows_max=st.sampled_from([3, 5000]),
)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_parquet_goes_on_from_any_row(
    tmp_path: Path, ids: list[str | None], group_rows: int, kind: pa.DataType, skips: list[int], rows_max: int
) -> None:
    """Row groups of any size, null ids, plain and dictionary columns: the place is found to the row."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("exporter.source.parquet_rows.ROWS_MAX", rows_max)
        table = pa.table({"account_id": pa.array(ids, pa.string()).cast(kind)})
        for name in ("a.parquet", "b.parquet"):
            pq.write_table(table, tmp_path / name, row_group_size=group_rows)
        assert_goes_on_anywhere(open_source([str(tmp_path)], Reading()), skips)


def test_a_mark_survives_as_plain_data(tmp_path: Path) -> None:
    """What a journal keeps of a mark, lists instead of tuples, leads to the same place."""
    (tmp_path / "ids.csv").write_bytes(b"account_id\na\nb\nc\n")
    source = open_source([str(tmp_path / "ids.csv")], Reading())
    mark = next(iter(source.chunks())).mark
    assert mark
    kept = Mark(mark.file, mark.row, list(mark.at), 2)
    assert [list(chunk.ids) for chunk in source.chunks(kept)] == [["c"]]


def test_what_was_passed_over_still_counts_in_errors(tmp_path: Path) -> None:
    """A quote left open behind the place is named by its line in the whole file."""
    path = tmp_path / "ids.csv"
    path.write_bytes(b"account_id\na\nb\nc\nd\n")
    mark = next(iter(open_source([str(path)], Reading()).chunks())).mark
    assert mark
    path.write_bytes(b'account_id\na\nb\nc\n"d')
    with pytest.raises(InputError, match="row begins in line 5"):
        list(open_source([str(path)], Reading()).chunks(replace(mark, at=(15, 3, *mark.at[2:]))))
