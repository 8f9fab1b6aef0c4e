"""Told by its bytes: what a file is follows from how it begins and ends; its name can only earn a warning."""

import codecs
import re
from pathlib import PurePath

from exporter.errors import InputError

HEAD_BYTES = 10
TAIL_BYTES = 4

MAGIC, MAGIC_ENCRYPTED = b"PAR1", b"PARE"  # Parquet format: "File Format" and "Encryption"

COMPRESSIONS = {
    "gzip": re.compile(rb"\x1f\x8b"),
    # An id may begin with "BZh9": only with the block's own magic behind it is it bzip2.
    "bzip2": re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
}

ORC_TAIL = re.compile(rb"ORC[\x0e-\x1f]")

FOREIGN = (
    (re.compile(rb"PK\x03\x04"), "a zip archive or an Excel workbook", "unpack it, or save the sheet as CSV"),
    (re.compile(rb"\xd0\xcf\x11\xe0"), "an old Excel workbook", "save the sheet as CSV"),
    (re.compile(rb"ARROW1\0\0"), "an Arrow IPC (Feather) file", "write it as Parquet"),
    (re.compile(rb"Obj\x01"), "an Avro file", "write it as Parquet"),
    (re.compile(rb"\xfd7zXZ\0"), "xz-compressed", "unpack it, or pack it with gzip, bzip2 or zstd"),
    (re.compile(rb"\x04\x22\x4d\x18"), "lz4-compressed", "unpack it, or pack it with gzip, bzip2 or zstd"),
    (re.compile(rb"7z\xbc\xaf"), "a 7-Zip archive", "unpack it"),
)

WIDE_TEXT = (
    (re.compile(rb"\xff\xfe\0\0|\0\0\xfe\xff"), "utf-32"),
    (re.compile(rb"\xff\xfe|\xfe\xff"), "utf-16"),
    (re.compile(rb"(?:[^\0]\0){2}"), "utf-16-le"),
    (re.compile(rb"(?:\0[^\0]){2}"), "utf-16-be"),
)

OTHER_TEXT = (
    (
        re.compile(r'\[\s*(?:[\["{\]]|-?\d|(?:true|false|null)\b|$)'),
        "a JSON array",
        "write the ids as CSV, one a row (jq -r '.[] | [.account_id? // .] | @csv'), and add --no-header",
    ),
    (
        re.compile(r'\{\s*(?:["}]|$)'),
        "JSON objects",
        "write the ids as CSV, one a row (jq -r '[.account_id] | @csv'), and add --no-header",
    ),
    (re.compile(r"<(?:!doctype\b|html\b|\?xml\b)", re.IGNORECASE), "a web page or XML", "fetch the ids as CSV"),
)
"""Text that is hardly CSV, by its first characters that are not blank. Ids may begin so too: nothing is refused for it alone."""

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".gz": "gzip",
    ".gzip": "gzip",
    ".bz2": "bzip2",
    ".zst": "zstd",
    ".zstd": "zstd",
}

WORDS = {
    "csv": "plain text",
    "parquet": "Parquet",
    "gzip": "gzip-compressed",
    "bzip2": "bzip2-compressed",
    "zstd": "zstd-compressed",
}


def compression_of(head: bytes) -> str | None:
    """`gzip`, `bzip2` or `zstd`, or None for bytes that begin like none of them."""
    return next((name for name, magic in COMPRESSIONS.items() if magic.match(head)), None)


def is_parquet(name: str, head: bytes, tail: bytes) -> bool:
    """Whether it is, or means to be, a Parquet file. A damaged or encrypted one raises InputError."""
    ends = (head[:4], tail)
    if MAGIC not in ends and MAGIC_ENCRYPTED not in ends and not name.lower().endswith(".parquet"):
        return False
    if ends == (MAGIC_ENCRYPTED, MAGIC_ENCRYPTED):
        raise InputError(f"{name}: is encrypted Parquet, which cannot be read here; decrypt it first.")
    if ends != (MAGIC, MAGIC):
        raise InputError(
            f"{name}: is not a whole Parquet file (PAR1 must stand at both its ends); "
            "it is cut off or damaged, or something else under that name."
        )
    return True


def refuse_foreign(name: str, head: bytes, tail: bytes, encoding: str) -> None:
    """Raise InputError for what is neither CSV text in `encoding` nor anything else that can be read here."""
    for magic, what, remedy in FOREIGN:
        if magic.match(head):
            raise InputError(f"{name}: is {what}; {remedy}.")
    # Plain text may well begin with "ORC" (an ORCID, for one): an ORC file ends with it as well, and a length.
    if head.startswith(b"ORC") and ORC_TAIL.match(tail):
        raise InputError(f"{name}: is an ORC file; write it as Parquet.")
    wide = next((found for magic, found in WIDE_TEXT if magic.match(head)), None)
    if wide and not _normal(encoding).startswith(wide[:6]):
        raise InputError(f"{name}: is {wide.upper()} text; say so with --encoding {wide}.")


def looks_like(name: str, begins: str) -> str | None:
    """A sentence for text that begins like something other than CSV; `begins` are its first characters, blanks left out."""
    return next(
        (f"{name}: looks like {what}; {remedy}." for form, what, remedy in OTHER_TEXT if form.match(begins)), None
    )


def refuse_nested(name: str, outside: str, head: bytes) -> None:
    """Raise InputError when the bytes unpacked from `outside` are Parquet or packed once more."""
    inside = "parquet" if head.startswith((MAGIC, MAGIC_ENCRYPTED)) else compression_of(head)
    if inside:
        raise InputError(f"{name}: holds a {WORDS[inside]} file inside {outside}; unpack it once and pass that file.")


def name_warning(name: str, told: str) -> str | None:
    """A sentence when the name says something else than the bytes did; `told` is a key of WORDS."""
    said = SUFFIXES.get(PurePath(name).suffix.lower())
    if said in (None, told):
        return None
    return f"{name}: is {WORDS[told]} by its bytes, {WORDS[said]} by its name; the bytes decide."


def _normal(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError as error:
        raise InputError(f"--encoding {encoding}: there is no such encoding; try utf-8 or cp1252.") from error
