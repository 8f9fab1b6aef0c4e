"""What the manifest claims, read by code of our own. A claim is believed only where the files bear it out."""

import hashlib
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import orjson

from exporter.verify.shapes import MANIFEST, misfits

NAME = "manifest.json"
SUCCESS = "_SUCCESS"
RUN = ".run"
MANIFEST_BYTES_MAX = 1 << 28  # some 300,000 shards: 60 thousand million rows
DATA, REJECTS, BAD = "data", "rejects", "bad_values"
LISTS = {DATA: "shards", REJECTS: "reject_files", BAD: "bad_value_files"}
"""Which list of the manifest names the files of a folder, one for each shard."""


@dataclass(frozen=True, slots=True)
class FileClaim:
    """A file, relative to the export, and what the manifest says of it."""

    file: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ShardClaim:
    """A range of input rows, what became of them, and its files by folder."""

    number: int
    first_row: int
    last_row: int
    files: Mapping[str, FileClaim]
    rejects: int
    rejects_by_reason: Mapping[str, int]
    bad_values: Mapping[str, int]
    duplicates: int
    blank: int
    spaced: int
    ignored: Mapping[str, int]

    @property
    def input(self) -> int:
        """Rows of the input that it stands for."""
        return self.last_row - self.first_row + 1


@dataclass(frozen=True, slots=True)
class Claims:
    """A manifest that is well formed: its keys as they stand there, and its shards."""

    told: Mapping[str, Any]
    shards: list[ShardClaim]


NOTHING = Claims({}, [])


def read_claims(out: Path) -> tuple[Claims, list[str]]:
    """Return what the manifest claims, and what is wrong with its form: then it claims nothing."""
    try:
        told: Any = _loaded(out / NAME)
    except FileNotFoundError:
        return NOTHING, [f"{NAME} is missing."]
    except (OSError, ValueError) as error:
        return NOTHING, [f"{NAME} cannot be read: {getattr(error, 'strerror', None) or error}."]
    if wrong := list(misfits(told, MANIFEST)) or list(_misnamed(told)):
        return NOTHING, [f"{NAME}: {text}." for text in wrong]
    return Claims(told, [_shard(told, number) for number in range(len(told["shards"]))]), []


def fingerprint_off(claims: Claims) -> Iterator[str]:
    """Hold the fingerprint against what it is said to be made of, and the settings against what is in it."""
    told = claims.told
    try:
        made = orjson.dumps(told["fingerprint_of"], option=orjson.OPT_SORT_KEYS)
    except TypeError:  # nested deeper than anything that was ever written
        made = b""
    if hashlib.sha256(made).hexdigest() != told["fingerprint"]:
        yield f"{NAME}: fingerprint is not that of fingerprint_of."
        return
    for name, value in told["fingerprint_of"]["settings"].items():
        if name not in told["settings"] or told["settings"][name] != value:
            yield f"{NAME}: settings.{name} is not the one of fingerprint_of."


def _loaded(path: Path) -> object:
    facts = path.lstat()
    if not stat.S_ISREG(facts.st_mode):
        raise ValueError("it is no regular file")
    if facts.st_size > MANIFEST_BYTES_MAX:
        raise ValueError(f"{facts.st_size:,} bytes are more than any manifest has")
    return orjson.loads(path.read_bytes())


def _misnamed(told: Mapping[str, Any]) -> Iterator[str]:
    """Say what is wrong with the lists of files: every shard has one in each folder, named by its number."""
    if not told["shards"]:
        yield "shards is empty, and even an input without rows has one"
    for folder, key in LISTS.items():
        if len(told[key]) != len(told["shards"]):
            yield f"{key} names {len(told[key]):,} files, and there are {len(told['shards']):,} shards"
        for number, item in enumerate(told[key]):
            if item["file"] != (wanted := f"{folder}/part-{number:06d}.parquet"):
                yield f"{key}[{number}].file is {item['file']!r:.80}, not {wanted}"
    first, *others = told["schema"] or [{}]
    names = [column["name"] for column in told["schema"]]
    if (first.get("name"), first.get("type")) != ("account_id", "text") or len(names) != len(set(names)):
        yield "schema does not begin with account_id as text, or names a column twice"
    for column in others:
        if column["name"] not in (column.get("attribute"), f"attr_{column.get('attribute')}"):
            yield f"schema has the column {column['name']!r:.80} for the attribute {column.get('attribute')!r:.80}"


def _shard(told: Mapping[str, Any], number: int) -> ShardClaim:
    own = {item.name: told["shards"][number].get(item.name) for item in fields(ShardClaim)}
    lists = {folder: told[key][number] for folder, key in LISTS.items()}
    claims = {folder: FileClaim(*(item[f.name] for f in fields(FileClaim))) for folder, item in lists.items()}
    return ShardClaim(**{**own, "number": number, "files": claims})
