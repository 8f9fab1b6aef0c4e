"""Disks that fail: full, failing to sync, failing at any one call. The run ends with a sentence; the same command goes on."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.conftest import Ran
from tests.durability import disks, strace
from tests.durability.disks import Disk
from tests.durability.figures import Figures, Tried
from tests.durability.kills import copy_of, points_of
from tests.durability.order import SYNCS
from tests.durability.rig import Rig, Work
from tests.durability.strace import Call

PAGE = 4096
ROOM = 64 << 20  # more than any of these exports needs
FAILED = 5


def full(rig: Rig, work: Work, *, sizes: Iterable[int], files: Iterable[int]) -> Figures:
    """Run on disks of each size (pages, then files) from too small to enough; with room, the same command completes."""
    tried = Tried(rig.failures_max)
    for pages, inodes in [*((size, 0) for size in sizes), *((ROOM // PAGE, number) for number in files)]:
        with disks.in_memory(pages * PAGE, inodes) as disk, tried.once(f"{pages} pages, {inodes} files"):
            out = disk.place / "export"
            ran = rig.run(work, out)
            tried.ends[_told(ran, disk.place, "the disk is full")] += 1
            rig.at_rest(work, out)
            disk.resize(ROOM)
            rig.finish(work, out)
    return tried.figures("disks")


def _told(ran: Ran, place: Path, why: str = "") -> str:
    """A run that failed says so with exit 5, in one sentence that names the place."""
    assert ran.code in {0, FAILED}, f"exit {ran.code}: {ran.err}"
    if not ran.code:
        return "completed"
    last = ran.err.strip().splitlines()[-1]
    assert last.startswith("Error: "), last
    assert str(place) in last, last
    assert why in last, last
    return "failed"


def failing_sync(rig: Rig, work: Work, kind: str, *, rooms: Iterable[int]) -> Figures:
    """Run on a disk whose device has too little room behind it: writes are taken, and the sync fails.

    Never is a failed sync asked again, and nothing that was committed is lost: with room, the same command completes.
    """
    tried, syncs = Tried(rig.failures_max), 0
    for room in rooms:
        with disks.in_memory(disks.BYTES[kind] * 2) as memory, tried.once(f"{kind}, {room} pages"):
            (memory.place / "disk").mkdir()
            with disks.in_file(kind, memory.place / "disk") as disk:
                out, log = disk.place / "export", rig.folder / "sync.log"
                memory.resize(_used(memory) + room * PAGE)
                ran = rig.run(work, out, *strace.watching(str(log), "openat,close,fsync,fdatasync"))
                tried.ends[_told(ran, disk.place)] += 1
                syncs += _synced_once(strace.calls(log))
                memory.resize(disks.BYTES[kind] * 2)
                disk.unmount()  # so that nothing is read from memory
                disk.mount()
                rig.at_rest(work, out)
                rig.finish(work, out)
    return tried.figures("disks", failed_syncs=syncs)


def _used(memory: Disk) -> int:
    done = disks.do("df", "--output=used", "--block-size=1", str(memory.place))
    return int(done.split()[-1])


def _synced_once(calls: Iterable[Call]) -> int:
    """No descriptor whose sync failed is synced again before it is closed; returns how many failed."""
    failed: Counter[str] = Counter()
    total = 0
    for call in calls:
        if call.kind in SYNCS:
            assert not failed[call.handle], f"{call.handle} was synced again after its sync had failed"
            if call.result == -1:
                failed[call.handle] += 1
                total += 1
        elif call.kind == "close":
            del failed[call.handle]
    return total


def failing_calls(rig: Rig, work: Work, *, share: int = 1, on: bool = False) -> Figures:
    """Fail each call that changes the run's folder (or each `share`-th), once or from there on; then finish without."""
    begun = rig.prepare(work, rig.folder / "failing-begun")
    tried, journal = Tried(rig.failures_max), str(rig.folder / "calls/.run/journal")
    for number, point in enumerate(points_of(rig, work, begun, beside=[journal])[share // 2 :: share]):
        code = "ENOSPC" if point.kind == "write" and number % 2 else "EIO"
        out, log = copy_of(begun, rig.folder / "calls"), rig.folder / "failing.log"
        with tried.once(f"{point} {code}"):
            ran = rig.run(work, out, *point.under(f"error={code}", str(log), on=on))
            tried.ends[_told(ran, out)] += 1
            if ran.code:
                _nothing_recorded_after(strace.calls(log), journal)
            rig.at_rest(work, out)
            rig.finish(work, out)
    return tried.figures("points")


def _nothing_recorded_after(calls: Iterable[Call], journal: str) -> None:
    """After the failure that ended a run its journal has no new record, and nothing that failed to sync is synced again."""
    listed = list(calls)
    place = next(number for number, call in enumerate(listed) if call.injected)
    late = [call for call in listed[place + 1 :] if call.kind == "write" and call.path == journal]
    assert not late, f"a record was written after {listed[place].kind} {listed[place].path} had failed"
    _synced_once(listed)
