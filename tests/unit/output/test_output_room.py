"""Is there room: told once, in figures a person can act on."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.output.room import ROW_BYTES, shortage


@pytest.fixture
def few_files(tmp_path: Path) -> Iterator[Path]:
    """Give a file system that holds 50 files."""
    place = tmp_path / "few"
    place.mkdir()
    flags = "size=1g,nr_inodes=50,mode=700"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", flags, "tmpfs", str(place)], check=False).returncode:
        pytest.skip("this machine does not allow mounts")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_small_disk_is_told_with_both_figures(small_disk: Path) -> None:
    """How much is free, how much may be needed, and what happens otherwise."""
    sentence = shortage(small_disk, 10_000_000, 200_000)
    assert sentence is not None
    assert sentence.startswith(f"{small_disk} has 1.0 MB free, and 10,000,000 rows may need 3.2 GB until")
    assert "ends with exit 5, and goes on once there is room" in sentence


@given(st.integers(0, 10**9), st.integers(1, 10**6))
def test_it_is_told_just_where_the_estimate_does_not_fit(rows: int, shard_rows: int) -> None:
    """On a file system without a limit of files, bytes alone decide."""
    place = Path("/dev/shm")
    disk = os.statvfs(place)
    free = disk.f_bavail * disk.f_frsize
    told = shortage(place, rows, max(shard_rows, rows // 1_000 + 1))
    if abs(rows * ROW_BYTES - free) > 100_000_000:  # others write there too
        assert (told is not None) is (rows * ROW_BYTES > free)


def test_a_disk_with_room_for_few_files_is_told(few_files: Path) -> None:
    """Bytes enough, names too few: more rows in a shard is the way out."""
    sentence = shortage(few_files, 20_000, 1_000)
    assert sentence is not None
    assert "more files, and this export may need 120: raise --shard-rows." in sentence
    assert shortage(few_files, 20_000, 20_000) is None
    assert shortage(few_files, 0, 1) is None
