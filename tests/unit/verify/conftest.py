"""A real export with everything in it, made by the writer once, and ways to damage copies of it."""

import hashlib
import io
import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exporter.verify import Report, verify
from tests.conftest import CALM, Double, Exporting

SHARD_ROWS = 40
TYPES = "city=int64,level=int64,vip=bool,score=float64,seen=timestamp"
LISTS = {"data": "shards", "rejects": "reject_files", "bad_values": "bad_value_files"}


def lines() -> list[str]:
    """Rows of an input: three shards with blanks, repeats in a shard and over shards, ids that are none, outer spaces."""
    rows = [f"user_{number:05d}" for number in range(100)]
    rows[5], rows[50], rows[90] = "", "", ""
    rows[6] = rows[4]
    rows[60:63] = [rows[3], rows[7], rows[52]]
    rows[85] = rows[20]
    rows[10], rows[70] = '""', "x" * 33
    rows[11], rows[71] = '" spaced"', '"one,field",too many'
    return rows


@dataclass
class Copy:
    """An export that may be damaged."""

    out: Path

    @property
    def manifest(self) -> dict[str, Any]:
        """What its manifest says."""
        return dict(json.loads((self.out / "manifest.json").read_text()))

    def tell(self, manifest: object) -> None:
        """Write another manifest."""
        (self.out / "manifest.json").write_text(json.dumps(manifest))

    def change(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change what the manifest says."""
        manifest = self.manifest
        change(manifest)
        self.tell(manifest)

    def files(self) -> list[Path]:
        """All files that the manifest names."""
        return [self.out / item["file"] for key in LISTS.values() for item in self.manifest[key]]

    def table(self, file: str) -> pa.Table:
        """What stands in a file."""
        return pq.read_table(self.out / file, partitioning=None)

    def put(self, file: str, data: bytes | pa.Table) -> None:
        """Write a file anew, and let the manifest say its size, hash and rows."""
        if isinstance(data, pa.Table):
            written = io.BytesIO()
            pq.write_table(data, written, compression="zstd", write_page_checksum=True)
            rows = data.num_rows
            self.change(lambda manifest: entry(manifest, file).update(rows=rows))
            data = written.getvalue()
        (self.out / file).write_bytes(data)
        facts = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        self.change(lambda manifest: entry(manifest, file).update(facts))

    def found(self) -> Report:
        """Verify it."""
        return verify(self.out)

    def texts(self) -> list[str]:
        """What is found, as it is said."""
        return [finding.text for finding in self.found().findings]


def entry(manifest: dict[str, Any], file: str) -> dict[str, Any]:
    items = (item for key in LISTS.values() for item in manifest[key])
    return next(item for item in items if item["file"] == file)


def settle(manifest: dict[str, Any]) -> None:
    """Let the sums of a manifest match what its files are said to hold; the rest of each shard is duplicates."""
    for shard, rejects in zip(manifest["shards"], manifest["reject_files"], strict=True):
        read = shard["last_row"] - shard["first_row"] + 1
        shard["rejects"] = rejects["rows"]
        shard["duplicates"] = read - shard["rows"] - rejects["rows"] - shard["blank"]
    for name in ("rows", "rejects", "duplicates", "blank"):
        manifest[name] = sum(shard[name] for shard in manifest["shards"])
    for name in ("rejects_by_reason", "bad_values"):
        manifest[name] = dict(sum((Counter(shard[name]) for shard in manifest["shards"]), Counter[str]()))


@pytest.fixture(scope="session")
def _made(_session_double: Double, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    made: dict[str, Path] = {}

    def make(duplicates: str) -> Path:
        if duplicates not in made:
            _session_double.control(**{**CALM, "unknown_share": 0.1})
            folder = tmp_path_factory.mktemp(duplicates)
            source = folder / "ids.csv"
            source.write_text("account_id\n" + "".join(f"{line}\n" for line in lines()), encoding="utf-8")
            exporting = Exporting(_session_double, folder)
            exporting.manifest(
                source, folder / "out", shard_rows=SHARD_ROWS, types=TYPES, duplicates=duplicates, max_missing=1.0
            )
            _session_double.control(**CALM)
            made[duplicates] = folder / "out"
        return made[duplicates]

    return make


@pytest.fixture
def copied(_made: Callable[..., Path], tmp_path: Path) -> Callable[..., Copy]:
    """Give copies of an export, made with duplicates dropped or kept."""
    number = 0

    def copy(duplicates: str = "drop") -> Copy:
        nonlocal number
        number += 1
        return Copy(Path(shutil.copytree(_made(duplicates), tmp_path / f"copy-{number}")))

    return copy


@pytest.fixture
def copy(copied: Callable[..., Copy]) -> Copy:
    """Give a copy of an export."""
    return copied()
