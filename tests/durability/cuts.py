"""Runs ended by a power cut at a random time: whatever was not synced is gone."""

from pathlib import Path

from tests.durability import disks
from tests.durability.disks import Disk
from tests.durability.figures import Figures, Tried
from tests.durability.rig import Rig, Work, killed

AGAIN = 0.3  # of the recoveries are cut as well


def power(rig: Rig, work: Work, kind: str, *, cycles: int) -> Figures:
    """Cut the power of a run on a new disk, bring the disk back, and finish it."""
    tried = Tried(rig.failures_max)
    for cycle in range(cycles):
        with disks.in_file(kind) as disk, tried.once(f"{kind} cycle {cycle}"):
            out = rig.prepare(work, disk.place / "export")
            tried.ends[_cut(rig, work, disk, out)] += 1
            while rig.chance.random() < AGAIN:
                tried.ends[_cut(rig, work, disk, out)] += 1
            rig.finish(work, out)
            rig.verified(out)
    return tried.figures("cycles", cuts=tried.ends.total())


def _cut(rig: Rig, work: Work, disk: Disk, out: Path) -> str:
    seconds = rig.whole(work).seconds
    process = rig.start(work, out)
    rig.moment(process, out, seconds * 1.1)
    disk.cut()
    killed(process)
    disk.unmount()
    disk.mount()
    return rig.at_rest(work, out)
