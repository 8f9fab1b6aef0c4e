"""Output folders that somebody else has prepared: a sentence, exit 2 within seconds, and the victim is untouched."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Double, Ran, read_export, write_ids

Cli = Callable[..., Ran]


@pytest.fixture
def run(run_cli: Cli, double: Double, tmp_path: Path) -> Callable[..., Ran]:
    """Run an export into `out`."""
    write_ids(tmp_path / "ids.csv", ["user_00001", "user_00002"])
    return lambda *more: run_cli("run", "ids.csv", "--out", "out", *double.flags, "--max-missing", "100%", *more)


def tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything below a folder but the lock: mode, number and content of each, links not followed."""
    found = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        if path.name != ".lock" or path.is_symlink():
            found[str(path.relative_to(folder))] = (status.st_mode, status.st_ino, content)
    return found


PLANTED = {
    ".lock": "link to a file",
    ".run": "link to a folder",
    ".run/journal": "named pipe",
    ".run/data": "link to a folder",
    ".run/data/.part-000000.parquet.tmp": "link to a file",
    ".run/data/part-000000.parquet": "named pipe",
    ".run/publish": "link to a folder",
    "data": "link to a folder",
    "rejects": "named pipe",
    "manifest.json": "named pipe",
    "report.html": "link to a file",
    "_SUCCESS": "link to a file",
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_name_is_never_followed_and_never_waited_for(
    run: Callable[..., Ran], tmp_path: Path, name: str
) -> None:
    """Though every flag allows to begin anew: refused, named, and nothing changed, neither there nor where it leads."""
    plant = PLANTED[name]
    victim = tmp_path / "victim"
    (victim / "deep").mkdir(parents=True)
    (victim / "file").write_text("precious")
    place = tmp_path / "out" / name
    place.parent.mkdir(parents=True)
    for folder in (tmp_path / "out", place.parent):
        folder.chmod(0o700)
    if plant == "named pipe":
        os.mkfifo(place)
    else:
        place.symlink_to(victim / "file" if plant.endswith("file") else victim)
    before = tree(tmp_path)
    ran = run("--overwrite", "--restart")
    assert ran.code == 2, ran.err
    assert f"out/{name} is a {plant.removesuffix(' to a file').removesuffix(' to a folder')}, where" in ran.err
    assert tree(tmp_path) == before


def test_a_socket_and_a_second_name_are_refused(run: Callable[..., Ran], tmp_path: Path) -> None:
    """What else can stand under a file's name."""
    (tmp_path / "out").mkdir(mode=0o700)
    lock = tmp_path / "out/.lock"
    (tmp_path / "victim").write_text("precious")
    lock.hardlink_to(tmp_path / "victim")
    ran = run()
    assert (ran.code, "out/.lock has another name" in ran.err) == (2, True), ran.err
    assert (tmp_path / "victim").read_text() == "precious"
    lock.unlink()
    here = os.open(lock.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(f"/proc/self/fd/{here}/manifest.json")
    os.close(here)
    ran = run()
    assert (ran.code, "manifest.json is a socket" in ran.err) == (2, True), ran.err


@pytest.mark.parametrize("mode", [0o775, 0o1777])
def test_a_volume_that_all_may_write_to_holds_folders_of_single_users(
    run: Callable[..., Ran], run_cli: Cli, double: Double, tmp_path: Path, mode: int
) -> None:
    """The volume itself is refused; what the sentence proposes works, and so does taking the right away."""
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(mode)
    ran = run()
    assert (ran.code, f"mode {mode:04o}" in ran.err, "--out out/export" in ran.err) == (2, True, True), ran.err
    assert list(out.iterdir()) == []
    ran = run_cli("run", "ids.csv", "--out", "out/export", *double.flags, "--max-missing", "100%")
    assert ran.code == 0, ran.err
    read_export(out / "export")
    out.chmod(mode & ~0o022)
    assert run().code == 0


def test_a_link_as_output_folder_is_refused_and_as_its_parent_is_fine(
    run: Callable[..., Ran], run_cli: Cli, double: Double, tmp_path: Path
) -> None:
    """The sentence names the folder that it leads to."""
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "out").symlink_to("real")
    ran = run()
    assert (ran.code, f"--out {tmp_path.resolve()}/real" in ran.err) == (2, True), ran.err
    assert list((tmp_path / "real").iterdir()) == []
    ran = run_cli("run", "ids.csv", "--out", "out/export", *double.flags, "--max-missing", "100%")
    assert ran.code == 0, ran.err
    read_export(tmp_path / "real/export")


def test_links_that_lead_in_a_circle_are_refused(run: Callable[..., Ran], tmp_path: Path) -> None:
    """They lead nowhere, and that is no bug of ours: one line, and not a traceback."""
    (tmp_path / "out").symlink_to("out")
    ran = run()
    assert (ran.code, ran.err) == (5, "Error: out: something that is no folder stands there. Choose another --out.\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_folders_of_somebody_else_are_refused_for_root_too(run: Callable[..., Ran], tmp_path: Path) -> None:
    """OUT, and the unfinished run in it: whoever owns them can put what he likes under our names."""
    (tmp_path / "out/.run").mkdir(parents=True, mode=0o700)
    (tmp_path / "out").chmod(0o700)
    for path in (tmp_path / "out/.run", tmp_path / "out"):
        os.chown(path, 12345, 12345)
        ran = run()
        assert (ran.code, f"{path.relative_to(tmp_path)} belongs to user 12345" in ran.err) == (2, True), ran.err
        os.chown(path, 0, 0)
