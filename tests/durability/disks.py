"""Disks that can be filled, torn away and made to fail: file systems in loop files and in memory. Needs root.

Every disk is new, and is taken down by name of its device; what an aborted run left is taken down before the next one.
"""

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2  # what the file systems' own tests use: whatever is not synced is gone
PREFIX = "exporter-disk-"
BYTES = {"ext4": 64 << 20, "xfs": 320 << 20}  # XFS makes none smaller than 300 MB
MAKE = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", "-J", "size=4"),
    "xfs": ("mkfs.xfs", "-q", "-f", "-K"),
}
UNMOUNT_S_MAX = 10.0


def do(*command: str) -> str:
    """Run a command that must work."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}"
    return done.stdout.strip()


@dataclass
class Disk:
    """A file system of its own."""

    place: Path
    device: str = ""

    def cut(self) -> None:
        """Cut the power: nothing that was not synced reaches the disk any more."""
        descriptor = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def mount(self) -> None:
        """Bring it back, as it is on the device."""
        do("mount", "-o", "noatime", self.device, str(self.place))

    def unmount(self) -> None:
        """Take it away, once nobody holds it."""
        until = time.monotonic() + UNMOUNT_S_MAX
        while subprocess.run(["umount", str(self.place)], capture_output=True, check=False).returncode:
            assert time.monotonic() < until, f"{self.place} is still in use"
            time.sleep(0.01)

    def resize(self, size: int, files: int = 0) -> None:
        """Give a disk in memory another size."""
        do("mount", "-o", f"remount,size={size},nr_inodes={files}", str(self.place))


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Make a folder for disks that is known as this process's."""
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-") as name:
        yield Path(name)


@contextlib.contextmanager
def in_memory(size: int, files: int = 0) -> Iterator[Disk]:
    """Make a disk of so many bytes, and at most so many files (0: any number)."""
    with scratch() as folder:
        disk = Disk(folder / "tmpfs")
        disk.place.mkdir()
        do("mount", "-t", "tmpfs", "-o", f"size={size},nr_inodes={files},mode=700", "tmpfs", str(disk.place))
        try:
            yield disk
        finally:
            disk.unmount()


@contextlib.contextmanager
def in_file(kind: str, folder: Path | None = None) -> Iterator[Disk]:
    """Make a file system on a loop device, in a folder of its own or in a given one."""
    with contextlib.ExitStack() as stack:
        home = folder or stack.enter_context(scratch())
        image, disk = home / "image", Disk(home / "mounted")
        with image.open("wb") as file:
            file.truncate(BYTES[kind])
        disk.place.mkdir(exist_ok=True)
        disk.device = do("losetup", "--find", "--show", str(image))
        stack.callback(do, "losetup", "-d", disk.device)
        # A page at a time: the loop driver takes a write that was cut short for a whole one.
        Path("/sys/block", Path(disk.device).name, "queue/max_sectors_kb").write_text("4")
        do(*MAKE[kind], disk.device)
        disk.mount()
        try:
            yield disk
        finally:
            if os.path.ismount(disk.place):
                disk.unmount()


def take_down_leftovers() -> None:
    """Take down the disks of processes that are gone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if Path("/proc", folder.name.removeprefix(PREFIX).partition("-")[0]).exists():
            continue
        for line in reversed(Path("/proc/mounts").read_text().splitlines()):
            if line.split()[1].startswith(f"{folder}/"):
                do("umount", "--lazy", line.split()[1])
        for device in do("losetup", "--noheadings", "--output", "NAME,BACK-FILE").splitlines():
            name, _, backing = device.strip().partition(" ")
            if backing.strip().startswith(f"{folder}/"):
                do("losetup", "-d", name)
        shutil.rmtree(folder, ignore_errors=True)


def usable() -> str:
    """Say why no disk can be made here; empty when one can."""
    if os.geteuid() != 0:
        return "only root can mount a file system"
    try:
        take_down_leftovers()
        for kind in BYTES:
            with in_file(kind):
                pass
    except (AssertionError, OSError) as error:
        return f"this machine makes no disks: {error}"
    return ""
