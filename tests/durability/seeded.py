"""Bugs to be put into a copy of the package on purpose: a harness that does not fail on each of them proves nothing."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT


@dataclass(frozen=True, slots=True)
class Bug:
    """Changes of files of `exporter/output` (file, what stands there, what shall), and the detectors that must see them.

    Each detector with a pattern of what it must say: found for another reason, a bug is not seen.
    """

    changes: tuple[tuple[str, str, str], ...]
    seen_by: Mapping[str, str]


SYNCED = "                os.fsync(descriptor)\n            finally:"
ASKED_AGAIN = """                try:
                    os.fsync(descriptor)
                except OSError:
                    os.fsync(descriptor)
            finally:"""
RECORDED = "        self._on_durable(facts)\n"
RECORDED_FIRST = """        places = [self._folder / folder / file_name(shard.number) for folder in facts.files]
        for place in places:
            place.rename(place.with_name('.late-' + place.name))
        self._on_durable(facts)
        for place in places:
            files.move(place.with_name('.late-' + place.name), place)
"""

TORN = "is not whole|is not as recorded|neither whole nor absent"

BUGS: Mapping[str, Bug] = {
    "shard not synced": Bug(
        (("files.py", SYNCED, "            finally:"),), {"order": "without a sync", "power": TORN}
    ),
    "folder not synced": Bug(
        (
            (
                "files.py",
                "O_DIRECTORY | os.O_CLOEXEC)\n    try:\n        os.fsync(descriptor)",
                "O_DIRECTORY | os.O_CLOEXEC)\n    try:\n        pass",
            ),
        ),
        {"order": "was not durable before"},
    ),
    "journal before the shard": Bug(
        (("shards.py", RECORDED, RECORDED_FIRST),),
        {"order": "was not durable before|before it is there", "calls": "and it is not there"},
    ),
    "journal not synced": Bug(
        (("files.py", "            os.fdatasync(self._descriptor)\n", "            pass\n"),),
        {"order": "record of the journal was not synced|before its record was durable"},
    ),
    "torn tail not cut": Bug(
        (
            (
                "journal.py",
                "        files.write_bytes(path, whole)\n",
                "        if not path.exists():\n            files.write_bytes(path, whole)\n",
            ),
            ("files.py", "            os.ftruncate(self._descriptor, keep_bytes)\n", ""),
        ),
        {"journal": "is damaged, and it is not the last"},
    ),
    "no checksum": Bug(
        (
            (
                "journal.py",
                "if int(line[:8], 16) == zlib.crc32(line[9:]) else None",
                "if int(line[:8], 16) >= 0 else None",
            ),
        ),
        {"journal": "^flipped at"},
    ),
    "written under the final name": Bug(
        (("files.py", "temporary = path.with_name(draft_name(path.name))", "temporary = path"),),
        {"order": "made under its final name", "calls": TORN},
    ),
    "success first": Bug(
        (
            (
                "publish.py",
                "    for name in PUBLISHED:\n",
                '    files.write_bytes(out / SUCCESS, b"")\n    for name in PUBLISHED:\n',
            ),
        ),
        {"order": "_SUCCESS was published before", "calls": "_SUCCESS stands beside something else"},
    ),
    "staged removed before success": Bug(
        (
            (
                "publish.py",
                '    files.write_bytes(run / SUCCESS, b"")\n',
                '    for name in FOLDERS:\n        files.remove(run / name)\n    files.write_bytes(run / SUCCESS, b"")\n',
            ),
        ),
        {"order": "was removed before _SUCCESS was durable"},
    ),
    "failed sync asked again": Bug((("files.py", SYNCED, ASKED_AGAIN),), {"sync": "was synced again"}),
    "short write taken for whole": Bug(
        (
            (
                "files.py",
                "        while left:\n            left = left[os.write(self._descriptor, left) :]\n        self.bytes += size",
                "        os.write(self._descriptor, left)\n        self.bytes += size",
            ),
        ),
        {"full": f"{TORN}|manifest"},
    ),
}


def package_with(bug: Bug, folder: Path) -> Path:
    """Copy the package into a folder with a bug in it; return the folder. Fails when the place of the bug is not found."""
    shutil.copytree(ROOT / "exporter", folder / "exporter", ignore=shutil.ignore_patterns("__pycache__"))
    for file, old, new in bug.changes:
        path = folder / "exporter/output" / file
        text = path.read_text()
        assert text.count(old) == 1, f"{file} has changed: the place of a bug was found {text.count(old)} times: {old}"
        path.write_text(text.replace(old, new))
    return folder
