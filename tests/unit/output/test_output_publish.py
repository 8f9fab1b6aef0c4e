"""Publishing: whatever interrupts it, readers see the export before or the export after, and the next start ends it."""

import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.errors import MachineError
from exporter.output import publish
from exporter.output.facts import FOLDERS
from exporter.output.folder import RUN, Folder, held
from exporter.output.journal import Journal

OLD = {"data/part-000000.parquet": b"old", "data/part-000001.parquet": b"old", "manifest.json": b"old"}
NEW = {f"{folder}/part-000000.parquet": b"new " + folder.encode() for folder in FOLDERS} | {"manifest.json": b"new"}
DONE = {**NEW, "_SUCCESS": b""}

WORK = """
from exporter.output.publish import roll_forward
def work(out):
    roll_forward(out, out / ".run")
"""


def start_again(out: Path) -> None:
    """What every run does first."""
    with held(out) as folder:
        folder.finish_publishing()
    (out / ".lock").unlink()


def lay(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def content(folder: Path) -> dict[str, bytes]:
    """All files, and a name with a slash for each folder that has none."""
    paths = sorted(folder.rglob("*"))
    files = {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.is_file()}
    return files | {f"{path.relative_to(folder)}/": b"" for path in paths if path.is_dir() and not any(path.iterdir())}


def staged(out: Path) -> Path:
    """An output folder whose run has all assembled and has said so in its journal."""
    run = out / RUN
    lay(run, {f"{folder}/part-000000.parquet": b"staged" for folder in FOLDERS})
    lay(run / publish.STAGE, NEW)
    journal = Journal(run / "journal")
    journal.append("begin")
    journal.append("publishing")
    journal.close()
    return run


@pytest.fixture(params=["first", "over another"])
def out(quick_path: Path, request: pytest.FixtureRequest) -> Path:
    """An output folder about to be published, with and without an export that it replaces."""
    place = quick_path / "out"
    place.mkdir()
    if request.param != "first":
        lay(place, {**OLD, "_SUCCESS": b""})
    staged(place)
    return place


def test_an_export_is_published_whole(out: Path) -> None:
    """All folders, the manifest and `_SUCCESS` are there; of the run and of the export before nothing is left."""
    publish.roll_forward(out, out / RUN)
    assert content(out) == DONE


def test_killed_anywhere_the_next_start_finishes_it(
    out: Path, killed_everywhere: Callable[[str, Path], list[Path]]
) -> None:
    """Killed before each change of the disk, the next start leaves the same complete export and nothing else."""
    places = killed_everywhere(WORK, out)
    assert len(places) > 15
    for place in places:
        start_again(place)
        assert content(place) == DONE, place


def test_readers_of_success_see_one_whole_export(
    out: Path, killed_everywhere: Callable[[str, Path], list[Path]]
) -> None:
    """At every step, `_SUCCESS` stands beside all of the old export or all of the new."""
    before = {name: data for name, data in content(out).items() if not name.startswith(RUN)}
    seen = []
    for place in killed_everywhere(WORK, out):
        visible = {name: data for name, data in content(place).items() if not name.startswith(RUN)}
        if "_SUCCESS" in visible:
            assert visible in (before, DONE), place
            seen.append(visible == DONE)
    assert seen[-1]
    assert seen == sorted(seen)


def test_killed_twice_it_is_still_finished(out: Path, killed_everywhere: Callable[[str, Path], list[Path]]) -> None:
    """A kill while finishing what a kill cut off changes nothing."""
    places = killed_everywhere(WORK, out)
    for first in (places[4], places[-4]):
        for place in killed_everywhere(WORK, first):
            start_again(place)
            assert content(place) == DONE, place


@pytest.mark.parametrize("call", ["rename", "fsync", "unlink", "rmdir", "open"])
def test_a_failing_disk_is_told_and_tried_again(out: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """The first, second … such call fails once: a sentence each time, and the next start goes on."""
    real, left = getattr(os, call), 0

    def sometimes(*args: object, **more: object) -> object:
        nonlocal left
        left -= 1
        if left < 0:
            left = 10**9
            raise OSError(5, "Input/output error")
        return real(*args, **more)

    for number in itertools.count():
        place = out.with_name(f"{call}-{number}")
        shutil.copytree(out, place)
        left = number
        with monkeypatch.context() as patched:
            patched.setattr(os, call, sometimes)
            try:
                publish.roll_forward(place, place / RUN)
            except MachineError as error:
                assert ": the disk failed." in str(error)  # noqa: PT017 - the last number does not fail
            else:
                break
            finally:
                failed = left > number
        start_again(place)
        assert content(place) == DONE, place
    assert not failed
    assert number > 2


def test_a_killed_publishing_is_seen(out: Path) -> None:
    """Finishing tells whether there was something to finish."""
    with held(out) as folder:
        assert folder.finish_publishing()
        assert not folder.finish_publishing()
        assert Folder(out).records() == []
