"""Folders of other people and planted names: refused before they are opened, in sentences that say what to do."""

import os
import re
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import MachineError, OutputError
from exporter.output.ownership import kind, not_ours_alone, refuse_hostile, refuse_planted

ME = os.geteuid()


def status(mode: int, user: int = 1000) -> os.stat_result:
    return os.stat_result((mode, 1, 1, 1, user, user, 0, 0, 0, 0))


def before_the_lock(out: Path, user: int = ME) -> None:
    refuse_hostile(out, out / ".lock", user=user)


def under_the_lock(out: Path, user: int = ME) -> None:
    refuse_planted(out, out / ".run", user=user)


@given(st.integers(0, 0o7777), st.sampled_from([0, 1000, 1001]), st.sampled_from([0, 1000, 1001]))
def test_only_a_folder_of_ours_that_nobody_else_writes_will_do(mode: int, owner: int, user: int) -> None:
    """Whoever else owns it, root included, and whoever may write: the sticky bit helps nobody. Reading is no harm."""
    problem = not_ours_alone(status(stat.S_IFDIR | mode, owner), user)
    assert (problem is None) == (owner == user and not mode & 0o022)
    if owner != user:
        assert f"user {owner}, and this is user {user}" in (problem or "")


def test_every_kind_of_file_has_its_word(tmp_path: Path) -> None:
    """A link is a link, whatever it leads to."""
    (tmp_path / "link").symlink_to(tmp_path)
    assert kind((tmp_path / "link").lstat()) == "a link"
    words = {stat.S_IFREG: "a file", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
    for number, word in (words | {stat.S_IFBLK: "a device", stat.S_IFCHR: "a device", 0: "of an unknown kind"}).items():
        assert kind(status(number | 0o600)) == word


# Before the lock


def test_what_is_not_there_is_fine(tmp_path: Path) -> None:
    """The run makes it; a file in its place is told by whoever makes the folder."""
    before_the_lock(tmp_path / "deep/out")
    under_the_lock(tmp_path / "deep/out")
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="part of the path is a file"):
        before_the_lock(tmp_path / "file")


def test_parents_may_be_links_and_shared(tmp_path: Path) -> None:
    """A volume that is mounted elsewhere, and that all may write to, holds folders of single users."""
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume/out").mkdir(mode=0o700)
    (tmp_path / "volume").chmod(0o1777)
    (tmp_path / "data").symlink_to("volume")
    before_the_lock(tmp_path / "data/out")


@pytest.mark.parametrize("target", ["real", "nowhere"])
def test_an_output_folder_that_is_a_link_is_refused(tmp_path: Path, target: str) -> None:
    """Whoever can change the link would choose what is overwritten; the sentence names the folder itself."""
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "out").symlink_to(target)
    with pytest.raises(OutputError, match=rf"/out is a link.*--out {re.escape(str(tmp_path.resolve()))}/{target}$"):
        before_the_lock(tmp_path / "out")


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o1777, 0o2770])
def test_an_output_folder_that_others_write_is_refused(tmp_path: Path, mode: int) -> None:
    """As container volumes often are: the sentence tells the mode, and two ways on."""
    out = tmp_path / "volume"
    out.mkdir()
    out.chmod(mode)
    with pytest.raises(OutputError, match=rf"mode {mode:04o}.*--out {re.escape(str(out))}/export.*chmod go-w"):
        before_the_lock(out)
    out.chmod(mode & ~0o022)
    before_the_lock(out)


def test_an_output_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Also for root, who could write there: what lies in it is not ours to replace."""
    with pytest.raises(OutputError, match=rf"belongs to user {ME}, and this is user {ME + 1}.*{tmp_path}/export"):
        before_the_lock(tmp_path, user=ME + 1)


# Planted names

PLANTS: dict[str, Callable[[Path, Path], object]] = {
    "a link": lambda path, victim: path.symlink_to(victim),
    "a named pipe": lambda path, _: os.mkfifo(path),
    "a socket": lambda path, _: bound(path),
}


def bound(path: Path) -> None:
    here = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(f"/proc/self/fd/{here}/{path.name}")  # such a path may have 107 bytes only
    os.close(here)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """What an unfinished run has left beside an older export."""
    out = tmp_path / "out"
    for name in ("data", "rejects", "bad_values", ".run/data", ".run/publish/data"):
        (out / name).mkdir(parents=True)
    for name in (".lock", "manifest.json", "_SUCCESS", ".run/journal", ".run/data/part-000000.parquet", "notes.txt"):
        (out / name).touch()
    (out / ".run/publish/data/part-000000.parquet").hardlink_to(out / ".run/data/part-000000.parquet")
    out.chmod(0o700)
    (out / ".run").chmod(0o700)
    return out


def test_what_a_run_leaves_is_let_through(out: Path) -> None:
    """Hard links of finished shards and files of the user included."""
    before_the_lock(out)
    under_the_lock(out)


NAMES = [
    ".lock",
    ".run",
    ".run/journal",
    ".run/data",
    ".run/data/.part-000000.parquet.tmp",
    ".run/data/part-000001.parquet",
    ".run/publish/data/part-000009.parquet",
    ".run/duplicates",
    "data",
    "rejects",
    "bad_values",
    "manifest.json",
    "_SUCCESS",
]


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("name", NAMES)
def test_a_planted_name_is_refused(out: Path, name: str, plant: str) -> None:
    """Links, pipes and sockets under any name that a run opens are named and left as they are, victim and all."""
    victim = out.parent / "victim"
    victim.write_text("precious")
    place = out / name
    place.parent.mkdir(exist_ok=True)
    if os.path.lexists(place):
        place.rename(out.parent / "moved")
    PLANTS[plant](place, victim)
    with pytest.raises(OutputError, match=rf"{re.escape(str(place))} is {plant}, where a run keeps"):
        (before_the_lock if name == ".lock" else under_the_lock)(out)
    assert victim.read_text() == "precious"
    assert os.path.lexists(place)


def test_a_link_to_a_folder_of_ours_is_a_link(out: Path) -> None:
    """Also where it leads to the right kind of thing, and wherever it stands."""
    (out / ".run/duplicates").symlink_to(out / "rejects")
    with pytest.raises(OutputError, match=r"/\.run/duplicates is a link"):
        under_the_lock(out)
    (out / "data").rmdir()
    (out / "data").symlink_to(out / "rejects")
    with pytest.raises(OutputError, match="/out/data is a link"):
        under_the_lock(out)


def test_a_file_where_a_folder_belongs_is_told(out: Path) -> None:
    """And a folder where a file belongs; under published names both are left to whoever knows what an export is."""
    (out / ".run/journal").unlink()
    (out / ".run/journal").mkdir()
    with pytest.raises(OutputError, match="/journal is a folder, where a run keeps a file of its own"):
        under_the_lock(out)
    (out / ".run").rename(out / "moved")
    (out / ".run").touch()
    with pytest.raises(OutputError, match=r"/\.run is a file, where a run keeps a folder of its own"):
        under_the_lock(out)
    (out / ".run").unlink()
    (out / "data").rmdir()
    (out / "data").touch()
    (out / "_SUCCESS").unlink()
    (out / "_SUCCESS").mkdir()
    under_the_lock(out)


@pytest.mark.parametrize("name", [".lock", ".run/journal"])
def test_a_second_name_of_what_is_written_in_place_is_refused(out: Path, name: str) -> None:
    """A hard link needs no following: lock and journal would be cut and written under both names."""
    (out.parent / "victim").hardlink_to(out / name)
    with pytest.raises(OutputError, match=rf"{re.escape(str(out / name))} has another name"):
        (before_the_lock if name == ".lock" else under_the_lock)(out)


def test_a_run_folder_that_others_can_change_is_refused(out: Path) -> None:
    """Its journal says what is durable and what is published next: nobody else may have a say in that."""
    with pytest.raises(OutputError, match=rf"\.run belongs to user {ME}, and this is user {ME + 1}"):
        under_the_lock(out, user=ME + 1)
    (out / ".run").chmod(0o770)
    with pytest.raises(OutputError, match=r"\.run can be written to by others \(mode 0770\)"):
        under_the_lock(out)
