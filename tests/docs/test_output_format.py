"""The specification of the output format, held against a real export: what it has is specified, and the other way round."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from exporter.flatten import ARROW_TYPES
from exporter.output.manifest import FORMAT
from tests.conftest import Double, Export, Exporting
from tests.docs.fences import DOCS

PAGE = (DOCS / "reference/output-format.md").read_text(encoding="utf-8")
TYPES: Mapping[str, tuple[type, ...]] = {
    "text": (str,),
    "whole number": (int,),
    "number": (int, float),
    "list": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def table(heading: str) -> dict[str, list[str]]:
    """Read the first table below a heading: the word of each row, and its other cells."""
    section = re.split(
        r"^#+ ", re.split(rf"^#+ {re.escape(heading)}$", PAGE, flags=re.MULTILINE)[1], maxsplit=1, flags=re.MULTILINE
    )[0]
    first = section.partition("\n|")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in first.splitlines()[2:]]
    return {row[0].strip("` "): row[1:] for row in rows}


def hold(heading: str, objects: Iterable[Mapping[str, Any]], *, may_lack: frozenset[str] = frozenset()) -> None:
    """Hold objects against the table below a heading: the same keys in the same order, of the types that it says."""
    keys = table(heading)
    for each in objects:
        assert [key for key in keys if key in each or key not in may_lack] == list(each)
        for name, value in each.items():
            kinds = tuple(kind for word in keys[name][0].split(" or ") for kind in TYPES[word])
            assert isinstance(value, kinds), f"{heading}.{name}: {value!r} is no {keys[name][0]}"
            assert not isinstance(value, bool), name


@pytest.fixture
def export(exporting: Exporting, double: Double) -> Export:
    """An export with something of everything: two shards, rejects, bad values, repeats, an attribute left out."""
    double.control(faults={"code:91000": 0.1}, poison=["user_00007"])
    ids = [f"user_{number:05d}" for number in range(1_500)]
    return exporting.run(
        [*ids, ids[0], "", "x" * 40],
        shard_rows=1_000,
        attributes="score,city,nobody has this",
        types="score=int64",
        max_rejects="100%",
    )


def test_the_manifest_has_the_keys_that_are_specified(export: Export) -> None:
    """All of them, in their order, of their types; and no other."""
    made = export.manifest
    hold("manifest.json", [made])
    hold("inputs", made["inputs"])
    hold("schema", made["schema"], may_lack=frozenset({"attribute"}))
    hold("fingerprint_of", [made["fingerprint_of"]])
    hold("files", [*made["reject_files"], *made["bad_value_files"]])
    hold("shards", made["shards"])
    hold("series", made["series"])
    assert made["shards"]
    assert made["series"]
    assert any(point["errors"] for point in made["series"])
    assert f"version {FORMAT} of the format" in PAGE
    assert made["format"] == FORMAT


def test_the_columns_are_those_that_are_specified(export: Export) -> None:
    """Names, order, types; null stands only where the specification lets it."""
    assert export.rejects
    assert export.bad_values
    for folder in ("rejects", "bad_values"):
        columns = table(folder)
        schema = pq.read_schema(export.out / folder / "part-000000.parquet")
        assert {field.name: str(field.type) for field in schema} == {name: cells[0] for name, cells in columns.items()}
        assert schema.names == list(columns)
        never = [name for name, cells in columns.items() if cells[1] == "never"]
        assert all(row[name] is not None for row in getattr(export, folder) for name in never)
    schema = pq.read_schema(export.out / "data/part-000000.parquet")
    assert str(schema.field("account_id").type) == table("data")["account_id"][0]
    assert not schema.field("account_id").nullable


def test_the_types_are_those_that_are_specified() -> None:
    """What each word of --types becomes."""
    rows = re.findall(r"^\| `(\w+)` \| ([\w\[\], =]+) \|$", PAGE.partition("| `--types` |")[2], re.MULTILINE)
    assert dict(rows) == {word: str(kind) for word, kind in ARROW_TYPES.items()}


def test_the_folder_holds_what_is_specified(export: Export) -> None:
    """No name in OUT that the specification does not know; all of them are private."""
    named = {name.rstrip("/") for name in table("The folder")}
    assert {path.name for path in export.out.iterdir()} | {".run", "report.html"} == named
    for path in (export.out, *export.out.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)


def test_the_files_are_written_as_specified(export: Export) -> None:
    """A file for each shard in each folder, Zstandard, no dictionary of accounts."""
    for folder in ("data", "rejects", "bad_values"):
        assert [path.name for path in sorted((export.out / folder).iterdir())] == [
            "part-000000.parquet",
            "part-000001.parquet",
        ]
    group = pq.read_metadata(export.out / "data/part-000000.parquet").row_group(0)
    assert {group.column(place).compression for place in range(group.num_columns)} == {"ZSTD"}
    assert not group.column(0).has_dictionary_page


def test_the_sums_hold_as_specified(export: Export) -> None:
    """What the page says of every complete export holds for this one."""
    made = export.manifest
    assert made["input"] == made["rows"] + made["rejects"] + made["duplicates"] + made["blank"]
    assert made["rejects"] == sum(made["rejects_by_reason"].values())
    row = 0
    for shard in made["shards"]:
        assert shard["first_row"] == row + 1
        row = shard["last_row"]
        read = row - shard["first_row"] + 1
        assert read == shard["rows"] + shard["rejects"] + shard["duplicates"] + shard["blank"]
    assert row == made["input"]
    assert json.loads((Path(export.out) / "manifest.json").read_text()) == made
