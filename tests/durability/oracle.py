"""What must hold of an output folder at any moment, told without any code of the writer.

At rest, whenever a run was killed: what stands under a final name is whole; what the journal names is there; `_SUCCESS`
stands beside a whole export alone. Complete: byte for byte the export of an undisturbed run, each account once.
"""

import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

FOLDERS = ("data", "rejects", "bad_values")
MANIFEST = "manifest.json"
PUBLISHED = (*FOLDERS, MANIFEST, "report.html")
ID_BYTES_MAX = 32
OF_THE_RUN = (
    "run_id",
    "requests",
    "retries",
    "refusals",
    "requests_per_s",
    "started_at",
    "finished_at",
    "seconds",
    "series",
)
"""Keys of a manifest that tell how a run went, and may differ from one run to the next."""


@dataclass(frozen=True)
class Whole:
    """A complete export: the hash of each file by its name, what the manifest says, and how it came about."""

    files: Mapping[str, str]
    facts: Mapping[str, Any]
    asked: Counter[str]
    seconds: float


def read_whole(out: Path, rows: Sequence[str], *, asked: Counter[str], seconds: float) -> Whole:
    """Read the export of an undisturbed run and hold it against its input: everything is compared with this one."""
    made = _manifest(out / "manifest.json")
    assert (out / "_SUCCESS").exists()
    assert not (out / ".run").exists()
    accounts_once(out, rows)
    _adds_up(out, made, len(rows))
    return Whole(_hashes(out), _facts(made), asked, seconds)


def accounts_once(out: Path, rows: Sequence[str]) -> None:
    """Each id that can be is in the data or among the rejects, once; each that cannot be is a reject as often as it came."""
    seen = Counter(name for name, _ in _accounts(out / "data", "account_id"))
    rejects = _accounts(out / "rejects", "account_id", "reason")
    seen.update(name for name, reason in rejects if reason not in {"invalid_id", "bad_row"})
    wanted = {row for row in rows if 0 < len(row.encode()) <= ID_BYTES_MAX}
    assert not wanted - seen.keys(), f"lost: {sorted(wanted - seen.keys())[:5]}"
    assert not seen.keys() - wanted, f"from nowhere: {sorted(seen.keys() - wanted)[:5]}"
    twice = sorted(name for name, count in seen.items() if count > 1)
    assert not twice, f"twice: {twice[:5]}"
    bad = Counter(name for name, reason in rejects if reason == "invalid_id")
    assert bad == Counter(row for row in rows if len(row.encode()) > ID_BYTES_MAX)


def _accounts(folder: Path, *columns: str) -> list[tuple[str, str]]:
    tables = [pq.read_table(path, columns=list(columns), partitioning=None) for path in sorted(folder.iterdir())]
    listed = [pa.concat_tables(tables).column(name).to_pylist() for name in (columns[0], columns[-1])]
    return list(zip(*listed, strict=True))


def _adds_up(out: Path, made: Mapping[str, Any], count: int) -> None:
    assert made["input"] == count == made["rows"] + made["rejects"] + made["duplicates"] + made["blank"]
    for key, name in (("shards", "data"), ("reject_files", "rejects"), ("bad_value_files", "bad_values")):
        listed = {entry["file"]: entry for entry in made[key]}
        assert sorted(listed) == [f"{name}/{path.name}" for path in sorted((out / name).iterdir())]
        for file, entry in listed.items():
            assert (entry["bytes"], entry["sha256"]) == _size_and_hash(out / file), (
                f"{file} is not as the manifest says"
            )
            assert entry["rows"] == pq.read_metadata(out / file).num_rows
    assert made["rows"] == sum(entry["rows"] for entry in made["shards"])
    assert made["rejects"] == sum(entry["rows"] for entry in made["reject_files"])


def _manifest(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_bytes()))
    except ValueError as error:
        raise AssertionError(f"{path} stands under its final name and is not whole: {error}") from None


def _facts(made: Mapping[str, Any]) -> dict[str, Any]:
    facts = {name: value for name, value in made.items() if name not in OF_THE_RUN}
    facts["settings"] = {name: value for name, value in made["settings"].items() if name != "overwrite"}
    return facts


def complete(out: Path, whole: Whole) -> None:
    """Hold a complete export against the undisturbed one: the same files, byte for byte, and the same facts about them."""
    assert (out / "_SUCCESS").exists(), "exit 0 without _SUCCESS"
    assert not (out / ".run").exists(), "exit 0, and .run is still there"
    found = _hashes(out)
    assert found.keys() == whole.files.keys(), f"other files: {sorted(found.keys() ^ whole.files.keys())}"
    other = sorted(name for name, digest in found.items() if digest != whole.files[name])
    assert not other, f"other bytes than without a kill: {other}"
    facts = _facts(_manifest(out / "manifest.json"))
    other = sorted(name for name in facts.keys() | whole.facts.keys() if facts.get(name) != whole.facts.get(name))
    assert not other, f"the manifest differs from that of an undisturbed run in {other}"


def at_rest(out: Path, allowed: Sequence[Whole]) -> str:
    """Hold what a killed run left against the laws; return the phase it was in.

    `allowed` are the exports that may be seen: the new one first, then the one that it replaces.
    """
    records = journal(out / ".run/journal")
    ops = [str(record["op"]) for record in records]
    for path in out.rglob("[!.]*.parquet"):
        _opens(path)
    for name in FOLDERS:
        if (out / name).exists():
            assert any(_has(out / name, name, whole) for whole in allowed), f"{name}/ is neither whole nor absent"
    if (out / "manifest.json").exists():
        _manifest(out / "manifest.json")
    if (out / "_SUCCESS").exists():
        assert any(_hashes(out) == whole.files for whole in allowed), "_SUCCESS stands beside something else"
    if "publishing" in ops:
        _nothing_lost_in_publishing(out, allowed[0])
    else:
        _named_are_there(out / ".run", records)
    return _phase(out, ops, allowed[0])


def _phase(out: Path, ops: Sequence[str], new: Whole) -> str:
    if "publishing" in ops:
        return "publishing"
    if "shard" in ops:
        return "assembling" if (out / ".run/publish").exists() else "committing"
    if "begin" in ops:
        return "asking"
    return "complete" if (out / "_SUCCESS").exists() and _hashes(out) == new.files else "starting"


def journal(path: Path) -> list[dict[str, Any]]:
    """Read a journal: all whole lines, of which only the last may be damaged."""
    *lines, _tail = (path.read_bytes() if path.exists() else b"").split(b"\n")
    records = []
    for number, line in enumerate(lines):
        whole = line[8:9] == b" " and line[:8] == b"%08x" % zlib.crc32(line[9:])
        assert whole or number == len(lines) - 1, f"record {number} of the journal is damaged, and it is not the last"
        if whole:
            records.append(json.loads(line[9:]))
    return records


def _named_are_there(run: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Hold every file that the journal names against its record: the last record of a shard is the one that counts."""
    shards = {record["number"]: record["files"] for record in records if record["op"] == "shard"}
    for number, named in shards.items():
        for folder, facts in named.items():
            path = run / folder / f"part-{number:06d}.parquet"
            assert path.exists(), f"the journal names {folder}/{path.name}, and it is not there"
            assert (facts["bytes"], facts["sha256"]) == _size_and_hash(path), f"{folder}/{path.name} is not as recorded"


def _nothing_lost_in_publishing(out: Path, new: Whole) -> None:
    """Find each part of the new export in its place, or still staged."""
    for name in PUBLISHED:
        places = [path for path in (out / ".run/publish" / name, out / name) if path.exists()]
        if name in FOLDERS:
            assert any(_has(path, name, new) for path in places), f"publishing, and no whole {name}/ anywhere"
        elif name != MANIFEST:
            assert any(path.read_bytes().rstrip().endswith(b"</html>") for path in places), f"publishing without {name}"
        else:
            assert any(_facts(_manifest(path)) == new.facts for path in places), f"publishing without {name}"


def _has(folder: Path, name: str, whole: Whole) -> bool:
    return _hashes_in(folder, name) == {
        file: digest for file, digest in whole.files.items() if file.startswith(f"{name}/")
    }


def _hashes(out: Path) -> dict[str, str]:
    return {file: digest for name in FOLDERS for file, digest in _hashes_in(out / name, name).items()}


def _hashes_in(folder: Path, name: str) -> dict[str, str]:
    listed = sorted(folder.iterdir()) if folder.exists() else []
    return {f"{name}/{path.name}": _size_and_hash(path)[1] for path in listed}


def _size_and_hash(path: Path) -> tuple[int, str]:
    data = path.read_bytes()
    return len(data), hashlib.sha256(data).hexdigest()


def _opens(path: Path) -> None:
    try:
        pq.read_table(path, partitioning=None, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise AssertionError(f"{path} stands under its final name and is not whole: {error}") from None
