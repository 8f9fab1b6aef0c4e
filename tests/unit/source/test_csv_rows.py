"""CSV: what comes out of every kind of good, odd and bad file."""

import bz2
import csv
import gzip
import io
import tracemalloc
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import InputError
from exporter.model import BadId, Reason
from exporter.source import InputFile, Reading, Source

Write = Callable[[str, bytes], str]
Read = Callable[..., Any]

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "zstd": lambda data: pa.Codec("zstd").compress(data, asbytes=True),
}


def streamed(data: bytes, block_bytes: int, **reading: Any) -> Source:
    file = InputFile("-", None, stream=io.BytesIO(data))
    return Source([file], Reading(**reading), block_bytes=block_bytes)


GOOD = {
    "final newline": (b"account_id\nu1\nu2\n", ["u1", "u2"]),
    "no final newline": (b"account_id\nu1\nu2", ["u1", "u2"]),
    "byte order mark": (b"\xef\xbb\xbfaccount_id\nu1\n", ["u1"]),
    "byte order mark and quotes": (b'\xef\xbb\xbf"account_id"\n"u1"\n', ["u1"]),
    "crlf": (b"account_id\r\nu1\r\nu2\r\n", ["u1", "u2"]),
    "cr only": (b"account_id\ru1\ru2\r", ["u1", "u2"]),
    "cr only, no final one": (b"account_id\ru1\ru2", ["u1", "u2"]),
    "mixed endings": (b"account_id\r\nu1\nu2\r\nu3\ru4\n", ["u1", "u2", "u3", "u4"]),
    "quoted newline": (b'account_id,name\nu1,"a\nb"\nu2,"c\r\nd"\n', ["u1", "u2"]),
    "newline inside an id": (b'account_id\n"u\r\n1"\nu2\n', ["u\r\n1", "u2"]),
    "doubled quotes": (b'account_id\n"u""1"\nu"2\n', ['u"1', 'u"2']),
    "NUL": (b"account_id\nu\x002\n", ["u\x002"]),
    "line separators of Unicode": ("account_id\nu\u20281\x0b\x1c\x85\n".encode(), ["u\u20281\x0b\x1c\x85"]),
    "blank lines": (b"account_id,b\nu1,1\n\n\r\nu2,2\n", ["u1", None, None, "u2"]),
    "blank lines, one column": (b"account_id\nu1\n\n\nu2\n", ["u1", None, None, "u2"]),
    "empty text is no blank line": (b'account_id,b\n,1\n"",2\n', ["", ""]),
    "empty text, one column": (b'account_id\n""\n', [""]),
    "spaces": (b"account_id\n u1\nu2 \n\tu3\n \n", [" u1", "u2 ", "\tu3", " "]),
    "leading zeros": (b"account_id\n00123\n00007\n", ["00123", "00007"]),
    "long numbers": (
        b"account_id\n12345678901234567890\n9007199254740993\n",
        ["12345678901234567890", "9007199254740993"],
    ),
    "words": (
        b"account_id\nNA\nnull\nNaN\ntrue\n2024-01-01\n1.0\n",
        ["NA", "null", "NaN", "true", "2024-01-01", "1.0"],
    ),
    "Ctrl-Z at the end": (b"account_id\nu1\n\x1a", ["u1", "\x1a"]),
    "the same id twice": (b"account_id\nu1\nu1\n", ["u1", "u1"]),
    "short row with its id": (b"account_id,b\nu1,1\nu2\n", ["u1", "u2"]),
    "other columns around": (b"a,account_id,b\n1,u1,x\n2,u2,y\n", ["u1", "u2"]),
}


@pytest.mark.parametrize("case", GOOD)
def test_an_odd_file_reads_exactly(case: str, write: Write, read: Read) -> None:
    """Texts come out as they stand, in order, a blank line as None, and nothing is said about it."""
    data, ids = GOOD[case]
    result = read(write("ids.csv", data))
    assert (result.ids, result.warnings) == (ids, [])


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("case", GOOD)
def test_no_block_border_matters(case: str, packer: str) -> None:
    """Blocks of any size, packed or not, give the same ids: no border splits a character, a line end or a quote."""
    data, ids = GOOD[case]
    for block_bytes in (1, 2, 3, 7, 16):
        chunks = list(streamed(PACKERS[packer](data), block_bytes).chunks())
        assert [each for chunk in chunks for each in chunk.ids] == ids


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_what_a_csv_writer_wrote_reads_back(data: st.DataObject) -> None:
    """Any texts, quoted in any way, with any line ending, packing and block size, come back with their row numbers."""
    quoting = data.draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
    # This writer leaves a line break bare that is not its own line ending.
    ruled_out = "\r\n" if quoting == csv.QUOTE_MINIMAL else ""
    text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=ruled_out), max_size=12)
    texts = data.draw(st.lists(text, max_size=30))
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=quoting, lineterminator=data.draw(st.sampled_from(["\n", "\r\n", "\r"])))  # type: ignore[arg-type]
    writer.writerows(
        [["other", "account_id"], *(["x\ny" if quoting == csv.QUOTE_ALL else "x", each] for each in texts)]
    )
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32-be"]))
    packed = PACKERS[data.draw(st.sampled_from(list(PACKERS)))](out.getvalue().encode(encoding))
    source = streamed(packed, data.draw(st.integers(1, 200)), encoding=encoding)
    row = 1
    for chunk in source.chunks():
        assert chunk.first_row == row
        assert chunk.ids == texts[row - 1 : row - 1 + len(chunk.ids)]
        row += len(chunk.ids)
    assert row == len(texts) + 1


def test_rows_without_a_usable_field_say_so(write: Write, read: Read) -> None:
    """A row with too many fields, or without the id's, is one bad row with its id as far as there is one."""
    ids = read(write("ids.csv", b"b,account_id\n1,u1\n2,u2,extra\n3\n4,u4\n")).ids
    assert ids == [
        "u1",
        BadId("u2", Reason.BAD_ROW, "3 fields where 2 belong"),
        BadId(None, Reason.BAD_ROW, "1 fields where 2 belong"),
        "u4",
    ]


def test_without_a_header_the_first_row_is_a_row(write: Write, read: Read) -> None:
    """Without a header every line is a row, the column is a position, and the first row says how wide rows are."""
    path = write("ids.csv", b"\na,u1\nb,u2\nc,u3,x\n")
    ids = read(path, header=False, column="2").ids
    assert ids == [None, "u1", "u2", BadId("u3", Reason.BAD_ROW, "3 fields where 2 belong")]
    assert read(write("one.csv", b"u1\nu2\n"), header=False).ids == ["u1", "u2"]
    with pytest.raises(InputError, match=r"ids\.csv: has no field 3: its first row has 2"):
        read(path, header=False, column="3")


def test_chunks_are_cut_at_5000_rows_and_counted_on() -> None:
    """Row numbers go on over chunks and quoted rows; no chunk is longer than 5,000 rows."""
    lines = b"".join(b'"%d"\n' % n if n % 7_000 == 0 else b"%d\n" % n for n in range(1, 12_002))
    chunks = list(streamed(b"account_id\n" + lines, 1 << 20).chunks())
    assert [chunk.first_row for chunk in chunks] == [1, 5_001, 10_001]
    assert [chunk.ids[0] for chunk in chunks] == ["1", "5001", "10001"]
    assert chunks[-1].ids[-1] == "12001"


@pytest.mark.parametrize("packer", ["plain", "gzip", "bzip2", "zstd"])
def test_the_share_grows_to_one(packer: str, write: Write, read: Read) -> None:
    """The share counts bytes as they lie on the disk, and ends at 1."""
    data = b"account_id\n" + b"".join(sha256(b"%d" % n).hexdigest().encode() + b"\n" for n in range(8_000))
    shares = read(write("ids", PACKERS[packer](data))).shares
    assert len(shares) > 3
    assert shares == sorted(shares)
    assert shares[0] < 0.9 or packer == "bzip2"  # which comes in blocks of 900 kB
    assert shares[-1] == 1.0


def test_the_share_is_that_of_the_rows(write: Write, read: Read) -> None:
    """Not of what was read ahead: a small file is read at once, in several chunks."""
    lines = [b"account_id\n", *(b"%d\n" % number for number in range(12_000))]
    shares = read(write("ids.csv", b"".join(lines))).shares
    ends = [sum(map(len, lines[: rows + 1])) for rows in (5_000, 10_000, 12_000)]
    assert shares == pytest.approx([end / ends[-1] for end in ends])


def test_the_share_of_a_packed_file_is_that_of_the_rows(write: Write, read: Read) -> None:
    """Near enough: what was handed to the unpacker counts, not the block that it came in. Others unpack more at once."""
    rows = 20_000
    data = b"account_id\n" + b"".join(sha256(b"%d" % n).hexdigest()[:12].encode() + b"\n" for n in range(rows))
    shares = read(write("ids", gzip.compress(data))).shares
    assert len(shares) > 3
    assert shares[0] == pytest.approx(5_000 / rows, abs=0.1)


REFUSED: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "unclosed quote in the middle": (b'account_id,name\nu1,"a\nu2,b\nu3,"c"\n', {}, r"line 2"),
    "unclosed quote at the end": (b'account_id\nu1\nu2\n"u3\nu4\n', {}, r"begins in line 4.*quote"),
    "text behind a closing quote": (b'account_id\n"u1"x\n', {}, r"line 2.*quote"),
    "invalid UTF-8": (b"account_id\nu1\nu\xff\xfe2\n", {}, r"not utf-8 text in line 3 \(byte 0xff\).*--encoding"),
    "cut character at the end": (b"account_id\nu1\nu\xe2\x82", {}, r"not utf-8 text in line 3"),
    "Latin-1": ("account_id\r\nu1\r\ncafé\r\n".encode("latin1"), {}, r"line 3.*--encoding cp1252"),
    "UTF-16": ("account_id\nu1\n".encode("utf-16"), {}, r"UTF-16 text.*--encoding utf-16\."),
    "UTF-16, big end first": ("\ufeffaccount_id\nu1\n".encode("utf-16-be"), {}, r"--encoding utf-16\."),
    "UTF-16 without a mark": ("account_id\nu1\n".encode("utf-16-le"), {}, r"--encoding utf-16-le"),
    "UTF-32": ("account_id\nu1\n".encode("utf-32"), {}, r"--encoding utf-32\."),
    "UTF-8 said to be UTF-16": (b"account_id\nu1\n", {"encoding": "utf-16"}, r"is not utf-16 text"),
    "unknown encoding": (b"\xff\xfeaccount_id\n", {"encoding": "utf-99"}, r"utf-99.*no such encoding"),
    "no header": (b"u1\nu2\n", {}, r"no column 'account_id'. Its columns: 'u1'.*--no-header.*--column"),
    "header of other name": (b"id,name\nu1,a\n", {}, r"Its columns: 'id', 'name'. Name one of them with --column"),
    "header of other case": (b"Account_ID,b\nu1,1\n", {}, r"Did you mean --column 'Account_ID'\?"),
    "header with a space": (b" account_id\nu1\n", {}, r"Did you mean --column ' account_id'\?"),
    "semicolons": (b"account_id;name\nu1;a\n", {}, r"looks ';'-separated: use --delimiter ';'"),
    "JSON over many lines": (
        b'{\n  "account_id": "u1"\n}\n',
        {},
        r"ids: looks like JSON objects; write the ids as CSV",
    ),
    "JSON lines": (b'{"account_id": "u1", "a": 1}\n', {}, r"looks like JSON objects;.*jq -r '\[\.account_id\]"),
    "compact JSON lines": (b'{"account_id":"u1","b":"x"}\n' * 9, {}, r"looks like JSON objects"),
    "the same, no header": (b'{"account_id":"u1","b":"x"}\n' * 9, {"header": False}, r"looks like JSON objects"),
    "a JSON array of texts": (b'["u1","u2"]', {}, r"looks like a JSON array;.*jq -r '\.\[\] \|"),
    "a JSON array a line": (b'[1, "u1"]\n[2, "u2"]\n', {}, r"looks like a JSON array"),
    "JSON behind blank lines": (b'\n\n  [\n {"account_id": "u1"}\n]\n', {}, r"looks like a JSON array"),
    "one long line of JSON": (b"[" + b'{"account_id":"u1"},' * 60_000 + b"{}]", {}, r"looks like a JSON array"),
    "packed JSON": (gzip.compress(b'{"account_id":"u1","b":"x"}\n'), {}, r"looks like JSON objects"),
    "JSON as UTF-16": ('{"a":"u1","b":"x"}'.encode("utf-16"), {"encoding": "utf-16"}, r"looks like JSON objects"),
    "a web page": (b"<!DOCTYPE html>\n<html>", {}, r"looks like a web page"),
    "names in brackets": (b"[account_id],[name]\nu1,a\n", {}, r"Its columns: '\[account_id\]', '\[name\]'. Name one"),
    "semicolons and quotes": (b'"id";"account_id"\n"u1";"a"\n', {}, r"line 1 is not CSV: .*use --delimiter ';'"),
    "a quote in the first row": (b'"id"x,b;c\n', {}, r"begins in line 1: look there for a quote"),
    "a quote in a later row": (b'account_id\n"u1";a\n', {}, r"begins in line 2: look there for a quote"),
    "tabs": (b"account_id\tname\nu1\ta\n", {}, r"use --delimiter tab"),
    "bars": (b"account_id|name\nu1|a\n", {}, r"use --delimiter '\|'"),
    "commas": (b"account_id,name\nu1,a\n", {"delimiter": ";"}, r"use --delimiter ','"),
    "blank header": (b"\nu1\n", {}, r"first line is blank"),
    "two such columns": (b"account_id,account_id\nu1,x1\n", {}, r"several columns called 'account_id'"),
    "empty": (b"", {}, r"is empty.*--allow-empty"),
    "empty but for a mark": (b"\xef\xbb\xbf", {}, r"is empty"),
    "empty, no header": (b"", {"header": False}, r"is empty"),
    "packed emptiness": (gzip.compress(b""), {}, r"is empty"),
    "field over the limit": (b'account_id\nu1\n"' + b"x\n" * 100_000 + b'"\n', {}, r"field limit \(131072\).*line 3"),
    "long line": (b"account_id\n" + b"x" * 1_048_577, {}, r"line 2 \(from character 11 of the text\) is longer"),
    "long header": (b"x" * 1_100_000, {}, r"line 1 \(from character 0 of the text\) is longer than 1,048,576"),
    "endless quoted row": (b"account_id,b\nu1" + b',"a\n"' * 1_500_000, {}, r"over 4,194,304 char.*begins in line 2"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_file_is_refused_in_one_sentence(case: str, write: Write, read: Read) -> None:
    """What cannot be read without guessing is refused; the sentence names the file, the place and the remedy."""
    data, reading, sentence = REFUSED[case]
    with pytest.raises(InputError, match=sentence) as raised:
        read(write("ids", data), **reading)
    message = str(raised.value)
    assert "ids: " in message or "utf-99" in message
    assert "\n" not in message
    assert len(message) < 1_000


def test_ids_may_begin_like_json(write: Write, read: Read) -> None:
    """What can be read is read, whatever it looks like: a chosen column, or ids without a header, which earn a warning."""
    named = read(write("named.csv", b'{"a"},b\n[u1],1\n{u2},2\n'), column='{"a"}')
    assert (named.ids, named.warnings) == (["[u1]", "{u2}"], [])
    assert read(write("right.csv", b'account_id\n{"a": 1}\n[1]\n')).ids == ['{"a": 1}', "[1]"]
    plain = read(write("plain.csv", b"[u1]\n{u2}\n"), header=False)
    assert (plain.ids, plain.warnings) == (["[u1]", "{u2}"], [])
    lines = read(write("lines.csv", b'{"id": "u1"}\n{"id": "u2"}\n'), header=False)
    assert lines.ids == ['{"id": "u1"}', '{"id": "u2"}']
    assert [warning.split("; ")[0].split(": ")[1] for warning in lines.warnings] == ["looks like JSON objects"]


def test_a_late_fault_is_refused_late(write: Write, read: Read) -> None:
    """A quote left open near the end of 300,000 rows is no row less: it is an error, and it names the line."""
    data = b"account_id\n" + b"".join(b"u%d\n" % n for n in range(300_000))
    with pytest.raises(InputError, match=r"begins in line 300,000"):
        read(write("ids.csv", data[: data.rindex(b"u299998")] + b'"u299998\nu299999\n'))


def test_many_columns_are_listed_in_part(write: Write, read: Read) -> None:
    """Of 50,000 columns the one is found; when it is missing, 20 are named."""
    names = ",".join(f"c{n}" for n in range(50_000))
    path = write("wide.csv", f"{names}\n{names}\n".encode())
    assert read(path, column="c49999").ids == ["c49999"]
    with pytest.raises(InputError, match=r"'c19' and 49,980 more\. Name"):
        read(path)


def test_a_wide_short_header_name_is_cut(write: Write, read: Read) -> None:
    """A sentence stays short however long the header is, and shows control characters as such."""
    with pytest.raises(InputError, match=r"…'") as raised:
        read(write("ids.csv", b"\x1b" + b"y" * 100_000 + b"\nu1\n"))
    assert "\x1b" not in str(raised.value)
    assert len(str(raised.value)) < 400


def test_a_header_alone_is_a_warning(write: Write, read: Read) -> None:
    """A header without rows gives zero rows and one warning, with and without its newline."""
    for data in (b"account_id\n", b"account_id"):
        path = write("ids.csv", data)
        result = read(path)
        assert (result.ids, result.warnings) == ([], [f"{path}: has a header and no rows."])


def test_emptiness_may_be_allowed(write: Write, read: Read) -> None:
    """With `allow_empty` a file of nothing is a file of no rows."""
    assert read(write("ids.csv", b""), allow_empty=True).ids == []
    assert read(write("two.csv", b"\xef\xbb\xbf"), allow_empty=True, header=False).ids == []


def test_numbers_out_of_a_spreadsheet_are_warned_about_once(write: Write, read: Read) -> None:
    """`1.23457E+17` stays the text that it is, and the first such row is named, once a file."""
    ids = ["u1", "1.23457E+17", "1e5", "2E+5", "XE+5"]
    path = write("ids.csv", "\n".join(["account_id", *ids, ""]).encode())
    result = read(path)
    assert result.ids == ids
    assert [w for w in result.warnings if "row 2" in w and path in w] == result.warnings
    assert len(result.warnings) == 1
    late = write("late.csv", b"account_id\n" + b"u\n" * 9_000 + b"2E+17\n" + b"u\n" * 9_000 + b"2E+18\n")
    assert ["row 9,001 " in warning for warning in read(late).warnings] == [True]
    assert read(write("b.csv", b"account_id\nXE+5\n1e+5\n")).warnings == []


def test_other_encodings_and_delimiters(write: Write, read: Read) -> None:
    """What the user says about encoding and delimiter is obeyed; a mark at the start is no part of a name."""
    assert read(write("a.csv", "account_id;b\ncafé;1\n".encode("latin1")), encoding="latin1", delimiter=";").ids == [
        "café"
    ]
    assert read(write("b.csv", "account_id\tb\nü\t1\n".encode("utf-16")), encoding="UTF16", delimiter="\t").ids == ["ü"]
    marked = "\ufeffaccount_id\nü\n".encode("utf-16-le")
    assert read(write("c.csv", marked), encoding="utf-16-le").ids == ["ü"]


def test_rows_of_a_slow_stream_come_at_once() -> None:
    """What a pipe has delivered comes out before anything more is asked of it; only a cut line or quote waits."""
    asked: list[int] = []

    class Slow(io.RawIOBase):
        def read1(self, size: int) -> bytes:
            asked.append(size)
            return [b"account_id\nu1\n", b'"u2"\nu3\nu', b'4\n"u\n', b'5"\nu6\nu', b"", b""][len(asked) - 1]

    source = Source([InputFile("-", None, stream=Slow())], Reading())  # type: ignore[arg-type]
    seen = [(len(asked), chunk.first_row, chunk.ids, chunk.share) for chunk in source.chunks()]
    assert seen == [
        (1, 1, ["u1"], None),
        (2, 2, ["u2", "u3"], None),
        (4, 4, ["u4", "u\n5", "u6"], None),
        (5, 7, ["u"], None),
    ]


def test_a_bomb_stays_small(write: Write, read: Read) -> None:
    """64 MB in one packed line are refused after the first of them, in every packing."""
    for packer in ("gzip", "bzip2", "zstd"):
        path = write("ids", PACKERS[packer](b"account_id\n" + b"0" * (64 << 20)))
        tracemalloc.start()
        with pytest.raises(InputError, match="line 2"):
            read(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 16 << 20
