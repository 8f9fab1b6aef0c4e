"""Files, folders, patterns and `-`: which files, in which order, told by which bytes."""

import bz2
import gzip
import hashlib
import io
import os
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exporter.errors import InputError
from exporter.source import Reading, fingerprint, open_source

Write = Callable[[str, bytes], str]
Read = Callable[..., Any]

OK = b"account_id\nu1\nu2\n"


def zstd(data: bytes) -> bytes:
    return pa.Codec("zstd").compress(data, asbytes=True)


PACKERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "bzip2": bz2.compress, "zstd": zstd}
SUFFIXES = {"gzip": ".gz", "bzip2": ".bz2", "zstd": ".zst"}


def names(*inputs: str) -> list[str]:
    return [file.name for file in open_source(inputs, Reading()).files]


def test_a_folder_is_its_files_sorted_by_path(write: Write, tmp_path: Path) -> None:
    """A folder gives all its files, however deep, sorted; hidden names and names with _ in front are passed over."""
    for name in ("b.csv", "a/z.csv", "a.csv", "c/d/e.csv", ".hidden", "_SUCCESS", "_temporary/x", ".git/y", "c/_x"):
        write(name, OK)
    assert names(str(tmp_path)) == [str(tmp_path / name) for name in ("a.csv", "a/z.csv", "b.csv", "c/d/e.csv")]


def test_a_pattern_is_its_matches_sorted(write: Write, tmp_path: Path) -> None:
    """`*`, `?` and `[` match; a matched folder counts with its files; a file of exactly that name comes first."""
    for name in ("b1.csv", "a2.csv", "a1.csv", "f3/x.csv"):
        write(name, OK)
    assert names(str(tmp_path / "*")) == [str(tmp_path / name) for name in ("a1.csv", "a2.csv", "b1.csv", "f3/x.csv")]
    assert names(str(tmp_path / "[ab]?.csv"), str(tmp_path / "a1.csv"))[-2:] == [
        str(tmp_path / "b1.csv"),
        str(tmp_path / "a1.csv"),
    ]
    write("a[1].csv", OK)
    assert names(str(tmp_path / "a[1].csv")) == [str(tmp_path / "a[1].csv")]


def test_several_files_follow_each_other(write: Write) -> None:
    """Files are read in the order given, the same one twice if it is named twice; each counts its own rows."""
    one, two = write("1.csv", OK), write("2.csv.gz", gzip.compress(b"account_id\nv1\n"))
    chunks = list(open_source([two, one, two], Reading()).chunks())
    assert [(chunk.source, chunk.first_row, chunk.ids) for chunk in chunks] == [
        (two, 1, ["v1"]),
        (one, 1, ["u1", "u2"]),
        (two, 1, ["v1"]),
    ]
    sizes = [os.path.getsize(path) for path in (two, one, two)]  # noqa: PTH202
    assert [chunk.share for chunk in chunks] == [sum(sizes[: n + 1]) / sum(sizes) for n in range(3)]


def test_links_are_followed_once(write: Write, tmp_path: Path) -> None:
    """A link to a file or folder counts as what it leads to; a link that leads back up ends nothing."""
    write("real/a.csv", OK)
    (tmp_path / "real/again").symlink_to(tmp_path / "real")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/link.csv").symlink_to(tmp_path / "real/a.csv")
    (tmp_path / "in/folder").symlink_to(tmp_path / "real")
    assert names(str(tmp_path / "in")) == [str(tmp_path / "in/folder/a.csv"), str(tmp_path / "in/link.csv")]


def test_what_is_not_there_is_named(write: Write, tmp_path: Path) -> None:
    """A missing file, an idle pattern, an empty folder, a broken link, an address, nothing at all: one sentence each."""
    write("empty/_SUCCESS", b"")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    for given, sentence in {
        str(tmp_path / "no.csv"): r"no\.csv: no such file or folder, and no file matches it",
        str(tmp_path / "*.tsv"): r"\*\.tsv: no such file",
        str(tmp_path / "empty"): "empty: there is no file in it",
        str(tmp_path / "broken"): "broken: cannot be read: no such file or directory",
        str(tmp_path): "broken: cannot be read: no such file or directory",
        "https://x.example/ids.csv?sign=s3cret": r"^https://x\.example/ids\.csv: only local files",
    }.items():
        with pytest.raises(InputError, match=sentence) as raised:
            open_source([given], Reading())
        assert "s3cret" not in str(raised.value)
    with pytest.raises(InputError, match="There is no input"):
        open_source([], Reading())


def test_a_file_that_goes_away_is_an_input_error(write: Write) -> None:
    """A file that vanishes between opening and reading ends in a sentence."""
    path = write("ids.csv", OK)
    source = open_source([path], Reading())
    Path(path).unlink()
    with pytest.raises(InputError, match=r"ids\.csv: cannot be read: no such file"):
        list(source.chunks())


def test_a_name_that_is_no_text_is_shown(tmp_path: Path) -> None:
    """A file name of bytes that are no UTF-8 is read, and shown in characters that can be written anywhere."""
    path = os.fsencode(tmp_path) + b"/\xff.csv"
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(OK)
    source = open_source([os.fsdecode(path)], Reading())
    assert next(source.chunks()).source == f"{tmp_path}/\ufffd.csv"


@pytest.mark.parametrize("packing", PACKERS)
def test_packing_is_told_by_bytes_and_names_are_warned_about(packing: str, write: Write, read: Read) -> None:
    """Bytes decide: under its own suffix or none in silence, under another with one warning."""
    packed = PACKERS[packing](OK)
    for name in (f"ids.csv{SUFFIXES[packing]}", "ids", f"IDS{SUFFIXES[packing].upper()}"):
        assert (read(write(name, packed)).ids, read(write(name, packed)).warnings) == (["u1", "u2"], [])
    result = read(write("ids.csv", packed))
    assert result.ids == ["u1", "u2"]
    assert [w.partition("ids.csv: ")[2] for w in result.warnings] == [
        f"is {packing}-compressed by its bytes, plain text by its name; the bytes decide."
    ]
    result = read(write(f"plain{SUFFIXES[packing]}", OK))
    assert result.ids == ["u1", "u2"]
    assert f"is plain text by its bytes, {packing}-compressed by its name" in result.warnings[0]


def test_files_say_what_they_are(write: Write, tmp_path: Path) -> None:
    """Kind, packing and size of each file stand ready after opening; Parquet under a wrong name is warned about."""
    pq.write_table(pa.table({"account_id": ["u1"]}), tmp_path / "p.csv")
    source = open_source([write("a.csv", OK), write("b.gz", gzip.compress(OK)), str(tmp_path / "p.csv")], Reading())
    assert [(file.kind, file.compression) for file in source.files] == [
        ("csv", None),
        ("csv", "gzip"),
        ("parquet", None),
    ]
    assert [file.bytes for file in source.files] == [os.path.getsize(file.name) for file in source.files]  # noqa: PTH202
    assert ["is Parquet by its bytes, plain text by its name" in w for w in source.warnings] == [True]


@pytest.mark.parametrize("packing", PACKERS)
def test_several_members_are_one_text(packing: str, write: Write, read: Read) -> None:
    """Packed files may be joined end to end, empty ones among them."""
    pack = PACKERS[packing]
    data = pack(b"account_id\nu1") + pack(b"") + pack(b"1\nu2\n") + pack(b"u3")
    assert read(write("ids", data)).ids == ["u11", "u2", "u3"]


@pytest.mark.parametrize("packing", PACKERS)
def test_damaged_packing_is_refused(packing: str, write: Write, read: Read) -> None:
    """Cut anywhere, with garbage behind it or with a wrong checksum: refused with the packing's name."""
    packed = PACKERS[packing](b"account_id\n" + b"".join(b"u%d\n" % n for n in range(50_000)))
    broken = {
        "cut": packed[:-1],
        "cut early": packed[: len(packed) // 2],
        "second member cut": packed + PACKERS[packing](OK)[:-2],
        "garbage": packed + b"GARBAGE",
        "one byte of garbage": packed + b"x",
    }
    if packing != "zstd":  # its checksum is a choice of the writer, and this one makes none
        broken["checksum"] = packed[:-8] + bytes(4) + packed[-4:]
    for data in broken.values():
        with pytest.raises(InputError, match=rf"ids: its {packing} data is cut off or damaged"):
            read(write("ids", data))


def _zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("ids.csv", OK)
    return buffer.getvalue()


def _arrow() -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.table({"account_id": ["u1"]})
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"account_id": ["u1"]}), sink)
    return sink.getvalue().to_pybytes()


FOREIGN = {
    "zip": (_zipped(), "is a zip archive or an Excel workbook; unpack it, or save the sheet as CSV"),
    "arrow": (_arrow(), r"is an Arrow IPC \(Feather\) file; write it as Parquet"),
    "orc": (b"ORC\x0a\x02" + bytes(20) + b"\x06ORC\x17", "is an ORC file; write it as Parquet"),
    "avro": (b"Obj\x01\x04\x14avro.codec", "is an Avro file; write it as Parquet"),
    "xz": (b"\xfd7zXZ\0\0\x04", "is xz-compressed"),
    "gzip in gzip": (gzip.compress(gzip.compress(OK)), "holds a gzip-compressed file inside gzip; unpack it once"),
    "zstd in bzip2": (bz2.compress(zstd(OK)), "holds a zstd-compressed file inside bzip2"),
    "Parquet in zstd": (zstd(_parquet()), "holds a Parquet file inside zstd"),
    "zip in gzip": (gzip.compress(_zipped()), "is a zip archive"),
    "UTF-16 in gzip": (gzip.compress("account_id\n".encode("utf-16")), "is UTF-16 text"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_other_formats_are_refused_by_name(case: str, write: Write) -> None:
    """What is neither CSV nor Parquet is called what it is, with what to do."""
    data, sentence = FOREIGN[case]
    with pytest.raises(InputError, match=sentence):
        open_source([write("ids", data)], Reading())


def test_ids_may_look_like_magic(write: Write, read: Read) -> None:
    """Text that begins like another format is still text: ORCID, BZh91, Obj."""
    assert read(write("a.csv", b"ORCID\nORC\n"), column="ORCID").ids == ["ORC"]
    assert read(write("b.csv", b"BZh91\nObj1\nPK34\n"), header=False).ids == ["BZh91", "Obj1", "PK34"]


def test_standard_input_is_read_late_and_told_by_bytes() -> None:
    """Opening takes nothing from `-`; reading unpacks it by its bytes, without a share, and leaves it open."""
    for data in (OK, *(pack(OK) for pack in PACKERS.values())):
        stream = io.BytesIO(data)
        source = open_source(["-"], Reading(), standard_input=stream)
        assert stream.tell() == 0
        assert [(file.name, file.path, file.bytes) for file in source.files] == [("-", None, None)]
        assert [(chunk.source, chunk.ids, chunk.share) for chunk in source.chunks()] == [("-", ["u1", "u2"], None)]
        assert not stream.closed


def test_standard_input_has_its_own_refusals(write: Write) -> None:
    """Parquet on `-`, `-` twice, `-` without a stream: refused with what to do; a late fault names `-`."""
    with pytest.raises(InputError, match=r"^-: is Parquet.*pass the file's path"):
        list(open_source(["-"], Reading(), standard_input=io.BytesIO(_parquet())).chunks())
    with pytest.raises(InputError, match="name it once"):
        open_source(["-", write("a.csv", OK), "-"], Reading(), standard_input=io.BytesIO(OK))
    with pytest.raises(InputError, match="no standard input"):
        open_source(["-"], Reading())
    with pytest.raises(InputError, match=r"^-: has no column"):
        list(open_source(["-"], Reading(), standard_input=io.BytesIO(b"a,b\n1,2\n")).chunks())
    with pytest.raises(InputError, match=r"^-: is empty"):
        list(open_source(["-"], Reading(), standard_input=io.BytesIO(b"")).chunks())


def test_a_named_pipe_is_a_stream(tmp_path: Path) -> None:
    """A pipe in the place of a file is opened once, when it is read, and not before."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    source = open_source([str(path)], Reading())
    assert source.files[0].bytes is None
    writer = threading.Thread(target=path.write_bytes, args=(gzip.compress(OK),))
    writer.start()
    assert [(chunk.source, chunk.ids, chunk.share) for chunk in source.chunks()] == [(str(path), ["u1", "u2"], None)]
    writer.join()


def test_nothing_is_left_open(write: Write, tmp_path: Path) -> None:
    """After reading, after giving up half-way and after a refusal, no file is open."""
    pq.write_table(pa.table({"account_id": ["u1"] * 20_000}), tmp_path / "p.parquet")
    bad = write("bad.csv", b"account_id\nu1\n" + b"x\n" * 100_000 + b'"')
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for path in (bad, str(tmp_path / "p.parquet"), write("g.gz", gzip.compress(OK)), write("z.zst", zstd(OK))):
        next(open_source([path], Reading()).chunks())
    with pytest.raises(InputError):
        list(open_source([bad], Reading()).chunks())
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_the_fingerprint_is_size_head_and_tail(write: Write) -> None:
    """Size and the hashes of the first and last 64 KiB; the time of a file is no part of it."""
    data = b"".join(n.to_bytes(4, "big") for n in range(64_000))
    path = write("ids.csv", data)
    expected = {
        "bytes": 256_000,
        "head": hashlib.sha256(data[:65_536]).hexdigest(),
        "tail": hashlib.sha256(data[-65_536:]).hexdigest(),
    }
    assert fingerprint(path) == expected
    os.utime(path, (1, 1))
    assert fingerprint(Path(path)) == expected
    empty = hashlib.sha256(b"").hexdigest()
    assert fingerprint(write("empty", b"")) == {"bytes": 0, "head": empty, "tail": empty}
    with pytest.raises(InputError, match="nowhere: cannot be read"):
        fingerprint("nowhere")
